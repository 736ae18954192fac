/* cmd_serve.c - flowd serve: the gateway and a worker in one process. */
#include "interpreter/cmd.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "interpreter/gateway/gateway.h"

#define SERVE_LISTEN "127.0.0.1:8080"

/* The session comes first: it is what the engine's hooks are given. */
typedef struct Serve { CmdSession session; Gateway *gateway; Identity *identity; bool stopping; } Serve;

static void on_note(const RunRow *run, const JournalRow *row, void *arg) {
    Serve *serve = arg;
    if (serve->gateway) gateway_on_note(serve->gateway, run, row);
}

static void on_settled(const RunRow *run, void *arg) {
    Serve *serve = arg;
    if (serve->gateway) gateway_on_settled(serve->gateway, run);
}

static void on_call(void *arg) {
    Serve *serve = arg;
    if (serve->gateway) gateway_on_call(serve->gateway);
}

/* ---- what is served ----------------------------------------------------------------------------------------------- */

static bool add_file(Serve *serve, const char *path, const char *const *search, int search_count) {
    Error error = { 0 };
    Str only;
    Image *image = cmd_load_image(path, search, search_count, &only);
    if (!image) return false;
    Err err = engine_deploy(serve->session.engine, image, &error);
    if (!err) err = gateway_add_image(serve->gateway, image, &error);
    if (err) fprintf(stderr, "flowd: %s: %s\n", path, error.text);
    image_free(image);
    return !err;
}

static void say_where(const Serve *serve, const char *host) {
    Buf line = { 0 };
    buf_put_text(&line, "{\"time\":\"");
    timestamp_print(clock_now(), &line);
    buf_put_text(&line, "\",\"event\":\"listening\",\"host\":");
    json_put_string(&line, str_of(host));
    buf_printf(&line, ",\"port\":%u}", gateway_port(serve->gateway));
    cmd_log_line(buf_str(&line), NULL);
    buf_free(&line);
}

/* ---- the end ---------------------------------------------------------------------------------------------------------- */

static void drained(void *arg) {
    Serve *serve = arg;
    engine_stop(serve->session.engine);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    Serve *serve = arg;
    if (serve->stopping) _exit(128 + (int)number);       /* whoever asks twice does not want to wait; nothing acknowledged is lost */
    serve->stopping = true;
    gateway_drain(serve->gateway, drained, serve);
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int serve_files(Serve *serve, int count, char **files, const char *const *search, int search_count, const char *host) {
    static const int numbers[] = { SIGTERM, SIGINT };
    struct event *signals[2];
    Error error = { 0 };
    for (int i = 0; i < count; i++)
        if (!add_file(serve, files[i], search, search_count)) return EXIT_USAGE;
    for (size_t i = 0; i < 2; i++) {
        signals[i] = evsignal_new(engine_loop(serve->session.engine), numbers[i], on_signal, serve);
        event_add(signals[i], NULL);
    }
    say_where(serve, host);
    Err err = engine_serve(serve->session.engine, &error);
    for (size_t i = 0; i < 2; i++) event_free(signals[i]);
    return err ? cmd_failed(&error) : EXIT_DONE;
}

static Identity *find_identity(void *arg) {
    Serve *serve = arg;
    return serve->identity;
}

/* Reached from this machine alone. */
static bool local(const char *host) {
    static const char *const hosts[] = { "127.0.0.1", "localhost", "::1", "[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!strcmp(host, hosts[i])) return true;
    return !strncmp(host, "unix:", 5);
}

static Err open_gateway(Serve *serve, GatewayOptions *options, Error *error) {
    IdentityOptions who;
    Engine *engine = serve->session.engine;
    identity_options_from_environment(&who);
    if (who.insecure_cookies && !local(options->http.host)) return err_set(error, ERR_INVALID, "FLOW_INSECURE_COOKIES is for loopback: this listens on `%s`, where others could read the cookies", options->http.host);
    Err err = identity_open(&who, engine_loop(engine), engine_http(engine), engine_store(engine), &serve->identity, error);
    if (err) return err;
    engine_set_identity(engine, find_identity, serve);
    options->engine = engine;
    options->identity = serve->identity;
    options->on_log = cmd_log_line;
    return gateway_open(options, &serve->gateway, error);
}

static bool read_drain(const char *text, int64_t *out) {
    if (!text || (duration_parse(str_of(text), out) == ERR_OK && *out > 0 && *out <= 3600 * TIME_SECOND)) return true;
    return cli_usage("--drain wants a duration up to 1h, not `%s`", text), false;
}

int cmd_serve(int argc, char **argv) {
    CmdCommon common = { 0 };
    Serve serve = { .session = { .quiet = true, .patience_us = 60 * TIME_SECOND } };      /* it may be started together with its database */
    const char *concurrency = NULL, *lease = NULL, *listen = SERVE_LISTEN, *drain = NULL, *items[CLI_REPEAT_MAX], **search = items;
    int search_count = 0;
    char host[256];
    GatewayOptions gateway = { .http.host = host };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--concurrency", .value = &concurrency }, { .name = "--lease", .value = &lease }, { .name = "--listen", .value = &listen },
                                  { .name = "--reuse-port", .flag = &gateway.http.reuse_port }, { .name = "--title", .value = &gateway.title }, { .name = "--url", .value = &gateway.server_url },
                                  { .name = "--drain", .value = &drain },
                                  { .name = "--path", .values = &search, .value_count = &search_count }, { 0 } };
    int count = cli_options(argc, argv, options);
    Error error = { 0 };
    if (count < 0) return EXIT_USAGE;
    if (http_listen_parse(listen, host, sizeof host, &gateway.http.port, &error) != ERR_OK) return cli_usage("--listen: %s", error.text);
    EngineOptions engine = { .on_log = cmd_log_line, .on_note = on_note, .on_settled = on_settled, .on_call = on_call };
    if (!cmd_read_concurrency(concurrency, &engine.concurrency) || !cmd_read_lease(lease, &engine.lease_us) || !read_drain(drain, &gateway.drain_us)) return EXIT_USAGE;
    if (!cmd_open_with(&serve.session, &common, &engine)) return EXIT_USAGE;
    Err err = open_gateway(&serve, &gateway, &error);
    int code = err ? cmd_failed(&error) : serve_files(&serve, count, argv + 1, search, search_count, host);
    gateway_close(serve.gateway);
    serve.gateway = NULL;
    identity_close(serve.identity);
    cmd_close(&serve.session);
    return code;
}
