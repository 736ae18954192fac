/* test_plan_run.c - what the engine does for plans: scopes of the caller, approvals, plans that are loaded, told, resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/plain.h"
#include "interpreter/sched/approval.h"
#include "interpreter/sched/engine.h"
#include "interpreter/sched/script.h"
#include "interpreter/net/llm_client.h"
#include "interpreter/sched/trace.h"
#include "tests/unit/llm_server.h"
#include "tests/unit/lower_run.h"
#include "tests/unit/vm_asm.h"

static const EnginePrincipal ANNA = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 }, .scopes = { "travel:read travel:write", 24 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };
enum { STRING = TYPE_INDEX_STRING, JSON = TYPE_INDEX_JSON, INT = TYPE_INDEX_INT, BOOL = TYPE_INDEX_BOOL, LIST_INT = TYPE_INDEX_FIXED_COUNT };
enum { E_LOAD, E_APPROVE, E_START, E_ASK };

/* ---- a module ------------------------------------------------------------------------------------------------------- */

static void add_flow(Asm *m, const char *name, uint16_t func)
{
    uint16_t f = IMAGE_ADD(m->image, flow);
    ImageFlow *flow = &m->image->flows[f];
    m->image->funcs[func].owner = f;
    *flow = (ImageFlow){ .name = str_of(name), .func = func, .param_count = 1, .result = STRING, .init_func = NO_INDEX, .one_per_func = NO_INDEX, .limit_func = NO_INDEX, .rate_func = NO_INDEX };
    flow->params = ARENA_NEW(m->image->arena, ImageField);
    flow->params[0] = (ImageField){ .name = STR("text"), .type = STRING };
}

static uint16_t begin(Asm *m, const char *name, FuncKind kind) { return asm_func(m, name, kind, STRING, 1, (uint16_t[]){ STRING }); }

static void text(Asm *m, uint16_t reg, const char *words)
{
    uint16_t c = asm_text(m, STRING, words);
    EMIT(m, LOADREF, reg, c, 0);
}

/* travel.book(city, pin: secret, guest: pii) at another service, irreversible. */
static void add_tool(Asm *m)
{
    uint16_t a = IMAGE_ADD(m->image, agent), t = IMAGE_ADD(m->image, tool);
    m->image->agents[a] = (ImageAgent){ .name = STR("travel"), .title = STR("Travel"), .location = AGENT_HTTP, .location_env = STR("TEST_TRAVEL_URL") };
    ImageTool *tool = &m->image->tools[t];
    *tool = (ImageTool){ .name = STR("book"), .agent = a, .func = NO_INDEX, .flags = TOOL_REMOTE | TOOL_IRREVERSIBLE, .compensated_by = NO_INDEX, .method = STR("POST"), .path = STR("/book"), .param_count = 3,
                         .result = STRING, .key_param = NO_INDEX };
    tool->params = ARENA_ARRAY(m->image->arena, ImageField, 3);
    tool->params[0] = (ImageField){ .name = STR("city"), .type = STRING };
    tool->params[1] = (ImageField){ .name = STR("pin"), .type = STRING, .labels = LABEL_SECRET };
    tool->params[2] = (ImageField){ .name = STR("guest"), .type = STRING, .labels = LABEL_PII };
}

/* approve(text): may travel.book be called with the arguments that the JSON text gives? "true" or "false" */
static void flow_approve(Asm *m)
{
    uint16_t f = begin(m, "approve", FUNC_FLOW);
    uint16_t tool = asm_reg(m, STRING), args = asm_reg(m, JSON), yes = asm_reg(m, BOOL), out = asm_reg(m, STRING);
    text(m, tool, "travel.book");
    EMIT(m, BUILTIN, args, BUILTIN_JSON_PARSE, 0);
    EMIT(m, EFFECT, yes, E_APPROVE, tool);
    EMIT(m, TO_STR, out, yes, 0);
    EMIT(m, RETURN, out, 0, 0);
    add_flow(m, "approve", f);
}

/* loads(text): reaches PLAN_LOAD through a function; starts(text): starts it; plain(text): neither. */
static void flows_that_reach(Asm *m)
{
    uint16_t inner = begin(m, "inner", FUNC_FN);
    uint16_t plan = asm_reg(m, JSON), allow = asm_reg(m, TYPE_INDEX_LIST_STRING), limits = asm_reg(m, LIST_INT), ask = asm_reg(m, BOOL), over = asm_reg(m, BOOL), func = asm_reg(m, INT), out = asm_reg(m, STRING);
    EMIT(m, LOADNULL, plan, 0, 0);
    EMIT(m, NEW_LIST, allow, 0, 0);
    EMIT(m, NEW_LIST, limits, 0, 0);
    EMIT32(m, LOADI, ask, 0);
    EMIT32(m, LOADI, over, 0);
    EMIT(m, EFFECT, func, E_LOAD, plan);
    EMIT(m, TO_STR, out, func, 0);
    EMIT(m, RETURN, out, 0, 0);
    uint16_t f = begin(m, "loads", FUNC_FLOW);
    uint16_t in = asm_reg(m, STRING), got = asm_reg(m, STRING), yes = asm_reg(m, BOOL);
    text(m, in, "First?");
    EMIT(m, EFFECT, yes, E_ASK, in);
    EMIT(m, MOVE_REF, in, 0, 0);
    EMIT(m, CALL, got, inner, in);
    EMIT(m, RETURN, got, 0, 0);
    add_flow(m, "loads", f);
    f = begin(m, "starts", FUNC_FLOW);
    in = asm_reg(m, STRING), got = asm_reg(m, STRING);
    EMIT(m, MOVE_REF, in, 0, 0);
    EMIT(m, EFFECT, got, E_START, in);
    EMIT(m, RETURN, got, 0, 0);
    add_flow(m, "starts", f);
    f = begin(m, "plain", FUNC_FLOW);
    EMIT(m, RETURN, 0, 0, 0);
    add_flow(m, "plain", f);
}

static Image *image_make(void)
{
    Asm *m = asm_new();
    asm_type(m, KIND_LIST, INT);
    add_tool(m);
    asm_effect(m, EFFECT_PLAN_LOAD, "load", NO_INDEX, INT, 5, (uint16_t[]){ JSON, TYPE_INDEX_LIST_STRING, LIST_INT, BOOL, BOOL });
    asm_effect(m, EFFECT_APPROVE, "approve", NO_INDEX, BOOL, 2, (uint16_t[]){ STRING, JSON });
    asm_effect(m, EFFECT_START_FLOW, "loads", 1, STRING, 1, (uint16_t[]){ STRING });
    asm_effect(m, EFFECT_ASK, "ask", NO_INDEX, BOOL, 1, (uint16_t[]){ STRING });
    flow_approve(m);
    flows_that_reach(m);
    return asm_done(m);
}

/* ---- a world ----------------------------------------------------------------------------------------------------------- */

typedef struct World { char path[64], url[96]; Image *image; Engine *engine; EngineScript *script; int64_t now_us; Arena *arena; } World;

static void open_world(World *w)
{
    EngineOptions options = { .store_url = w->url, .worker = "test", .virtual_time = true, .virtual_start_us = w->now_us, .auto_advance = true, .script = w->script };
    Error error = { 0 };
    if (engine_open(&options, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
}

static void reopen(World *w)
{
    w->now_us = engine_now(w->engine);
    engine_close(w->engine);
    open_world(w);
}

static int setup_with(void **state, Image *image)
{
    static int serial;
    World *w = mem_alloc(sizeof *w);
    *w = (World){ .image = image, .arena = arena_new(), .now_us = INT64_C(1762768800000000) };
    snprintf(w->path, sizeof w->path, "/tmp/flow_plan_run_%d_%d.db", (int)getpid(), ++serial);
    snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    open_world(w);
    *state = w;
    return 0;
}

static int setup(void **state) { return setup_with(state, image_make()); }

static int teardown(void **state)
{
    World *w = *state;
    engine_close(w->engine);
    script_free(w->script);
    image_free(w->image);
    arena_free(w->arena);
    store_drop(w->url, NULL);
    free(w);
    return 0;
}

static void work(World *w, const char *run_id)
{
    Error error = { 0 };
    if (engine_work(w->engine, TENANT, str_of(run_id), &error) || engine_work(w->engine, TENANT, NOBODY, &error)) fail_msg("%s", error.text);
}

static void start(World *w, const char *flow, const char *input, char run_id[64])
{
    Error error = { 0 };
    run_id[0] = '\0';
    if (engine_start(w->engine, w->image, str_of(flow), str_of(input), &ANNA, run_id, &error)) fail_msg("%s", error.text);
    work(w, run_id);
}

static RunRow find(World *w, const char *run_id)
{
    RunRow row = { 0 };
    Error error = { 0 };
    if (engine_find_run(w->engine, TENANT, str_of(run_id), w->arena, &row, &error)) fail_msg("%s", error.text);
    return row;
}

static void assert_text(Str found, const char *wanted)
{
    if (!str_is(found, wanted)) fail_msg("expected `%s`, found `%.*s`", wanted, STR_ARG(found));
}

static void assert_has(Str text_found, const char *part)
{
    if (!memmem(text_found.ptr, text_found.len, part, strlen(part))) fail_msg("no `%s` in `%.*s`", part, STR_ARG(text_found));
}

static const Json *wait_of(World *w, const char *run_id, size_t n)
{
    RunRow row = find(w, run_id);
    const Json *waits = engine_waits(&row, w->arena);
    assert_true(waits && waits->count > n);
    return waits->items[n];
}

/* ---- scopes of the caller -------------------------------------------------------------------------------------------------- */

static void only_runs_that_may_load_a_plan_keep_scopes(void **state)
{
    World *w = *state;
    char loads[64], starts[64], plain[64], child[64];
    start(w, "plain", "{\"text\":\"x\"}", plain);
    start(w, "loads", "{\"text\":\"x\"}", loads);
    start(w, "starts", "{\"text\":\"x\"}", starts);
    assert_text(find(w, plain).scopes, "");
    assert_text(find(w, loads).scopes, "travel:read travel:write");
    assert_text(find(w, starts).scopes, "travel:read travel:write");
    Str result = find(w, starts).result_json;            /* the id of the run that it started, which inherits */
    snprintf(child, sizeof child, "%.*s", (int)result.len - 2, result.ptr + 1);
    assert_text(find(w, child).scopes, "travel:read travel:write");
    Error error;
    char forked[64];
    assert_int_equal(engine_fork(w->engine, TENANT, str_of(loads), 1, forked, &error), ERR_OK);
    assert_text(find(w, forked).scopes, "travel:read travel:write");
}

/* ---- approvals ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENTS "{\\\"pin\\\":\\\"0000\\\",\\\"city\\\":\\\"Berlin\\\",\\\"guest\\\":\\\"Anna\\\"}"
#define INPUT "{\"text\":\"" ARGUMENTS "\"}"

static Err answer(World *w, const char *run_id, const char *value, uint64_t request, Str hash, Error *error)
{
    return engine_answer_to(w->engine, TENANT, str_of(run_id), &(EngineAnswer){ .value_json = str_of(value), .request = request, .hash = hash }, error);
}

static void an_approval_shows_what_it_is_for(void **state)
{
    World *w = *state;
    char run_id[64], hash[SHA256_HEX + 1];
    start(w, "approve", INPUT, run_id);
    const Json *wait = wait_of(w, run_id, 0);
    Json *arguments;
    assert_text(json_get_text(wait, "kind"), "approve");
    assert_text(json_get_text(wait, "text"), "Allow travel.book?");
    assert_text(json_get_text(wait, "tool"), "travel.book");
    assert_text(json_get_text(json_get(wait, "arguments"), "city"), "Berlin");
    assert_text(json_get_text(json_get(wait, "arguments"), "guest"), "Anna");         /* whoever allows it must see it */
    assert_text(json_get_text(json_get(wait, "arguments"), "pin"), "***");            /* a secret nobody sees */
    assert_int_equal(json_parse(w->arena, STR("{\"city\":\"Berlin\",\"guest\":\"Anna\",\"pin\":\"0000\"}"), 1000, &arguments, NULL), ERR_OK);
    approval_hash(STR("travel.book"), arguments, hash);
    assert_text(json_get_text(wait, "hash"), hash);
    Error error = { 0 };
    assert_int_equal(answer(w, run_id, "true", 0, str_of(hash), &error), ERR_OK);
    work(w, run_id);
    assert_text(find(w, run_id).result_json, "\"true\"");
}

static void the_hash_is_of_the_canonical_form(void **state)
{
    World *w = *state;
    char one[SHA256_HEX + 1], other[SHA256_HEX + 1];
    Json *a, *b;
    assert_int_equal(json_parse(w->arena, STR("{\"b\":[1,{\"d\":1.50,\"c\":null}],\"a\":\"\\u00e9\"}"), 1000, &a, NULL), ERR_OK);
    assert_int_equal(json_parse(w->arena, STR(" { \"a\" : \"é\", \"b\" : [ 1, { \"c\" : null, \"d\" : 1.50 } ] } "), 1000, &b, NULL), ERR_OK);
    approval_hash(STR("x.y"), a, one), approval_hash(STR("x.y"), b, other);
    assert_string_equal(one, other);
    Sha256 digest = sha256(STR("{\"arguments\":{\"a\":\"é\",\"b\":[1,{\"c\":null,\"d\":1.50}]},\"tool\":\"x.y\"}"));
    hex_encode(digest.bytes, SHA256_BYTES, other);
    assert_string_equal(one, other);
    approval_hash(STR("x.z"), a, other);
    assert_string_not_equal(one, other);
}

static void nothing_but_the_hash_allows_it(void **state)
{
    World *w = *state;
    char run_id[64], other[64];
    Error error = { 0 };
    start(w, "approve", INPUT, run_id);
    start(w, "approve", "{\"text\":\"{\\\"city\\\":\\\"Paris\\\"}\"}", other);
    Str hash = json_get_text(wait_of(w, run_id, 0), "hash"), foreign = json_get_text(wait_of(w, other, 0), "hash");
    static const char *const words[] = { "true", "\"yes\"", "\"Allow travel.book? yes, approved\"", "{\"value\":true}" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_int_equal(engine_answer(w->engine, TENANT, str_of(run_id), str_of(words[i]), &error), ERR_CONFLICT);
        assert_has(str_of(error.text), "read the arguments");
        assert_int_equal(answer(w, run_id, words[i], 0, foreign, &error), ERR_CONFLICT);
        assert_has(str_of(error.text), "not the hash");
    }
    assert_int_equal(answer(w, run_id, "true", 99, hash, &error), ERR_CONFLICT);       /* another question */
    assert_int_equal(answer(w, run_id, "\"maybe\"", 0, hash, &error), ERR_INVALID);
    work(w, run_id);
    assert_int_equal(find(w, run_id).status, RUN_PARKED);
    assert_int_equal(answer(w, run_id, "false", 0, hash, &error), ERR_OK);
    assert_int_equal(answer(w, run_id, "true", 0, hash, &error), ERR_CONFLICT);        /* said is said */
    work(w, run_id);
    assert_text(find(w, run_id).result_json, "\"false\"");
}

/* Whoever can write mail, but not this one: the run looks at the hash again when it takes the answer. */
static void a_forged_answer_is_not_taken(void **state)
{
    World *w = *state;
    char run_id[64];
    Error error = { 0 };
    start(w, "approve", INPUT, run_id);
    const Json *wait = wait_of(w, run_id, 0);
    uint64_t request = (uint64_t)json_get(wait, "request")->integer;
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, str_of(run_id), 0);
    store_put_mail(batch, &(MailRow){ .tenant = TENANT, .run_id = str_of(run_id), .mail_id = STR("answer-x"), .kind = MAIL_ANSWER, .request = request, .payload = STR("true") });
    assert_int_equal(store_run_batch(batch, &error), ERR_OK);
    store_batch_free(batch);
    work(w, run_id);
    assert_int_equal(find(w, run_id).status, RUN_PARKED);
    assert_int_equal(answer(w, run_id, "true", request, json_get_text(wait, "hash"), &error), ERR_OK);
    reopen(w);
    work(w, run_id);
    assert_text(find(w, run_id).result_json, "\"true\"");
}


static void what_was_allowed_stands_in_the_journal(void **state)
{
    World *w = *state;
    char run_id[64];
    Error error = { 0 };
    start(w, "approve", INPUT, run_id);
    Str hash = json_get_text(wait_of(w, run_id, 0), "hash");
    assert_int_equal(answer(w, run_id, "true", 0, hash, &error), ERR_OK);
    work(w, run_id);
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, str_of(run_id), 0);
    int index = store_get_journal(batch, str_of(run_id), 0, 100);
    assert_int_equal(store_run_batch(batch, &error), ERR_OK);
    uint32_t count, found = 0;
    const JournalRow *rows = store_journal(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].effect != EFFECT_APPROVE) continue;
        found++;
        assert_has(rows[i].args_json, "[\"Allow travel.book?\",{");
        assert_has(rows[i].args_json, "\"city\":\"Berlin\"");
        assert_has(rows[i].args_json, "\"pin\":\"***\"");
        assert_has(rows[i].args_json, "\"guest\":\"***\"");
        assert_has(rows[i].args_json, arena_printf(w->arena, "%.*s", STR_ARG(hash)));
    }
    assert_int_equal(found, 1);
    store_batch_free(batch);
}

static void arguments_that_nobody_could_read_are_refused(void **state)
{
    World *w = *state;
    char run_id[64];
    Buf input = { 0 };
    buf_put_text(&input, "{\"text\":\"{\\\"city\\\":\\\"");
    for (int i = 0; i < APPROVAL_BYTES_MAX; i++) buf_put_char(&input, 'x');
    buf_put_text(&input, "\\\"}\"}");
    start(w, "approve", buf_cstr(&input), run_id);
    buf_free(&input);
    RunRow row = find(w, run_id);
    assert_int_equal(row.status, RUN_FAILED);
    assert_has(row.result_json, "\"kind\":\"rejected\"");
    assert_has(row.result_json, "\"code\":\"APPROVAL_BYTES_MAX\"");
}

static void what_a_terminal_shows_cannot_deceive(void **state)
{
    World *w = *state;
    Json *arguments;
    Buf shown = { 0 };
    assert_int_equal(json_parse(w->arena, STR("{\"city\":\"a\\u001b[2J\\u202egnp.exe\\u200b\",\"t\\ue000\":\"\\u0085é日\",\"n\":{\"x\":[1,2]},\"h\":\"\\udb40\\udc41\"}"), 1000, &arguments, NULL), ERR_OK);
    approval_put_shown(arguments, &shown);
    assert_text(buf_str(&shown), "  \"city\": \"a\\u001b[2J\\u202egnp.exe\\u200b\"\n  \"t\xee\x80\x80\": \"\\u0085é日\"\n  \"n\": {\"x\":[1,2]}\n  \"h\": \"\\udb40\\udc41\"\n");
    buf_clear(&shown);
    plain_put(&shown, STR("a\x1b[2J\tb\n\x07 \xe2\x80\xae é \xc3"));        /* what a tool said, in a trace */
    assert_text(buf_str(&shown), "a\\u001b[2J\tb\n\\u0007 \\u202e é \\ufffd");
    buf_free(&shown);
}

/* ---- plans ------------------------------------------------------------------------------------------------------------------------ */

static const char PROGRAM[] =
    "scope \"travel:read\" on trips read \"look\"\n"
    "scope \"travel:write\" on trips write \"book\"\n"
    "table trips of travel {\n id: id \"TRP\"\n city: string\n seq: int\n on erase delete\n export as \"trips\"\n}\n"
    "agent travel \"Travel Agent\" {\n"
    "    tool look(city: string) -> { city: string, days: int } requires \"travel:read\" reads { return { city, days: city.length() } }\n"
    "    tool book(city: string, guest: pii string = \"nobody\") -> { city: string, seq: int } requires \"travel:write\" compensated by cancel idempotent {\n"
    "        transaction { let seq = count(trips)\n insert trips { city, seq }\n return { city, seq } }\n"
    "    }\n"
    "    tool cancel(city: string) idempotent { transaction { insert trips { city: \"-${city}\", seq: count(trips) } } }\n"
    "    tool pay(city: string) -> { paid: string } irreversible { transaction { insert trips { city: \"paid ${city}\", seq: count(trips) }\n return { paid: city } } }\n"
    "}\n"
    "flow act(text: string) -> string { let o = run plan json_parse(text) allow [travel.*] within 1d calls 20 ask\n return \"${o.steps.length()} ${trail()}\" }\n"
    "flow narrow(text: string) -> string { let o = run plan json_parse(text) allow [travel.look] within 1d calls 20\n return \"${o.steps.length()}\" }\n"
    "flow often(text: string, times: int) -> string {\n"
    "    for i in range(0, times) { run plan json_parse(text) allow [travel.*] within 1d calls 20 ask }\n"
    "    return trail()\n"
    "}\n"
    "flow trail() -> string { let all = from t in trips order by t.seq select t.city\n return all.join(\" \") }\n";

#define STEP(action, city) "{\\\"agent\\\":\\\"travel\\\",\\\"action\\\":\\\"" action "\\\",\\\"params\\\":{\\\"city\\\":\\\"" city "\\\"}}"
#define PLAN(steps) "{\"text\":\"{\\\"strategy\\\":\\\"SEQUENTIAL\\\",\\\"flow\\\":[" steps "]}\"}"

static int setup_text(void **state, const char *text)
{
    Image *image = compile_text(text);
    Buf bytes = { 0 };
    image_encode(image, &bytes);                         /* for its hash */
    buf_free(&bytes);
    return setup_with(state, image);
}

static int setup_program(void **state) { return setup_text(state, PROGRAM); }

static void start_as(World *w, const char *flow, const char *input, const char *scopes, char run_id[64])
{
    EnginePrincipal who = ANNA;
    Error error = { 0 };
    who.scopes = str_of(scopes);
    run_id[0] = '\0';
    if (engine_start(w->engine, w->image, str_of(flow), str_of(input), &who, run_id, &error)) fail_msg("%s", error.text);
    work(w, run_id);
}

static void completes(World *w, const char *run_id, const char *result)
{
    RunRow row = find(w, run_id);
    if (row.status != RUN_COMPLETED) fail_msg("it is %s: %.*s %.*s", run_status_name(row.status), STR_ARG(row.result_json), STR_ARG(row.waits_json));
    assert_text(row.result_json, result);
}

static void fails_with(World *w, const char *run_id, const char *kind, const char *code)
{
    RunRow row = find(w, run_id);
    assert_int_equal(row.status, RUN_FAILED);
    assert_has(row.result_json, arena_printf(w->arena, "\"kind\":\"%s\"", kind));
    assert_has(row.result_json, arena_printf(w->arena, "\"code\":\"%s\"", code));
}

static void allow(World *w, const char *run_id)
{
    Error error = { 0 };
    if (answer(w, run_id, "true", 0, json_get_text(wait_of(w, run_id, 0), "hash"), &error)) fail_msg("%s", error.text);
}

/* The journal, until the batch is freed. */
static StoreBatch *journal_of(World *w, const char *run_id, const JournalRow **rows, uint32_t *count)
{
    Error error = { 0 };
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, str_of(run_id), 0);
    int index = store_get_journal(batch, str_of(run_id), 0, UINT32_MAX);
    assert_int_equal(store_run_batch(batch, &error), ERR_OK);
    *rows = store_journal(batch, index, count);
    return batch;
}

static void a_plan_may_what_its_caller_may(void **state)
{
    World *w = *state;
    char run_id[64];
    start_as(w, "act", PLAN(STEP("book", "Rome")), ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"1 Rome\"");
    start_as(w, "act", PLAN(STEP("book", "Oslo")), "travel:read  travel:write", run_id);
    completes(w, run_id, "\"1 Rome Oslo\"");
    static const char *const less[] = { "", "travel:read", "travel:writer", "admin", "travel:read admin:some" };
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        start_as(w, "act", PLAN(STEP("look", "Rome") "," STEP("book", "Rome")), less[i], run_id);
        fails_with(w, run_id, "denied", "E0726");
    }
    start_as(w, "narrow", PLAN(STEP("book", "Rome")), ENGINE_SCOPES_ALL, run_id);          /* what the program does not allow nobody may */
    fails_with(w, run_id, "denied", "E0725");
    start_as(w, "trail", "{}", "", run_id);
    completes(w, run_id, "\"Rome Oslo\"");
}

static void a_refused_plan_says_what_is_wrong_with_it(void **state)
{
    World *w = *state;
    char run_id[64];
    start_as(w, "act", PLAN(STEP("fly", "Rome")), ENGINE_SCOPES_ALL, run_id);
    fails_with(w, run_id, "invalid", "E0724");
    Json *error, *report;
    assert_int_equal(json_parse(w->arena, find(w, run_id).result_json, 1 << 20, &error, NULL), ERR_OK);
    assert_int_equal(json_parse(w->arena, json_get_text(error, "message"), 1 << 20, &report, NULL), ERR_OK);
    assert_text(json_get_text(json_get(report, "diagnostics")->items[0], "pointer"), "/flow/0/action");
}

static void the_journal_tells_plan_and_grant(void **state)
{
    World *w = *state;
    char run_id[64];
    start_as(w, "act", PLAN(STEP("look", "Rome") ",{\\\"agent\\\":\\\"travel\\\",\\\"action\\\":\\\"book\\\",\\\"params\\\":{\\\"city\\\":\\\"Rome\\\",\\\"guest\\\":\\\"Ann Example\\\"}}"), "travel:read travel:write", run_id);
    completes(w, run_id, "\"2 Rome\"");
    const JournalRow *rows;
    uint32_t count, found = 0;
    StoreBatch *batch = journal_of(w, run_id, &rows, &count);
    for (uint32_t i = 0; i < count; i++) {
        Str audit;
        assert_null(memmem(rows[i].args_json.ptr, rows[i].args_json.len, "Ann Example", 11));
        if (!engine_plan_of(&rows[i], &audit)) continue;
        found++;
        Json *json;
        assert_int_equal(json_parse(w->arena, audit, 1 << 20, &json, NULL), ERR_OK);
        assert_has(audit, "{\"plan\":{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"travel\",\"action\":\"look\",\"params\":{\"city\":\"Rome\"}}");
        assert_has(audit, "\"guest\":\"***\"");
        assert_has(audit, "\"allow\":[\"travel.*\"]");
        assert_has(audit, "\"ask\":true");
        assert_has(audit, "\"scopes\":[\"travel:read\",\"travel:write\"]");
        assert_has(rows[i].args_json, "\"allow\"");
        assert_has(rows[i].detail_json, "\"extension\"");
    }
    store_batch_free(batch);
    assert_int_equal(found, 1);
    Buf drawn = { 0 };
    Error error = { 0 };
    assert_int_equal(trace_render(w->engine, TENANT, &(Str){ run_id, strlen(run_id) }, 1, TRACE_MERMAID, &drawn, &error), ERR_OK);
    assert_has(buf_str(&drawn), "plan of 2 steps");
    assert_has(buf_str(&drawn), "tools/call look");
    assert_has(buf_str(&drawn), "tools/call book");
    buf_free(&drawn);
}

/* As another worker would find it: with the snapshot of the park, and without. */
static void another_worker_goes_on_with_a_plan(void **state)
{
    World *w = *state;
    char run_id[64], copy[64];
    Error error = { 0 };
    start_as(w, "act", PLAN(STEP("book", "Rome") "," STEP("pay", "Rome") "," STEP("book", "Oslo")), ENGINE_SCOPES_ALL, run_id);
    RunRow row = find(w, run_id);
    assert_int_equal(row.status, RUN_PARKED);
    assert_true(row.snapshot_seq > 0);
    reopen(w);
    assert_int_equal(engine_fork(w->engine, TENANT, str_of(run_id), row.last_seq, copy, &error), ERR_OK);
    allow(w, run_id);
    reopen(w);
    work(w, run_id);
    completes(w, run_id, "\"3 Rome paid Rome Oslo\"");
    work(w, copy);                                       /* from its journal alone */
    assert_int_equal(find(w, copy).status, RUN_PARKED);
    allow(w, copy);
    work(w, copy);
    completes(w, copy, "\"3 Rome paid Rome Oslo paid Rome Oslo\"");
}

static void every_fork_of_a_plan_comes_to_its_end(void **state)
{
    World *w = *state;
    char run_id[64], copy[64];
    Error error = { 0 };
    start_as(w, "act", PLAN(STEP("look", "Rome") "," STEP("look", "Oslo")), ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"2 \"");
    uint64_t last = find(w, run_id).last_seq;
    for (uint64_t seq = 1; seq < last; seq++) {
        assert_int_equal(engine_fork(w->engine, TENANT, str_of(run_id), seq, copy, &error), ERR_OK);
        work(w, copy);
        completes(w, copy, "\"2 \"");
    }
}

typedef enum { AS_IT_WAS, CODE_CHANGED, SEAL_CHANGED, CUT, EMPTY, CHANGES } Change;

static Str changed(World *w, Str payload, Change change)
{
    char *bytes = arena_alloc(w->arena, payload.len + 1);
    memcpy(bytes, payload.ptr, payload.len);
    if (change == CODE_CHANGED) bytes[payload.len / 3] ^= 1;
    if (change == SEAL_CHANGED) bytes[5] ^= 1;
    return (Str){ bytes, change == EMPTY ? 0 : change == CUT ? payload.len - 1 : payload.len };
}

/* A hand in the store: the rows of one run under the name of another, or with a row that is not as it was. */
static void a_changed_row_is_refused(void **state)
{
    World *w = *state;
    char run_id[64];
    Error error = { 0 };
    start_as(w, "act", PLAN(STEP("book", "Rome") "," STEP("pay", "Rome")), ENGINE_SCOPES_ALL, run_id);
    const RunRow from = find(w, run_id);
    for (Change change = AS_IT_WAS; change < CHANGES; change++) {
        const JournalRow *rows;
        uint32_t count;
        RunRow to = from;
        to.run_id = str_of(arena_printf(w->arena, "run-forged-%d", change));
        to.status = RUN_READY, to.waits_json = (Str){ "", 0 }, to.epoch = to.snapshot_seq = 0, to.worker = (Str){ "", 0 }, to.lease_until_us = 0;
        StoreBatch *read = journal_of(w, run_id, &rows, &count), *batch = store_batch(engine_store(w->engine), TENANT, to.run_id, 0);
        store_put_run(batch, &to);
        for (uint32_t i = 0; i < count; i++) {
            JournalRow row = rows[i];
            if (row.effect == EFFECT_PLAN_LOAD) row.payload = changed(w, row.payload, change);
            store_append_journal(batch, &row);
        }
        if (store_run_batch(batch, &error)) fail_msg("%s", error.text);
        store_batch_free(batch);
        store_batch_free(read);
        work(w, to.run_id.ptr);
        RunRow row = find(w, to.run_id.ptr);
        assert_int_equal(row.status, RUN_FAILED);
        assert_has(row.result_json, "holds a plan that is not this run's");
    }
    allow(w, run_id);
    work(w, run_id);
    completes(w, run_id, "\"2 Rome paid Rome\"");
}

static void plans_follow_plans_up_to_a_number(void **state)
{
    World *w = *state;
    char run_id[64];
    char input[600];
    snprintf(input, sizeof input, "%.*s,\"times\":%d}", (int)(sizeof PLAN(STEP("book", "Rome")) - 2), PLAN(STEP("book", "Rome")), 3);
    start_as(w, "often", input, ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"Rome Rome Rome\"");
    snprintf(input, sizeof input, "%.*s,\"times\":%d}", (int)(sizeof PLAN(STEP("look", "Rome")) - 2), PLAN(STEP("look", "Rome")), VM_PLANS_MAX);
    start_as(w, "often", input, ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"Rome Rome Rome\"");
    snprintf(input, sizeof input, "%.*s,\"times\":%d}", (int)(sizeof PLAN(STEP("look", "Rome")) - 2), PLAN(STEP("look", "Rome")), VM_PLANS_MAX + 1);
    start_as(w, "often", input, ENGINE_SCOPES_ALL, run_id);
    fails_with(w, run_id, "rejected", "VM_PLANS_MAX");
}

/* ---- tokens that a model really took ------------------------------------------------------------------------------------------------ */

static const char THINKER[] =
    "agent desk \"Desk\" {\n"
    "    tool think(text: string) -> { text: string } idempotent costs tokens 10 { return { text: llm.complete(\"Say ${text}\") } }\n"
    "}\n"
    "flow think(text: string) -> string {\n"
    "    try {\n"
    "        let o = run plan json_parse(text) allow [desk.*] within 1h calls 10 tokens 500\n"
    "        return \"${o.steps.length()}\"\n"
    "    } catch as e { return \"${e.kind} ${e.code}\" }\n"
    "}\n";
#define THINK "{\\\"agent\\\":\\\"desk\\\",\\\"action\\\":\\\"think\\\",\\\"params\\\":{\\\"text\\\":\\\"x\\\"}}"
#define THOUGHT "{\"model\":\"m\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"Hm\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":100}}"

/* A model in a process of its own: the engine has a loop to itself. */
static pid_t model_start(char *url, size_t size)
{
    struct event_base *loop = event_base_new();
    LlmServer *server = llm_server_new(loop);
    llm_server_say(server, (LlmServerLine){ .body = THOUGHT });
    snprintf(url, size, "%s", server->url);
    pid_t pid = fork();
    if (pid == 0) {
        event_reinit(loop);
        alarm(60);
        event_base_dispatch(loop);
        _exit(0);
    }
    llm_server_free(server);
    event_base_free(loop);
    return pid;
}

/* Twice 400 of 500: the third call is not begun. A run that is taken on from its journal comes to the same end. */
static void tokens_that_a_model_took_are_the_plans(void **state)
{
    World *w = *state;
    char url[64], run_id[64], copy[64];
    Error error = { 0 };
    pid_t model = model_start(url, sizeof url);
    LlmSettings llm = { .provider_count = 1, .no_rules = true };
    llm.providers[0] = (LlmProvider){ .name = STR("main"), .url = str_of(url), .model = STR("m"), .timeout_us = 20000000 };
    engine_close(w->engine);
    if (engine_open(&(EngineOptions){ .store_url = w->url, .worker = "test", .llm = &llm }, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
    start_as(w, "think", PLAN(THINK), ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"1\"");
    start_as(w, "think", PLAN(THINK "," THINK "," THINK), ENGINE_SCOPES_ALL, run_id);
    completes(w, run_id, "\"rejected PLAN_TOKENS_MAX\"");
    kill(model, SIGKILL);
    waitpid(model, NULL, 0);
    const JournalRow *rows;
    uint32_t count, reports = 0;
    uint64_t second = 0;
    StoreBatch *batch = journal_of(w, run_id, &rows, &count);
    for (uint32_t i = 0; i < count; i++) {
        reports += rows[i].entry == JOURNAL_MODEL;
        if (rows[i].entry == JOURNAL_RESULT && rows[i].effect == EFFECT_LLM_COMPLETE) second = rows[i].seq;
    }
    store_batch_free(batch);
    assert_int_equal(reports, 2);
    assert_int_equal(engine_fork(w->engine, TENANT, str_of(run_id), second, copy, &error), ERR_OK);
    work(w, copy);                                       /* nobody is there to be asked, and nobody is */
    completes(w, copy, "\"rejected PLAN_TOKENS_MAX\"");
}

static int setup_thinker(void **state) { return setup_text(state, THINKER); }

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(only_runs_that_may_load_a_plan_keep_scopes), T(an_approval_shows_what_it_is_for), T(the_hash_is_of_the_canonical_form), T(nothing_but_the_hash_allows_it), T(a_forged_answer_is_not_taken),
        T(what_was_allowed_stands_in_the_journal), T(arguments_that_nobody_could_read_are_refused), T(what_a_terminal_shows_cannot_deceive),
#define P(name) cmocka_unit_test_setup_teardown(name, setup_program, teardown)
        P(a_plan_may_what_its_caller_may), P(a_refused_plan_says_what_is_wrong_with_it), P(the_journal_tells_plan_and_grant), P(another_worker_goes_on_with_a_plan), P(every_fork_of_a_plan_comes_to_its_end),
        P(a_changed_row_is_refused), P(plans_follow_plans_up_to_a_number),
        cmocka_unit_test_setup_teardown(tokens_that_a_model_took_are_the_plans, setup_thinker, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
