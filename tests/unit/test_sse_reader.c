/* test_sse_reader.c - event streams as the HTML standard describes them, whole and cut at every byte; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/arena.h"
#include "interpreter/net/sse_reader.h"

static Buf told;                                         /* "event|data|id;" of each event */

static bool tell(const SseEvent *event, void *arg)
{
    int *left = arg;
    buf_printf(&told, "%.*s|%.*s|%.*s;", STR_ARG(event->event), STR_ARG(event->data), STR_ARG(event->id));
    return !left || --*left > 0;
}

static Err read_cut(Str stream, size_t size_max, size_t first, size_t step)
{
    SseReader reader;
    Error error = { 0 };
    Err err = ERR_OK;
    sse_reader_init(&reader, size_max);
    buf_clear(&told);
    for (size_t at = 0, len = first; at < stream.len && !err; at += len, len = step) {
        if (len > stream.len - at) len = stream.len - at;
        err = sse_reader_feed(&reader, (Str){ stream.ptr + at, len }, tell, NULL, &error);
    }
    sse_reader_free(&reader);
    return err;
}

typedef struct Case { const char *stream, *events; } Case;
static const Case cases[] = {
    { "data: one\n\n", "message|one|;" },
    { "data:one\n\ndata: two\n\n", "message|one|;message|two|;" },
    { "data:  two spaces: one goes\n\n", "message| two spaces: one goes|;" },
    { "data: a\ndata: b\ndata\n\n", "message|a\nb\n|;" },
    { "data\n\n", "message||;" },
    { "data: a\r\ndata: b\r\n\r\n", "message|a\nb|;" },
    { "data: a\rdata: b\r\r", "message|a\nb|;" },
    { "data: a\ndata: b\r\ndata: c\r\n\ndata: d\r\r\ndata: e\n\r", "message|a\nb\nc|;message|d|;message|e|;" },
    { "\xEF\xBB\xBF" "data: behind the mark\n\n", "message|behind the mark|;" },
    { "\xEF\xBB\xBF\xEF\xBB\xBF" "data: only one mark\n\n", "" },
    { ": comment\ndata: x\n: another\n\n:\n\n", "message|x|;" },
    { "event: ping\n\nevent: pong\ndata: x\n\ndata: y\n\n", "pong|x|;message|y|;" },
    { "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "message|a|1;message|b|1;message|c|;" },
    { "Data: no\ndata : no\n data: no\nother: x\ndata: yes\n\n", "message|yes|;" },
    { "data: not complete\n", "" },
    { "data: complete\n\ndata: not", "message|complete|;" },
    { "data: €ü😀\n\n", "message|€ü😀|;" },
    { "data:\tnot a space\n\n", "message|\tnot a space|;" },
    { "event: a\nevent: b\ndata: x\n\n", "b|x|;" },
    { "retry: 1500\nretry: 15x\nretry:\ndata: x\n\n", "message|x|;" },
};

static void every_cut_gives_the_same_events(void **state)
{
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        Str stream = str_of(cases[c].stream);
        for (size_t first = 0; first <= stream.len; first++) {
            assert_int_equal(read_cut(stream, 1000, first, stream.len), ERR_OK);
            if (!str_is(buf_str(&told), cases[c].events)) fail_msg("case %zu cut at %zu: %.*s", c, first, STR_ARG(buf_str(&told)));
        }
        assert_int_equal(read_cut(stream, 1000, 1, 1), ERR_OK);
        if (!str_is(buf_str(&told), cases[c].events)) fail_msg("case %zu byte by byte: %.*s", c, STR_ARG(buf_str(&told)));
    }
}

static void an_id_with_nul_is_ignored(void **state)
{
    static const char stream[] = "id: 7\ndata: a\n\nid: 8\0x\ndata: b\n\n";
    assert_int_equal(read_cut((Str){ stream, sizeof stream - 1 }, 1000, sizeof stream, 1), ERR_OK);
    assert_true(str_is(buf_str(&told), "message|a|7;message|b|7;"));
}

static void what_is_not_utf8_is_refused(void **state)
{
    static const char *const streams[] = { "data: \xC3\n\n", "data: \xED\xA0\x80\n\n", "event: \xFF\n\n", "\xEF\xBB" "data: x\n\n", "\xEF" "data: x\n\n" };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        for (size_t first = 0; first <= strlen(streams[i]); first++) assert_int_equal(read_cut(str_of(streams[i]), 1000, first, 100), ERR_INVALID);
    assert_int_equal(read_cut(STR(": \xFF in a comment\ndata: x\n\n"), 1000, 100, 1), ERR_OK);
}

static void a_line_and_an_event_have_a_limit(void **state)
{
    assert_int_equal(read_cut(STR("data: 0123456789\n\n"), 16, 100, 1), ERR_OK);
    assert_int_equal(read_cut(STR("data: 0123456789a\n\n"), 16, 100, 1), ERR_LIMIT);
    assert_int_equal(read_cut(STR("data: 01234\ndata: 56789\n\n"), 16, 100, 1), ERR_OK);
    assert_int_equal(read_cut(STR("data: 01234567\ndata: 56789\ndata: 99\n\n"), 16, 100, 1), ERR_LIMIT);
}

static void endless_comments_need_no_memory(void **state)
{
    SseReader reader;
    Error error;
    char text[4096];
    memset(text, ':', sizeof text);
    sse_reader_init(&reader, 16);
    for (int i = 0; i < 1000; i++) assert_int_equal(sse_reader_feed(&reader, (Str){ text, sizeof text }, tell, NULL, &error), ERR_OK);
    assert_true(reader.line.cap < 64);
    sse_reader_free(&reader);
}

static void after_an_error_nothing_more_is_taken(void **state)
{
    SseReader reader;
    Error error;
    sse_reader_init(&reader, 8);
    buf_clear(&told);
    assert_int_equal(sse_reader_feed(&reader, STR("data: too long for it\n\n"), tell, NULL, &error), ERR_LIMIT);
    assert_int_equal(sse_reader_feed(&reader, STR("\n\ndata: x\n\n"), tell, NULL, &error), ERR_INVALID);
    assert_int_equal(told.len, 0);
    sse_reader_free(&reader);
}

static void the_handler_ends_the_reading(void **state)
{
    SseReader reader;
    int left = 2;
    sse_reader_init(&reader, 100);
    buf_clear(&told);
    assert_int_equal(sse_reader_feed(&reader, STR("data: 1\n\ndata: 2\n\ndata: 3\n\n"), tell, &left, NULL), ERR_OK);
    assert_true(str_is(buf_str(&told), "message|1|;message|2|;"));
    sse_reader_free(&reader);
}

static void the_wish_for_a_pause_is_kept(void **state)
{
    SseReader reader;
    sse_reader_init(&reader, 100);
    assert_int_equal(reader.retry_ms, -1);
    assert_int_equal(sse_reader_feed(&reader, STR("retry: 2500\n\nretry: 1s\n\nretry: 99999999999999999999\n\n"), tell, NULL, NULL), ERR_OK);
    assert_int_equal(reader.retry_ms, 2500);
    sse_reader_free(&reader);
}

static int forget(void **state)
{
    buf_free(&told);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same_events), cmocka_unit_test(an_id_with_nul_is_ignored), cmocka_unit_test(what_is_not_utf8_is_refused),
        cmocka_unit_test(a_line_and_an_event_have_a_limit), cmocka_unit_test(endless_comments_need_no_memory), cmocka_unit_test(after_an_error_nothing_more_is_taken),
        cmocka_unit_test(the_handler_ends_the_reading), cmocka_unit_test(the_wish_for_a_pause_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
