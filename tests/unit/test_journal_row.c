/* test_journal_row.c - journal rows as bytes: one by one and as chunks. */
#include "base/arena.h"
#include "interpreter/store/journal_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static JournalRow row_of(uint64_t seq)
{
    return (JournalRow){ .seq = seq, .request = seq * 3, .fiber = 1, .span = 2, .parent_span = 1, .entry = JOURNAL_RESULT, .effect = 4, .target = 5, .agent = NO_INDEX,
                         .name = STR("llm.complete"), .args_json = STR("[\"step\"]"), .payload = { "\0\1\xff", 3 }, .detail_json = STR("{}"),
                         .started_us = (int64_t)seq * 1000 - 7, .ended_us = (int64_t)seq * 1000 };
}

static void same(const JournalRow *a, const JournalRow *b)
{
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->request, b->request);
    assert_int_equal(a->started_us, b->started_us);
    assert_int_equal(a->ended_us, b->ended_us);
    assert_int_equal(a->target, b->target);
    assert_int_equal(a->agent, b->agent);
    assert_true(str_eq(a->name, b->name) && str_eq(a->args_json, b->args_json) && str_eq(a->payload, b->payload) && str_eq(a->detail_json, b->detail_json));
}

static Str entries(Buf *out, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        JournalRow row = row_of(first + i);
        journal_entry_put(&row, out);
    }
    return buf_str(out);
}

static void chunks_of_every_size_come_back(void **state)
{
    for (uint32_t count = 1; count <= JOURNAL_CHUNK_ROWS; count++)
        for (uint32_t older = 0; older <= count; older += count / 3 + 1) {
            Arena *arena = arena_new();
            Buf a = { 0 }, b = { 0 };
            JournalRow rows[JOURNAL_CHUNK_ROWS];
            Error error;
            Str chunk = journal_chunk(arena, entries(&a, 10, older), entries(&b, 10 + older, count - older), count);
            assert_int_equal(journal_chunk_read(chunk, 10, count, (int64_t)(9 + count) * 1000, rows, &error), ERR_OK);
            for (uint32_t i = 0; i < count; i++) {
                JournalRow row = row_of(10 + i);
                same(&rows[i], &row);
            }
            Reader r = reader_of((Str){ buf_str(&a).ptr, a.len });
            assert_int_equal(journal_entries_read(&r, older).len, a.len);
            assert_false(r.failed);
            journal_entries_read(&r, 1);
            assert_true(r.failed);
            buf_free(&a);
            buf_free(&b);
            arena_free(arena);
        }
}

static void either_half_of_a_chunk_may_be_nothing(void **state)
{
    Arena *arena = arena_new();
    Buf bytes = { 0 };
    Str five = entries(&bytes, 1, 5), none = { 0 };
    assert_true(str_eq(journal_chunk(arena, five, none, 5), journal_chunk(arena, none, five, 5)));
    buf_free(&bytes);
    arena_free(arena);
}

static void a_chunk_of_one_is_the_row_itself(void **state)
{
    Arena *arena = arena_new();
    Buf entry = { 0 }, plain = { 0 };
    JournalRow row = row_of(1);
    journal_row_put(&row, &plain);
    assert_true(str_eq(journal_chunk(arena, (Str){ 0 }, entries(&entry, 1, 1), 1), buf_str(&plain)));
    buf_free(&entry);
    buf_free(&plain);
    arena_free(arena);
}

/* Every cut and every changed byte is found or harmless, and never read beyond. */
static void damaged_chunks_are_refused(void **state)
{
    Arena *arena = arena_new();
    Buf bytes = { 0 };
    JournalRow rows[JOURNAL_CHUNK_ROWS + 1];
    Error error;
    Str chunk = journal_chunk(arena, (Str){ 0 }, entries(&bytes, 1, 3), 3);
    for (size_t len = 0; len < chunk.len; len++) {
        char *cut = malloc(len + 1);                        /* its end is the end of the block */
        memcpy(cut, chunk.ptr, len);
        assert_int_equal(journal_chunk_read((Str){ cut, len }, 1, 3, 3000, rows, &error), ERR_CORRUPT);
        free(cut);
    }
    for (size_t at = 0; at < chunk.len; at++) {
        char *changed = malloc(chunk.len);
        memcpy(changed, chunk.ptr, chunk.len);
        changed[at] ^= 0x41;
        journal_chunk_read((Str){ changed, chunk.len }, 1, 3, 3000, rows, &error);
        free(changed);
    }
    assert_int_equal(journal_chunk_read(chunk, 1, 2, 3000, rows, &error), ERR_CORRUPT);
    assert_int_equal(journal_chunk_read(chunk, 1, 4, 3000, rows, &error), ERR_CORRUPT);
    assert_int_equal(journal_chunk_read(chunk, 1, JOURNAL_CHUNK_ROWS + 1, 3000, rows, &error), ERR_CORRUPT);
    buf_free(&bytes);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_every_size_come_back),
        cmocka_unit_test(either_half_of_a_chunk_may_be_nothing),
        cmocka_unit_test(a_chunk_of_one_is_the_row_itself),
        cmocka_unit_test(damaged_chunks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
