/* fuzz_http_guard.c - what the guard lets through, libevent reads in the same way, and however the bytes are cut.
 *
 * The guard alone judges the bytes first, in one piece; then they go through a socket to the server, in pieces. The handler must be called for
 * exactly the requests that passed, with the same method, target and body, and the client must get as many answers, then the refusal.
 * Input: a byte that chooses a case of http_cases.h to start from (or none), a byte for the size of the pieces, then edits of the case (place, what,
 * byte) or the bytes themselves.
 */
#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "interpreter/net/http_guard.h"
#include "interpreter/net/http_server.h"
#include "tests/unit/http_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MAX = 4096, BODY_MAX = 4096, REQUESTS_MAX = 64, BYTES_MAX = 16384, TOO_MANY = -2 };
typedef struct Passed { Str method, target; Buf body; } Passed;

static struct event_base *loop;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static HttpServer *server;
static Passed passed[REQUESTS_MAX];
static size_t passed_count, handled;

static void fault(const char *what)
{
    fprintf(stderr, "fuzz_http_guard: %s (request %zu of %zu)\n", what, handled, passed_count);
    abort();
}

static void handle(HttpExchange *exchange, const HttpServerRequest *request, void *arg)
{
    if (handled >= passed_count) fault("a request that did not pass");
    const Passed *one = &passed[handled++];
    if (!str_eq(request->target, one->target)) fault("another target");
    if (!str_is(one->method, request->head ? "HEAD" : request->method)) fault("another method");
    if (!str_eq(request->body, buf_str(&one->body))) fault("another body");
    if (!utf8_valid(request->path) || memchr(request->path.ptr, 0, request->path.len) || request->path.ptr[0] != '/') fault("a path that is none");
    if (str_is(http_header(request, "host"), "")) fault("no host");
    http_answer(exchange, 200, STR("text/plain"), STR("x"), NULL, 0);
}

static void remove_socket(void) { unlink(address.sun_path); }

static void open_server(void)
{
    char host[100];
    Error error = { 0 };
    loop = event_base_new();
    snprintf(host, sizeof host, "unix:/tmp/flow-fuzz-http-%d.sock", (int)getpid());
    snprintf(address.sun_path, sizeof address.sun_path, "%s", host + 5);
    if (http_server_open(loop, &(HttpServerOptions){ .host = host, .headers_max = HEADERS_MAX, .body_max = BODY_MAX }, handle, NULL, &server, &error)) fault(error.text);
    atexit(remove_socket);
}

static void take_head(Passed *one, Str head)
{
    const char *space = memchr(head.ptr, ' ', head.len), *end = memchr(space + 1, ' ', head.len - (size_t)(space + 1 - head.ptr));
    one->method = (Str){ head.ptr, (size_t)(space - head.ptr) };
    one->target = (Str){ space + 1, (size_t)(end - space - 1) };
    buf_clear(&one->body);
}

/* The guard alone. Returns the status of the refusal, 0, -1 when an HTTP/1.0 request was the last, or TOO_MANY. */
static int judge(Str bytes)
{
    HttpGuard guard;
    size_t at = 0, some;
    http_guard_init(&guard, HEADERS_MAX, BODY_MAX);
    passed_count = 0;
    for (;;) {
        HttpGuardState before = guard.state;
        size_t window = http_guard_window(&guard), left = bytes.len - at;
        Str front = { bytes.ptr + at, window < left ? window : left };
        some = http_guard_pass(&guard, front, left);
        if (some > left) fault("more passed than there is");
        if (before == GUARD_HEAD && some) take_head(&passed[passed_count], (Str){ front.ptr, some });
        if (before == GUARD_BODY || before == GUARD_CHUNK_DATA) buf_put(&passed[passed_count].body, bytes.ptr + at, some);
        at += some;
        if (guard.state == GUARD_DONE) {
            passed_count++;
            if (guard.old) return -1;                    /* the connection ends with it */
            if (passed_count == REQUESTS_MAX) return TOO_MANY;
            http_guard_next(&guard);
        } else if (!some) break;
    }
    if (guard.state == GUARD_REFUSED && (guard.status < 400 || !guard.why)) fault("a refusal without a reason");
    return guard.status;
}

static size_t count_answers(Buf *in, int *last)
{
    size_t count = 0;
    for (const char *at = buf_cstr(in); (at = strstr(at, "HTTP/1.")); at += 7) {
        int status = atoi(at + 9);
        if (status >= 200) *last = status, count++;         /* the words of a refusal speak of HTTP/1.1 too */
    }
    return count;
}

/* Through a socket; the wait ends when all answers have come, or the server has closed. */
static void play(Str bytes, size_t piece, int status)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), last = 0;
    int64_t deadline = clock_monotonic() + 10 * TIME_SECOND;
    size_t wanted = passed_count + (status > 0);
    bool ended = false;
    Buf in = { 0 };
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fault("could not connect");
    handled = 0;
    for (size_t at = 0; at < bytes.len && !ended;) {
        size_t some = bytes.len - at < piece ? bytes.len - at : piece;
        ssize_t sent = send(fd, bytes.ptr + at, some, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) at += (size_t)sent;
        else if (errno != EAGAIN) ended = true;
        event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    for (ended = false; !ended;) {
        char some[4096];
        event_base_loop(loop, EVLOOP_NONBLOCK);
        ssize_t got = recv(fd, some, sizeof some, MSG_DONTWAIT);
        if (got > 0) buf_put(&in, some, (size_t)got);
        ended = got == 0 || (got < 0 && errno != EAGAIN);
        if (status <= 0 && count_answers(&in, &last) >= wanted) break;
        if (clock_monotonic() > deadline) fault("the answer did not come");
    }
    if (handled != passed_count) fault("not all that passed were handled");
    if (count_answers(&in, &last) != wanted) fault("another number of answers");
    if (wanted && last != (status > 0 ? status : 200)) fault("another status");
    close(fd);
    buf_free(&in);
    while (http_server_connections(server)) {
        event_base_loop(loop, EVLOOP_NONBLOCK);
        if (clock_monotonic() > deadline) fault("the connection stayed");
    }
}

static void edit(Buf *bytes, const uint8_t *data, size_t size)
{
    for (; size >= 4 && bytes->len; data += 4, size -= 4) {
        size_t place = (size_t)(data[0] | data[1] << 8) % bytes->len;
        char *at = bytes->ptr + place;
        if (data[2] % 4 == 0) *at = (char)data[3];
        else if (data[2] % 4 == 1) { memmove(at, at + 1, bytes->len - place - 1); bytes->len--; }
        else {                                           /* one byte, or a stretch of the input itself, once more */
            char copy[256];
            size_t len = data[2] % 4 == 2 ? 1 : data[3] < bytes->len - place ? data[3] : bytes->len - place;
            if (data[2] % 4 == 2) copy[0] = (char)data[3]; else memcpy(copy, at, len);
            buf_reserve(bytes, len);
            at = bytes->ptr + place;
            memmove(at + len, at, bytes->len - place);
            memcpy(at, copy, len);
            bytes->len += len;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf bytes = { 0 };
    if (size < 2) return 0;
    if (!server) open_server();
    if (data[0] < HTTP_CASE_COUNT) {
        buf_put_str(&bytes, http_cases[data[0]].bytes);
        edit(&bytes, data + 2, size - 2);
    } else buf_put(&bytes, data + 2, size - 2);
    if (bytes.len <= BYTES_MAX) {
        int status = judge(buf_str(&bytes));
        if (status != TOO_MANY) play(buf_str(&bytes), data[1] ? data[1] : BYTES_MAX, status);
    }
    buf_free(&bytes);
    return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        Buf file = { 0 };
        if (!file_read(argv[i], 1 << 20, &file, NULL)) LLVMFuzzerTestOneInput((const uint8_t *)file.ptr, file.len);
        buf_free(&file);
    }
    return 0;
}
#endif
