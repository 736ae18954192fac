/* llm_client.c - one question on its way along the chain: tries, pauses, providers that are down, and what listeners of a stream have been told.
 *
 * A call is always in one of two states: its timer runs (a pause, or the way to the next try), or a request is under way. */
#include "interpreter/net/llm_client.h"
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/time.h"
#include "interpreter/net/llm_wire.h"

typedef struct Provider {
    LlmProvider row;
    const LlmWire *wire;
    bool plain;                                          /* it refused what not every server knows */
    uint32_t failures;                                   /* how often it was given up since it last answered */
    LlmCall *probe;                                      /* who finds out whether it is well again; nobody else asks it meanwhile */
    int64_t down_until_us;
} Provider;

struct LlmClient {
    struct event_base *loop;
    HttpClient *http;
    Arena *arena;
    Provider providers[LLM_PROVIDERS_MAX];
    uint32_t provider_count;
    bool rules;
    int64_t pause_us, down_us;
    LlmCall *calls;
    void (*on_change)(Str provider, bool down, const char *why, void *arg);
    void *change_arg;
};

struct LlmCall {
    LlmClient *client;
    LlmCall *next, *previous;
    Arena *arena;
    LlmAsk ask;
    LlmMessage messages[LLM_MESSAGES_MAX + 2]; uint32_t message_count;             /* the last two: an answer that did not fit, and why */
    uint32_t provider, tries, repairs;                   /* at this provider */
    bool plain, repaired, whole, typed;   /* whole: a stream was asked for and a whole answer came; typed: its content type is known */
    int64_t until_us;
    struct event *timer;
    HttpCall *http;
    LlmReply reply;
    Buf told; size_t matched;                            /* what listeners have; how much of it this try has said, too */
    uint64_t prompt_tokens, completion_tokens;
    uint32_t requests;
    Buf failed;                                          /* the members of the report's list */
    int status; const char *code; int64_t retry_after_us;
};

typedef enum {
    FAILED_FOR_NOW,                                      /* may pass: the same again */
    FAILED_HERE,                                         /* the provider, whatever it is asked */
    FAILED_THIS                                          /* this question, at this provider */
} Failure;

/* ---- the client ------------------------------------------------------------------------------------------ */

LlmClient *llm_client_new(struct event_base *loop, HttpClient *http, const LlmSettings *settings) {
    LlmClient *client = mem_alloc(sizeof *client);
    *client = (LlmClient){ .loop = loop, .http = http, .arena = arena_new(), .provider_count = settings->provider_count, .rules = !settings->no_rules,
                           .pause_us = settings->pause_us ? settings->pause_us : LLM_PAUSE_FIRST, .down_us = settings->down_us ? settings->down_us : LLM_DOWN_FIRST };
    for (uint32_t i = 0; i < settings->provider_count; i++) {
        const LlmProvider *from = &settings->providers[i];
        LlmProvider row = { arena_str(client->arena, from->name), from->dialect, arena_str(client->arena, from->url), arena_str(client->arena, from->model), arena_str(client->arena, from->key), from->timeout_us };
        if (row.timeout_us <= 0) row.timeout_us = LLM_TIMEOUT_DEFAULT;
        client->providers[i] = (Provider){ .row = row, .wire = from->dialect == LLM_OLLAMA ? &llm_ollama : &llm_openai };
    }
    return client;
}

bool llm_client_has_rules(const LlmClient *client) { return client->rules; }

void llm_client_watch(LlmClient *client, void (*on_change)(Str provider, bool down, const char *why, void *arg), void *arg) {
    client->on_change = on_change;
    client->change_arg = arg;
}

void llm_client_free(LlmClient *client) {
    if (!client) return;
    while (client->calls) llm_cancel(client->calls);
    arena_free(client->arena);
    free(client);
}

static Provider *provider_of(const LlmCall *call) { return &call->client->providers[call->provider]; }

static void end_probe(const LlmCall *call) {
    for (uint32_t i = 0; i < call->client->provider_count; i++)
        if (call->client->providers[i].probe == call) call->client->providers[i].probe = NULL;
}

static void give_up(LlmClient *client, Provider *provider, const char *why, int64_t retry_after_us) {
    int64_t now = clock_monotonic(), rest = client->down_us;
    if (provider->down_until_us > now) return;           /* another call was first */
    for (uint32_t i = 0; i < provider->failures && rest < LLM_DOWN_MAX; i++) rest *= 2;
    if (rest < retry_after_us) rest = retry_after_us;
    provider->down_until_us = now + (rest < LLM_DOWN_MAX ? rest : LLM_DOWN_MAX);
    if (provider->failures++ == 0 && client->on_change) client->on_change(provider->row.name, true, why, client->change_arg);
}

static void is_well(LlmClient *client, Provider *provider) {
    if (provider->failures && client->on_change) client->on_change(provider->row.name, false, "", client->change_arg);
    provider->failures = 0;
    provider->down_until_us = 0;
    provider->probe = NULL;
}

/* ---- the end of a call --------------------------------------------------------------------------------------- */

static void put_report(const LlmCall *call, bool ok, Buf *out) {
    const Provider *provider = ok ? provider_of(call) : NULL;
    buf_put_text(out, "{\"provider\":");
    if (provider) json_put_string(out, provider->row.name);
    else buf_put_text(out, call->client->rules ? "\"rules\"" : "null");
    if (provider) buf_put_text(out, ",\"model\":"), json_put_string(out, call->reply.model[0] ? str_of(call->reply.model) : provider->row.model);
    buf_printf(out, ",\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"requests\":%u", (unsigned long long)call->prompt_tokens, (unsigned long long)call->completion_tokens, call->requests);
    if (call->repaired) buf_put_text(out, ",\"repaired\":true");
    if (ok && call->provider) buf_printf(out, ",\"fallback\":%u", call->provider);
    if (call->failed.len) buf_printf(out, ",\"failed\":[%.*s]", STR_ARG(buf_str(&call->failed)));
    buf_put_char(out, '}');
}

static void finish(LlmCall *call, bool ok) {
    Buf report = { 0 };
    put_report(call, ok, &report);
    LlmAnswer answer = { .ok = ok, .text = ok ? buf_str(&call->reply.text) : (Str){ "", 0 }, .report = buf_str(&report), .status = call->status, .code = call->code, .retry_after_us = call->retry_after_us };
    LlmReply reply = call->reply;                        /* outlives the call for the callback's sake */
    void (*done)(const LlmAnswer *, void *) = call->ask.done;
    void *arg = call->ask.arg;
    call->reply = (LlmReply){ 0 };
    llm_cancel(call);
    done(&answer, arg);
    llm_reply_free(&reply);
    buf_free(&report);
}

void llm_cancel(LlmCall *call) {
    if (!call) return;
    end_probe(call);
    http_cancel(call->http);
    event_free(call->timer);
    if (call->previous) call->previous->next = call->next; else call->client->calls = call->next;
    if (call->next) call->next->previous = call->previous;
    llm_reply_free(&call->reply);
    buf_free(&call->told);
    buf_free(&call->failed);
    arena_free(call->arena);
    free(call);
}

Str llm_text_so_far(const LlmCall *call) { return buf_str(&call->told); }

/* ---- what goes wrong -------------------------------------------------------------------------------------------- */

static void go_on_after(LlmCall *call, int64_t pause_us) {
    struct timeval pause = { pause_us / 1000000, pause_us % 1000000 };
    event_add(call->timer, &pause);
}

static int64_t shaken(int64_t pause_us) {
    uint8_t chance;
    evutil_secure_rng_get_bytes(&chance, 1);
    return pause_us * 3 / 4 + pause_us * chance / 512;   /* from 75 to 125 % */
}

static void note_failure(LlmCall *call, const char *why) {
    if (call->failed.len) buf_put_char(&call->failed, ',');
    buf_put_text(&call->failed, "{\"provider\":");
    json_put_string(&call->failed, provider_of(call)->row.name);
    buf_printf(&call->failed, ",\"why\":\"%s\"}", why);
}

static void next_provider(LlmCall *call) {
    end_probe(call);
    call->provider++;
    call->tries = call->repairs = 0;
    call->plain = false;
    call->message_count = call->ask.message_count;
}

/* `why` is one of our own words or "status N". */
static void try_failed(LlmCall *call, Failure failure, const char *why, int64_t retry_after_us) {
    Provider *provider = provider_of(call);
    note_failure(call, why);
    call->retry_after_us = retry_after_us;
    uint32_t tries_max = provider->failures ? 1 : LLM_TRIES_MAX;
    int64_t pause = shaken(call->client->pause_us << call->tries++);
    if (pause < retry_after_us) pause = retry_after_us;
    bool again = failure == FAILED_FOR_NOW && call->tries < tries_max && pause <= LLM_PAUSE_MAX && clock_monotonic() + pause < call->until_us;
    if (!again) {
        if (failure != FAILED_THIS) give_up(call->client, provider, why, retry_after_us);
        next_provider(call);
        pause = 0;
    }
    go_on_after(call, pause);
}

static void network_failed(LlmCall *call, const HttpResponse *response) {
    call->status = 0;
    call->code = http_outcome_code(response->outcome);
    switch (response->outcome) {
    case HTTP_TOO_LARGE:                           try_failed(call, FAILED_THIS, "too_large", -1); break;
    case HTTP_TIMEOUT:                             try_failed(call, clock_monotonic() < call->until_us ? FAILED_HERE : FAILED_THIS, call->code, -1); break;
    case HTTP_TLS_FAILED: case HTTP_BAD_REQUEST:   try_failed(call, FAILED_HERE, call->code, -1); break;
    default:                                       try_failed(call, FAILED_FOR_NOW, call->code, -1); break;
    }
}

static void status_failed(LlmCall *call, const HttpResponse *response) {
    char why[24];
    int status = response->status;
    Provider *provider = provider_of(call);
    snprintf(why, sizeof why, "status %d", status);
    call->status = status;
    call->code = NULL;
    if ((status == 400 || status == 422) && !call->plain && !provider->plain && (call->ask.schema.len || call->ask.stream)) {
        call->plain = true;                              /* not counted: it may be the schema that it does not know */
        go_on_after(call, 0);
        return;
    }
    bool passes = status == 408 || status == 429 || status >= 500, ours = status == 400 || status == 413 || status == 422;
    try_failed(call, passes ? FAILED_FOR_NOW : ours ? FAILED_THIS : FAILED_HERE, why, passes ? http_retry_after(response->retry_after, clock_now()) : -1);
}

/* ---- what goes well ----------------------------------------------------------------------------------------------- */

/* The provider gets its own newest answer back, with what is wrong about it; those before it would only be more to read. */
static void ask_for_repair(LlmCall *call, Buf *complaint) {
    Str answer = buf_str(&call->reply.text);
    call->message_count = call->ask.message_count;
    call->messages[call->message_count++] = (LlmMessage){ "assistant", arena_str(call->arena, answer) };
    call->messages[call->message_count++] = (LlmMessage){ "user", arena_str(call->arena, buf_str(complaint)) };
    call->repaired = true;
    call->repairs++;
    go_on_after(call, 0);
}

static void judge(LlmCall *call) {
    Buf complaint = { 0 };
    Provider *provider = provider_of(call);
    is_well(call->client, provider);
    if (call->plain) provider->plain = true;
    call->status = 0, call->code = NULL;
    if (call->reply.text.len == 0) try_failed(call, FAILED_THIS, "empty", -1);
    else if (!call->ask.accept || call->ask.accept(buf_str(&call->reply.text), &complaint, call->ask.arg)) finish(call, true);
    else if (call->repairs >= (call->ask.repairs ? call->ask.repairs : 1)) try_failed(call, FAILED_THIS, "unfit", -1);
    else ask_for_repair(call, &complaint);
    buf_free(&complaint);
}

/* What the try has said beyond what listeners have, or otherwise than they have it, from the first byte of a character on. */
static void tell(LlmCall *call, bool last) {
    Str text = buf_str(&call->reply.text);
    while (call->matched < text.len && call->matched < call->told.len && text.ptr[call->matched] == call->told.ptr[call->matched]) call->matched++;
    bool silent = call->matched == text.len && (!last || call->matched == call->told.len);
    if (silent || !call->ask.on_text) return;
    size_t from = call->matched;
    while (from > 0 && from < text.len && ((unsigned char)text.ptr[from] & 0xC0) == 0x80) from--;
    call->told.len = from;
    buf_put(&call->told, text.ptr + from, text.len - from);
    call->matched = text.len;
    call->ask.on_text(from, (Str){ text.ptr + from, text.len - from }, call->ask.arg);
}

static void count_tokens(LlmCall *call) {
    call->prompt_tokens += call->reply.prompt_tokens;
    call->completion_tokens += call->reply.completion_tokens;
}

static void unreadable(LlmCall *call, Err err, bool broke_off) {
    call->status = 0, call->code = err == ERR_LIMIT ? "EMSGSIZE" : "EPROTO";
    if (err == ERR_LIMIT) try_failed(call, FAILED_THIS, "too_large", -1);
    else if (broke_off) try_failed(call, FAILED_FOR_NOW, "broke_off", -1);
    else try_failed(call, FAILED_FOR_NOW, "not_an_answer", -1);
}

static void complete(LlmCall *call) {
    count_tokens(call);
    if (call->ask.stream) tell(call, true);
    judge(call);
}

static bool type_is(Str type, const char *wanted) { return str_starts(type, str_of(wanted)); }

/* A streamed answer may also come as a whole, from servers that do not stream; Ollama's lines are called JSON by some proxies. */
static bool check_type(LlmCall *call, Str type) {
    const LlmWire *wire = provider_of(call)->wire;
    call->typed = true;
    if (type.len == 0 || type_is(type, call->ask.stream ? wire->stream_type : "application/json")) return true;
    call->whole = type_is(type, "application/json") && wire == &llm_openai;
    return type_is(type, "application/json");
}

static void wrong_type(LlmCall *call) {
    call->status = 0, call->code = "EPROTO";
    try_failed(call, FAILED_HERE, "content_type", -1);
}

static void piece_came(const HttpResponse *head, Str piece, void *arg) {
    LlmCall *call = arg;
    Error error;
    Err err = ERR_OK;
    if (!call->typed && !check_type(call, head->content_type)) {
        http_cancel(call->http);
        call->http = NULL;
        wrong_type(call);
        return;
    }
    if (!call->whole) err = provider_of(call)->wire->read_piece(&call->reply, piece, &error);
    else if (call->reply.line.len + piece.len > HTTP_BODY_MAX) err = ERR_LIMIT;
    else buf_put_str(&call->reply.line, piece);
    if (!err && !call->reply.closed) { tell(call, false); return; }
    http_cancel(call->http);
    call->http = NULL;
    if (err) count_tokens(call), unreadable(call, err, false);
    else complete(call);
}

static void stream_ended(LlmCall *call) {
    Error error;
    const LlmWire *wire = provider_of(call)->wire;
    Err err = call->whole ? wire->read_whole(&call->reply, buf_str(&call->reply.line), &error) : call->reply.line.len ? wire->read_piece(&call->reply, STR("\n"), &error) : ERR_OK;
    if (!err && call->reply.finished) { complete(call); return; }
    count_tokens(call);
    unreadable(call, err, !err);
}

static void answered(const HttpResponse *response, void *arg) {
    LlmCall *call = arg;
    Error error;
    call->http = NULL;
    if (call->reply.finished) { complete(call); return; }                /* all was said before the stream broke off */
    if (response->outcome != HTTP_ANSWERED) { network_failed(call, response); return; }
    if (response->status < 200 || response->status > 299) { status_failed(call, response); return; }
    if (call->ask.stream) { stream_ended(call); return; }
    if (!check_type(call, response->content_type)) { wrong_type(call); return; }
    Err err = provider_of(call)->wire->read_whole(&call->reply, response->body, &error);
    if (err) unreadable(call, err, false);
    else complete(call);
}

/* ---- a try ---------------------------------------------------------------------------------------------------------- */

static bool find_provider(LlmCall *call) {
    int64_t now = clock_monotonic();
    for (; call->provider < call->client->provider_count; next_provider(call)) {
        const Provider *provider = provider_of(call);
        if (provider->down_until_us <= now && (!provider->probe || provider->probe == call)) return true;
        call->retry_after_us = provider->down_until_us > now ? provider->down_until_us - now : 0;
        note_failure(call, "down");
    }
    return false;
}

static void send_try(LlmCall *call) {
    Provider *provider = provider_of(call);
    Error error;
    Buf body = { 0 };
    Arena *arena = arena_new();
    int64_t left = call->until_us - clock_monotonic(), timeout = provider->row.timeout_us < left ? provider->row.timeout_us : left;
    HttpHeader headers[3] = { { STR("Content-Type"), STR("application/json") }, { STR("Accept"), call->ask.stream ? str_of(provider->wire->stream_type) : STR("application/json") } };
    if (provider->row.key.len) headers[2] = (HttpHeader){ STR("Authorization"), str_of(arena_printf(arena, "Bearer %.*s", STR_ARG(provider->row.key))) };
    provider->wire->put_request(&provider->row, &call->ask, call->messages, call->message_count, call->plain || provider->plain, &body);
    HttpRequest request = { .method = "POST", .url = str_of(arena_printf(arena, "%.*s%s", STR_ARG(provider->row.url), provider->wire->path)), .body = buf_str(&body), .headers = headers,
                            .header_count = provider->row.key.len ? 3 : 2, .timeout_us = timeout };
    if (call->ask.stream) request.on_piece = piece_came, request.idle_us = timeout, request.timeout_us = left < HTTP_STREAM_TIMEOUT ? left : HTTP_STREAM_TIMEOUT;
    if (provider->failures) provider->probe = call;
    llm_reply_free(&call->reply);
    llm_reply_init(&call->reply);
    call->matched = 0;
    call->whole = call->typed = false;
    call->requests++;
    call->http = http_send(call->client->http, &request, answered, call, &error);
    call->code = "EAGAIN";
    if (!call->http) try_failed(call, FAILED_THIS, error.code == ERR_LIMIT ? "busy" : "invalid", -1);
    arena_free(arena);
    buf_free(&body);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    LlmCall *call = arg;
    (void)fd, (void)what;
    if (!find_provider(call)) finish(call, false);
    else if (clock_monotonic() >= call->until_us) {
        call->status = 0, call->code = "ETIMEDOUT";
        finish(call, false);
    } else send_try(call);
}

LlmCall *llm_ask(LlmClient *client, const LlmAsk *ask) {
    LlmCall *call = mem_alloc(sizeof *call);
    *call = (LlmCall){ .client = client, .next = client->calls, .arena = arena_new(), .ask = *ask, .until_us = INT64_MAX, .retry_after_us = -1 };
    if (client->calls) client->calls->previous = call;
    client->calls = call;
    call->ask.schema = arena_str(call->arena, ask->schema);
    for (uint32_t i = 0; i < ask->message_count && i < LLM_MESSAGES_MAX; i++) call->messages[i] = (LlmMessage){ ask->messages[i].role, arena_str(call->arena, ask->messages[i].text) };
    call->message_count = call->ask.message_count = ask->message_count < LLM_MESSAGES_MAX ? ask->message_count : LLM_MESSAGES_MAX;
    if (ask->time_us > 0) call->until_us = clock_monotonic() + ask->time_us;
    llm_reply_init(&call->reply);
    call->timer = event_new(client->loop, -1, 0, on_timer, call);
    go_on_after(call, 0);
    return call;
}
