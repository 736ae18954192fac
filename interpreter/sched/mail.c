/* mail.c - what reaches a run from outside: answers, signals, events it awaits, cancellation.
 *
 * A mail is durable in the store before anybody hears that it was accepted; it is taken out in the same commit that holds the row of its
 * delivery, and an event that was taken never comes again. An event that fits no wait is dropped when the run parks: the next wait for its
 * name brings it back. A signal stays until the run asks for it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "base/time.h"
#include "interpreter/effect/ids.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/script_internal.h"

Err mail_value(const Image *image, uint16_t type, Str json, Value *out, Error *error) {
    Arena *arena = arena_new();
    Json *parsed = NULL;
    Err err = json_parse(arena, json, INPUT_JSON_MAX, &parsed, error);
    if (!err) err = value_from_json(image, type, parsed, out, error);
    arena_free(arena);
    return err;
}

/* ---- the live run's side -------------------------------------------------------------------------------- */

void mail_take_in(LiveRun *run, const MailRow *rows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        Mail **tail = &run->mail;
        bool known = false;
        for (; *tail; tail = &(*tail)->next) known |= str_eq((*tail)->row.mail_id, rows[i].mail_id);
        if (known) continue;
        Mail *mail = ARENA_NEW(run->arena, Mail);
        mail->row = rows[i];
        mail->row.mail_id = arena_str(run->arena, rows[i].mail_id);
        mail->row.name = arena_str(run->arena, rows[i].name);
        mail->row.payload = arena_str(run->arena, rows[i].payload);
        run->watched |= mail->row.kind == MAIL_WATCH;
        *tail = mail;
    }
}

static void forget(LiveRun *run, const Mail *mail) {
    for (Mail **at = &run->mail; *at; at = &(*at)->next)
        if (*at == mail) { *at = mail->next; return; }
}

/* Argument `at` as the number of a pure function with that result, or NULL. */
static const ImageFunc *func_at(const LiveRun *run, const VmRequest *request, uint16_t at, uint16_t result) {
    if (at >= request->arg_count || request->effect->params[at] != TYPE_INDEX_INT) return NULL;
    int64_t index = request->args[at].i;
    if (index < 0 || index >= run->image->func_count) return NULL;
    const ImageFunc *func = &run->image->funcs[index];
    return func->kind == FUNC_KEY && func->result == result ? func : NULL;
}

/* Do its first parameters take the arguments from `from` on? */
static bool takes(const ImageFunc *func, const VmRequest *request, uint16_t from) {
    for (uint16_t i = from; i < request->arg_count; i++)
        if ((uint16_t)(i - from) >= func->param_count || func->reg_types[i - from] != request->effect->params[i]) return false;
    return true;
}

/* Before the condition may stand a function that says which field the condition compares with what. */
static uint16_t condition_at(const LiveRun *run, const VmRequest *request) { return func_at(run, request, 0, TYPE_INDEX_STRING) ? 1 : 0; }

/* What a wait may ask of a record: a function of the values that stand behind its number in the arguments, and of the record. */
static const ImageFunc *condition_of(const LiveRun *run, const VmRequest *request, uint16_t record_type) {
    uint16_t at = condition_at(run, request), values = (uint16_t)(request->arg_count - at - 1);
    const ImageFunc *func = func_at(run, request, at, TYPE_INDEX_BOOL);
    return func && func->param_count == values + 1 && func->reg_types[values] == record_type && takes(func, request, (uint16_t)(at + 1)) ? func : NULL;
}

/* Without it the wait is woken by every event of the name, which is right and slow: so is a key that cannot be had. */
void mail_wait_key(LiveRun *run, const Act *act, Arena *arena, WaitRow *wait) {
    VmRequest request;
    Value key;
    const ImageFunc *func = live_request(run, act->id, &request) ? func_at(run, &request, 0, TYPE_INDEX_STRING) : NULL;
    if (!func || func->param_count != request.arg_count - 2 || !takes(func, &request, 2)) return;
    if (start_call(run->engine, run->image, (uint16_t)request.args[0].i, request.args + 2, &run->row, &key, NULL)) return;
    Str text = arena_str(arena, value_str(key));
    const char *equals = memchr(text.ptr, '=', text.len);
    if (equals) {
        wait->field = (Str){ text.ptr, (size_t)(equals - text.ptr) };
        wait->value = (Str){ equals + 1, text.len - wait->field.len - 1 };
    }
    value_release(key);
}

static Err fits(LiveRun *run, const Act *act, Value record, uint16_t record_type, bool *out, Error *error) {
    VmRequest request;
    *out = live_request(run, act->id, &request);
    if (!*out || request.arg_count == 0) return ERR_OK;
    const ImageFunc *func = condition_of(run, &request, record_type);
    if (!func || request.arg_count > FUNC_PARAMS_MAX) return err_set(error, ERR_CORRUPT, "a wait's condition is not one of the module");
    Value args[FUNC_PARAMS_MAX], answer;
    uint16_t at = condition_at(run, &request), values = (uint16_t)(request.arg_count - at - 1);
    memcpy(args, request.args + at + 1, values * sizeof *args);
    args[values] = record;
    Err err = start_call(run->engine, run->image, (uint16_t)request.args[at].i, args, &run->row, &answer, error);
    if (!err) *out = answer.i != 0;
    return err;
}

/* Only who names exactly this call has allowed it. */
static bool allows(LiveRun *run, const Act *act, const MailRow *mail) {
    VmRequest request;
    Approval approval;
    Arena *arena = arena_new();
    bool same = live_request(run, act->id, &request) && approval_read(run->image, &request, arena, &approval, NULL) == ERR_OK && str_is(mail->name, approval.hash);
    arena_free(arena);
    return same;
}

static bool is_for(LiveRun *run, const Act *act, const MailRow *mail) {
    uint16_t target = act->effect->target;
    if (act->state != ACT_PARKED) return false;
    switch (act->effect->kind) {
    case EFFECT_ASK:          return mail->kind == MAIL_ANSWER && act->id == mail->request;
    case EFFECT_APPROVE:      return mail->kind == MAIL_ANSWER && act->id == mail->request && allows(run, act, mail);
    case EFFECT_AWAIT_EVENT:  return mail->kind == MAIL_EVENT && str_eq(run->image->events[target].name, mail->name);
    case EFFECT_AWAIT_SIGNAL: return mail->kind == MAIL_SIGNAL && str_eq(run->image->signals[target].name, mail->name);
    default:                  return false;
    }
}

static void cancel_durable(LiveRun *run, const StoreResult *result) {
    if (live_failed(run, result->err, &result->error)) return;
    vm_cancel(run->vm, run->cancel_reason);
    run->cancelled = run->needs_run = true;
    run->parked_before = false;
    run->engine->progress++;
    engine_ready(run);
}

static void cancel(LiveRun *run, Mail *mail) {
    run->cancel_reason = mail->row.payload.len ? mail->row.payload : STR("cancelled from outside");
    record_resumed(run);
    record_row(run, JOURNAL_CANCEL, NULL)->payload = run->cancel_reason;
    run->undelivered = true;
    StoreBatch *batch = commit_batch(run);
    store_take_mail(batch, mail->row.mail_id);
    forget(run, mail);
    commit_submit(run, batch, cancel_durable);
}

static void hand_over(LiveRun *run, Act *act, Mail *mail, bool ok, Value value) {
    StoreBatch *batch = commit_result(run, act->id, ok, value);
    if (!batch) return;
    if (ok) {
        store_take_mail(batch, mail->row.mail_id);
        forget(run, mail);
    }
    commit_result_submit(run, batch, false);
}

/* To the oldest request that it fits. A condition that fails is the failure of its wait, and the mail stays for others. */
static bool deliver(LiveRun *run, Mail *mail) {
    for (uint32_t i = 0; i < run->act_count; i++) {
        Act *act = run->acts[i];
        uint16_t type = act->effect->result;
        Value value;
        Error error;
        bool wanted = true;
        if (!is_for(run, act, &mail->row) || mail_value(run->image, type, mail->row.payload, &value, NULL)) continue;
        Err err = mail->row.kind == MAIL_ANSWER ? ERR_OK : fits(run, act, value, type, &wanted, &error);
        if (!err && wanted) { hand_over(run, act, mail, true, value); return true; }
        if (kind_is_counted(run->image->types[type].kind)) value_release(value);
        if (err) { hand_over(run, act, mail, false, live_error_of(run, err, error.text)); return true; }
    }
    return false;
}

bool mail_step(LiveRun *run, bool cancel_only) {
    for (Mail *mail = run->mail, *next; mail; mail = next) {
        next = mail->next;
        if (mail->row.kind == MAIL_CANCEL) {
            if (!run->cancelled) { cancel(run, mail); return true; }
        } else if (!cancel_only && deliver(run, mail)) return true;
    }
    return false;
}

void mail_drop_stale(LiveRun *run, StoreBatch *batch) {
    for (Mail *mail = run->mail, *next; mail; mail = next) {
        next = mail->next;
        if (mail->row.kind == MAIL_SIGNAL || mail->row.kind == MAIL_WATCH) continue;
        if (mail->row.kind == MAIL_EVENT) store_drop_mail(batch, mail->row.mail_id);
        else store_take_mail(batch, mail->row.mail_id);
        forget(run, mail);
    }
}

/* ---- the other side: any process -------------------------------------------------------------------------- */

static Err find_in(Engine *engine, Store *store, Str tenant, Str run_id, Arena *arena, RunRow *out, Error *error) {
    StoreBatch *batch = store_batch(store, tenant, (Str){ "", 0 }, 0);
    int index = store_get_run(batch, run_id);
    Err err = engine_sync(engine, batch, error);
    uint32_t count = 0;
    const RunRow *rows = err ? NULL : store_runs(batch, index, &count);
    if (!err && count == 0) err = err_set(error, ERR_NOT_FOUND, "no run `%.*s`", STR_ARG(run_id));
    if (!err) {
        *out = rows[0];
        Str *texts[] = { &out->tenant, &out->run_id, &out->module_hash, &out->func_name, &out->user, &out->user_name, &out->scopes, &out->correlation, &out->causation, &out->input, &out->input_json,
                         &out->result_json, &out->waits_json, &out->concurrency_key, &out->limit_key, &out->worker };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_str(arena, *texts[i]);
    }
    store_batch_free(batch);
    return err;
}

Err engine_find_run(Engine *engine, Str tenant, Str run_id, Arena *arena, RunRow *out, Error *error) {
    Err err = find_in(engine, engine->store, tenant, run_id, arena, out, error);
    if (!err && session_has_expired(engine, out)) return err_set(error, ERR_NOT_FOUND, "no run `%.*s`: session expired or not found", STR_ARG(run_id));
    if (err == ERR_NOT_FOUND && engine->memory && (err = find_in(engine, engine->memory, tenant, run_id, arena, out, error)) == ERR_OK) return ERR_OK;
    if (err != ERR_NOT_FOUND || !engine->sessions) return err;
    err = find_in(engine, engine->sessions, tenant, run_id, arena, out, error);
    if (err == ERR_NOT_FOUND) return err_set(error, err, "no run `%.*s`: session expired or not found", STR_ARG(run_id));
    return err;
}

static Err put_mail(Engine *engine, const RunRow *run, const MailRow *mail, Error *error) {
    StoreBatch *batch = store_batch(engine_home(engine, run), mail->tenant, mail->run_id, 0);
    store_put_mail(batch, mail);
    Err err = engine_sync(engine, batch, error);
    store_batch_free(batch);
    LiveRun *live = err ? NULL : engine_live_find(engine, mail->tenant, mail->run_id);
    if (live) live->mail_wanted = true, engine_ready(live);
    else engine->claim_wanted = true;
    return err;
}

/* People write "yes" for true and 42 for "42"; scripts may too. */
static const Json *coerced(const Image *image, uint16_t type_index, const Json *json, Arena *arena) {
    static const char *const yes[] = { "yes", "y", "ja", "j", "true", "ok", "1" }, *const no[] = { "no", "n", "nein", "false", "0" };
    const ImageType *type = &image->types[type_index];
    Json *made = ARENA_NEW(arena, Json);
    if (type->kind == KIND_OPT) return json->kind == JSON_NULL ? json : coerced(image, type->element, json, arena);
    if (json->kind != JSON_STRING) {
        if (type->kind != KIND_STRING || (json->kind != JSON_INT && json->kind != JSON_NUMBER && json->kind != JSON_BOOL)) return json;
        *made = (Json){ .kind = JSON_STRING, .text = json->kind == JSON_BOOL ? (json->boolean ? STR("true") : STR("false")) : json->number_text };
        return made;
    }
    Str text = json->text;
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\n')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\n')) text.len--;
    if (type->kind == KIND_BOOL) {
        for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
            if (text.len == strlen(yes[i]) && strncasecmp(text.ptr, yes[i], text.len) == 0) { *made = (Json){ .kind = JSON_BOOL, .boolean = true }; return made; }
        for (size_t i = 0; i < sizeof no / sizeof *no; i++)
            if (text.len == strlen(no[i]) && strncasecmp(text.ptr, no[i], text.len) == 0) { *made = (Json){ .kind = JSON_BOOL }; return made; }
    } else if (type->kind == KIND_INT || type->kind == KIND_DECIMAL || type->kind == KIND_FLOAT) {
        Json *number = NULL;
        if (json_parse(arena, text, 4096, &number, NULL) == ERR_OK) return number;
    } else if (type->kind == KIND_ENUM) {
        for (uint16_t i = 0; i < type->member_count; i++)
            if (text.len == type->members[i].len && strncasecmp(text.ptr, type->members[i].ptr, text.len) == 0) { *made = (Json){ .kind = JSON_STRING, .text = type->members[i] }; return made; }
    }
    return json;
}

/* One of the choices, by its text or by its number from 1. */
static Err pick_choice(const Json *choices, const Json *json, Arena *arena, const Json **out, Error *error) {
    Buf names = { 0 };
    Json *made = ARENA_NEW(arena, Json);
    for (size_t i = 0; i < choices->count; i++) {
        Str choice = choices->items[i]->text;
        char number[24];
        snprintf(number, sizeof number, "%zu", i + 1);
        bool same = json->kind == JSON_STRING && json->text.len == choice.len && strncasecmp(json->text.ptr, choice.ptr, choice.len) == 0;
        bool numbered = json->kind == JSON_STRING && str_is(json->text, number);
        if (same || numbered) {
            *made = (Json){ .kind = JSON_STRING, .text = choice };
            *out = made;
            buf_free(&names);
            return ERR_OK;
        }
        buf_printf(&names, "%s`%.*s`", i ? ", " : "", STR_ARG(choice));
    }
    Err err = err_set(error, ERR_INVALID, "the answer is not one of the choices: %s", buf_cstr(&names));
    buf_free(&names);
    return err;
}

bool engine_wait_asks(const Json *wait) { return str_is(json_get_text(wait, "kind"), "ask") || engine_wait_approves(wait); }

bool engine_wait_approves(const Json *wait) { return str_is(json_get_text(wait, "kind"), "approve"); }

/* The one that is meant, else the oldest; a bare answer is for a question before it is for an approval. */
static const Json *find_question(const Json *waits, const EngineAnswer *answer) {
    const Json *other = NULL;
    for (size_t i = 0; waits && waits->kind == JSON_ARRAY && i < waits->count; i++) {
        const Json *wait = waits->items[i], *id = json_get(wait, "request");
        if (!engine_wait_asks(wait) || !id || (answer->request && (uint64_t)id->integer != answer->request)) continue;
        if (str_eq(json_get_text(wait, "hash"), answer->hash)) return wait;
        if (!other || engine_wait_approves(wait)) other = wait;
    }
    return other;
}

static Err checked_answer(Engine *engine, const RunRow *run, const Json *question, Str value_json, Arena *arena, Str *out, Error *error) {
    Image *image;
    Json *json = NULL;
    Value value;
    const Json *type = json_get(question, "type_index"), *choices = json_get(question, "choices");
    Err err = engine_image(engine, run->module_hash, &image, error);
    if (err) return err;
    if (!type || type->kind != JSON_INT || type->integer < 0 || type->integer >= image->type_count) return err_set(error, ERR_CORRUPT, "the run's question has no type");
    if ((err = json_parse(arena, value_json, INPUT_JSON_MAX, &json, error))) return err;
    uint16_t index = (uint16_t)type->integer;
    const Json *given = coerced(image, index, json, arena);
    if (choices && choices->kind == JSON_ARRAY && choices->count && image->types[index].kind == KIND_STRING && (err = pick_choice(choices, given, arena, &given, error))) return err;
    if ((err = value_from_json(image, index, given, &value, error))) return err;
    Buf text = { 0 };
    value_to_json(image, index, value, &text);
    *out = arena_str(arena, buf_str(&text));
    buf_free(&text);
    if (kind_is_counted(image->types[index].kind)) value_release(value);
    return ERR_OK;
}

/* Nobody says yes to what he has not been shown. */
static Err check_hash(const Json *question, Str hash, Error *error) {
    Str tool = json_get_text(question, "tool");
    if (!engine_wait_approves(question))
        return hash.len ? err_set(error, ERR_CONFLICT, "this is a question, and there is no hash to it: answer it without") : ERR_OK;
    if (hash.len && str_eq(hash, json_get_text(question, "hash"))) return ERR_OK;
    return err_set(error, ERR_CONFLICT, hash.len ? "this is not the hash of what the run asks leave for: %.*s with the arguments that its wait shows now; read them and send the `hash` that stands there along with the answer"
                                                 : "the run asks leave to call %.*s: read the arguments that its wait shows, and send the `hash` that stands there along with the answer", STR_ARG(tool));
}

static Err answer_question(Engine *engine, const RunRow *run, const Json *question, Str value_json, Str hash, Arena *arena, Error *error) {
    Str payload;
    Err err = check_hash(question, hash, error);
    if (!err) err = checked_answer(engine, run, question, value_json, arena, &payload, error);
    if (err) return err;
    uint64_t request = (uint64_t)json_get(question, "request")->integer;
    Str mail_id = str_of(hash.len ? arena_printf(arena, "approval-%" PRIu64 "-%.16s", request, hash.ptr) : arena_printf(arena, "answer-%" PRIu64, request));
    MailRow mail = { .tenant = run->tenant, .run_id = run->run_id, .mail_id = mail_id, .kind = MAIL_ANSWER, .request = request, .name = hash, .payload = payload, .created_us = engine_now(engine) };
    err = put_mail(engine, run, &mail, error);
    return err == ERR_CONFLICT ? err_set(error, ERR_CONFLICT, "already answered") : err;
}

Err engine_answer(Engine *engine, Str tenant, Str run_id, Str value_json, Error *error) {
    return engine_answer_to(engine, tenant, run_id, &(EngineAnswer){ .value_json = value_json }, error);
}

Err engine_answer_to(Engine *engine, Str tenant, Str run_id, const EngineAnswer *answer, Error *error) {
    Arena *arena = arena_new();
    RunRow run;
    Json *waits = NULL;
    Err err = engine_find_run(engine, tenant, run_id, arena, &run, error);
    if (!err && run_status_ended(run.status)) err = err_set(error, ERR_CONFLICT, "run `%.*s` has already ended (%s)", STR_ARG(run.run_id), run_status_name(run.status));
    if (!err && run.waits_json.len && json_parse(arena, run.waits_json, INPUT_JSON_MAX, &waits, error)) err = ERR_CORRUPT;
    const Json *question = err ? NULL : find_question(waits, answer);
    if (!err && !question && answer->request) err = err_set(error, ERR_CONFLICT, "run `%.*s` asks nothing of number %" PRIu64 " (any more)", STR_ARG(run.run_id), answer->request);
    if (!err && !question) err = err_set(error, ERR_CONFLICT, run.status == RUN_PARKED ? "run `%.*s` asks nothing" : "run `%.*s` asks nothing now: already answered", STR_ARG(run.run_id));
    if (!err) err = answer_question(engine, &run, question, answer->value_json, answer->hash, arena, error);
    arena_free(arena);
    return err;
}

static Err check_signal(Engine *engine, const RunRow *run, Str name, Str payload_json, Error *error) {
    Image *image;
    Value value;
    Err err = engine_image(engine, run->module_hash, &image, error);
    if (err) return err;
    for (uint16_t i = 0; i < image->signal_count; i++) {
        if (!str_eq(image->signals[i].name, name)) continue;
        err = mail_value(image, image->signals[i].type, payload_json, &value, error);
        if (!err && kind_is_counted(image->types[image->signals[i].type].kind)) value_release(value);
        return err;
    }
    return err_set(error, ERR_NOT_FOUND, "no signal `%.*s` in the module of run `%.*s`", STR_ARG(name), STR_ARG(run->run_id));
}

Err engine_signal(Engine *engine, Str tenant, Str run_id, Str name, Str payload_json, Error *error) {
    Arena *arena = arena_new();
    RunRow run;
    char id[37];
    Err err = engine_find_run(engine, tenant, run_id, arena, &run, error);
    if (!err && run_status_ended(run.status)) err = err_set(error, ERR_CONFLICT, "run `%.*s` has already ended (%s)", STR_ARG(run.run_id), run_status_name(run.status));
    if (!err) err = check_signal(engine, &run, name, payload_json, error);
    ids_uuid7(engine_now(engine), id);
    if (!err) err = put_mail(engine, &run, &(MailRow){ .tenant = run.tenant, .run_id = run.run_id, .mail_id = str_of(id), .kind = MAIL_SIGNAL, .name = name, .payload = payload_json, .created_us = engine_now(engine) }, error);
    arena_free(arena);
    return err;
}

static MailRow cancel_mail(const Engine *engine, const RunRow *run) {
    return (MailRow){ .tenant = run->tenant, .run_id = run->run_id, .mail_id = STR("cancel"), .kind = MAIL_CANCEL, .payload = STR("cancelled from outside"), .created_us = engine_now(engine) };
}

Err engine_cancel(Engine *engine, Str tenant, Str run_id, Error *error) {
    Arena *arena = arena_new();
    RunRow run;
    Err err = engine_find_run(engine, tenant, run_id, arena, &run, error);
    if (!err && run_status_ended(run.status)) err = err_set(error, ERR_CONFLICT, "run `%.*s` has already ended (%s)", STR_ARG(run.run_id), run_status_name(run.status));
    MailRow mail = cancel_mail(engine, &run);
    if (!err) err = put_mail(engine, &run, &mail, error);
    if (err == ERR_CONFLICT && !run_status_ended(run.status)) err = ERR_OK;      /* asked for twice is asked for */
    arena_free(arena);
    return err;
}

typedef struct Cancelling { Engine *engine; Str tenant, run_id; } Cancelling;

static void cancel_put(const StoreResult *result, void *arg) {
    Cancelling *c = arg;
    LiveRun *live = result->err ? NULL : engine_live_find(c->engine, c->tenant, c->run_id);
    if (live) live->mail_wanted = true, engine_ready(live);
    else c->engine->claim_wanted = true;
}

void engine_cancel_soon(Engine *engine, const RunRow *run) {
    StoreBatch *batch = store_batch(engine_home(engine, run), run->tenant, run->run_id, 0);
    Arena *arena = store_batch_arena(batch);
    Cancelling *c = ARENA_NEW(arena, Cancelling);
    MailRow mail = cancel_mail(engine, run);
    *c = (Cancelling){ engine, arena_str(arena, run->tenant), arena_str(arena, run->run_id) };
    store_put_mail(batch, &mail);
    store_submit(batch, cancel_put, c);
}

typedef struct Watching { void (*done)(Err err, void *arg); void *arg; } Watching;

static void watching(const StoreResult *result, void *arg) {
    Watching *w = arg;
    if (w->done) w->done(result->err, w->arg);
    free(w);
}

void engine_watch(Engine *engine, const RunRow *run, void (*done)(Err err, void *arg), void *arg) {
    Watching *w = mem_alloc(sizeof *w);
    *w = (Watching){ done, arg };
    StoreBatch *batch = store_batch(engine_home(engine, run), run->tenant, run->run_id, 0);
    store_put_mail(batch, &(MailRow){ .tenant = run->tenant, .run_id = run->run_id, .mail_id = STR("watch"), .kind = MAIL_WATCH, .created_us = engine_now(engine) });
    store_submit(batch, watching, w);
}

/* ---- questions that this process can answer itself ---------------------------------------------------------- */

static bool hook_answers(Engine *engine, const RunRow *run, const Json *question, Buf *out) {
    const EngineOptions *options = &engine->options;
    Str choices[64], given;
    uint32_t count = 0;
    if (options->script) {
        Buf key = { 0 };
        ids_request_key(run->run_id, (uint64_t)json_get(question, "request")->integer, &key);
        bool found = script_answer(options->script, buf_str(&key), &given);
        buf_free(&key);
        if (found) buf_put_str(out, given);
        return found;
    }
    int64_t due = TIME_NEVER;
    timestamp_parse(json_get_text(question, "due"), &due);
    if (engine_wait_approves(question)) return options->on_approval && options->on_approval(run, json_get_text(question, "tool"), json_get(question, "arguments"), due, out, options->arg);
    if (!options->on_question) return false;
    const Json *list = json_get(question, "choices");
    for (size_t i = 0; list && i < list->count && count < 64; i++) choices[count++] = list->items[i]->text;
    return options->on_question(run, json_get_text(question, "text"), choices, count, json_get_text(question, "type"), due, out, options->arg);
}

/* A person may answer again when the answer does not fit; a script is taken at its word. */
static Err offer_question(Engine *engine, const RunRow *run, const Json *question, Arena *arena, bool *answered, Error *error) {
    Err err = ERR_OK;
    for (int tries = 0; tries < QUESTION_TRIES_MAX; tries++) {
        Buf text = { 0 };
        bool given = hook_answers(engine, run, question, &text);
        err = given ? answer_question(engine, run, question, buf_str(&text), json_get_text(question, "hash"), arena, error) : ERR_OK;
        buf_free(&text);
        if (given && err == ERR_OK) *answered = true;
        if (err == ERR_CONFLICT) return ERR_OK;          /* somebody was quicker */
        if (err != ERR_INVALID || engine->options.script) return err;
        if (engine->options.on_refused) engine->options.on_refused(error->text, engine->options.arg);
    }
    return ERR_OK;
}

static Err offer(Engine *engine, Str tenant, Str run_id, bool *answered, Error *error) {
    Arena *arena = arena_new();
    RunRow run;
    Json *waits = NULL;
    Err err = engine_find_run(engine, tenant, run_id, arena, &run, error);
    if (!err && run.status == RUN_PARKED && run.waits_json.len && json_parse(arena, run.waits_json, INPUT_JSON_MAX, &waits, error)) err = ERR_CORRUPT;
    for (size_t i = 0; !err && waits && i < waits->count; i++) {
        if (!engine_wait_asks(waits->items[i])) continue;
        err = offer_question(engine, &run, waits->items[i], arena, answered, error);
    }
    arena_free(arena);
    return err;
}

Err mail_offer_answers(Engine *engine, bool *answered, Error *error) {
    Err err = ERR_OK;
    for (ParkNote *note = engine->parks; note && !err; note = note->next) {
        if (!note->asks) continue;
        note->asks = false;
        err = offer(engine, note->tenant, note->run_id, answered, error);
    }
    return err;
}

/* ---- fork ------------------------------------------------------------------------------------------------------ */

static bool is_answered(const JournalRow *rows, uint32_t count, uint64_t request) {
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].request == request && (rows[i].entry == JOURNAL_RESULT || rows[i].entry == JOURNAL_ERROR)) return true;
    return false;
}

/* The journal alone rebuilds the state: a snapshot is bound to its run and stays behind. An intent whose result is cut off is the
   other run's; the copy has begun nothing. */
static Err copy_journal(Engine *engine, const RunRow *from, uint64_t at_seq, const RunRow *to, Error *error) {
    StoreBatch *read = store_batch(engine->store, from->tenant, from->run_id, 0);
    int index = store_get_journal(read, from->run_id, 0, UINT32_MAX);
    Err err = engine_sync(engine, read, error);
    uint32_t count = 0, kept = 0;
    const JournalRow *rows = err ? NULL : store_journal(read, index, &count);
    while (kept < count && rows[kept].seq <= at_seq) kept++;
    if (!err && kept != at_seq) err = err_set(error, ERR_NOT_FOUND, "run `%.*s` has no journal row %" PRIu64, STR_ARG(from->run_id), at_seq);
    if (!err) {
        StoreBatch *batch = store_batch(engine->store, to->tenant, to->run_id, 0);
        RunRow row = *to;
        uint64_t seq = 0;
        store_put_run(batch, &row);
        for (uint32_t i = 0; i < kept; i++) {
            if (rows[i].entry == JOURNAL_INTENT && !is_answered(rows, kept, rows[i].request)) continue;
            JournalRow copy = rows[i];
            copy.seq = ++seq;
            if ((err = plan_copy_row(engine, from, to, store_batch_arena(batch), &copy, error))) break;
            store_append_journal(batch, &copy);
        }
        if (!err) err = engine_sync(engine, batch, error);
        store_batch_free(batch);
    }
    store_batch_free(read);
    return err;
}

Err engine_fork(Engine *engine, Str tenant, Str run_id, uint64_t at_seq, char out_run_id[64], Error *error) {
    Arena *arena = arena_new();
    RunRow run;
    Err err = engine_find_run(engine, tenant, run_id, arena, &run, error);
    if (!err && engine_home(engine, &run) != engine->store)
        err = err_set(error, ERR_UNSUPPORTED, "cannot fork run `%.*s`: it is `durability %s`, and its past is kept for nobody but itself", STR_ARG(run.run_id), run.durability == DURABILITY_NONE ? "none" : "session");
    if (!err) {
        ids_new(STR("R"), out_run_id);
        RunRow copy = run;
        copy.run_id = str_of(out_run_id);
        copy.status = RUN_READY;
        copy.correlation = copy.run_id;
        copy.causation = run.run_id;
        copy.result_json = copy.waits_json = copy.worker = (Str){ "", 0 };
        copy.epoch = copy.snapshot_seq = 0;
        copy.last_seq = at_seq;
        copy.lease_until_us = copy.started_us = copy.ended_us = 0;
        copy.cancel_requested = false;
        copy.created_us = copy.updated_us = engine_now(engine);
        err = copy_journal(engine, &run, at_seq, &copy, error);
        engine->claim_wanted = true;
    }
    arena_free(arena);
    return err;
}
