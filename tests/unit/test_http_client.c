/* test_http_client.c - the client against a server on the loopback: answers, limits, failures of the network; and remote tools on top of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <sys/socket.h>
#include <unistd.h>
#include "interpreter/effect/credential.h"
#include "interpreter/effect/remote.h"
#include "tests/unit/engine_image.h"
#include "tests/unit/llm_server.h"

static struct event_base *loop;
static struct evhttp *server;
static HttpClient *client;
static char base[64];
static char seen[2048];                                  /* what the server saw last */

static void put_seen(struct evhttp_request *request)
{
    const char *key = evhttp_find_header(evhttp_request_get_input_headers(request), "Idempotency-Key"), *auth = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    static const struct { int command; const char *name; } methods[] = { { EVHTTP_REQ_GET, "GET" }, { EVHTTP_REQ_POST, "POST" }, { EVHTTP_REQ_PUT, "PUT" }, { EVHTTP_REQ_PATCH, "PATCH" }, { EVHTTP_REQ_DELETE, "DELETE" } };
    const char *method = "?";
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].command == (int)evhttp_request_get_command(request)) method = methods[i].name;
    snprintf(seen, sizeof seen, "%s %s|%s|%s|%.*s", method, evhttp_request_get_uri(request), key ? key : "", auth ? auth : "", (int)evbuffer_get_length(body), (char *)evbuffer_pullup(body, -1));
}

static void serve(struct evhttp_request *request, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct evbuffer *out = evbuffer_new();
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    int status = 200;
    put_seen(request);
    if (strcmp(path, "/hang") == 0) { evbuffer_free(out); return; }                            /* owned by the connection, dropped with the server */
    if (strncmp(path, "/status/", 8) == 0) {
        status = atoi(path + 8);
        evbuffer_add_printf(out, "{\"error\":{\"message\":\"status %d it is\",\"code\":\"C%d\"}}", status, status);
        if (status == 429) evhttp_add_header(headers, "Retry-After", "7");
        if (status == 503) evhttp_add_header(headers, "Retry-After", "Mon, 10 Nov 2025 10:00:30 GMT");
        if (status == 302) evhttp_add_header(headers, "Location", "/quote/x");
    } else if (strcmp(path, "/large") == 0) {
        char chunk[4096];
        memset(chunk, 'x', sizeof chunk);
        for (int i = 0; i < HTTP_BODY_MAX / 4096 + 1; i++) evbuffer_add(out, chunk, sizeof chunk);
    } else if (strcmp(path, "/token") == 0) evbuffer_add_printf(out, "{\"access_token\":\"fresh\",\"token_type\":\"bearer\"}");
    else evbuffer_add_printf(out, "\"fine\"");
    evhttp_send_reply(request, status, "x", out);
    evbuffer_free(out);
}

static int open_server(void **state)
{
    loop = event_base_new();
    server = evhttp_new(loop);
    evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE);
    evhttp_set_gencb(server, serve, NULL);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
    snprintf(base, sizeof base, "http://127.0.0.1:%d", ntohs(address.sin_port));
    client = http_client_new(loop);
    return 0;
}

static int close_server(void **state)
{
    http_client_free(client);
    evhttp_free(server);
    event_base_free(loop);
    return 0;
}

typedef struct Answer { bool came; HttpOutcome outcome; int status; char body[256]; size_t len; char retry_after[64]; char detail[256]; } Answer;

static void came(const HttpResponse *response, void *arg)
{
    Answer *a = arg;
    a->came = true;
    a->outcome = response->outcome;
    a->status = response->status;
    a->len = response->body.len;
    snprintf(a->body, sizeof a->body, "%.*s", (int)(response->body.len < 250 ? response->body.len : 250), response->body.ptr);
    snprintf(a->retry_after, sizeof a->retry_after, "%.*s", STR_ARG(response->retry_after));
    snprintf(a->detail, sizeof a->detail, "%s", response->detail);
    event_base_loopbreak(loop);
}

static Answer get(const char *url, int64_t timeout_us)
{
    Answer answer = { 0 };
    Error error = { 0 };
    char text[256];
    snprintf(text, sizeof text, "%s%s", url[0] == '/' ? base : "", url);
    HttpRequest request = { .method = "GET", .url = str_of(text), .timeout_us = timeout_us };
    assert_non_null(http_send(client, &request, came, &answer, &error));
    assert_false(answer.came);                                   /* never from inside */
    while (!answer.came) event_base_loop(loop, EVLOOP_ONCE);
    return answer;
}

static void an_answer_comes_with_status_and_body(void **state)
{
    Answer a = get("/quote/Paris", 0);
    assert_int_equal(a.outcome, HTTP_ANSWERED);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "\"fine\"");
    assert_true(strncmp(seen, "GET /quote/Paris|", 17) == 0);
    a = get("/status/429", 0);
    assert_int_equal(a.status, 429);
    assert_string_equal(a.retry_after, "7");
}

static void a_redirect_is_not_followed(void **state)
{
    Answer a = get("/status/302", 0);
    assert_int_equal(a.status, 302);
    assert_non_null(strstr(seen, "/status/302"));
}

static void an_answer_above_the_limit_ends_the_request(void **state)
{
    Answer a = get("/large", 0);
    assert_int_equal(a.outcome, HTTP_TOO_LARGE);
    assert_int_equal(a.status, 0);
    assert_non_null(strstr(a.detail, "HTTP_BODY_MAX"));
}

static void a_slow_server_meets_the_timeout(void **state)
{
    int64_t before = clock_monotonic();
    Answer a = get("/hang", 200000);
    assert_int_equal(a.outcome, HTTP_TIMEOUT);
    assert_true(clock_monotonic() - before < 3 * TIME_SECOND);
    assert_string_equal(http_outcome_code(a.outcome), "ETIMEDOUT");
}

static void failures_of_the_network_have_their_codes(void **state)
{
    assert_int_equal(get("http://127.0.0.1:1/x", 0).outcome, HTTP_CONNECTION_REFUSED);
    assert_int_equal(get("http://no-such-host.invalid/x", 5 * TIME_SECOND).outcome, HTTP_NAME_NOT_FOUND);
    assert_int_equal(get("file:///etc/passwd", 0).outcome, HTTP_BAD_REQUEST);
    int fd = socket(AF_INET, SOCK_STREAM, 0);                    /* takes the connection and closes it at once */
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    pid_t child = fork();
    if (child == 0) {
        close(accept(fd, NULL, NULL));
        _exit(0);
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", ntohs(address.sin_port));
    Answer a = get(url, 5 * TIME_SECOND);
    close(fd);
    assert_int_equal(a.outcome, HTTP_CONNECTION_RESET);
    assert_string_equal(http_outcome_code(a.outcome), "ECONNRESET");
}

static void a_cancelled_request_calls_nobody(void **state)
{
    Answer answer = { 0 };
    char url[96];
    Error error;
    snprintf(url, sizeof url, "%s/hang", base);
    HttpRequest request = { .method = "GET", .url = str_of(url), .timeout_us = 50000 };
    HttpCall *call = http_send(client, &request, came, &answer, &error);
    event_base_loop(loop, EVLOOP_NONBLOCK);
    http_cancel(call);
    get("/quote/x", 0);
    struct timeval wait = { 0, 100000 };
    event_base_loopexit(loop, &wait);
    event_base_dispatch(loop);
    assert_false(answer.came);
}

static void what_could_smuggle_a_header_is_refused(void **state)
{
    Error error = { 0 };
    HttpHeader evil = { STR("X"), STR("a\r\nY: b") };
    HttpRequest request = { .method = "GET", .url = STR("http://127.0.0.1/"), .headers = &evil, .header_count = 1 };
    assert_null(http_send(client, &request, came, NULL, &error));
    assert_int_equal(error.code, ERR_INVALID);
    request = (HttpRequest){ .method = "GET", .url = STR("http://127.0.0.1/\r\nHost: x") };
    assert_null(http_send(client, &request, came, NULL, &error));
    request = (HttpRequest){ .method = "TRACE", .url = STR("http://127.0.0.1/") };
    assert_null(http_send(client, &request, came, NULL, &error));
}

/* ---- remote tools ------------------------------------------------------------------------------------------ */

typedef struct Call { const Image *image; const ImageTool *tool; bool came, ok; Value value; } Call;

static void remote_came(const HttpResponse *response, void *arg)
{
    Call *call = arg;
    call->came = true;
    call->ok = remote_result(call->image, call->tool, response, INT64_C(1762768800000000), &call->value);
    event_base_loopbreak(loop);
}

static Call call_tool(const Image *image, uint16_t tool, const char *city, const char *path)
{
    Call call = { .image = image, .tool = &image->tools[tool] };
    Arena *arena = arena_new();
    HttpRequest request;
    Error error = { 0 };
    Value arg = value_string(str_of(city));
    ImageTool other = *call.tool;
    if (path) other.path = str_of(path);
    RemoteCall remote = { .idempotency_key = STR("run-1:7"), .bearer = STR("token"), .args = &arg };
    setenv("TEST_HOTELS_URL", base, 1);
    if (remote_request(image, &other, &remote, arena, &request, &error)) fail_msg("%s", error.text);
    assert_non_null(http_send(client, &request, remote_came, &call, &error));
    while (!call.came) event_base_loop(loop, EVLOOP_ONCE);
    value_release(arg);
    arena_free(arena);
    return call;
}

static void parameters_go_into_path_query_or_body(void **state)
{
    Image *image = engine_image_make();
    Call call = call_tool(image, EI_TOOL_QUOTE, "Köln & Bonn", NULL);
    assert_true(call.ok);
    assert_true(str_is(value_str(call.value), "fine"));
    assert_string_equal(seen, "GET /quote/K%C3%B6ln%20%26%20Bonn|run-1:7|Bearer token|");
    value_release(call.value);
    call = call_tool(image, EI_TOOL_QUOTE, "a b", "/quote");
    assert_string_equal(seen, "GET /quote?city=a%20b|run-1:7|Bearer token|");
    value_release(call.value);
    call = call_tool(image, EI_TOOL_RESERVE, "Paris", NULL);
    assert_string_equal(seen, "POST /reserve|run-1:7|Bearer token|{\"city\":\"Paris\"}");
    value_release(call.value);
    image_free(image);
}

static void statuses_become_error_kinds(void **state)
{
    static const struct { int status; ErrorKind kind; } cases[] = {
        { 400, ERROR_KIND_invalid }, { 401, ERROR_KIND_denied }, { 403, ERROR_KIND_denied }, { 404, ERROR_KIND_not_found }, { 408, ERROR_KIND_timeout }, { 409, ERROR_KIND_conflict },
        { 418, ERROR_KIND_rejected }, { 429, ERROR_KIND_rate_limited }, { 500, ERROR_KIND_unavailable }, { 503, ERROR_KIND_unavailable }, { 504, ERROR_KIND_timeout },
    };
    Image *image = engine_image_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[32], wanted[32];
        snprintf(path, sizeof path, "/status/%d", cases[i].status);
        snprintf(wanted, sizeof wanted, "status %d it is", cases[i].status);
        Call call = call_tool(image, EI_TOOL_QUOTE, "x", path);
        const Record *error = (const Record *)call.value.o;
        assert_false(call.ok);
        assert_int_equal(error->fields[ERROR_FIELD_KIND].i, cases[i].kind);
        assert_int_equal(error->fields[ERROR_FIELD_STATUS].i, cases[i].status);
        assert_true(str_is(value_str(error->fields[ERROR_FIELD_MESSAGE]), wanted));
        if (cases[i].status == 429 || cases[i].status == 503) {
            Value after = opt_value(image, TYPE_INDEX_OPT_DURATION, error->fields[ERROR_FIELD_RETRY_AFTER]);
            assert_int_equal(after.i, (cases[i].status == 429 ? 7 : 30) * TIME_SECOND);
        } else assert_int_equal(error->fields[ERROR_FIELD_RETRY_AFTER].w, 0);
        value_release(call.value);
    }
    image_free(image);
}

static void retry_after_is_bounded(void **state)
{
    assert_int_equal(http_retry_after(STR("99999999999999999999"), 0), TIME_DAY);
    assert_int_equal(http_retry_after(STR("soon"), 0), -1);
    assert_int_equal(http_retry_after(STR(""), 0), -1);
    assert_int_equal(http_retry_after(STR("Mon, 10 Nov 2025 10:00:30 GMT"), INT64_C(4000000000000000)), 0);
}

static void a_credential_is_renewed_by_its_token_endpoint(void **state)
{
    char text[256];
    Error error = { 0 };
    HttpRequest request;
    Arena *arena = arena_new();
    snprintf(text, sizeof text, "{\"access_token\":\"old\",\"refresh_token\":\"r&1\",\"token_url\":\"%s/token\"}", base);
    setenv("FLOW_CREDENTIAL_HOTELS_EU", text, 1);
    setenv("FLOW_CREDENTIAL_PLAIN", "just-a-token", 1);
    Credentials *credentials = credentials_new();
    assert_true(str_is(credentials_token(credentials, STR("hotels-eu")), "old"));
    assert_true(str_is(credentials_token(credentials, STR("plain")), "just-a-token"));
    assert_int_equal(credentials_token(credentials, STR("absent")).len, 0);
    assert_int_equal(credentials_refresh_request(credentials, STR("plain"), arena, &request, &error), ERR_INVALID);
    assert_int_equal(credentials_refresh_request(credentials, STR("hotels-eu"), arena, &request, &error), ERR_OK);
    Answer answer = { 0 };
    assert_non_null(http_send(client, &request, came, &answer, &error));
    while (!answer.came) event_base_loop(loop, EVLOOP_ONCE);
    assert_string_equal(seen, "POST /token|||grant_type=refresh_token&refresh_token=r%261");
    HttpResponse response = { .outcome = HTTP_ANSWERED, .status = answer.status, .body = str_of(answer.body) };
    assert_int_equal(credentials_refreshed(credentials, STR("hotels-eu"), &response, &error), ERR_OK);
    assert_true(str_is(credentials_token(credentials, STR("hotels-eu")), "fresh"));
    response.body = STR("{}");
    assert_int_equal(credentials_refreshed(credentials, STR("hotels-eu"), &response, &error), ERR_INVALID);
    assert_true(str_is(credentials_token(credentials, STR("hotels-eu")), "fresh"));
    credentials_free(credentials);
    arena_free(arena);
}

/* ---- bodies in pieces ---------------------------------------------------------------------------------- */

typedef struct Pieces { Answer answer; size_t count, len; char text[64]; HttpCall *call; bool cancels; } Pieces;

static void piece(const HttpResponse *head, Str bytes, void *arg)
{
    Pieces *p = arg;
    assert_false(p->answer.came);
    assert_int_equal(head->status, 200);
    p->count++;
    for (size_t i = 0; i < bytes.len; i++, p->len++)
        if (p->len < sizeof p->text - 1) p->text[p->len] = bytes.ptr[i];
    if (p->cancels) http_cancel(p->call);
}

static Pieces get_pieces(LlmServer *model, int64_t idle_us, bool cancels)
{
    Pieces p = { .cancels = cancels };
    HttpRequest request = { .method = "POST", .url = str_of(model->url), .body = STR("{}"), .on_piece = piece, .idle_us = idle_us };
    p.call = http_send(client, &request, came, &p, NULL);
    while (!p.answer.came && !(cancels && p.count)) event_base_loop(loop, EVLOOP_ONCE);
    return p;
}

static void a_body_comes_in_pieces(void **state)
{
    LlmServer *model = llm_server_new(loop);
    llm_server_say(model, (LlmServerLine){ .body = "one two three", .step = 4 });
    Pieces p = get_pieces(model, 0, false);
    assert_int_equal(p.answer.outcome, HTTP_ANSWERED);
    assert_int_equal(p.answer.len, 0);                   /* it was handed out already */
    assert_string_equal(p.text, "one two three");
    assert_true(p.count >= 1);
    llm_server_forget(model);
    llm_server_say(model, (LlmServerLine){ .status = 503, .body = "not now" });
    p = get_pieces(model, 0, false);
    assert_int_equal(p.count, 0);                        /* an error is no answer in pieces */
    assert_string_equal(p.answer.body, "not now");
    llm_server_free(model);
}

static void silence_between_pieces_has_a_limit(void **state)
{
    LlmServer *model = llm_server_new(loop);
    llm_server_say(model, (LlmServerLine){ .body = "one", .hang = true });
    Pieces p = get_pieces(model, 100000, false);
    assert_int_equal(p.answer.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(p.answer.detail, "nothing came for 0.1 seconds"));
    assert_string_equal(p.text, "one");
    llm_server_free(model);
}

static void a_call_may_be_cancelled_by_its_own_piece(void **state)
{
    LlmServer *model = llm_server_new(loop);
    llm_server_say(model, (LlmServerLine){ .body = "one two three", .step = 1 });
    Pieces p = get_pieces(model, 0, true);
    while (model->clients) event_base_loop(loop, EVLOOP_ONCE);
    assert_int_equal(p.count, 1);
    assert_false(p.answer.came);
    llm_server_free(model);
}

static void pieces_have_a_limit_in_all(void **state)
{
    LlmServer *model = llm_server_new(loop);
    char *text = mem_alloc(HTTP_STREAM_MAX + 2);
    memset(text, 'x', HTTP_STREAM_MAX + 1);
    llm_server_say(model, (LlmServerLine){ .body = text });
    Pieces p = get_pieces(model, 0, false);
    assert_int_equal(p.answer.outcome, HTTP_TOO_LARGE);
    assert_non_null(strstr(p.answer.detail, "HTTP_STREAM_MAX"));
    assert_true(p.len <= HTTP_STREAM_MAX);
    free(text);
    llm_server_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_comes_in_pieces), cmocka_unit_test(silence_between_pieces_has_a_limit), cmocka_unit_test(a_call_may_be_cancelled_by_its_own_piece), cmocka_unit_test(pieces_have_a_limit_in_all),
        cmocka_unit_test(an_answer_comes_with_status_and_body),
        cmocka_unit_test(a_redirect_is_not_followed),
        cmocka_unit_test(an_answer_above_the_limit_ends_the_request),
        cmocka_unit_test(a_slow_server_meets_the_timeout),
        cmocka_unit_test(failures_of_the_network_have_their_codes),
        cmocka_unit_test(a_cancelled_request_calls_nobody),
        cmocka_unit_test(what_could_smuggle_a_header_is_refused),
        cmocka_unit_test(parameters_go_into_path_query_or_body),
        cmocka_unit_test(statuses_become_error_kinds),
        cmocka_unit_test(retry_after_is_bounded),
        cmocka_unit_test(a_credential_is_renewed_by_its_token_endpoint),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
