/* test_image.c - building, canonical bytes and their refusal, disassembly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/sample_image.h"
#include <stdio.h>

static Buf encoded(Image *image)
{
    Buf out = { 0 };
    image_encode(image, &out);
    return out;
}

static void decode_fails(Str bytes, Err code, const char *part)
{
    Image *image = NULL;
    Error error = { 0 };
    assert_int_equal(image_decode(bytes, &image, &error), code);
    if (!strstr(error.text, part)) fail_msg("`%s` does not say `%s`", error.text, part);
}

static void a_new_image_holds_the_fixed_types(void **state)
{
    (void)state;
    Image *image = image_new();
    assert_int_equal(image->type_count, TYPE_INDEX_FIXED_COUNT);
    assert_int_equal(image->types[TYPE_INDEX_OPT_ERROR].element, TYPE_INDEX_ERROR);
    assert_int_equal(image->types[TYPE_INDEX_ERROR].field_count, ERROR_FIELD_COUNT);
    assert_true(str_is(image->types[TYPE_INDEX_ERROR_KIND].members[ERROR_KIND_in_doubt], "in_doubt"));
    uint64_t mask = image->types[TYPE_INDEX_ERROR].counted_mask;
    assert_int_equal(mask, 0x1FA);       /* all but kind and status */
    Error error = { 0 };
    assert_int_equal(image_verify(image, &error), ERR_OK);
    image_free(image);
}

static void a_table_keeps_its_rows_while_it_grows(void **state)
{
    (void)state;
    Image *image = image_new();
    for (int i = 0; i < 1000; i++) {
        uint16_t row = IMAGE_ADD(image, const);
        assert_int_equal(row, i);
        image->consts[row] = (ImageConst){ .type = TYPE_INDEX_INT, .word = (uint64_t)i * 3 };
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(image->consts[i].word, i * 3);
    image_free(image);
}

static void a_table_ends_at_IMAGE_INDEX_MAX(void **state)
{
    (void)state;
    Image *image = image_new();
    for (int i = 0; i < IMAGE_INDEX_MAX; i++) assert_int_not_equal(IMAGE_ADD_REGEX(image), NO_INDEX);
    assert_int_equal(IMAGE_ADD_REGEX(image), NO_INDEX);
    assert_int_equal(image->regex_count, IMAGE_INDEX_MAX);
    image_free(image);
}

static void what_is_decoded_can_grow(void **state)
{
    (void)state;
    Image *image = sample_image(), *again = NULL;
    Buf bytes = encoded(image);
    assert_int_equal(image_decode(buf_str(&bytes), &again, NULL), ERR_OK);
    for (int i = 0; i < 100; i++) *NEW_ROW(again, const) = (ImageConst){ .type = TYPE_INDEX_INT };
    assert_true(str_is(again->consts[K_PRICE].bytes, "49.90"));
    image_free(again);
    image_free(image);
    buf_free(&bytes);
}

static void an_image_lives_until_its_last_reference(void **state)
{
    (void)state;
    Image *image = image_new();
    assert_ptr_equal(image_retain(image), image);
    image_free(image);
    assert_int_equal(image->refs, 1);
    image_free(image);
    image_free(NULL);
}

static int lives_ended;
static void live_end(struct ImageLive *live) { (void)live; lives_ended++; }
static void the_machines_own_part_goes_with_the_image(void **state)
{
    (void)state;
    Image *image = image_new();
    image->live = (struct ImageLive *)image;
    image->live_free = live_end;
    image_free(image_retain(image));
    assert_int_equal(lives_ended, 0);
    image_free(image);
    assert_int_equal(lives_ended, 1);
}

static void decode_gives_back_what_was_encoded(void **state)
{
    (void)state;
    Image *image = sample_image(), *again = NULL;
    Error error = { 0 };
    Buf bytes = encoded(image), text = { 0 }, text_again = { 0 };
    if (image_decode(buf_str(&bytes), &again, &error)) fail_msg("%s", error.text);
    image_disasm(image, &text);
    image_disasm(again, &text_again);
    assert_true(str_eq(buf_str(&text), buf_str(&text_again)));
    assert_memory_equal(again->hash.bytes, image->hash.bytes, SHA256_BYTES);
    Sha256 hash = sha256(buf_str(&bytes));
    assert_memory_equal(again->hash.bytes, hash.bytes, SHA256_BYTES);
    assert_int_equal(again->tools[TOOL_WEATHER].func, NO_INDEX);
    assert_true(str_is(again->types[T_STATUS].member_patterns[0], "i/open|offen"));
    assert_null(again->types[T_TRIP].field_patterns);
    assert_int_equal(again->funcs[F_SEARCH].lines[1].line, 11);
    assert_int_equal(again->machines[0].targets[0], 2);
    buf_free(&bytes);
    buf_free(&text);
    buf_free(&text_again);
    image_free(image);
    image_free(again);
}

static void one_changed_bit_of_meaning_changes_the_hash(void **state)
{
    (void)state;
    Image *image = sample_image();
    Buf one = encoded(image);
    Sha256 before = image->hash;
    image->consts[K_FORTY].word = 41;
    Buf two = encoded(image);
    assert_memory_not_equal(before.bytes, image->hash.bytes, SHA256_BYTES);
    buf_free(&one);
    buf_free(&two);
    image_free(image);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    Image *image = sample_image(), *again = NULL;
    Buf bytes = encoded(image);
    for (size_t len = 0; len < bytes.len; len++) {
        char *exact = mem_alloc(len + 1);            /* so that a read behind the end is seen */
        memcpy(exact, bytes.ptr, len);
        Error error = { 0 };
        assert_int_not_equal(image_decode((Str){ exact, len }, &again, &error), ERR_OK);
        assert_true(error.text[0] != 0);
        free(exact);
    }
    buf_free(&bytes);
    image_free(image);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    Image *image = sample_image();
    Buf bytes = encoded(image);
    buf_put_u8(&bytes, 0);
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "1 bytes behind its end");
    buf_free(&bytes);
    image_free(image);
}

static void other_magic_and_other_versions_are_refused(void **state)
{
    (void)state;
    Image *image = image_new();
    Buf bytes = encoded(image);
    decode_fails(STR(""), ERR_CORRUPT, "not an image");
    decode_fails(STR("FLOWB"), ERR_CORRUPT, "truncated in its version");
    bytes.ptr[5] = IMAGE_VERSION + 1;
    char found[32];
    snprintf(found, sizeof found, "version %d", IMAGE_VERSION + 1);
    decode_fails(buf_str(&bytes), ERR_UNSUPPORTED, found);
    bytes.ptr[0] = 'f';
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "not an image");
    buf_free(&bytes);
    image_free(image);
}

/* The bytes of an empty image: magic, version, then nothing but zero counts. */
static void a_number_has_one_form(void **state)
{
    (void)state;
    Image *image = image_new();
    Buf bytes = encoded(image), longer = { 0 };
    buf_put(&longer, bytes.ptr, 6);
    buf_put(&longer, "\x80\x00", 2);                 /* zero in two bytes */
    buf_put(&longer, bytes.ptr + 7, bytes.len - 7);
    decode_fails(buf_str(&longer), ERR_CORRUPT, "cannot read image");
    buf_free(&bytes);
    buf_free(&longer);
    image_free(image);
}

static void a_bool_is_zero_or_one(void **state)
{
    (void)state;
    Image *image = image_new();
    *NEW_ROW(image, test) = (ImageTest){ STR("t"), 0, true };
    Buf bytes = encoded(image);
    bytes.ptr[bytes.len - 8] = 2;                    /* behind it: no fixtures, participants, routes, webhooks, scopes, roles, plans */
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "out of its range");
    buf_free(&bytes);
    image_free(image);
}

static void empty_patterns_have_one_form(void **state)
{
    (void)state;
    Image *image = image_new(), *other = image_new();
    static Str members[] = { { "A", 1 } }, none[] = { { "", 0 } };
    *NEW_ROW(image, type) = (ImageType){ .kind = KIND_ENUM, .members = members, .member_count = 1, .member_patterns = none };
    *NEW_ROW(other, type) = (ImageType){ .kind = KIND_ENUM, .members = members, .member_count = 1 };
    Buf one = encoded(image), two = encoded(other);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    buf_free(&one);
    buf_free(&two);
    image_free(image);
    image_free(other);
}

static void a_count_above_what_is_left_takes_no_memory(void **state)
{
    (void)state;
    Buf bytes = { 0 };
    buf_put_text(&bytes, "FLOWB");
    buf_put_varint(&bytes, IMAGE_VERSION);
    buf_put_varint(&bytes, 60000);                   /* files */
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "more rows than bytes are left");
    buf_clear(&bytes);
    buf_put_text(&bytes, "FLOWB");
    buf_put_varint(&bytes, IMAGE_VERSION);
    buf_put_varint(&bytes, IMAGE_INDEX_MAX + 1);
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "more rows than its limit");
    buf_free(&bytes);
}

static void an_image_above_IMAGE_SIZE_MAX_is_refused(void **state)
{
    (void)state;
    char *large = mem_alloc(IMAGE_SIZE_MAX + 1);
    decode_fails((Str){ large, IMAGE_SIZE_MAX + 1 }, ERR_LIMIT, "IMAGE_SIZE_MAX");
    free(large);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    Image *image = image_new();
    *NEW_ROW(image, file) = STR("\xff.flow");
    Buf bytes = encoded(image);
    decode_fails(buf_str(&bytes), ERR_CORRUPT, "not valid UTF-8");
    buf_free(&bytes);
    image_free(image);
}

static uint64_t random_state = 88172645463325252u;
static uint32_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static void flipped_bytes_are_refused_or_a_good_image(void **state)
{
    (void)state;
    Image *image = sample_image();
    Buf bytes = encoded(image);
    char *copy = mem_alloc(bytes.len);
    for (int round = 0; round < 30000; round++) {
        memcpy(copy, bytes.ptr, bytes.len);
        for (int flips = 1 + (int)(random_next() % 4); flips; flips--) copy[random_next() % bytes.len] ^= (char)(1 << random_next() % 8);
        Image *again = NULL;
        Error error = { 0 };
        Err err = image_decode((Str){ copy, bytes.len }, &again, &error);
        if (err) {
            assert_true(error.text[0] != 0);
            continue;
        }
        Buf text = { 0 };
        image_disasm(again, &text);
        buf_free(&text);
        image_free(again);
    }
    free(copy);
    buf_free(&bytes);
    image_free(image);
}

static void types_are_named_as_they_are_written(void **state)
{
    (void)state;
    Image *image = sample_image();
    const struct { uint16_t type; const char *text; } rows[] = {
        { T_LIST_INT, "list<int>" }, { T_OPT_INT, "int?" }, { T_LIST_TRIP, "list<Trip>" }, { T_OPT_TRIP, "Trip?" }, { T_MAP_INT, "map<int>" },
        { T_BOTH, "{ city: string, nights: int }" }, { TYPE_INDEX_ERROR_KIND, "error_kind" }, { TYPE_INDEX_OPT_ERROR, "error?" }, { 999, "?" }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Buf text = { 0 };
        image_type_print(image, rows[i].type, &text);
        assert_string_equal(buf_cstr(&text), rows[i].text);
        buf_free(&text);
    }
    image_free(image);
}

static void the_text_of_a_type_that_doubles_is_cut(void **state)
{
    (void)state;
    Image *image = image_new();
    uint16_t type = TYPE_INDEX_INT;
    for (int i = 0; i < 30; i++) {
        sample_record(image, "", 2, (const char *const[]){ "a", "b" }, (const uint16_t[]){ type, type });
        type = (uint16_t)(image->type_count - 1);
    }
    Error error = { 0 };
    assert_int_equal(image_verify(image, &error), ERR_OK);
    Buf text = { 0 };
    image_type_print(image, type, &text);
    assert_true(text.len > 100 && text.len < 4000);
    buf_free(&text);
    image_free(image);
}

static void a_line_is_found_by_pc(void **state)
{
    (void)state;
    Image *image = sample_image();
    const ImageFunc *func = &image->funcs[F_SEARCH];
    assert_int_equal(image_line(func, 0)->line, 12);
    assert_int_equal(image_line(func, 2)->line, 12);
    assert_int_equal(image_line(func, 4)->line, 11);
    assert_null(image_line(&image->funcs[F_BOOK], 0));
    image_free(image);
}

static void flows_and_words_are_found_by_name(void **state)
{
    (void)state;
    Image *image = sample_image();
    assert_int_equal(image_find_flow(image, STR("book")), 0);
    assert_int_equal(image_find_flow(image, STR("boo")), -1);
    assert_string_equal(opcode_name(OP_ADD_INT), "ADD_INT");
    assert_null(opcode_name(0xFFFF));
    assert_null(opcode_name(0));
    assert_string_equal(effect_name(EFFECT_NOTE_PROGRESS), "note_progress");
    assert_null(effect_name(0xFE));
    assert_int_equal(effect_class(EFFECT_EMIT), EFFECT_CLASS_WRITE);
    assert_string_equal(error_kind_name(ERROR_KIND_not_found), "not_found");
    assert_null(error_kind_name(ERROR_KIND_COUNT));
    image_free(image);
}

static void the_disassembly_resolves_what_it_names(void **state)
{
    (void)state;
    Image *image = sample_image();
    Buf text = { 0 };
    image_disasm(image, &text);
    const char *all = buf_cstr(&text);
    const char *const parts[] = {
        "func 0 tool travel.search(r0: Status) -> list<Trip> of travel\n",
        "      3  EFFECT        r1, e1, r2           ; query_read: select trips where ((status == $0) and (version in $1)) order by price desc limit $2  @ trip.flow:11:9\n",
        "      2  LOADI         r2, 1                ; DONE\n",
        "      0  LOADK         r1, k0               ; 40\n",
        "     18  BUILTIN       r3, b48, r3          ; list<x>.sort\n",
        "    4  FORLOOP       r2, r1, -> 3\n",
        "   11  JT            r7, -> 14\n",
        "  try 1..3 catch -> 4 r2\n",
        "  try 0..6 finally -> 6 r3\n",
        "      1  MATCH         r2, r1, x0           ; \"i/flight|airport\"\n",
        "      4  GET_FIELD     r1, r2, 1            ; .message\n",
        "      3  SPAWN         r1, f4, r0           ; work#1\n",
        "  q3 select trips group by status give status, count(*)\n",
        "  q5 select one trips join trips as s1 on (s0.id == s1.id) where not(is_null(s1.note))\n",
        "  k1 string \"Grüße\"\n",
        "  weather.forecast(city: string) -> string? keyed remote\n",
        "    OPEN -> DONE\n    final DONE\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(all, parts[i])) fail_msg("the text has no line `%s`:\n%s", parts[i], all);
    buf_free(&text);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_image_holds_the_fixed_types),
        cmocka_unit_test(a_table_keeps_its_rows_while_it_grows),
        cmocka_unit_test(a_table_ends_at_IMAGE_INDEX_MAX),
        cmocka_unit_test(what_is_decoded_can_grow),
        cmocka_unit_test(an_image_lives_until_its_last_reference),
        cmocka_unit_test(the_machines_own_part_goes_with_the_image),
        cmocka_unit_test(decode_gives_back_what_was_encoded),
        cmocka_unit_test(one_changed_bit_of_meaning_changes_the_hash),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(other_magic_and_other_versions_are_refused),
        cmocka_unit_test(a_number_has_one_form),
        cmocka_unit_test(a_bool_is_zero_or_one),
        cmocka_unit_test(empty_patterns_have_one_form),
        cmocka_unit_test(a_count_above_what_is_left_takes_no_memory),
        cmocka_unit_test(an_image_above_IMAGE_SIZE_MAX_is_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(flipped_bytes_are_refused_or_a_good_image),
        cmocka_unit_test(types_are_named_as_they_are_written),
        cmocka_unit_test(the_text_of_a_type_that_doubles_is_cut),
        cmocka_unit_test(a_line_is_found_by_pc),
        cmocka_unit_test(flows_and_words_are_found_by_name),
        cmocka_unit_test(the_disassembly_resolves_what_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
