/* perform_plan.c - plans of language models: checked, loaded, found again.
 *
 * PLAN_LOAD compiles a plan against the image of the run as it is now, under a grant: what the program allows, what the run's caller may do, the limits. The row
 * of its answer holds the extension's bytes, so nothing is compiled twice: whoever takes the run on decodes, verifies and adds them where they were added first.
 *
 * The bytes are code, and code of a plan may only call what was granted, which nobody can see in them later. So they are sealed: HMAC-SHA-256 under the store's key,
 * bound to tenant, run and request, as snapshots are. A row that does not fit its seal is refused, and its run fails. A copy of a run gets seals of its own.
 *
 * The row also says, for people, what was loaded under which grant; values of parameters that are labelled are hidden there. */
#include <inttypes.h>
#include <stdlib.h>

#include "interpreter/effect/plan.h"
#include "interpreter/sched/engine_internal.h"

enum { ARG_PLAN, ARG_TOOLS, ARG_LIMITS, ARG_ASKS, ARG_OVER, SEAL_BYTES = SHA256_BYTES };

/* ---- grants --------------------------------------------------------------------------------------------------------- */

static Planner *planner_of(Engine *engine) {
    if (!engine->planner) engine->planner = planner_new();
    return engine->planner;
}

static PlanRights rights_of(const LiveRun *run, const VmRequest *request, Arena *arena) {
    const List *tools = (const List *)request->args[ARG_TOOLS].o, *limits = (const List *)request->args[ARG_LIMITS].o;
    uint32_t tool_count = tools ? tools->count : 0, limit_count = limits ? limits->count : 0;
    Str *names = ARENA_ARRAY(arena, Str, tool_count + 1);
    int64_t *numbers = ARENA_ARRAY(arena, int64_t, limit_count + 1);
    for (uint32_t i = 0; i < tool_count; i++) names[i] = value_str(tools->items[i]);
    for (uint32_t i = 0; i < limit_count; i++) numbers[i] = limits->items[i].i;
    PlanRights rights = { .tools = names, .tool_count = tool_count, .limits = numbers, .limit_count = limit_count, .may_ask = request->args[ARG_ASKS].i != 0 };
    rights.over_budget = request->arg_count > ARG_OVER && request->args[ARG_OVER].i;
    rights.scopes = scopes_of(&run->row, arena, &rights.scope_count, &rights.any_scope);
    return rights;
}

static Str plan_text(const LiveRun *run, const VmRequest *request, Arena *arena) {
    Buf text = { 0 };
    value_to_json(run->image, TYPE_INDEX_JSON, request->args[ARG_PLAN], &text);
    Str out = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

/* ---- what people see ------------------------------------------------------------------------------------------------- */

static const ImageTool *tool_of_step(const Image *image, const Json *step) {
    Str agent = json_get_text(step, "agent"), action = json_get_text(step, "action");
    for (uint16_t i = 0; i < image->tool_count; i++) {
        const ImageTool *tool = &image->tools[i];
        if (tool->agent != NO_INDEX && str_eq(image->agents[tool->agent].name, agent) && str_eq(tool->name, action)) return tool;
    }
    return NULL;
}

/* Without a tool nothing says what is personal: then everything is. */
static bool is_private(const ImageTool *tool, Str param) {
    for (uint16_t i = 0; tool && i < tool->param_count; i++)
        if (str_eq(tool->params[i].name, param)) return tool->params[i].labels & (LABEL_PII | LABEL_SECRET);
    return true;
}

static void put_params(const ImageTool *tool, const Json *params, Buf *out) {
    if (params->kind != JSON_OBJECT) { buf_put_text(out, "\"***\""); return; }
    buf_put_char(out, '{');
    for (size_t i = 0; i < params->count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, params->keys[i]);
        buf_put_char(out, ':');
        if (is_private(tool, params->keys[i])) buf_put_text(out, "\"***\"");
        else json_print(out, params->items[i]);
    }
    buf_put_char(out, '}');
}

static void put_plan(const Image *image, const Json *json, Buf *out) {
    if (json->kind != JSON_OBJECT && json->kind != JSON_ARRAY) { json_print(out, json); return; }
    bool object = json->kind == JSON_OBJECT;
    const ImageTool *tool = object ? tool_of_step(image, json) : NULL;
    buf_put_char(out, object ? '{' : '[');
    for (size_t i = 0; i < json->count; i++) {
        if (i) buf_put_char(out, ',');
        if (object) json_put_string(out, json->keys[i]), buf_put_char(out, ':');
        if (object && str_is(json->keys[i], "params")) put_params(tool, json->items[i], out);
        else put_plan(image, json->items[i], out);
    }
    buf_put_char(out, object ? '}' : ']');
}

void plan_put_shown(const Image *image, Str plan, Buf *out) {
    Arena *arena = arena_new();
    Json *json = NULL;
    if (json_parse(arena, plan, SIZE_MAX, &json, NULL) == ERR_OK) put_plan(image, json, out);
    else buf_put_text(out, "null");
    arena_free(arena);
}

static void put_words(const char *name, const Str *words, uint32_t count, Buf *out) {
    buf_printf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, words[i]);
    }
    buf_put_char(out, ']');
}

/* {"plan", "allow", "limits", "ask", "over_budget", "scopes"}: the plan with what is labelled hidden, and the grant. */
void plan_put_audit(const LiveRun *run, const VmRequest *request, Buf *out) {
    Arena *arena = arena_new();
    PlanRights rights = rights_of(run, request, arena);
    buf_put_text(out, "{\"plan\":");
    plan_put_shown(run->image, plan_text(run, request, arena), out);
    put_words("allow", rights.tools, rights.tool_count, out);
    buf_put_text(out, ",\"limits\":[");
    for (uint32_t i = 0; i < rights.limit_count; i++) buf_printf(out, "%s%" PRId64, i ? "," : "", rights.limits[i]);
    buf_printf(out, "],\"ask\":%s,\"over_budget\":%s", rights.may_ask ? "true" : "false", rights.over_budget ? "true" : "false");
    put_words("scopes", rights.scopes, rights.scope_count, out);
    buf_put_char(out, '}');
    arena_free(arena);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static Sha256 seal_of(const Engine *engine, Str tenant, Str run_id, uint64_t request, Str extension) {
    Buf text = { 0 };
    buf_put_text(&text, "flow plan");
    buf_put_bytes(&text, tenant);
    buf_put_bytes(&text, run_id);
    buf_put_varint(&text, request);
    buf_put_str(&text, extension);
    Sha256 seal = hmac_sha256((Str){ (const char *)engine->key.bytes, sizeof engine->key.bytes }, buf_str(&text));
    buf_free(&text);
    return seal;
}

/* seal, extension, audit: the latter two with their lengths. */
static Str pack(const Engine *engine, Str tenant, Str run_id, uint64_t request, Str extension, Str audit, Arena *arena) {
    Sha256 seal = seal_of(engine, tenant, run_id, request, extension);
    Buf bytes = { 0 };
    buf_put(&bytes, (const char *)seal.bytes, SEAL_BYTES);
    buf_put_bytes(&bytes, extension);
    buf_put_bytes(&bytes, audit);
    Str out = arena_str(arena, buf_str(&bytes));
    buf_free(&bytes);
    return out;
}

typedef struct Packed { Str seal, extension, audit; } Packed;

static bool unpack(Str payload, Packed *out) {
    Reader in = reader_of(payload);
    out->seal = read_raw(&in, SEAL_BYTES);
    out->extension = read_bytes(&in, EXTENSION_SIZE_MAX);
    out->audit = read_bytes(&in, SIZE_MAX);
    return !in.failed && !reader_left(&in);
}

static bool is_sealed(const Engine *engine, Str tenant, const Packed *packed, Str run_id, uint64_t request) {
    Sha256 seal = seal_of(engine, tenant, run_id, request, packed->extension);
    return packed->seal.len == SEAL_BYTES && digest_equal(seal.bytes, (const uint8_t *)packed->seal.ptr, SEAL_BYTES);
}

static bool is_plan_row(const JournalRow *row) { return row->effect == EFFECT_PLAN_LOAD && row->entry == JOURNAL_RESULT; }

bool engine_plan_of(const JournalRow *row, Str *audit_json) {
    Packed packed;
    if (!is_plan_row(row) || !unpack(row->payload, &packed)) return false;
    *audit_json = packed.audit;
    return packed.audit.len > 0;
}

Err plan_copy_row(const Engine *engine, const RunRow *from, const RunRow *to, Arena *arena, JournalRow *row, Error *error) {
    Packed packed;
    if (!is_plan_row(row)) return ERR_OK;
    if (!unpack(row->payload, &packed) || !is_sealed(engine, from->tenant, &packed, from->run_id, row->request)) return err_set(error, ERR_CORRUPT, "cannot copy: journal row %" PRIu64 " holds a plan that is not this run's", row->seq);
    row->payload = pack(engine, to->tenant, to->run_id, row->request, packed.extension, packed.audit, arena);
    return ERR_OK;
}

/* ---- the machine goes on with it --------------------------------------------------------------------------------------------- */

/* The function of the plan that an extension brings. */
static Err extend(LiveRun *run, Str bytes, Value *func, Error *error) {
    Image *extension = NULL;
    Err err = image_decode_extension(run->image, bytes, &extension, error);
    if (err) return err;
    if (extension->plan_count == extension->base->plan_count) err = err_set(error, ERR_CORRUPT, "the extension holds no plan");
    else if (!vm_extend(run->vm, extension)) err = err_set(error, ERR_LIMIT, "a run loads %d plans at most (VM_PLANS_MAX)", VM_PLANS_MAX);
    if (!err) *func = (Value){ .i = extension->plans[extension->plan_count - 1].func };
    image_free(extension);
    run->image = vm_image(run->vm);
    return err;
}

Err plan_replay(LiveRun *run, const JournalRow *row, Value *out, Error *error) {
    Packed packed;
    Error why = { 0 };
    if (!unpack(row->payload, &packed) || !is_sealed(run->engine, run->row.tenant, &packed, run->row.run_id, row->request))
        return err_set(error, ERR_CORRUPT, "cannot resume: journal row %" PRIu64 " holds a plan that is not this run's", row->seq);
    if (extend(run, packed.extension, out, &why) == ERR_OK) return ERR_OK;
    return err_set(error, ERR_CORRUPT, "cannot resume: the plan of journal row %" PRIu64 ": %.300s", row->seq, why.text);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

/* What its row says, instead of the bare number. */
typedef struct Told { Str payload, detail; } Told;

static Told tell_plan(LiveRun *run, const VmRequest *request, Str extension) {
    Buf audit = { 0 };
    char hash[SHA256_HEX + 1];
    plan_put_audit(run, request, &audit);
    hex_encode(sha256(extension).bytes, SHA256_BYTES, hash);
    Told told = { .payload = pack(run->engine, run->row.tenant, run->row.run_id, request->id, extension, buf_str(&audit), record_arena(run)),
                  .detail = str_of(arena_printf(record_arena(run), "{\"extension\":\"%s\",\"bytes\":%zu}", hash, extension.len)) };
    buf_free(&audit);
    return told;
}

void perform_plan_load(LiveRun *run, Act *act, const VmRequest *request) {
    Arena *arena = arena_new();
    Buf extension = { 0 };
    Value value = { 0 };
    uint16_t func;
    Error error = { 0 };
    PlanRights rights = rights_of(run, request, arena);
    if (!planner_load(planner_of(run->engine), run->image, plan_text(run, request, arena), &rights, &extension, &func, &value)) {
        buf_free(&extension);
        arena_free(arena);
        perform_raise(run, act->id, value);
        return;
    }
    Told told = tell_plan(run, request, buf_str(&extension));
    JournalRow *row = record_result(run, act->id, true, (Value){ .i = func });
    row->payload = told.payload;
    row->detail_json = told.detail;
    if (extend(run, buf_str(&extension), &value, &error)) {
        record_take_back(run);
        perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "the plan cannot be loaded: %s", error.text));
    } else live_deliver(run, act->id, true, value);
    buf_free(&extension);
    arena_free(arena);
}

void perform_plan_check(LiveRun *run, Act *act, const VmRequest *request) {
    Arena *arena = arena_new();
    Buf report = { 0 };
    Json *json = NULL;
    Error error = { 0 };
    PlanRights rights = rights_of(run, request, arena);
    planner_check(planner_of(run->engine), run->image, plan_text(run, request, arena), &rights, &report);
    if (json_parse(arena, buf_str(&report), SIZE_MAX, &json, &error)) perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "the report of a plan: %s", error.text));
    else perform_deliver(run, act->id, true, value_json(json));
    buf_free(&report);
    arena_free(arena);
}
