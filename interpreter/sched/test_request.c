/* test_request.c - requests of a test to the gateway of its program, and what is expected of their answers.
 *
 * The gateway is the caller's (TestOptions.gateway): it lies above this layer. Here stands who asks with which scopes, that a client whose server
 * died asks again, and the comparison of answers. The answer kept is that of the newest request.
 */
#include "interpreter/sched/testrun_internal.h"

#include <stdio.h>

enum { RESPONSE_BODY_MAX = 16 << 20 };

/* ---- asking ------------------------------------------------------------------------------------------------ */

static const Str *texts_of(TestRun *t, Value value, uint32_t *count) {
    const List *list = (const List *)value.o;
    *count = list ? list->count : 0;
    Str *texts = ARENA_ARRAY(t->arena, Str, *count + 1);
    for (uint32_t i = 0; i < *count; i++) texts[i] = arena_str(t->arena, value_str(list->items[i]));
    return texts;
}

static const TestHeader *headers_of(TestRun *t, Value value, uint32_t *count) {
    const MapObj *map = (const MapObj *)value.o;
    *count = map ? map->count : 0;
    TestHeader *headers = ARENA_ARRAY(t->arena, TestHeader, *count + 1);
    for (uint32_t i = 0; i < *count; i++) headers[i] = (TestHeader){ arena_str(t->arena, value_str(map->keys[i])), arena_str(t->arena, value_str(map->values[i])) };
    return headers;
}

static bool has_text(const Str *texts, uint32_t count, Str text) {
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(texts[i], text)) return true;
    return false;
}

/* What a login of these roles would be given, besides the scopes that the test names itself. */
static void add_granted(TestRun *t, TestRequest *request) {
    bool defaults = !request->role_count && !request->scope_count;
    uint32_t room = request->scope_count, count = request->scope_count;
    for (int i = 0; i < t->image->role_count; i++) room += t->image->roles[i].scope_count;
    Str *scopes = ARENA_ARRAY(t->arena, Str, room + 1);
    for (uint32_t i = 0; i < count; i++) scopes[i] = request->scopes[i];
    for (int i = 0; i < t->image->role_count; i++) {
        const ImageRole *role = &t->image->roles[i];
        if (defaults ? !role->is_default : !has_text(request->roles, request->role_count, role->name)) continue;
        for (int j = 0; j < role->scope_count; j++)
            if (!has_text(scopes, count, role->scopes[j])) scopes[count++] = role->scopes[j];
    }
    request->scopes = scopes;
    request->scope_count = count;
}

static TestRequest request_of(TestRun *t, const VmRequest *q) {
    TestRequest request = { .method = arena_str(t->arena, value_str(q->args[0])), .target = arena_str(t->arena, value_str(q->args[1])) };
    uint32_t who_count;
    const Str *who = texts_of(t, q->args[2], &who_count);
    request.has_user = who_count == 2;
    request.scopes = texts_of(t, q->args[3], &request.scope_count);
    request.roles = texts_of(t, q->args[4], &request.role_count);
    request.headers = headers_of(t, q->args[5], &request.header_count);
    if (request.has_user) {
        request.user = who[0];
        request.tenant = who[1];
        add_granted(t, &request);
    }
    request.is_signed = q->args[7].i != 0;
    const JsonObj *body = (const JsonObj *)q->args[6].o;
    request.has_body = body && body->kind != JSON_NULL;
    if (request.has_body) {
        Buf json = { 0 };
        value_to_json(t->image, TYPE_INDEX_JSON, q->args[6], &json);
        request.body_json = arena_str(t->arena, buf_str(&json));
        buf_free(&json);
    }
    return request;
}

/* From here on the test sees what this user sees. */
static void become(TestRun *t, Str user, Str tenant) {
    if (!tenant.len) return;
    t->who.user = t->who.user_name = user;
    t->who.tenant = tenant;
}

static Err ask(TestRun *t, const TestRequest *request, Str run_id, Error *error) {
    t->response = (TestResponse){ 0 };
    if (t->crash_nth && !t->crashes) store_crash_at(engine_store(t->engine), t->crash_nth, t->crash_side, false);
    Err err = t->gateway->accept(t->engine, t->image, request, run_id, t->arena, &t->response, error);
    become(t, t->response.user, t->response.tenant);
    if (err != ERR_CRASH) return err;
    err = testrun_reopen(t, error);
    t->response = (TestResponse){ .run_id = run_id };
    if (!err && !test_run_exists(t, run_id.ptr)) {
        t->response = (TestResponse){ 0 };
        err = t->gateway->accept(t->engine, t->image, request, run_id, t->arena, &t->response, error);
    }
    return err;
}

void test_request(TestRun *t, const VmRequest *q) {
    if (!t->gateway) {
        testrun_fail(t, "nothing answers requests here: this runner of tests was built without the gateway");
        return;
    }
    TestRequest request = request_of(t, q);
    if (request.has_user) become(t, request.user, request.tenant);
    Str run_id = str_of(arena_printf(t->arena, "run-test-%u", testrun_serial()));
    Error error = { 0 };
    Err err = ask(t, &request, run_id, &error);
    if (err) {
        testrun_fail(t, "the request was not answered: %s", error.text);
        return;
    }
    Str started = t->response.run_id;
    if (started.len) test_run_begun(t, started);
    if (!test_work(t)) return;
    if (started.len && t->gateway->answer(t->engine, t->image, &request, started, t->arena, &t->response, &error)) testrun_fail(t, "the request was not answered: %s", error.text);
    t->has_response = true;
}

/* ---- expecting ---------------------------------------------------------------------------------------------- */

static bool response_there(TestRun *t) {
    if (!t->has_response) testrun_fail(t, "no request was made yet");
    return t->has_response;
}

void test_expect_status(TestRun *t, int64_t status) {
    enum { BODY_SHOWN = 400 };
    if (!response_there(t) || t->response.status == status) return;
    Str body = t->response.body;
    testrun_fail(t, "expected status %lld; found %d%s%.*s", (long long)status, t->response.status, body.len ? " with " : "", body.len > BODY_SHOWN ? BODY_SHOWN : (int)body.len, body.ptr);
}

static Str last_event_data(TestRun *t) {
    Json *event = NULL;
    if (!t->response.event_count || json_parse(t->arena, t->response.events[t->response.event_count - 1], RESPONSE_BODY_MAX, &event, NULL)) return (Str){ 0 };
    const Json *data = json_get(event, "data");
    Buf text = { 0 };
    json_print(&text, data ? data : event);
    Str out = arena_str(t->arena, buf_str(&text));
    buf_free(&text);
    return out;
}

void test_response_body(TestRun *t, Value *result) {
    if (!response_there(t)) return;
    Str body = t->response.event_count ? last_event_data(t) : t->response.body;
    Json plain = { .kind = body.len ? JSON_STRING : JSON_NULL, .text = body }, *json = NULL;
    bool parsed = body.len && json_parse(t->arena, body, RESPONSE_BODY_MAX, &json, NULL) == ERR_OK;
    *result = value_json(parsed ? json : &plain);
}

void test_response_headers(TestRun *t, Value *result) {
    if (!response_there(t)) return;
    *result = value_map(true);
    for (uint32_t i = 0; i < t->response.header_count; i++)
        *result = value_map_put(*result, value_string(t->response.headers[i].name), value_string(t->response.headers[i].value));
}

/* Does `found` hold all that `wanted` gives? Objects: member by member; arrays: as many items, each of them; the rest: the same text. */
static bool json_holds(const Json *wanted, const Json *found) {
    if (!found || wanted->kind != found->kind) return false;
    if (wanted->kind == JSON_OBJECT) {
        for (size_t i = 0; i < wanted->count; i++) {
            const Json *member = NULL;
            for (size_t j = 0; j < found->count && !member; j++)
                if (str_eq(found->keys[j], wanted->keys[i])) member = found->items[j];
            if (!json_holds(wanted->items[i], member)) return false;
        }
        return true;
    }
    if (wanted->kind == JSON_ARRAY) {
        bool holds = wanted->count == found->count;
        for (size_t i = 0; i < wanted->count && holds; i++) holds = json_holds(wanted->items[i], found->items[i]);
        return holds;
    }
    Buf a = { 0 }, b = { 0 };
    json_print(&a, wanted);
    json_print(&b, found);
    bool same = str_eq(buf_str(&a), buf_str(&b));
    buf_free(&a);
    buf_free(&b);
    return same;
}

static void put_events(Buf *out, Json *const *events, uint32_t count) {
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_put_text(out, ", ");
        json_print(out, events[i]);
    }
    buf_put_char(out, ']');
}

static Json *const *events_parsed(TestRun *t, const Str *texts, uint32_t count) {
    Json **events = ARENA_ARRAY(t->arena, Json *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        Error error = { 0 };
        if (json_parse(t->arena, texts[i], RESPONSE_BODY_MAX, &events[i], &error)) testrun_fail(t, "an event of the stream is no JSON: %s", error.text);
    }
    return events;
}

void test_expect_stream(TestRun *t, const VmRequest *q) {
    if (!response_there(t)) return;
    const List *list = (const List *)q->args[0].o;
    uint32_t wanted_count = list ? list->count : 0, found_count = 0;
    Str *texts = ARENA_ARRAY(t->arena, Str, wanted_count + 1), *types = ARENA_ARRAY(t->arena, Str, wanted_count + 1);
    for (uint32_t i = 0; i < wanted_count; i++) {
        Buf json = { 0 };
        value_to_json(t->image, TYPE_INDEX_JSON, list->items[i], &json);
        texts[i] = arena_str(t->arena, buf_str(&json));
        buf_free(&json);
    }
    Json *const *wanted = events_parsed(t, texts, wanted_count), *const *all = events_parsed(t, t->response.events, t->response.event_count);
    if (t->failed) return;
    for (uint32_t i = 0; i < wanted_count; i++) types[i] = json_get_text(wanted[i], "type");
    Json **found = ARENA_ARRAY(t->arena, Json *, t->response.event_count + 1);
    for (uint32_t i = 0; i < t->response.event_count; i++)
        if (!wanted_count || has_text(types, wanted_count, json_get_text(all[i], "type"))) found[found_count++] = all[i];
    bool same = found_count == wanted_count;
    for (uint32_t i = 0; i < wanted_count && same; i++) same = json_holds(wanted[i], found[i]);
    if (same) return;
    Buf text = { 0 };
    put_events(&text, wanted, wanted_count);
    buf_put_text(&text, "; found ");
    put_events(&text, found, found_count);
    testrun_fail(t, "expected the events %s", buf_cstr(&text));
    buf_free(&text);
}
