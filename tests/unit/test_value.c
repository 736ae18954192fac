/* test_value.c - values: equal, ordered, as bytes, as JSON, shared, charged; and hostile forms of each. */
#include "interpreter/vm/value_internal.h"
#include "tests/unit/vm_run.h"

static Image *image;
static uint16_t color, opt_int, opt_text, opt_json, opt_color, ints, texts, map_ints, person, people, empty, opt_float;

static int setup(void **state)
{
    Asm *m = asm_new();
    color = asm_enum(m, "Color", 3, (const char *[]){ "RED", "GREEN", "BLUE" });
    opt_int = asm_type(m, KIND_OPT, INT);
    opt_text = asm_type(m, KIND_OPT, TEXT);
    opt_json = asm_type(m, KIND_OPT, JSON);
    opt_color = asm_type(m, KIND_OPT, color);
    opt_float = asm_type(m, KIND_OPT, FLOAT);
    ints = asm_type(m, KIND_LIST, INT);
    texts = TYPE_INDEX_LIST_STRING;
    map_ints = asm_type(m, KIND_MAP, INT);
    person = asm_record(m, "Person", 4, (const char *[]){ "name", "age", "nick", "favourite" }, (uint16_t[]){ TEXT, INT, opt_text, color });
    m->image->types[person].fields[0].labels = LABEL_PII;
    people = asm_type(m, KIND_LIST, person);
    empty = asm_record(m, "Empty", 0, NULL, NULL);
    asm_func(m, "main", FUNC_FN, VOID, 0, NULL);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    image = asm_done(m);
    return 0;
}

static int teardown(void **state)
{
    image_free(image);
    return 0;
}

/* ---- helpers ---- */

static Err read(uint16_t type, const char *text, Value *out, Error *error)
{
    Arena *arena = arena_new();
    Json *json = NULL;
    Err err = json_parse(arena, str_of(text), 1 << 20, &json, error);
    if (!err) err = value_from_json(image, type, json, out, error);
    arena_free(arena);
    return err;
}

static Value from(uint16_t type, const char *text)
{
    Value v = { 0 };
    Error error = { 0 };
    if (read(type, text, &v, &error)) fail_msg("%s: %s", text, error.text);
    return v;
}

static void drop(uint16_t type, Value v)
{
    if (type_counted(image, type)) value_release(v);
}

static void assert_json(uint16_t type, Value v, const char *expected)
{
    Buf out = { 0 };
    value_to_json(image, type, v, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void assert_refused(uint16_t type, const char *text, const char *message)
{
    Value v = { 0 };
    Error error = { 0 };
    assert_int_not_equal(read(type, text, &v, &error), ERR_OK);
    assert_string_equal(error.text, message);
    assert_int_equal(v.w, 0);
}

/* ---- JSON ---- */

typedef struct Round { const uint16_t *type; uint16_t fixed; const char *text; } Round;

static const Round rounds[] = {
    { NULL, BOOL, "true" }, { NULL, INT, "-9223372036854775808" }, { NULL, FLOAT, "0.1" }, { NULL, DEC, "1.50" }, { NULL, DEC, "0" }, { NULL, DEC, "-0.001" },
    { NULL, DEC, "123456789012345678901234567890.5" }, { NULL, DEC, "\"1234567890123456789012345678901234567890\"" },
    { NULL, TEXT, "\"a \\\"b\\\" \xC3\xA9\"" }, { NULL, TEXT, "\"\"" }, { NULL, TYPE_INDEX_DATE, "\"2025-11-10\"" }, { NULL, TIME, "\"2025-11-10T10:00:00.25Z\"" },
    { NULL, TYPE_INDEX_DURATION, "\"90m\"" }, { NULL, TYPE_INDEX_BYTES, "\"\"" }, { NULL, TYPE_INDEX_BYTES, "\"AA==\"" }, { NULL, TYPE_INDEX_BYTES, "\"AAEC\"" },
    { NULL, JSON, "null" }, { NULL, JSON, "{\"a\":[1,2.50,null,true,\"x\",{},[]],\"b\":false}" },
    { &color, 0, "\"BLUE\"" }, { &opt_int, 0, "null" }, { &opt_int, 0, "0" }, { &opt_int, 0, "9223372036854775807" }, { &opt_int, 0, "-4611686018427387905" },
    { &opt_text, 0, "\"\"" }, { &opt_text, 0, "null" }, { &opt_color, 0, "\"RED\"" }, { &opt_float, 0, "0.1" }, { &opt_float, 0, "0.5" }, { &opt_json, 0, "[null]" },
    { &ints, 0, "[]" }, { &ints, 0, "[1,-2,3]" }, { &texts, 0, "[\"a\",\"\"]" }, { &map_ints, 0, "{\"z\":1,\"a\":2}" },
    { &map_ints, 0, "{\"0\":0,\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9,\"10\":10,\"11\":11}" },
    { &people, 0, "[{\"name\":\"Anna\",\"age\":41,\"nick\":null,\"favourite\":\"GREEN\"}]" }, { &empty, 0, "{}" },
};
enum { ROUND_COUNT = sizeof rounds / sizeof *rounds };
static uint16_t round_type(int k) { return rounds[k].type ? *rounds[k].type : rounds[k].fixed; }

static void json_and_bytes_bring_back_every_kind(void **state)
{
    for (int k = 0; k < ROUND_COUNT; k++) {
        uint16_t type = round_type(k);
        Value v = from(type, rounds[k].text), again;
        if (type != TYPE_INDEX_DURATION) assert_json(type, v, rounds[k].text);
        Buf bytes = { 0 };
        Error error = { 0 };
        value_encode(image, type, v, &bytes);
        Reader in = reader_of(buf_str(&bytes));
        assert_int_equal(value_decode(image, type, &in, &again, &error), ERR_OK);
        assert_int_equal(reader_left(&in), 0);
        assert_true(value_equal(image, type, v, again));
        if (type != TYPE_INDEX_DURATION) assert_json(type, again, rounds[k].text);
        for (size_t cut = 0; cut < bytes.len; cut++) {           /* cut off anywhere it is refused, and nothing leaks */
            Value part = { 0 };
            in = reader_of((Str){ bytes.ptr, cut });
            assert_int_not_equal(value_decode(image, type, &in, &part, &error), ERR_OK);
        }
        buf_free(&bytes);
        drop(type, v);
        drop(type, again);
    }
}

static void json_that_does_not_fit_names_its_place(void **state)
{
    assert_refused(INT, "1.5", "/: expected int, found a number: it has a fraction or does not fit 64 bits");
    assert_refused(INT, "\"1\"", "/: expected int, found a string");
    assert_refused(INT, "1e30", "/: expected int, found a number: it has a fraction or does not fit 64 bits");
    assert_refused(BOOL, "1", "/: expected bool, found an integer");
    assert_refused(TYPE_INDEX_DATE, "\"2025-13-01\"", "/: expected date, found a string: not a date such as 2025-11-10");
    assert_refused(TYPE_INDEX_BYTES, "\"AAE\"", "/: expected bytes, found a string: not base64");
    assert_refused(TYPE_INDEX_BYTES, "\"A*==\"", "/: expected bytes, found a string: not base64");
    assert_refused(color, "\"GREN\"", "/: expected Color, found a string: no member of this name; did you mean \"GREEN\"?");
    assert_refused(people, "[{\"name\":\"A\",\"age\":1,\"favourite\":\"RED\"},{\"name\":\"A\",\"age\":\"x\",\"favourite\":\"RED\"}]", "/1/age: expected int, found a string");
    assert_refused(person, "{\"name\":\"A\",\"favourite\":\"RED\"}", "/age: missing field");
    assert_refused(person, "{\"name\":\"A\",\"age\":1,\"favourite\":\"RED\",\"ag\":2}", "/ag: unknown field; did you mean \"age\"?");
    assert_refused(person, "{\"name\":\"A\",\"age\":1,\"favourite\":\"RED\",\"a/~b\":2}", "/a~1~0b: unknown field");
    assert_refused(opt_int, "false", "/: expected int, found a boolean");
    assert_refused(GROUP, "1", "/: expected group, found an integer: a fiber group has no JSON");
}

static void absent_optionals_are_null(void **state)
{
    Value v = from(person, "{\"name\":\"A\",\"age\":1,\"favourite\":\"RED\"}");
    assert_json(person, v, "{\"name\":\"A\",\"age\":1,\"nick\":null,\"favourite\":\"RED\"}");
    value_release(v);
}

static void a_number_that_is_whole_is_an_int(void **state)
{
    assert_int_equal(from(INT, "1.0").i, 1);
    assert_int_equal(from(INT, "12e2").i, 1200);
}

static void labelled_fields_are_redacted(void **state)
{
    Value v = from(people, "[{\"name\":\"Anna\",\"age\":41,\"favourite\":\"RED\"}]");
    Buf out = { 0 };
    value_to_json_redacted(image, people, v, &out);
    assert_string_equal(buf_cstr(&out), "[{\"name\":\"***\",\"age\":41,\"nick\":null,\"favourite\":\"RED\"}]");
    buf_free(&out);
    value_release(v);
}

static void values_print_as_interpolation_shows_them(void **state)
{
    const struct { uint16_t type; const char *json, *text; } cases[] = {
        { DEC, "1.50", "1.50" }, { TEXT, "\"x\"", "x" }, { FLOAT, "0.1", "0.1" }, { color, "\"RED\"", "RED" }, { opt_text, "null", "null" }, { opt_text, "\"y\"", "y" },
        { TYPE_INDEX_DATE, "\"2025-11-10\"", "2025-11-10" }, { ints, "[1,2]", "[1,2]" }, { JSON, "\"t\"", "t" }, { JSON, "{\"a\":\"t\"}", "{\"a\":\"t\"}" }, { BOOL, "false", "false" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Value v = from(cases[k].type, cases[k].json);
        Buf out = { 0 };
        value_print(image, cases[k].type, v, &out);
        assert_string_equal(buf_cstr(&out), cases[k].text);
        buf_free(&out);
        drop(cases[k].type, v);
    }
}

/* ---- order ---- */

static int order(uint16_t type, const char *a, const char *b)
{
    Value x = from(type, a), y = from(type, b);
    int result = value_order(image, type, x, y);
    assert_int_equal(value_equal(image, type, x, y), result == 0);
    assert_int_equal(value_order(image, type, y, x) < 0, result > 0);
    drop(type, x);
    drop(type, y);
    return result < 0 ? -1 : result > 0;
}

static void values_are_ordered_by_meaning(void **state)
{
    assert_int_equal(order(DEC, "1.5", "1.50"), 0);
    assert_int_equal(order(DEC, "1.5", "1.51"), -1);
    assert_int_equal(order(TEXT, "\"a\"", "\"b\""), -1);
    assert_int_equal(order(opt_int, "null", "-5"), -1);
    assert_int_equal(order(opt_int, "-5", "9223372036854775807"), -1);
    assert_int_equal(order(opt_text, "null", "\"\""), -1);
    assert_int_equal(order(ints, "[1,2]", "[1,2,0]"), -1);
    assert_int_equal(order(ints, "[1,3]", "[1,2,0]"), 1);
    assert_int_equal(order(map_ints, "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"), 0);
    assert_int_equal(order(JSON, "1", "1.0"), 0);
    assert_int_equal(order(JSON, "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}"), 0);
    assert_int_not_equal(order(JSON, "{\"a\":1,\"b\":[2]}", "{\"b\":[3],\"a\":1}"), 0);
    assert_int_equal(order(color, "\"RED\"", "\"BLUE\""), -1);
}

/* ---- zero, sharing, memory ---- */

static void zero_is_a_value_of_every_type(void **state)
{
    const uint16_t types[] = { BOOL, INT, FLOAT, DEC, TEXT, TYPE_INDEX_DATE, TIME, TYPE_INDEX_DURATION, TYPE_INDEX_BYTES, JSON, ERR, color, opt_int, ints, map_ints, person, people, empty };
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        Value zero = { 0 }, read_back;
        Buf bytes = { 0 }, text = { 0 };
        Error error;
        value_encode(image, types[k], zero, &bytes);
        value_print(image, types[k], zero, &text);
        Reader in = reader_of(buf_str(&bytes));
        assert_int_equal(value_decode(image, types[k], &in, &read_back, &error), ERR_OK);
        assert_true(value_equal(image, types[k], zero, read_back));
        drop(types[k], read_back);
        buf_free(&bytes);
        buf_free(&text);
    }
}

static void some_of_nothing_is_not_null(void **state)
{
    const uint16_t elements[] = { TEXT, DEC, JSON, INT, FLOAT };
    for (size_t k = 0; k < sizeof elements / sizeof *elements; k++) {
        Value some = opt_pack(image, elements[k], (Value){ 0 });
        assert_int_not_equal(some.w, 0);
        Value inside = opt_unpack(image, elements[k], some);
        assert_true(value_equal(image, elements[k], inside, (Value){ 0 }));
        drop(elements[k], inside);
        value_release(some);
    }
}

static void the_charge_follows_the_content(void **state)
{
    Heap heap = { .limit_bytes = 1 << 20 };
    Heap *before = heap_enter(&heap);
    Value list = value_list(0, true);
    for (int k = 0; k < 1000; k++) list = list_push(list, value_string(STR("twenty characters ok")));
    size_t grown = heap.live_bytes;
    Buf bytes = { 0 };
    Error error;
    Value copy;
    value_encode(image, texts, list, &bytes);
    Reader in = reader_of(buf_str(&bytes));
    assert_int_equal(value_decode(image, texts, &in, &copy, &error), ERR_OK);
    assert_int_equal(heap.live_bytes, 2 * grown);
    value_release(list);
    value_release(copy);
    assert_int_equal(heap.live_bytes, 0);
    assert_false(heap.over);
    buf_free(&bytes);
    heap_enter(before);
}

static void going_over_the_limit_is_noted(void **state)
{
    Heap heap = { .limit_bytes = 100 };
    Heap *before = heap_enter(&heap);
    Value v = value_string(STR("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"));
    assert_true(heap.over);
    value_release(v);
    assert_int_equal(heap.live_bytes, 0);
    heap_enter(before);
}

static void appending_to_itself_is_safe(void **state)
{
    Value s = value_string(STR("ab"));
    for (int k = 0; k < 10; k++) assert_null(string_append(&s, value_str(s)));
    assert_int_equal(value_str(s).len, 2048);
    assert_memory_equal(value_str(s).ptr + 2040, "abababab", 8);
    Value other = s;
    value_retain(s);
    assert_null(string_append(&other, STR("x")));
    assert_int_equal(value_str(s).len, 2048);
    assert_int_equal(value_str(other).len, 2049);
    value_release(s);
    value_release(other);
}

static void maps_keep_the_order_of_insertion(void **state)
{
    Value m = value_map(false);
    char name[16];
    for (int k = 0; k < 500; k++) {
        snprintf(name, sizeof name, "key%d", k * 7 % 500);
        m = value_map_put(m, value_string(str_of(name)), (Value){ .i = k });
    }
    Value shared = m, item;
    value_retain(m);
    m = value_map_put(m, value_string(STR("key0")), (Value){ .i = -1 });
    assert_true(value_map_get(m, STR("key0"), &item));
    assert_int_equal(item.i, -1);
    assert_true(value_map_get(shared, STR("key0"), &item));
    assert_int_equal(item.i, 0);
    assert_false(value_map_get(m, STR("key500"), &item));
    assert_text(value_str(((MapObj *)m.o)->keys[1]), "key7");
    Value less = map_without(m, STR("key0"));
    assert_int_equal(map_count(less), 499);
    assert_false(value_map_get(less, STR("key0"), &item));
    value_release(less);
    value_release(m);
    value_release(shared);
}

static void depth_is_bounded(void **state)
{
    char text[4 * VALUE_DEPTH_MAX] = "";
    memset(text, '[', VALUE_DEPTH_MAX);
    memset(text + VALUE_DEPTH_MAX, ']', VALUE_DEPTH_MAX);
    Value v = from(JSON, text);
    assert_int_equal(value_depth(v), VALUE_DEPTH_MAX);
    Value list = value_list(0, true);
    assert_string_equal(list_append(&list, v, true), "VALUE_DEPTH_MAX");
    value_release(list);
}

static void values_of_others_are_copied_when_adopted(void **state)
{
    Heap heap = { .limit_bytes = 1 << 20 };
    Value mine = from(people, "[{\"name\":\"Anna\",\"age\":41,\"nick\":\"A\",\"favourite\":\"RED\"}]"), shared = mine, taken;
    value_retain(mine);
    Heap *before = heap_enter(&heap);
    assert_null(value_adopt(&shared));
    assert_ptr_not_equal(shared.o, mine.o);
    assert_int_equal(mine.o->refs, 1);
    size_t weight = heap.live_bytes;
    assert_true(weight > 0);
    heap_enter(NULL);
    taken = from(people, "[{\"name\":\"Anna\",\"age\":41,\"nick\":\"A\",\"favourite\":\"RED\"}]");
    Obj *same = taken.o;
    heap_enter(&heap);
    assert_null(value_adopt(&taken));
    assert_ptr_equal(taken.o, same);
    assert_int_equal(heap.live_bytes, 2 * weight);
    value_release(taken);
    value_release(shared);
    assert_int_equal(heap.live_bytes, 0);
    heap_enter(before);
    value_release(mine);
}

static void hostile_bytes_are_refused(void **state)
{
    const struct { uint16_t type; const char *bytes; size_t len; } cases[] = {
        { BOOL, "\x04", 1 }, { color, "\x06", 1 }, { color, "\x01", 1 }, { opt_int, "\x02\x00", 2 }, { TEXT, "\x02\xFF\xFE", 3 }, { TEXT, "\xFF\xFF\xFF\xFF\x0F", 5 },
        { ints, "\xFF\xFF\x3F\x00", 4 }, { map_ints, "\x02\x01" "a\x02\x01" "a\x04", 7 }, { JSON, "\x09", 1 }, { JSON, "\x01\x02", 2 }, { DEC, "\x03" "1e9", 4 - 1 },
        { DEC, "\x02--", 3 }, { empty, "\x01", 1 }, { GROUP, "\x02", 1 },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Value v = { 0 };
        Error error = { 0 };
        Reader in = reader_of((Str){ cases[k].bytes, cases[k].len });
        if (value_decode(image, cases[k].type, &in, &v, &error) == ERR_OK) fail_msg("case %zu is accepted", k);
        assert_int_equal(v.w, 0);
        assert_true(error.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_and_bytes_bring_back_every_kind), cmocka_unit_test(json_that_does_not_fit_names_its_place),
        cmocka_unit_test(absent_optionals_are_null), cmocka_unit_test(a_number_that_is_whole_is_an_int), cmocka_unit_test(labelled_fields_are_redacted),
        cmocka_unit_test(values_print_as_interpolation_shows_them), cmocka_unit_test(values_are_ordered_by_meaning),
        cmocka_unit_test(zero_is_a_value_of_every_type), cmocka_unit_test(some_of_nothing_is_not_null), cmocka_unit_test(the_charge_follows_the_content),
        cmocka_unit_test(going_over_the_limit_is_noted), cmocka_unit_test(appending_to_itself_is_safe), cmocka_unit_test(maps_keep_the_order_of_insertion),
        cmocka_unit_test(depth_is_bounded), cmocka_unit_test(values_of_others_are_copied_when_adopted), cmocka_unit_test(hostile_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
