/* test_plan_compile.c - plans compiled against an image and run on the machine, the outside answered from a list. */
#include "compiler/plan/plan.h"
#include "tests/unit/lower_run.h"

/* ---- the program that the plans are for ---- */

static const char *const PROGRAM =
    "enum Category { TRAVEL, HOME }\n"
    "type Budget { available: decimal, currency: string = \"EUR\", note: string? }\n"
    "agent finance \"Finance\" {\n"
    "    tool check_budget(category: Category = TRAVEL) -> Budget requires \"budget:read\" reads { return Budget(available: 350, currency: \"EUR\", note: null) }\n"
    "}\n"
    "agent travel \"Travel\" at http(env.TRAVEL_URL) {\n"
    "    tool book_hotel(city: string, nights: int = 1, limit: decimal?) -> { booking_id: string, cost: decimal } requires \"travel:write\" compensated by cancel_hotel via POST \"/hotels\"\n"
    "    tool cancel_hotel(booking_id: string) idempotent via DELETE \"/hotels/{booking_id}\"\n"
    "    tool find_flights(from: string, day: date) -> list<string> reads via GET \"/flights\"\n"
    "    tool pay(amount: decimal, to: trusted string) -> string irreversible via POST \"/pay\"\n"
    "    tool sign_in(user: string) -> { name: string, token: secret string } reads via POST \"/sign-in\"\n"
    "    tool greet(guest: pii string, pin: secret int?, born: pii date?, friend: { name: pii string, city: string }?,"
    "               home: pii { street: string }?, kind: pii Category?, notes: pii map<int>?) idempotent via POST \"/greet\"\n"
    "    tool tag(tags: list<string>, place: { city: string, zip: int?, day: date? }, extra: json, weights: map<float>?) idempotent via POST \"/tags\"\n"
    "}\n"
    "agent calendar \"Calendar\" at http(env.CALENDAR_URL) {\n"
    "    tool create_appointment(title: string, at: timestamp?) -> { appointment_id: string } compensated by delete_appointment via POST \"/appointments\"\n"
    "    tool delete_appointment(appointment_id: string) idempotent via DELETE \"/appointments/{appointment_id}\"\n"
    "}\n"
    "flow main(p: json) -> json {\n"
    "    let outcome = run plan p allow [finance.*, travel.*, calendar.*]\n"
    "    return outcome\n"
    "}\n";

static Image *base;
static PlanCompiler *compiler;
static const Str ALL[] = { { "finance.*", 9 }, { "travel.*", 8 }, { "calendar.*", 10 } };
static PlanGrant all_granted(void) { return (PlanGrant){ .tools = ALL, .tool_count = 3, .any_scope = true, .may_ask = true }; }

static int setup(void **state)
{
    Buf bytes = { 0 };
    base = compile_text(PROGRAM);
    image_encode(base, &bytes);
    buf_free(&bytes);
    compiler = plan_compiler_new(base);
    return 0;
}

static int teardown(void **state)
{
    plan_compiler_free(compiler);
    image_free(base);
    return 0;
}

/* ---- running ---- */

static void show(const PlanResult *result)
{
    for (uint32_t i = 0; i < result->diag_count; i++)
        print_message("%s %.*s@%d %.*s\n", result->diags[i].code, STR_ARG(result->diags[i].pointer), result->diags[i].offset, STR_ARG(result->diags[i].message));
}

/* PLAN_LOAD: what the engine does with the plan. */
static void load_plan(Outside *o, Waiting one, Str text, const PlanGrant *grant)
{
    Arena *arena = arena_new();
    PlanResult result;
    plan_compile(compiler, text, grant, arena, &result);
    show(&result);
    assert_true(result.ok);
    assert_true(result.func != NO_INDEX);
    Buf bytes = { 0 };
    Error error = { 0 };
    Image *loaded = NULL;
    image_encode_extension(result.image, &bytes);
    assert_int_equal(image_decode_extension(base, buf_str(&bytes), &loaded, &error), ERR_OK);
    assert_true(vm_extend(o->run, loaded));
    vm_resume(o->run, one.id, (Value){ .i = result.func });
    image_free(o->image);
    o->image = loaded;
    image_free(result.image);
    buf_free(&bytes);
    arena_free(arena);
}

static char *run_with(const char *plan, const PlanGrant *grant, const Answer *answers)
{
    static const VmInfo info = { .run_id = { "run", 3 }, .tenant = { "family", 6 }, .user = { "anna", 4 }, .flow = { "main", 4 }, .correlation = { "c", 1 }, .user_name = { "Anna", 4 }, .causation = { "e-1", 3 } };
    Outside o = { .image = image_retain(base), .answers = answers, .now_us = START_US };
    Value params[1] = { { 0 } };              /* json null: the plan itself is given to the compiler */
    o.run = vm_new(base, func_named(base, "main"), params, &info, NULL);
    for (uint16_t i = 0; i < base->tool_count; i++)
        if (base->tools[i].func != NO_INDEX) vm_intercept_tool(o.run, i);
    VmStatus status;
    while ((status = vm_run(o.run)) == VM_BLOCKED || status == VM_SLICE_ENDED) {
        take_requests(&o);
        if (status == VM_SLICE_ENDED) continue;
        if (o.count && o.waiting[0].effect->kind == EFFECT_PLAN_LOAD) {
            Waiting one = o.waiting[0];
            memmove(o.waiting, o.waiting + 1, --o.count * sizeof *o.waiting);
            buf_clear(&o.log);
            load_plan(&o, one, str_of(plan), grant);
        } else answer_one(&o);
    }
    take_requests(&o);
    log_end(&o, status);
    vm_free(o.run);
    image_free(o.image);
    buf_put_char(&o.log, '\0');
    return o.log.ptr;
}

/* Plans and answers are written with ' for ". */
static char *quoted(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    return copy;
}

static char *seq(const char *steps)
{
    Buf text = { 0 };
    char *plain = quoted(steps);
    buf_printf(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[%s]}", plain);
    free(plain);
    buf_put_char(&text, '\0');
    return text.ptr;
}

/* All that was asked, and how it ended: the outcome as a whole, or (calls) only that there was one. */
static void assert_log(char *plan, const Answer *answers, const char *expected, bool calls)
{
    PlanGrant grant = all_granted();
    char *found = run_with(plan, &grant, answers), *wanted = quoted(expected);
    char *outcome = strstr(found, "; = {");
    if (calls && outcome) *outcome = '\0';
    if (strcmp(found, wanted)) print_message("%s\n", plan);
    assert_string_equal(found, wanted);
    free(wanted);
    free(found);
    free(plan);
}
static void assert_run(const char *plan, const Answer *answers, const char *expected) { assert_log(quoted(plan), answers, expected, false); }
static void assert_calls(const char *steps, const Answer *answers, const char *expected) { assert_log(seq(steps), answers, expected, true); }

/* What is refused: "E0728 /flow/0/params/city" and so on, in order. */
static void assert_refused_by(const char *steps, const PlanGrant *grant, const char *expected)
{
    char *plan = *steps == '{' && strstr(steps, "'strategy'") == steps + 1 ? quoted(steps) : seq(steps);
    Arena *arena = arena_new();
    PlanResult result;
    Buf found = { 0 };
    plan_compile(compiler, str_of(plan), grant, arena, &result);
    for (uint32_t i = 0; i < result.diag_count; i++)
        buf_printf(&found, "%s%s %.*s", i ? "; " : "", result.diags[i].code, STR_ARG(result.diags[i].pointer));
    if (strcmp(buf_cstr(&found), expected)) show(&result);
    assert_string_equal(buf_cstr(&found), expected);
    assert_false(result.ok);
    assert_null(result.image);
    buf_free(&found);
    arena_free(arena);
    free(plan);
}
static void assert_refused(const char *steps, const char *expected)
{
    PlanGrant grant = all_granted();
    assert_refused_by(steps, &grant, expected);
}

#define BUDGET { "finance.check_budget", "{\"available\":350}" }
#define HOTEL { "travel.book_hotel", "{\"booking_id\":\"HTL-999\",\"cost\":250}" }
#define APPOINTMENT { "calendar.create_appointment", "{\"appointment_id\":\"APT-888\"}" }
#define BUSY { "calendar.create_appointment", "!rejected 409 busy" }
#define CANCELLED { "travel.cancel_hotel", "null" }
#define ANSWERS(...) (Answer[]){ __VA_ARGS__, { 0 } }

/* ---- the documented plan ---- */

#define DOCUMENTED(hotel, appointment) "{\n  'strategy': 'CONDITIONAL',\n  'flow': [\n    {'agent': 'finance', 'action': 'check_budget'},\n    {\n      'condition': 'budget_available >= 200',\n" \
    "      'then': [\n        {'agent': 'travel', 'action': 'book_hotel'" hotel "},\n        {'agent': 'calendar', 'action': 'create_appointment'" appointment "}\n      ],\n" \
    "      'else': [\n        {'action': 'notify_user', 'message': 'Insufficient budget'}\n      ]\n    }\n  ]\n}"

static void test_documented_plan_says_what_it_leaves_open(void **state)
{
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult result;
    char *plan = quoted(DOCUMENTED("", ""));
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    show(&result);
    assert_true(result.ok);
    assert_int_equal(result.func, NO_INDEX);
    assert_int_equal(result.open_count, 2);
    assert_true(str_is(result.open[0].pointer, "/flow/1/then/0/params/city") && str_is(result.open[0].name, "city") && str_is(result.open[0].tool, "travel.book_hotel"));
    assert_true(str_is(result.open[1].pointer, "/flow/1/then/1/params/title"));
    const ImageType *open = &result.image->types[result.open_type];
    assert_int_equal(open->kind, KIND_RECORD);
    assert_int_equal(open->field_count, 2);
    assert_int_equal(result.image->types[open->fields[0].type].kind, KIND_OPT);
    assert_int_equal(result.cost.worst.calls > 0, true);
    image_free(result.image);
    Str filled = plan_fill(arena, str_of(plan), result.open, result.open_count, STR("{\"city\":\"Tokyo\",\"title\":\"Hotel in Tokyo\"}"));
    char *text = arena_printf(arena, "%.*s", STR_ARG(filled)), *found = run_with(text, &grant, ANSWERS(BUDGET, HOTEL, APPOINTMENT));
    *strstr(found, "; = {") = '\0';
    assert_string_equal(found, "finance.check_budget(\"TRAVEL\"); travel.book_hotel(\"Tokyo\", 1, null); calendar.create_appointment(\"Hotel in Tokyo\", null)");
    free(found);
    free(plan);
    arena_free(arena);
}

#define FILLED DOCUMENTED(", 'params': {'city': 'Tokyo'}", ", 'params': {'title': {'$text': 'Hotel ${book_hotel.booking_id}, ${hotel_cost}'}}")

static void test_then_and_else(void **state)
{
    assert_run(FILLED, ANSWERS(BUDGET, HOTEL, APPOINTMENT),
               "finance.check_budget('TRAVEL'); travel.book_hotel('Tokyo', 1, null); calendar.create_appointment('Hotel HTL-999, 250', null); "
               "= {'message':null,'notices':[],'steps':[{'index':0,'agent':'finance','action':'check_budget','status':'DONE','result':{'available':350,'currency':'EUR','note':null}},"
               "{'index':1,'agent':'travel','action':'book_hotel','status':'DONE','result':{'booking_id':'HTL-999','cost':250}},"
               "{'index':2,'agent':'calendar','action':'create_appointment','status':'DONE','result':{'appointment_id':'APT-888'}},{'index':3,'action':'notify_user','status':'SKIPPED'}]}");
    assert_run(FILLED, ANSWERS({ "finance.check_budget", "{\"available\":150}" }),
               "finance.check_budget('TRAVEL'); note_notice('Insufficient budget'); "
               "= {'message':null,'notices':['Insufficient budget'],'steps':[{'index':0,'agent':'finance','action':'check_budget','status':'DONE','result':{'available':150,'currency':'EUR','note':null}},"
               "{'index':1,'agent':'travel','action':'book_hotel','status':'SKIPPED'},{'index':2,'agent':'calendar','action':'create_appointment','status':'SKIPPED'},"
               "{'index':3,'action':'notify_user','status':'DONE','result':'Insufficient budget'}]}");
}

/* ---- failure ---- */

static void test_abort_undoes_what_was_done_newest_first(void **state)
{
    assert_log(quoted(FILLED), ANSWERS(BUDGET, HOTEL, BUSY, CANCELLED),
               "finance.check_budget('TRAVEL'); travel.book_hotel('Tokyo', 1, null); calendar.create_appointment('Hotel HTL-999, 250', null); saga(busy); "
               "travel.book_hotel('travel.book_hotel'); travel.cancel_hotel('HTL-999'); travel.book_hotel('travel.book_hotel', true, null); ! rejected busy -travel.book_hotel", true);
    assert_calls("{'agent':'calendar','action':'create_appointment','params':{'title':'a'}},{'agent':'travel','action':'book_hotel','params':{'city':'R'}},"
                 "{'agent':'travel','action':'find_flights','params':{'from':'R','day':'2025-11-10'}}",
                 ANSWERS(APPOINTMENT, HOTEL, { "travel.find_flights", "!unavailable 503 down" }, CANCELLED, { "calendar.delete_appointment", "null" }),
                 "calendar.create_appointment('a', null); travel.book_hotel('R', 1, null); travel.find_flights('R', '2025-11-10'); saga(down); "
                 "travel.book_hotel('travel.book_hotel'); travel.cancel_hotel('HTL-999'); travel.book_hotel('travel.book_hotel', true, null); "
                 "calendar.create_appointment('calendar.create_appointment'); calendar.delete_appointment('APT-888'); calendar.create_appointment('calendar.create_appointment', true, null); "
                 "! unavailable down -travel.book_hotel -calendar.create_appointment");
}

static void test_continue_goes_on_without_a_result(void **state)
{
    assert_run("{'strategy':'SEQUENTIAL','message':'done','flow':[{'agent':'travel','action':'book_hotel','params':{'city':'Rome'},'on_error':'CONTINUE'},"
               "{'condition':'book_hotel == null','then':[{'action':'notify_user','message':'no hotel'}]}]}",
               ANSWERS({ "travel.book_hotel", "!rejected 409 full" }),
               "travel.book_hotel('Rome', 1, null); note_notice('no hotel'); = {'message':'done','notices':['no hotel'],'steps':["
               "{'index':0,'agent':'travel','action':'book_hotel','status':'FAILED','error':{'kind':'rejected','message':'full','code':''}},{'index':1,'action':'notify_user','status':'DONE','result':'no hotel'}]}");
}

static void test_retry_tries_again_as_often_as_it_says(void **state)
{
    const char *step = "{'agent':'travel','action':'find_flights','params':{'from':'OSL','day':'2025-11-10'},'on_error':'RETRY','retry_count':2,'timeout_ms':5000}";
    assert_calls(step, ANSWERS({ "travel.find_flights", "!unavailable 503 down" }, { "travel.find_flights", "@expire" }, { "travel.find_flights", "[\"A\"]" }),
                 "travel.find_flights('OSL', '2025-11-10'); RETRY(1, '1s', down); backoff('1970-01-01T00:00:02Z'); travel.find_flights('OSL', '2025-11-10'); "
                 "RETRY(2, '2s', the deadline has passed); backoff('1970-01-01T00:00:09Z'); travel.find_flights('OSL', '2025-11-10')");
    assert_calls(step, ANSWERS({ "travel.find_flights", "!invalid 400 what" }), "travel.find_flights('OSL', '2025-11-10'); saga(what); ! invalid what");      /* trying again would not help */
    assert_calls("{'agent':'travel','action':'find_flights','params':{'from':'OSL','day':'2025-11-10'},'on_error':'RETRY','retry_count':1}",
                 ANSWERS({ "travel.find_flights", "!unavailable 503 a" }, { "travel.find_flights", "!unavailable 503 b" }),
                 "travel.find_flights('OSL', '2025-11-10'); RETRY(1, '1s', a); backoff('1970-01-01T00:00:02Z'); travel.find_flights('OSL', '2025-11-10'); saga(b); ! unavailable b");
}

static void test_a_group_that_is_survived_is_undone_and_forgotten(void **state)
{
    assert_run("{'strategy':'SEQUENTIAL','flow':[{'strategy':'SEQUENTIAL','on_error':'CONTINUE','timeout_ms':9000,'flow':[{'agent':'travel','action':'book_hotel','params':{'city':'Rome'}},"
               "{'agent':'calendar','action':'create_appointment','params':{'title':{'$ref':'book_hotel.booking_id'}}}]},"
               "{'condition':'book_hotel != null','then':[{'action':'notify_user','message':'booked'}],'else':[{'action':'notify_user','message':'nothing'}]}]}",
               ANSWERS(HOTEL, BUSY, CANCELLED),
               "travel.book_hotel('Rome', 1, null); calendar.create_appointment('HTL-999', null); saga(busy); travel.book_hotel('travel.book_hotel'); travel.cancel_hotel('HTL-999'); "
               "travel.book_hotel('travel.book_hotel', true, null); note_notice('nothing'); = {'message':null,'notices':['nothing'],'steps':["
               "{'index':0,'agent':'travel','action':'book_hotel','status':'FAILED','error':{'kind':'rejected','message':'busy','code':''}},"
               "{'index':1,'agent':'calendar','action':'create_appointment','status':'FAILED','error':{'kind':'rejected','message':'busy','code':''}},"
               "{'index':2,'action':'notify_user','status':'SKIPPED'},{'index':3,'action':'notify_user','status':'DONE','result':'nothing'}]}");
}

static void test_a_group_is_tried_again_as_a_whole(void **state)
{
    assert_run("{'strategy':'SEQUENTIAL','message':{'$text':'${find_flights.length} ${budget_available}'},'flow':[{'strategy':'PARALLEL','on_error':'RETRY','retry_count':1,'timeout_ms':20000,'flow':["
               "{'agent':'finance','action':'check_budget'},{'agent':'travel','action':'find_flights','params':{'from':'OSL','day':'2025-11-10'}}]}]}",
               ANSWERS(BUDGET, { "travel.find_flights", "!unavailable 503 down" }, { "finance.check_budget", "{\"available\":1}" }, { "travel.find_flights", "[\"A\",\"B\"]" }),
               "finance.check_budget('TRAVEL'); travel.find_flights('OSL', '2025-11-10'); saga(down); RETRY(1, '1s', down); backoff('1970-01-01T00:00:02Z'); finance.check_budget('TRAVEL'); "
               "travel.find_flights('OSL', '2025-11-10'); = {'message':'2 1','notices':[],'steps':[{'index':0,'agent':'finance','action':'check_budget','status':'DONE','result':{'available':1,'currency':'EUR','note':null}},"
               "{'index':1,'agent':'travel','action':'find_flights','status':'DONE','result':['A','B']}]}");
}

static void test_a_deadline_ends_a_step_and_a_plan(void **state)
{
    assert_calls("{'agent':'travel','action':'find_flights','params':{'from':'OSL','day':'2025-11-10'},'timeout_ms':5000}", ANSWERS({ "travel.find_flights", "@expire" }),
                 "travel.find_flights('OSL', '2025-11-10'); saga(the deadline has passed); ! timeout the deadline has passed");
    assert_log(quoted("{'strategy':'SEQUENTIAL','timeout_ms':7000,'flow':[{'agent':'travel','action':'book_hotel','params':{'city':'R'}},{'agent':'finance','action':'check_budget'}]}"),
               ANSWERS(HOTEL, { "finance.check_budget", "@expire" }, CANCELLED),
               "travel.book_hotel('R', 1, null); finance.check_budget('TRAVEL'); saga(the deadline has passed); travel.book_hotel('travel.book_hotel'); travel.cancel_hotel('HTL-999'); "
               "travel.book_hotel('travel.book_hotel', true, null); ! timeout the deadline has passed -travel.book_hotel", true);
}

/* ---- side by side ---- */

static void test_parallel_steps_all_begin_and_all_are_told(void **state)
{
    assert_run("{'strategy':'PARALLEL','message':{'$text':'Done ${book_hotel.booking_id} ${budget_available}'},'flow':[{'agent':'finance','action':'check_budget'},"
               "{'agent':'travel','action':'book_hotel','params':{'city':'Rome','nights':2}},{'strategy':'SEQUENTIAL','flow':[{'agent':'calendar','action':'create_appointment','params':{'title':'x'}},"
               "{'action':'notify_user','message':{'$text':'made ${create_appointment.appointment_id}'}}]}]}",
               ANSWERS(BUDGET, HOTEL, APPOINTMENT),
               "finance.check_budget('TRAVEL'); travel.book_hotel('Rome', 2, null); calendar.create_appointment('x', null); note_notice('made APT-888'); "
               "= {'message':'Done HTL-999 350','notices':['made APT-888'],'steps':[{'index':0,'agent':'finance','action':'check_budget','status':'DONE','result':{'available':350,'currency':'EUR','note':null}},"
               "{'index':1,'agent':'travel','action':'book_hotel','status':'DONE','result':{'booking_id':'HTL-999','cost':250}},"
               "{'index':2,'agent':'calendar','action':'create_appointment','status':'DONE','result':{'appointment_id':'APT-888'}},{'index':3,'action':'notify_user','status':'DONE','result':'made APT-888'}]}");
}

static void test_a_branch_that_fails_undoes_its_siblings(void **state)
{
    assert_calls("{'strategy':'PARALLEL','flow':[{'agent':'travel','action':'book_hotel','params':{'city':'Rome'}},{'agent':'calendar','action':'create_appointment','params':{'title':'x'}}]}",
                 ANSWERS(HOTEL, BUSY, CANCELLED),
                 "travel.book_hotel('Rome', 1, null); calendar.create_appointment('x', null); saga(busy); travel.book_hotel('travel.book_hotel'); travel.cancel_hotel('HTL-999'); "
                 "travel.book_hotel('travel.book_hotel', true, null); ! rejected busy -travel.book_hotel");
}

static void test_results_come_out_of_branches_in_branches(void **state)
{
    assert_calls("{'strategy':'PARALLEL','flow':[{'strategy':'SEQUENTIAL','flow':[{'agent':'finance','action':'check_budget'},{'condition':'budget_available > 1','then':[{'agent':'travel','action':'book_hotel','params':{'city':'R'}}]}]},"
                 "{'strategy':'PARALLEL','timeout_ms':5000,'flow':[{'agent':'calendar','action':'create_appointment','params':{'title':'x'},'on_error':'CONTINUE'},"
                 "{'agent':'travel','action':'find_flights','params':{'from':'a','day':'2025-01-01'}}]}]},"
                 "{'condition':'book_hotel != null && create_appointment == null && find_flights.length === 1','then':[{'action':'notify_user','message':{'$text':'${hotel_cost} ${budget_available} ${find_flights.length}'}}]}",
                 ANSWERS(BUDGET, HOTEL, BUSY, { "travel.find_flights", "[\"A\"]" }),
                 "finance.check_budget('TRAVEL'); travel.book_hotel('R', 1, null); calendar.create_appointment('x', null); travel.find_flights('a', '2025-01-01'); note_notice('250 350 1')");
}

/* ---- approvals ---- */

static void test_what_cannot_be_undone_is_asked_for_with_its_real_arguments(void **state)
{
    const char *plan = "{'agent':'travel','action':'book_hotel','params':{'city':'R'}},{'agent':'travel','action':'pay','params':{'amount':{'$ref':'book_hotel.cost'},'to':'Anna'}}";
    assert_calls(plan, ANSWERS(HOTEL, { "approve", "true" }, { "travel.pay", "\"P-1\"" }),
                 "travel.book_hotel('R', 1, null); approve('travel.pay', {'amount':250,'to':'Anna'}); travel.pay(250, 'Anna')");
    assert_calls(plan, ANSWERS(HOTEL, { "approve", "false" }, CANCELLED),
                 "travel.book_hotel('R', 1, null); approve('travel.pay', {'amount':250,'to':'Anna'}); saga(travel.pay was not approved); travel.book_hotel('travel.book_hotel'); "
                 "travel.cancel_hotel('HTL-999'); travel.book_hotel('travel.book_hotel', true, null); ! denied travel.pay was not approved -travel.book_hotel");
}

/* ---- names ---- */

static void test_every_kind_of_name(void **state)
{
    assert_calls("{'id':'first','agent':'finance','action':'check_budget'},"
                 "{'condition':'first.available == 350 && steps[0].available == 350 && finance.available == 350 && check_budget.available == 350 && budget_available == 350',"
                 "'then':[{'agent':'finance','action':'check_budget','id':'second'},{'condition':'budget_available === 4 && first.available === 350','then':[{'action':'notify_user','message':'the latest on the way here'}]}]},"
                 "{'condition':'second != null && second.available > 3','then':[{'action':'notify_user','message':'was done'}]},{'condition':'budget_available == 350','then':[{'action':'notify_user','message':'the one that is certain'}]}",
                 ANSWERS(BUDGET, { "finance.check_budget", "{\"available\":4}" }),
                 "finance.check_budget('TRAVEL'); finance.check_budget('TRAVEL'); note_notice('the latest on the way here'); note_notice('was done'); note_notice('the one that is certain')");
}

static void test_a_condition_makes_a_result_certain(void **state)
{
    assert_calls("{'agent':'travel','action':'book_hotel','params':{'city':'Rome'},'on_error':'CONTINUE'},{'condition':'book_hotel != null && book_hotel.cost > 100',"
                 "'then':[{'action':'notify_user','message':{'$text':'got ${book_hotel.booking_id}'}},{'strategy':'PARALLEL','flow':[{'agent':'calendar','action':'create_appointment','params':{'title':{'$ref':'book_hotel.booking_id'}}}]}]},"
                 "{'action':'notify_user','condition':'create_appointment','message':{'$text':'${create_appointment.appointment_id}'}},"
                 "{'condition':'hotel_cost == null','then':[{'action':'notify_user','message':'none'}],'else':[{'action':'notify_user','message':{'$text':'${hotel_cost}'}}]}",
                 ANSWERS(HOTEL, APPOINTMENT),
                 "travel.book_hotel('Rome', 1, null); note_notice('got HTL-999'); calendar.create_appointment('HTL-999', null); note_notice('APT-888'); note_notice('250')");
}

static void test_names_that_are_not_there(void **state)
{
    assert_refused("{'condition':'check_budget.available > 1','then':[{'agent':'finance','action':'check_budget','id':'a'}],"
                   "'else':[{'condition':'a.available > 1 || steps[9] == null || budgett_available > 1','then':[{'agent':'finance','action':'check_budget'}]}]}",
                   "E0734 /flow/0/condition; E0734 /flow/0/else/0/condition; E0733 /flow/0/else/0/condition; E0733 /flow/0/else/0/condition");
    assert_refused("{'strategy':'PARALLEL','flow':[{'agent':'finance','action':'check_budget'},{'agent':'travel','action':'book_hotel','params':{'city':'Rome','limit':{'$ref':'budget_available'}}}]}",
                   "E0734 /flow/1/params/limit/$ref");
    assert_refused("{'agent':'travel','action':'book_hotel','params':{'city':'R'},'on_error':'CONTINUE'},{'action':'notify_user','message':{'$text':'${book_hotel.booking_id}'}}", "E0734 /flow/1/message/$text");
    assert_refused("{'agent':'travel','action':'cancel_hotel','params':{'booking_id':'x'}},{'action':'notify_user','message':{'$text':'${cancel_hotel}'}}", "E0733 /flow/1/message/$text");
    assert_refused("{'agent':'finance','action':'check_budget'},{'action':'notify_user','message':{'$text':'${check_budget.free}'}}", "E0735 /flow/1/message/$text");
}

/* ---- values ---- */

static void test_values_of_every_shape(void **state)
{
    assert_calls("{'agent':'travel','action':'book_hotel','params':{'city':'Rome','limit':'99.50'}},{'agent':'travel','action':'tag','params':{'tags':['a',{'$ref':'book_hotel.booking_id'}],"
                 "'place':{'city':{'$text':'x${steps[0].cost}'},'day':'2025-11-10'},'extra':{'a':[1,{'$ref':'book_hotel'}],'b':null},'weights':{'x':1,'y':2.5}}},"
                 "{'agent':'travel','action':'tag','params':{'tags':[],'place':{'city':'R','zip':-5},'extra':[1.50,{'c':true}]}},{'agent':'calendar','action':'create_appointment','params':{'title':'','at':'2025-11-10T10:00:00+01:00'}}",
                 ANSWERS(HOTEL, { "travel.tag", "null" }, { "travel.tag", "null" }, APPOINTMENT),
                 "travel.book_hotel('Rome', 1, 99.50); travel.tag(['a','HTL-999'], {'city':'x250','zip':null,'day':'2025-11-10'}, {'a':[1,{'booking_id':'HTL-999','cost':250}],'b':null}, {'x':1.0,'y':2.5}); "
                 "travel.tag([], {'city':'R','zip':-5,'day':null}, [1.50,{'c':true}], null); calendar.create_appointment('', '2025-11-10T09:00:00Z')");
}

static void test_values_that_do_not_fit(void **state)
{
    assert_refused("{'agent':'travel','action':'tag','params':{'tags':['a',5],'place':{'citi':'R','zip':5.5},'extra':3,'weights':{'x':'1'}}},{'agent':'travel','action':'pay','params':{'amount':'x','to':'A'}},"
                   "{'agent':'travel','action':'find_flights','params':{'from':'OSL','day':'10.11.2025','vrom':1}},{'agent':'finance','action':'check_budget','params':{'category':'TRAVLE'}}",
                   "E0728 /flow/0/params/tags/1; E0728 /flow/0/params/place/city; E0728 /flow/0/params/place/citi; E0728 /flow/0/params/place/zip; E0728 /flow/0/params/weights/x; "
                   "E0728 /flow/1/params/amount; E0728 /flow/2/params/day; E0727 /flow/2/params/vrom; E0728 /flow/3/params/category");
    assert_refused("{'agent':'finance','action':'check_budget'},{'agent':'travel','action':'book_hotel','params':{'city':{'$ref':'budget_available'},'nights':{'$text':'${budget_currency}'}}}",
                   "E0728 /flow/1/params/city/$ref; E0728 /flow/1/params/nights/$text");
}

static void assert_says(const char *steps, const char *part)
{
    Arena *arena = arena_new();
    PlanGrant grant = all_granted();
    PlanResult result;
    Buf report = { 0 };
    char *plan = seq(steps);
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    plan_put_report(&result, &report);
    assert_false(result.ok);
    if (!strstr(buf_cstr(&report), part)) print_message("%s\n", buf_cstr(&report));
    assert_non_null(strstr(buf_cstr(&report), part));
    buf_free(&report);
    free(plan);
    arena_free(arena);
}

/* Of what is personal or secret a report says kinds and places only; what stands beside it is quoted as ever. */
static void test_reports_do_not_say_what_is_labelled(void **state)
{
    static const char *const hidden[] = {
        "'guest':4711", "'guest':['4711']", "'guest':'x','pin':'4711'", "'guest':'x','pin':4711.5", "'guest':'x','born':'4711-13-13'", "'guest':'x','friend':'4711'",
        "'guest':'x','friend':{'name':4711,'city':'R'}", "'guest':'x','home':{'4711':1,'street':4711}", "'guest':'x','home':'4711'", "'guest':'x','kind':'TRAVEL4711'",
        "'guest':'x','notes':{'4711':'4711'}", "'guest':'4711\xe2\x80\xae'", "'guest':{'$text':'4711 ${steps[0].idd} and'}", "'guest':{'$text':'4711 ${no thing}'}",
        "'guest':{'$ref':'4711 x'}", "'guest':'x','home':{'street':{'$ref':'4711 x'}}", "'guest':'4711' 4711",
        "'guest':'x','friend':{'name':{'$text':'4711 ${nobody}'},'city':'R'}",
    };
    PlanGrant grant = all_granted();
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        Arena *arena = arena_new();
        PlanResult result;
        Buf report = { 0 };
        char *plan = seq(arena_printf(arena, "{'agent':'travel','action':'book_hotel','params':{'city':'R'}},"
                                             "{'agent':'travel','action':'greet','params':{%s}}", hidden[i]));
        plan_compile(compiler, str_of(plan), &grant, arena, &result);
        plan_put_report(&result, &report);
        if (result.ok || strstr(buf_cstr(&report), "4711")) print_message("%s\n%s\n", hidden[i], buf_cstr(&report));
        assert_false(result.ok);
        assert_null(strstr(buf_cstr(&report), "4711"));
        buf_free(&report);
        free(plan);
        arena_free(arena);
    }
    assert_says("{'agent':'travel','action':'greet','params':{'guest':'x','pin':'geheim'}}", "a string of 6 characters");
    assert_says("{'agent':'travel','action':'greet','params':{'guest':'x','friend':{'name':'x','city':4711}}}", "\"4711\"");
}

/* ---- rights ---- */

static void test_only_what_was_granted(void **state)
{
    static const Str some[] = { { "finance.check_budget", 20 }, { "calendar.*", 10 } };
    PlanGrant grant = { .tools = some, .tool_count = 2, .any_scope = true }, none = { .any_scope = true };
    assert_refused_by("{'agent':'travel','action':'book_hotel','params':{'city':'R'}}", &grant, "E0725 /flow/0/action");
    assert_refused_by("{'agent':'finance','action':'check_budget'}", &none, "E0725 /flow/0/action");
    assert_refused("{'agent':'finanze','action':'check_budget'},{'agent':'finance','action':'check_budgets'},{'agent':'calendar','action':'book_hotel'},{'agent':'main','action':'p'}",
                   "E0724 /flow/0/agent; E0724 /flow/1/action; E0724 /flow/2/agent; E0724 /flow/3/agent");
    Arena *arena = arena_new();
    PlanResult result;
    char *plan = seq("{'agent':'travel','action':'book_hotel','params':{'city':'R'}}");
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    assert_true(result.diags[0].widens_authority);
    assert_int_equal(result.diags[0].suggestion_op.len, 0);
    free(plan);
    arena_free(arena);
}

/* In a text only paths stand: what would help a condition is no suggestion there, a name that is nearly right is. */
static void suggests(const char *message, const char *op, const char *value)
{
    Arena *arena = arena_new();
    PlanGrant grant = all_granted();
    PlanResult result;
    char *plan = seq(arena_printf(arena, "{'agent':'travel','action':'book_hotel','params':{'city':'R'},'on_error':'CONTINUE'},{'action':'notify_user','message':{'$text':'%s'}}", message));
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    assert_int_equal(result.diag_count, 1);
    assert_true(str_is(result.diags[0].suggestion_op, op));
    assert_true(str_is(result.diags[0].suggestion_json, value));
    free(plan);
    arena_free(arena);
}

static void test_suggestions_in_texts_are_paths(void **state)
{
    suggests("It costs ${book_hotel.cost}", "", "");
    suggests("It costs ${book_hotl.cost}", "replace", "\"It costs ${book_hotel.cost}\"");
}

static void test_scopes_approvals_and_repeats(void **state)
{
    static const Str read[] = { { "budget:read", 11 } }, all[] = { { "admin:all", 9 } };
    PlanGrant grant = all_granted();
    grant.any_scope = false;
    grant.scopes = read;
    grant.scope_count = 1;
    assert_refused_by("{'agent':'finance','action':'check_budget'},{'agent':'travel','action':'book_hotel','params':{'city':'R'}}", &grant, "E0726 /flow/1/action");
    grant.scopes = all;
    grant.may_ask = false;
    assert_refused_by("{'agent':'travel','action':'pay','params':{'amount':1,'to':'A'}}", &grant, "E0737 /flow/0/action");
    assert_refused("{'agent':'travel','action':'book_hotel','params':{'city':'R'},'on_error':'RETRY'},"
                   "{'strategy':'SEQUENTIAL','on_error':'RETRY','flow':[{'agent':'travel','action':'book_hotel','params':{'city':'R'}}]}", "E0739 /flow/0/on_error; E0739 /flow/1/on_error");
}

static void test_labels(void **state)
{
    assert_refused("{'agent':'travel','action':'book_hotel','params':{'city':'R'}},{'agent':'travel','action':'pay','params':{'amount':1,'to':{'$ref':'book_hotel.booking_id'}}},"
                   "{'agent':'travel','action':'pay','params':{'amount':1,'to':{'$text':'to ${book_hotel.booking_id}'}}}", "E0736 /flow/1/params/to/$ref; E0736 /flow/2/params/to/$text");
    assert_refused("{'agent':'travel','action':'sign_in','params':{'user':'anna'}},{'action':'notify_user','message':{'$text':'hi ${sign_in.token}'}}", "E0736 /flow/1/message");
    assert_run("{'strategy':'SEQUENTIAL','flow':[{'agent':'travel','action':'sign_in','params':{'user':'anna'}},{'action':'notify_user','message':{'$text':'hi ${sign_in.name}'}}]}",
               ANSWERS({ "travel.sign_in", "{\"name\":\"Anna\",\"token\":\"T-1\"}" }),
               "travel.sign_in('anna'); note_notice('hi Anna'); = {'message':null,'notices':['hi Anna'],'steps':[{'index':0,'agent':'travel','action':'sign_in','status':'DONE'},"
               "{'index':1,'action':'notify_user','status':'DONE','result':'hi Anna'}]}");
}

/* ---- bounds and open parameters ---- */

static void test_a_plan_over_its_budget(void **state)
{
    PlanGrant grant = all_granted();
    grant.limits.calls = 1;
    const char *two = "{'agent':'finance','action':'check_budget'},{'agent':'finance','action':'check_budget'}";
    assert_refused_by(two, &grant, "E0738 ");
    grant.over_budget = true;
    Arena *arena = arena_new();
    PlanResult result;
    char *plan = seq(two);
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    assert_true(result.ok && result.cost.over);
    assert_int_equal(result.image->plans[result.image->plan_count - 1].calls, 2);
    image_free(result.image);
    free(plan);
    arena_free(arena);
}

static void test_open_parameters_of_one_name_are_one_question(void **state)
{
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult result;
    char *plan = seq("{'agent':'travel','action':'book_hotel'},{'agent':'travel','action':'book_hotel','params':{'nights':2}},{'agent':'travel','action':'tag','params':{'tags':[],'place':{'city':'x'}}}");
    plan_compile(compiler, str_of(plan), &grant, arena, &result);
    assert_true(result.ok);
    assert_int_equal(result.open_count, 3);
    assert_true(str_is(result.open[1].name, "city") && str_is(result.open[1].pointer, "/flow/1/params/city"));
    assert_int_equal(result.image->types[result.open_type].field_count, 2);
    Str filled = plan_fill(arena, str_of(plan), result.open, result.open_count, STR("{\"city\":\"Oslo\",\"extra\":null}"));
    assert_non_null(memmem(filled.ptr, filled.len, "{\"nights\":2,\"city\":\"Oslo\"}", 26));
    assert_null(memmem(filled.ptr, filled.len, "extra", 5));
    image_free(result.image);
    free(plan);
    arena_free(arena);
}

static void compiled(const char *steps, const PlanGrant *grant, Arena *arena, PlanResult *out)
{
    char *plan = seq(steps);
    plan_compile(compiler, arena_str(arena, str_of(plan)), grant, arena, out);
    show(out);
    assert_true(out->ok);
    free(plan);
}

/* A person has a day for each answer, unless somebody said how long the plan may take. */
static void test_approvals_have_time(void **state)
{
    const char *pay = "{'agent':'travel','action':'pay','params':{'amount':1,'to':'A'}},{'agent':'travel','action':'pay','params':{'amount':2,'to':'B'}}";
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult result;
    compiled(pay, &grant, arena, &result);
    assert_int_equal(result.image->plans[0].wall_us, PLAN_WALL_MAX + 2 * INT64_C(86400000000));
    assert_int_equal(result.cost.irreversible_count, 1);
    image_free(result.image);
    grant.limits.wall_us = 5000000;
    compiled(pay, &grant, arena, &result);
    assert_int_equal(result.image->plans[0].wall_us, 5000000);
    image_free(result.image);
    arena_free(arena);
}

static void test_the_cost_says_what_is_undone_and_asked_for(void **state)
{
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult result;
    compiled("{'agent':'travel','action':'book_hotel','params':{'city':'R'}},{'agent':'finance','action':'check_budget'},{'agent':'travel','action':'pay','params':{'amount':1,'to':'A'}},"
             "{'agent':'finance','action':'check_budget'}", &grant, arena, &result);
    const PlanCost *cost = &result.cost;
    assert_int_equal(cost->compensated_count, 1);
    assert_true(str_is(base->tools[cost->compensated[0]].name, "book_hotel"));
    assert_int_equal(cost->uncompensated_count, 1);
    assert_true(str_is(base->tools[cost->uncompensated[0]].name, "pay"));
    assert_int_equal(cost->scope_count, 2);
    assert_true(str_is(cost->scopes[0], "budget:read") && str_is(cost->scopes[1], "travel:write"));
    assert_int_equal(result.image->funcs[result.func].kind, FUNC_PLAN);
    assert_int_equal(result.image->funcs[result.func].flags, 0);
    image_free(result.image);
    arena_free(arena);
}

/* ---- the compiler itself ---- */

static void bytes_of(const char *steps, PlanCompiler *with, Buf *out)
{
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult result;
    char *plan = seq(steps);
    plan_compile(with, str_of(plan), &grant, arena, &result);
    show(&result);
    assert_true(result.ok);
    image_encode_extension(result.image, out);
    image_free(result.image);
    free(plan);
    arena_free(arena);
}

/* Nothing of a plan stays behind in the compiler: the same plan gives the same bytes after any other, from a used compiler and from a new one. */
static void test_plans_leave_nothing_behind(void **state)
{
    const char *plan = "{'strategy':'PARALLEL','flow':[{'agent':'travel','action':'book_hotel','params':{'city':'R'},'on_error':'CONTINUE'},{'agent':'finance','action':'check_budget'}]},"
                       "{'condition':'book_hotel != null','then':[{'agent':'travel','action':'tag','params':{'tags':[{'$ref':'hotel_booking_id'}],'place':{'city':'x'},'extra':{'$ref':'book_hotel'}}}]}";
    Buf first = { 0 }, again = { 0 }, fresh = { 0 };
    bytes_of(plan, compiler, &first);
    for (int i = 0; i < 50; i++) {
        Buf other = { 0 };
        bytes_of("{'agent':'travel','action':'tag','params':{'tags':['a'],'place':{'city':'x'},'extra':[{'a':1}],'weights':{'k':1}}}", compiler, &other);
        buf_free(&other);
        assert_refused("{'agent':'finance','action':'check_budget','params':{'category':'X'}},{'condition':'budget_available + 1','then':[{'action':'notify_user','message':'x'}]}",
                       "E0728 /flow/0/params/category; E0732 /flow/1/condition");
    }
    bytes_of(plan, compiler, &again);
    PlanCompiler *other = plan_compiler_new(base);
    bytes_of(plan, other, &fresh);
    plan_compiler_free(other);
    assert_true(str_eq(buf_str(&first), buf_str(&again)));
    assert_true(str_eq(buf_str(&first), buf_str(&fresh)));
    buf_free(&first);
    buf_free(&again);
    buf_free(&fresh);
}

/* A second plan of a run is compiled against the extension that the first one made. */
static void test_a_plan_on_top_of_a_plan(void **state)
{
    PlanGrant grant = all_granted();
    Arena *arena = arena_new();
    PlanResult first, second;
    Buf bytes = { 0 };
    char *plan = seq("{'agent':'travel','action':'book_hotel','params':{'city':'R'}}");
    plan_compile(compiler, str_of(plan), &grant, arena, &first);
    image_encode_extension(first.image, &bytes);
    PlanCompiler *above = plan_compiler_new(first.image);
    plan_compile(above, str_of(plan), &grant, arena, &second);
    show(&second);
    assert_true(second.ok);
    assert_true(second.func >= first.image->func_count);
    assert_int_equal(second.image->file_count, first.image->file_count);
    assert_int_equal(second.image->plan_count, 2);
    image_free(second.image);
    plan_compiler_free(above);
    image_free(first.image);
    buf_free(&bytes);
    free(plan);
    arena_free(arena);
}

/* What the image cannot hold is a limit with a name: a branch that uses more results than a function has parameters. */
static void test_a_branch_with_too_many_results(void **state)
{
    Buf steps = { 0 };
    for (int i = 0; i < FUNC_PARAMS_MAX + 1; i++) buf_printf(&steps, "{'agent':'travel','action':'find_flights','params':{'from':'a','day':'2025-01-01'},'id':'f%d'},", i);
    buf_put_text(&steps, "{'strategy':'PARALLEL','flow':[{'action':'notify_user','message':{'$text':'");
    for (int i = 0; i < FUNC_PARAMS_MAX + 1; i++) buf_printf(&steps, "${f%d.length}", i);
    buf_put_text(&steps, "'}}]}");
    PlanGrant grant = all_granted();
    grant.over_budget = true;
    char expected[64];
    snprintf(expected, sizeof expected, "E0721 /flow/%d/flow/0", FUNC_PARAMS_MAX + 1);
    assert_refused_by(buf_cstr(&steps), &grant, expected);
    buf_free(&steps);
}

#define TEST(name) cmocka_unit_test(test_##name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(documented_plan_says_what_it_leaves_open), TEST(then_and_else), TEST(abort_undoes_what_was_done_newest_first), TEST(continue_goes_on_without_a_result),
        TEST(retry_tries_again_as_often_as_it_says), TEST(a_group_that_is_survived_is_undone_and_forgotten), TEST(a_group_is_tried_again_as_a_whole),
        TEST(a_deadline_ends_a_step_and_a_plan), TEST(parallel_steps_all_begin_and_all_are_told), TEST(a_branch_that_fails_undoes_its_siblings),
        TEST(results_come_out_of_branches_in_branches), TEST(what_cannot_be_undone_is_asked_for_with_its_real_arguments), TEST(every_kind_of_name), TEST(suggestions_in_texts_are_paths),
        TEST(a_condition_makes_a_result_certain), TEST(names_that_are_not_there), TEST(values_of_every_shape), TEST(values_that_do_not_fit),
        TEST(reports_do_not_say_what_is_labelled), TEST(only_what_was_granted),
        TEST(scopes_approvals_and_repeats), TEST(labels), TEST(a_plan_over_its_budget), TEST(open_parameters_of_one_name_are_one_question), TEST(approvals_have_time), TEST(the_cost_says_what_is_undone_and_asked_for),
        TEST(plans_leave_nothing_behind),
        TEST(a_plan_on_top_of_a_plan), TEST(a_branch_with_too_many_results),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
