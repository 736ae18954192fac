/* test_http_server.c - the server through bare sockets: what is refused and how, order, limits, deadlines, streams, the end of a client, draining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/resource.h>
#include "interpreter/net/http_server.h"
#include "tests/unit/http_cases.h"
#include "tests/unit/http_socket.h"

static HttpServer *server;
static int handled, gone;
static Buf seen;                                         /* what the handler saw last */
static HttpExchange *waiting;                            /* an exchange that a test ends itself */
static bool set_gone;

static void on_gone(HttpExchange *exchange, void *arg)
{
    gone++;
    if (waiting == exchange) waiting = NULL;
}

static void handle(HttpExchange *exchange, const HttpServerRequest *request, void *arg)
{
    handled++;
    buf_clear(&seen);
    buf_printf(&seen, "%s %.*s|%.*s|%.*s|", request->method, STR_ARG(request->path), STR_ARG(http_header(request, "x-a")), STR_ARG(request->body));
    for (size_t i = 0; i < request->query_count; i++) buf_printf(&seen, "%.*s=%.*s;", STR_ARG(request->query[i].name), STR_ARG(request->query[i].value));
    if (str_starts(request->path, STR("/wait")) || str_starts(request->path, STR("/stream"))) {
        waiting = exchange;
        if (set_gone) http_exchange_on_gone(exchange, on_gone, NULL);
        if (request->path.ptr[1] == 's') http_stream_begin(exchange, NULL, 0);
    } else if (str_is(request->path, "/inject")) {
        HttpHeader header = { STR("Location"), http_header(request, "x-a").len ? STR("/a\r\nSet-Cookie: b=c") : STR("/fine") };
        http_answer(exchange, 303, (Str){ 0 }, (Str){ 0 }, &header, 1);
    } else if (str_is(request->path, "/own")) {
        HttpHeader header = { STR("content-length"), STR("99") };
        http_answer(exchange, 200, (Str){ 0 }, (Str){ 0 }, &header, 1);
    } else if (str_is(request->path, "/cached")) {
        HttpHeader header = { STR("cache-control"), STR("max-age=60") };
        http_answer(exchange, 200, STR("text/plain"), STR("x"), &header, 1);
    } else if (str_is(request->path, "/nothing")) http_answer(exchange, 204, (Str){ 0 }, STR("not sent"), NULL, 0);
    else if (str_is(request->path, "/large")) {
        Buf body = { 0 };
        memset(buf_reserve(&body, 8 << 20), 'x', 8 << 20);
        body.len = 8 << 20;
        http_answer(exchange, 200, STR("text/plain"), buf_str(&body), NULL, 0);
        buf_free(&body);
    } else http_answer(exchange, 200, STR("text/plain"), request->body, NULL, 0);
}

static void open_with(HttpServerOptions options)
{
    Error error = { 0 };
    handled = gone = 0;
    waiting = NULL;
    set_gone = true;
    if (http_server_open(loop, &options, handle, NULL, &server, &error)) fail_msg("%s", error.text);
}

static int open_server(void **state)
{
    open_with((HttpServerOptions){ .server_name = "flow" });
    return 0;
}

static int close_server(void **state)
{
    http_server_close(server);
    server = NULL;
    turn();
    return 0;
}

static Client call(const char *bytes)
{
    Client client = client_open(http_server_port(server));
    client_send(&client, str_of(bytes));
    return client;
}

/* ---- what is taken and what is refused ------------------------------------------------------------------------------ */

static void play(const HttpCase *test, size_t cut)
{
    Client client = client_open(http_server_port(server));
    handled = 0;
    client_send(&client, (Str){ test->bytes.ptr, cut });
    for (int i = 0; i < 3; i++) turn();
    client_send(&client, (Str){ test->bytes.ptr + cut, test->bytes.len - cut });
    if (test->status) {
        client_wait_end(&client);
        if (client_status(&client, (size_t)test->requests) != test->status) fail_msg("%s, cut at %zu: %s", test->name, cut, buf_cstr(&client.in));
        assert_non_null(strstr(client.in.ptr, "Connection: close\r\n"));
    } else assert_int_equal(client_wait(&client, "HTTP/1.", (size_t)test->requests), test->requests);
    assert_int_equal(handled, test->requests);
    for (int i = 0; i < test->requests; i++) assert_int_equal(client_status(&client, (size_t)i), 200);
    client_close(&client);
}

static void every_case_is_answered_so_through_a_socket(void **state)
{
    for (size_t i = 0; i < HTTP_CASE_COUNT; i++) play(&http_cases[i], http_cases[i].bytes.len);
}

static void and_cut_at_every_place(void **state)
{
    for (size_t i = 0; i < HTTP_CASE_COUNT; i++)
        for (size_t cut = 1; cut < http_cases[i].bytes.len && cut < 300; cut++) play(&http_cases[i], cut);
}

static void a_handler_gets_what_was_sent(void **state)
{
    Client client = call("POST /caf%C3%A9?q=a+b&r HTTP/1.1\r\n" HOST "X-A:  two words  \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    assert_int_equal(client_wait(&client, "\r\n\r\nhello", 1), 1);
    assert_string_equal(buf_cstr(&seen), "POST /caf\xC3\xA9|two words|hello|q=a b;r=;");
    assert_non_null(strstr(client.in.ptr, "HTTP/1.1 200 OK\r\n"));
    client_close(&client);
}

static void a_large_body_arrives_whole(void **state)
{
    static char body[HTTP_SERVER_BODY_MAX];
    Buf bytes = { 0 };
    for (size_t i = 0; i < sizeof body; i++) body[i] = (char)('a' + i % 23);
    buf_printf(&bytes, "POST /x HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", sizeof body);
    buf_put(&bytes, body, sizeof body);
    Client client = client_open(http_server_port(server));
    client_send(&client, buf_str(&bytes));
    client_wait(&client, "\r\n\r\n", 1);
    size_t head = (size_t)(strstr(client.in.ptr, "\r\n\r\n") + 4 - client.in.ptr);
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    while (client.in.len < head + sizeof body && clock_monotonic() < deadline) { turn(); client_read(&client); }
    assert_int_equal(client.in.len, head + sizeof body);
    assert_memory_equal(client.in.ptr + head, body, sizeof body);
    client_close(&client);
    buf_free(&bytes);
}

/* ---- answers ----------------------------------------------------------------------------------------------------------- */

static void every_answer_has_its_headers(void **state)
{
    static const char *const wanted[] = { "\r\nDate: ", " GMT\r\n", "\r\nServer: flow\r\n", "\r\nX-Request-Id: ", "\r\nX-Content-Type-Options: nosniff\r\n", "\r\nCache-Control: no-store\r\n", "\r\nContent-Length: 0\r\n" };
    Client client = call("GET / HTTP/1.1\r\n" HOST "\r\n");
    client_wait(&client, "\r\n\r\n", 1);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) assert_non_null(strstr(client.in.ptr, wanted[i]));
    client_close(&client);
    client = call("GET /cached HTTP/1.1\r\n" HOST "\r\n");
    client_wait(&client, "\r\n\r\nx", 1);
    assert_null(strstr(client.in.ptr, "no-store"));
    client_close(&client);
}

static void a_value_cannot_begin_a_header(void **state)
{
    Client client = call("GET /inject HTTP/1.1\r\n" HOST "X-A: 1\r\n\r\nGET /inject HTTP/1.1\r\n" HOST "\r\nGET /own HTTP/1.1\r\n" HOST "\r\n");
    client_wait(&client, "HTTP/1.1", 3);
    assert_null(strstr(client.in.ptr, "Set-Cookie"));
    assert_null(strstr(client.in.ptr, "99"));
    assert_int_equal(client_status(&client, 0), 500);
    assert_int_equal(client_status(&client, 1), 303);
    assert_non_null(strstr(client.in.ptr, "\r\nLocation: /fine\r\n"));
    assert_int_equal(client_status(&client, 2), 500);
    client_close(&client);
}

static void a_head_is_a_get_without_the_body(void **state)
{
    Client client = call("HEAD /cached HTTP/1.1\r\n" HOST "\r\nGET /cached HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_wait(&client, "\r\n\r\nx", 1), 1);
    assert_non_null(strstr(client.in.ptr, "\r\nContent-Length: 1\r\n"));
    assert_non_null(strstr(client.in.ptr, "\r\n\r\nHTTP/1.1 200"));           /* the second follows at once */
    assert_string_equal(buf_cstr(&seen), "GET /cached|||");
    client_close(&client);
}

static void an_answer_without_a_body_has_no_length(void **state)
{
    Client client = call("GET /nothing HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    client_wait(&client, "HTTP/1.1", 2);
    assert_int_equal(client_status(&client, 0), 204);
    assert_int_equal(client_status(&client, 1), 200);
    assert_null(strstr(client.in.ptr, "not sent"));
    client_close(&client);
}

static void a_client_may_wait_for_100(void **state)
{
    Client client = call(POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(client_wait(&client, "HTTP/1.1 100 Continue\r\n\r\n", 1), 1);
    assert_int_equal(handled, 0);
    client_send(&client, STR("hello"));
    assert_int_equal(client_wait(&client, "\r\n\r\nhello", 1), 1);
    client_close(&client);
    client = call(POST "Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(client_status(&client, 0), 413);
    client_close(&client);
}

static void http_1_0_and_close_end_the_connection(void **state)
{
    Client client = call("GET / HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(client_status(&client, 0), 200);
    assert_null(strstr(client.in.ptr, "keep-alive"));
    client_close(&client);
    client = call("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    client_wait_end(&client);
    assert_non_null(strstr(client.in.ptr, "Connection: close"));
    client_close(&client);
}

static void answers_come_in_the_order_of_their_requests(void **state)
{
    Client client = call("GET /wait HTTP/1.1\r\n" HOST "\r\n" POST "Content-Length: 6\r\n\r\nsecond");
    UNTIL(waiting);
    for (int i = 0; i < 5; i++) turn();
    assert_int_equal(handled, 1);                        /* the second waits behind the first */
    http_answer(waiting, 200, STR("text/plain"), STR("first"), NULL, 0);
    waiting = NULL;
    assert_int_equal(client_wait(&client, "second", 1), 1);
    assert_true(strstr(client.in.ptr, "first") < strstr(client.in.ptr, "second"));
    assert_int_equal(gone, 0);
    client_close(&client);
}

/* ---- clients that go away ------------------------------------------------------------------------------------------------ */

static void a_client_that_goes_while_it_waits_is_noticed(void **state)
{
    static const char *const requests[] = { "GET /wait HTTP/1.1\r\n" HOST "\r\n", "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nok", "GET /stream HTTP/1.1\r\n" HOST "\r\n" };
    for (int i = 0; i < 3; i++) {
        Client client = call(requests[i]);
        UNTIL(waiting);
        for (int n = 0; n < 3; n++) turn();
        assert_int_equal(gone, i);
        assert_false(http_server_idle(server));
        client_close(&client);
        UNTIL(gone == i + 1);
        assert_true(http_server_idle(server));
        assert_int_equal(http_server_connections(server), 0);
    }
}

static void an_answer_to_nobody_is_dropped(void **state)
{
    set_gone = false;
    Client client = call("GET /wait HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    client_close(&client);
    UNTIL(!http_server_connections(server));
    assert_false(http_server_idle(server));
    http_answer(waiting, 200, STR("text/plain"), STR("x"), NULL, 0);
    assert_true(http_server_idle(server));
    waiting = NULL;
    client = call("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    client_close(&client);
    UNTIL(!http_server_connections(server));
    assert_false(http_stream_send(waiting, (Str){ 0 }, (Str){ 0 }, STR("x")));
    http_exchange_on_gone(waiting, on_gone, NULL);       /* too late for the event, not for the call */
    assert_int_equal(gone, 0);
    UNTIL(gone);
    assert_true(http_server_idle(server));
}

static void closing_the_server_tells_who_waits(void **state)
{
    Client client = call("GET /stream HTTP/1.1\r\n" HOST "\r\n"), other = call("GET /wait HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(handled == 2);
    http_server_close(server);
    server = NULL;
    assert_int_equal(gone, 2);
    client_close(&client);
    client_close(&other);
}

/* ---- streams ------------------------------------------------------------------------------------------------------------- */

static void a_stream_sends_events_until_it_ends(void **state)
{
    Client client = call("GET /stream HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_wait(&client, "Content-Type: text/event-stream\r\n", 1), 1);
    assert_true(http_stream_send(waiting, STR("1"), STR("progress"), STR("half\ndone")));
    assert_int_equal(client_wait(&client, "id: 1\nevent: progress\ndata: half\ndata: done\n\n", 1), 1);
    assert_true(http_stream_beat(waiting));
    assert_int_equal(client_wait(&client, ":\n\n", 1), 1);
    http_stream_end(waiting);
    assert_int_equal(client_wait(&client, "0\r\n\r\nHTTP/1.1 200 OK", 1), 1);
    assert_int_equal(gone, 0);
    client_close(&client);
    waiting = NULL;
    client = call("GET /stream HTTP/1.0\r\n" HOST "\r\n");
    UNTIL(waiting);
    http_stream_send(waiting, STR("1"), (Str){ 0 }, STR("x"));
    assert_int_equal(client_wait(&client, "\r\n\r\nid: 1\ndata: x\n\n", 1), 1);
    http_stream_end(waiting);
    client_wait_end(&client);
    client_close(&client);
    client = call("HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    client_wait(&client, "\r\n\r\n", 1);
    UNTIL(gone);
    client_close(&client);
}

static void a_slow_client_is_dropped_and_stalls_nobody(void **state)
{
    Client slow = call("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    HttpExchange *slow_exchange = waiting;
    waiting = NULL;
    Client quick = call("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    HttpExchange *quick_exchange = waiting;
    char data[8192];
    memset(data, 'd', sizeof data);
    size_t sent = 0;
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    while (gone == 0 && clock_monotonic() < deadline) {
        if (slow_exchange && !http_stream_send(slow_exchange, (Str){ 0 }, (Str){ 0 }, (Str){ data, sizeof data })) slow_exchange = NULL;
        assert_true(http_stream_send(quick_exchange, (Str){ 0 }, (Str){ 0 }, (Str){ data, sizeof data }));
        sent++;
        assert_true(sent < 100000);
        while (client_read(&quick)) {}
        buf_clear(&quick.in);
        turn();
    }
    assert_null(slow_exchange);
    assert_int_equal(gone, 1);
    assert_true(http_stream_send(quick_exchange, (Str){ 0 }, (Str){ 0 }, STR("last")));
    assert_int_equal(client_wait(&quick, "data: last\n\n", 1), 1);
    http_stream_end(quick_exchange);
    client_close(&slow);
    client_close(&quick);
}

/* What one callback sends is more than the buffer holds, but not more than the socket takes. */
static void many_events_at_once_are_no_fault_of_the_client(void **state)
{
    static char data[HTTP_STREAM_BUFFER_MAX + 1];
    Client client = call("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    memset(data, 'd', sizeof data);
    for (int i = 0; i < 40; i++) assert_true(http_stream_send(waiting, (Str){ 0 }, (Str){ 0 }, (Str){ data, 8192 }));
    UNTIL((client_read(&client), client.in.len > 40 * 8192));
    assert_true(http_stream_send(waiting, (Str){ 0 }, (Str){ 0 }, (Str){ data, sizeof data }));
    UNTIL((client_read(&client), client.in.len > 40 * 8192 + sizeof data));
    assert_int_equal(gone, 0);
    http_stream_end(waiting);
    client_close(&client);
}

/* The first write to a client that closed is answered by a reset; the second would raise SIGPIPE. */
static void writing_to_nobody_is_no_signal(void **state)
{
    static char data[HTTP_STREAM_BUFFER_MAX + 1];
    Client client = call("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(waiting);
    client_wait(&client, "text/event-stream", 1);
    memset(data, 'd', sizeof data);
    client_close(&client);
    while (http_stream_send(waiting, (Str){ 0 }, (Str){ 0 }, (Str){ data, sizeof data })) {}
    UNTIL(gone == 1);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------- */

static void more_connections_than_the_limit_are_told_to_come_back(void **state)
{
    close_server(state);
    open_with((HttpServerOptions){ .connections_max = 4 });
    Client clients[4 + HTTP_OVERFLOW_MAX + 3];
    enum { ALL = sizeof clients / sizeof *clients };
    for (int i = 0; i < ALL; i++) clients[i] = client_open(http_server_port(server));
    for (int i = 0; i < 4; i++) turn();
    assert_int_equal(http_server_connections(server), 4 + HTTP_OVERFLOW_MAX);       /* beyond them none is accepted */
    client_wait_end(&clients[4]);
    assert_int_equal(client_status(&clients[4], 0), 503);
    assert_non_null(strstr(clients[4].in.ptr, "\r\nRetry-After: 1\r\n"));
    client_send(&clients[0], STR("GET / HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(client_wait(&clients[0], "HTTP/1.1 200", 1), 1);
    for (int i = 0; i < ALL; i++) client_close(&clients[i]);
    UNTIL(!http_server_connections(server));
    Client late = call("GET / HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_wait(&late, "HTTP/1.1 200", 1), 1);
    client_close(&late);
}

/* Without descriptors accepting rests, instead of turning in a circle; when there are some again it goes on. */
static void a_lack_of_descriptors_is_waited_out(void **state)
{
    enum { ALL = 8 };
    Client clients[ALL];
    struct rlimit before, few;
    close_server(state);
    open_with((HttpServerOptions){ .header_us = CLIENT_DEADLINE });
    for (int i = 0; i < ALL; i++) clients[i] = client_open(http_server_port(server));
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){ .rlim_cur = (rlim_t)next + 2, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 20; i++) turn();
    uint32_t accepted = http_server_connections(server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(accepted, 1, 2);
    turn();
    assert_int_equal(http_server_connections(server), accepted);                /* it rests */
    UNTIL(http_server_connections(server) == ALL);
    for (int i = 0; i < ALL; i++) client_close(&clients[i]);
}

static void who_is_slow_is_closed(void **state)
{
    static const struct { const char *bytes; int status; } cases[] = {
        { "", 0 }, { "GET / HTTP/1.1\r\nHost: ", 408 }, { POST "Content-Length: 10\r\n\r\nhalf", 408 }, { POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhal", 408 },
    };
    close_server(state);
    open_with((HttpServerOptions){ .header_us = 60000, .body_us = 60000, .idle_us = 60000 });
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Client client = call(cases[i].bytes);
        client_wait_end(&client);
        assert_int_equal(client_status(&client, 0), cases[i].status);
        client_close(&client);
    }
    Client idle = call("GET / HTTP/1.1\r\n" HOST "\r\n");
    client_wait_end(&idle);
    assert_int_equal(client_status(&idle, 0), 200);
    assert_int_equal(client_status(&idle, 1), 0);
    client_close(&idle);
    Client waits = call("GET /wait HTTP/1.1\r\n" HOST "\r\n");       /* a handler may take its time */
    int64_t until = clock_monotonic() + 200000;
    while (clock_monotonic() < until) turn();
    assert_int_equal(gone, 0);
    http_answer(waiting, 200, STR("text/plain"), STR("late"), NULL, 0);
    assert_int_equal(client_wait(&waits, "late", 1), 1);
    client_close(&waits);
}

/* One byte from time to time keeps no connection: the time counts from the first. */
static void a_drip_of_bytes_does_not_help(void **state)
{
    close_server(state);
    open_with((HttpServerOptions){ .header_us = 80000 });
    Client client = call("GET / HTTP/1.1\r\n" HOST "X-A: ");
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    while (!client.ended && clock_monotonic() < deadline) {
        send(client.fd, "a", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        usleep(2000);
        turn();
        client_read(&client);
    }
    assert_true(client.ended);
    assert_int_equal(client_status(&client, 0), 408);
    client_close(&client);
}

static void an_answer_that_nobody_takes_is_given_up(void **state)
{
    close_server(state);
    open_with((HttpServerOptions){ .body_us = 60000 });
    Client client = call("GET /large HTTP/1.1\r\n" HOST "\r\n");
    UNTIL(handled);
    assert_false(http_server_idle(server));
    UNTIL(!http_server_connections(server));
    assert_true(http_server_idle(server));
    client_close(&client);
}

static void what_is_sent_ahead_has_a_limit(void **state)
{
    Client client = call("GET /wait HTTP/1.1\r\n" HOST "\r\n");
    char bytes[4096];
    size_t sent = 0;
    int64_t quiet = clock_monotonic() + TIME_SECOND / 2;
    memset(bytes, 'x', sizeof bytes);
    while (clock_monotonic() < quiet && sent < 64u << 20) {
        ssize_t some = send(client.fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (some > 0) sent += (size_t)some, quiet = clock_monotonic() + TIME_SECOND / 2;
        turn();
    }
    assert_true(sent < 64u << 20);                       /* the sockets' buffers are full: nobody reads them */
    http_answer(waiting, 200, STR("text/plain"), STR("first"), NULL, 0);
    client_wait_end(&client);
    assert_int_equal(client_status(&client, 0), 200);
    client_close(&client);
}

/* ---- draining, addresses ----------------------------------------------------------------------------------------------------- */

static void a_drained_server_finishes_what_it_has(void **state)
{
    uint16_t port = http_server_port(server);
    Client idle = call("GET / HTTP/1.1\r\n" HOST "\r\n"), busy = call("GET /wait HTTP/1.1\r\n" HOST "\r\n"), half = call(POST "Content-Length: 5\r\n\r\nhe");
    client_wait(&idle, "HTTP/1.1 200", 1);
    UNTIL(waiting && http_server_connections(server) == 3);
    http_server_drain(server);
    client_wait_end(&idle);
    assert_false(http_server_idle(server));
    Client late = { .fd = socket(AF_INET, SOCK_STREAM, 0) };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(late.fd, (struct sockaddr *)&address, sizeof address), -1);
    http_answer(waiting, 200, STR("text/plain"), STR("done"), NULL, 0);
    client_wait_end(&busy);
    assert_non_null(strstr(busy.in.ptr, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(busy.in.ptr, "\r\n\r\ndone"));
    client_send(&half, STR("llo"));
    client_wait_end(&half);
    assert_non_null(strstr(half.in.ptr, "\r\n\r\nhello"));
    assert_true(http_server_idle(server));
    UNTIL(!http_server_connections(server));
    client_close(&idle);
    client_close(&busy);
    client_close(&half);
    client_close(&late);
}

static void several_servers_may_share_a_port(void **state)
{
    HttpServer *first, *second, *third;
    Error error = { 0 };
    HttpServerOptions options = { .reuse_port = true };
    assert_int_equal(http_server_open(loop, &options, handle, NULL, &first, &error), ERR_OK);
    options.port = http_server_port(first);
    assert_int_equal(http_server_open(loop, &options, handle, NULL, &second, &error), ERR_OK);
    options.reuse_port = false;
    assert_int_equal(http_server_open(loop, &options, handle, NULL, &third, &error), ERR_IO);
    assert_non_null(strstr(error.text, "could not listen on `127.0.0.1`"));
    options.host = "no such host";
    assert_int_equal(http_server_open(loop, &options, handle, NULL, &third, &error), ERR_INVALID);
    http_server_close(first);
    http_server_close(second);
}

static void it_listens_on_ipv6_and_on_a_path(void **state)
{
    char path[64], host[80];
    Error error = { 0 };
    close_server(state);
    open_with((HttpServerOptions){ .host = "[::1]" });
    Client client = { .fd = socket(AF_INET6, SOCK_STREAM, 0) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(http_server_port(server)), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    if (connect(client.fd, (struct sockaddr *)&six, sizeof six) == 0) {
        client_send(&client, STR("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"));
        assert_int_equal(client_wait(&client, "HTTP/1.1 200", 1), 1);
    }
    client_close(&client);
    close_server(state);
    snprintf(path, sizeof path, "/tmp/flow-http-%d.sock", (int)getpid());
    snprintf(host, sizeof host, "unix:%s", path);
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    snprintf(local.sun_path, sizeof local.sun_path, "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);         /* as a killed process leaves it */
    assert_int_equal(bind(stale, (struct sockaddr *)&local, sizeof local), 0);
    close(stale);
    open_with((HttpServerOptions){ .host = host });
    HttpServer *second;
    assert_int_equal(http_server_open(loop, &(HttpServerOptions){ .host = host }, handle, NULL, &second, &error), ERR_IO);
    client = (Client){ .fd = socket(AF_UNIX, SOCK_STREAM, 0) };
    assert_int_equal(connect(client.fd, (struct sockaddr *)&local, sizeof local), 0);
    client_send(&client, STR("GET / HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(client_wait(&client, "HTTP/1.1 200", 1), 1);
    client_close(&client);
    close_server(state);
    assert_int_equal(access(path, F_OK), -1);
}

static void an_address_to_listen_on_is_read(void **state)
{
    static const struct { const char *text, *host; int port; } cases[] = {
        { "8080", "127.0.0.1", 8080 }, { ":0", "127.0.0.1", 0 }, { "0.0.0.0:80", "0.0.0.0", 80 }, { "[::1]:8080", "::1", 8080 }, { "[::]:8080", "::", 8080 },
        { "localhost:65535", "localhost", 65535 }, { "unix:/run/flow.sock", "unix:/run/flow.sock", 0 },
        { "", NULL, 0 }, { "host", NULL, 0 }, { "host:", NULL, 0 }, { "host:65536", NULL, 0 }, { "host:-1", NULL, 0 }, { "host:80x", NULL, 0 }, { "::1:8080", NULL, 0 },
        { "[::1]", NULL, 0 }, { "[::1:8080", NULL, 0 }, { "unix:", NULL, 0 }, { "a:b:80", NULL, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char host[64];
        uint16_t port;
        Error error = { 0 };
        Err err = http_listen_parse(cases[i].text, host, sizeof host, &port, &error);
        if ((err == ERR_OK) != (cases[i].host != NULL)) fail_msg("%s: %s", cases[i].text, error.text);
        if (err) assert_non_null(strstr(error.text, cases[i].text));
        else { assert_string_equal(host, cases[i].host); assert_int_equal(port, cases[i].port); }
    }
}

int main(void)
{
    loop = event_base_new();
    #define TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)
    const struct CMUnitTest tests[] = {
        TEST(every_case_is_answered_so_through_a_socket), TEST(and_cut_at_every_place), TEST(a_handler_gets_what_was_sent), TEST(a_large_body_arrives_whole),
        TEST(every_answer_has_its_headers), TEST(a_value_cannot_begin_a_header), TEST(a_head_is_a_get_without_the_body), TEST(an_answer_without_a_body_has_no_length),
        TEST(a_client_may_wait_for_100), TEST(http_1_0_and_close_end_the_connection), TEST(answers_come_in_the_order_of_their_requests),
        TEST(a_client_that_goes_while_it_waits_is_noticed), TEST(an_answer_to_nobody_is_dropped), TEST(closing_the_server_tells_who_waits),
        TEST(a_stream_sends_events_until_it_ends), TEST(a_slow_client_is_dropped_and_stalls_nobody), TEST(many_events_at_once_are_no_fault_of_the_client), TEST(writing_to_nobody_is_no_signal),
        TEST(more_connections_than_the_limit_are_told_to_come_back), TEST(a_lack_of_descriptors_is_waited_out), TEST(who_is_slow_is_closed), TEST(a_drip_of_bytes_does_not_help),
        TEST(an_answer_that_nobody_takes_is_given_up), TEST(what_is_sent_ahead_has_a_limit),
        TEST(a_drained_server_finishes_what_it_has), TEST(several_servers_may_share_a_port), TEST(it_listens_on_ipv6_and_on_a_path), TEST(an_address_to_listen_on_is_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&seen);
    event_base_free(loop);
    return failed;
}
