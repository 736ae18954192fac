/* outcome.c - how a run stands, as HTTP says it. */
#include "interpreter/gateway/gateway_internal.h"

#include <inttypes.h>

#include "base/time.h"
#include "interpreter/identity/keyring.h"

/* ---- questions ------------------------------------------------------------------------------------------------------ */

bool outcome_asks(const RunRow *run) {
    if (run->status != RUN_PARKED) return false;
    Arena *arena = arena_new();
    const Json *waits = engine_waits(run, arena);
    bool asks = false;
    for (size_t i = 0; waits && i < waits->count; i++) asks |= engine_wait_asks(waits->items[i]);
    arena_free(arena);
    return asks;
}

static void put_question(const Json *wait, Buf *out) {
    static const char *const members[] = { "request", "kind", "text", "type", "choices", "tool", "arguments", "hash", "due", "since" };
    bool some = false;
    buf_put_char(out, '{');
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const Json *value = json_get(wait, members[i]);
        if (!value) continue;
        buf_printf(out, "%s\"%s\":", some ? "," : "", members[i]);
        json_print(out, value);
        some = true;
    }
    buf_put_char(out, '}');
}

void outcome_put_questions(const RunRow *run, Buf *out) {
    Arena *arena = arena_new();
    const Json *waits = engine_waits(run, arena);
    bool some = false;
    buf_put_char(out, '[');
    for (size_t i = 0; waits && i < waits->count; i++) {
        if (!engine_wait_asks(waits->items[i])) continue;
        if (some) buf_put_char(out, ',');
        put_question(waits->items[i], out);
        some = true;
    }
    buf_put_char(out, ']');
    arena_free(arena);
}

/* ---- failures ----------------------------------------------------------------------------------------------------------- */

typedef struct Failure { Problem problem; Str detail; ProblemMore more; } Failure;

/* What the author wrote is for the caller; what went wrong on this side is not. */
static Failure read_failure(const RunRow *run, Arena *arena) {
    Failure failure = { .problem = PROBLEM_internal, .more = { .run = run->run_id } };
    Json *error = NULL;
    if (run->status == RUN_CANCELLED) failure.problem = PROBLEM_cancelled;
    if (json_parse(arena, run->result_json, 16 << 20, &error, NULL) != ERR_OK) return failure;
    problem_of_name(json_get_text(error, "kind"), &failure.problem);
    if (failure.problem == PROBLEM_internal || failure.problem == PROBLEM_in_doubt) return failure;
    failure.detail = json_get_text(error, "message");
    failure.more.code = json_get_text(error, "code");
    Str retry_after = json_get_text(error, "retry_after");
    if (retry_after.len) duration_parse(retry_after, &failure.more.retry_after_us);
    return failure;
}

void outcome_put_failure(const RunRow *run, Str request_id, Buf *out) {
    Arena *arena = arena_new();
    Failure failure = read_failure(run, arena);
    buf_put_char(out, '{');
    problem_put(failure.problem, request_id, failure.detail, &failure.more, out);
    buf_put_char(out, '}');
    arena_free(arena);
}

/* ---- answers ---------------------------------------------------------------------------------------------------------------- */

void outcome_ended(const RunRow *run, Str request_id, Arena *arena, Reply *reply) {
    if (run->status == RUN_COMPLETED) { reply_json(reply, 200, arena_str(arena, run->result_json)); return; }
    Failure failure = read_failure(run, arena);
    problem_reply(failure.problem, request_id, failure.detail, &failure.more, arena, reply);
}

/* ---- results that say more than a body --------------------------------------------------------------------------------------- */

static bool has_field(const Image *image, uint16_t type, const char *name) {
    const ImageType *row = &image->types[type];
    for (uint16_t i = 0; row->kind == KIND_RECORD && i < row->field_count; i++)
        if (str_is(row->fields[i].name, name)) return true;
    return false;
}

/* A path of this very site, or an address that a browser may be sent to: else what a request brought along could send its sender anywhere. */
static bool redirect_ok(Str to) {
    for (size_t i = 0; i < to.len; i++)
        if ((unsigned char)to.ptr[i] <= 0x20 || to.ptr[i] == 0x7f || to.ptr[i] == '\\') return false;
    if (to.len && to.ptr[0] == '/') return to.len == 1 || to.ptr[1] != '/';
    return keyring_url_ok(to);
}

void outcome_browser(const Image *image, uint16_t flow, const RunRow *run, Arena *arena, Reply *reply, Str *session) {
    uint16_t type = image->flows[flow].result;
    bool redirects = has_field(image, type, "redirect"), logs_in = has_field(image, type, "set_session");
    Json *result = NULL;
    *session = (Str){ "", 0 };
    if (run->status != RUN_COMPLETED || (!redirects && !logs_in) || json_parse(arena, run->result_json, 16 << 20, &result, NULL) != ERR_OK) return;
    Str where = redirects ? json_get_text(result, "redirect") : (Str){ "", 0 };
    if (where.len && !redirect_ok(where)) {
        problem_reply(PROBLEM_internal, (Str){ "", 0 }, STR("the redirect is neither a path of this site nor https"), NULL, arena, reply);
        return;
    }
    if (logs_in) *session = json_get_text(result, "set_session");
    Json shown = { .kind = JSON_OBJECT, .items = ARENA_ARRAY(arena, Json *, result->count + 1), .keys = ARENA_ARRAY(arena, Str, result->count + 1) };
    for (size_t i = 0; i < result->count; i++) {
        if (str_is(result->keys[i], "redirect") || str_is(result->keys[i], "set_session")) continue;
        shown.keys[shown.count] = result->keys[i];
        shown.items[shown.count++] = result->items[i];
    }
    Buf body = { 0 };
    json_print(&body, &shown);
    reply_json(reply, where.len ? 303 : 200, arena_str(arena, buf_str(&body)));
    buf_free(&body);
    if (where.len) reply_header(reply, STR("Location"), where);
    reply_header(reply, STR("Cache-Control"), STR("no-store"));
    reply_header(reply, STR("Referrer-Policy"), STR("no-referrer"));
}

void outcome_waits(const RunRow *run, Arena *arena, Reply *reply) {
    Buf body = { 0 };
    bool asks = outcome_asks(run);
    buf_printf(&body, "{\"run\":\"%.*s\",\"status\":\"%s\",\"url\":\"/runs/%.*s\"", STR_ARG(run->run_id), run_status_name(run->status), STR_ARG(run->run_id));
    if (asks) buf_put_text(&body, ",\"questions\":"), outcome_put_questions(run, &body);
    buf_put_char(&body, '}');
    reply_json(reply, 202, arena_str(arena, buf_str(&body)));
    reply_header(reply, STR("Location"), str_of(arena_printf(arena, "/runs/%.*s", STR_ARG(run->run_id))));
    buf_free(&body);
}

static void put_text(Buf *out, const char *name, Str text) {
    if (!text.len) return;
    buf_printf(out, ",\"%s\":", name);
    json_put_string(out, text);
}

static void put_time(Buf *out, const char *name, int64_t us) {
    if (!us) return;
    buf_printf(out, ",\"%s\":\"", name);
    timestamp_print(us, out);
    buf_put_char(out, '"');
}

static void put_end(Engine *engine, const RunRow *run, bool own, Buf *out) {
    if (run->status != RUN_COMPLETED) { buf_put_text(out, ",\"error\":"), outcome_put_failure(run, (Str){ 0 }, out); return; }
    Buf shown = { 0 };
    Error error;
    if (own) buf_put_str(&shown, run->result_json);
    else if (engine_shown_result(engine, run, &shown, &error) != ERR_OK) buf_clear(&shown), buf_put_text(&shown, "null");
    buf_put_text(out, ",\"result\":");
    buf_put_str(out, buf_str(&shown));
    buf_free(&shown);
}

void outcome_put_run(Engine *engine, const RunRow *run, bool own, Buf *out) {
    buf_put_text(out, "{\"run\":");
    json_put_string(out, run->run_id);
    put_text(out, "flow", run->func_name);
    put_text(out, "status", str_of(run_status_name(run->status)));
    buf_printf(out, ",\"url\":\"/runs/%.*s\"", STR_ARG(run->run_id));
    if (!own) put_text(out, "user", run->user);
    put_text(out, "correlation", run->correlation);
    put_text(out, "cause", run->causation);
    if (run->input_json.len) buf_printf(out, ",\"input\":%.*s", STR_ARG(run->input_json));
    if (outcome_asks(run)) buf_put_text(out, ",\"questions\":"), outcome_put_questions(run, out);
    if (run->status == RUN_PARKED && run->waits_json.len) buf_printf(out, ",\"waits\":%.*s", STR_ARG(run->waits_json));
    if (run_status_ended(run->status)) put_end(engine, run, own, out);
    buf_printf(out, ",\"entries\":%" PRIu64, run->last_seq);
    put_time(out, "created", run->created_us);
    put_time(out, "updated", run->updated_us);
    put_time(out, "ended", run->ended_us);
    buf_put_char(out, '}');
}
