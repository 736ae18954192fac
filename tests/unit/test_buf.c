/* test_buf.c - encodings there and back, a reader that stays inside, whole files. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_text(void **state)
{
    Buf buf = { 0 };
    assert_string_equal(buf_cstr(&buf), "");
    buf_put_text(&buf, "a");
    buf_put_char(&buf, 'b');
    buf_put_str(&buf, STR("cd"));
    buf_put(&buf, NULL, 0);
    buf_printf(&buf, "%d", 42);
    assert_string_equal(buf_cstr(&buf), "abcd42");
    buf_printf(&buf, "%500d", 1);
    assert_int_equal(buf.len, 506);
    assert_int_equal(strlen(buf_cstr(&buf)), 506);
    buf_clear(&buf);
    assert_int_equal(buf_str(&buf).len, 0);
    for (int i = 0; i < 10000; i++)
        buf_put_char(&buf, (char)i);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.ptr[i], (char)i);
    buf_free(&buf);
    assert_string_equal(buf_str(&buf).ptr, "");
}

static void test_borrowed(void **state)
{
    char room[8];
    Buf buf = buf_on(room, sizeof room);
    buf_put_text(&buf, "12345678");
    assert_ptr_equal(buf.ptr, room);                        /* fits exactly */
    buf_clear(&buf);
    buf_put_text(&buf, "1234");
    buf_put_text(&buf, "567890");
    assert_ptr_not_equal(buf.ptr, room);                    /* what was there moved along */
    assert_string_equal(buf_cstr(&buf), "1234567890");
    buf_free(&buf);
    buf = buf_on(room, sizeof room);
    buf_put_char(&buf, 'x');
    buf_free(&buf);                                         /* the room is the caller's */
    assert_int_equal(buf.len, 0);
    buf_put_char(&buf, 'y');
    assert_ptr_not_equal(buf.ptr, room);
    buf_free(&buf);
}

static void test_fixed_width(void **state)
{
    Buf buf = { 0 };
    buf_put_u8(&buf, 0xF1);
    buf_put_u16(&buf, 0xF2E3);
    buf_put_u32(&buf, 0xF4E5D6C7);
    buf_put_u64(&buf, 0xF8E9DACBBCAD9E8F);
    assert_memory_equal(buf.ptr, "\xF1\xE3\xF2\xC7\xD6\xE5\xF4\x8F\x9E\xAD\xBC\xCB\xDA\xE9\xF8", 15);
    Reader r = reader_of(buf_str(&buf));
    assert_int_equal(read_u8(&r), 0xF1);
    assert_int_equal(read_u16(&r), 0xF2E3);
    assert_int_equal(read_u32(&r), 0xF4E5D6C7);
    assert_true(read_u64(&r) == 0xF8E9DACBBCAD9E8F);
    assert_false(r.failed);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
    buf_free(&buf);
}

static void test_varint(void **state)
{
    static const struct { uint64_t value; size_t len; } cases[] = {
        { 0, 1 }, { 1, 1 }, { 127, 1 }, { 128, 2 }, { 16383, 2 }, { 16384, 3 }, { UINT32_MAX, 5 },
        { INT64_MAX, 9 }, { UINT64_C(1) << 63, 10 }, { UINT64_MAX, 10 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Buf buf = { 0 };
        buf_put_varint(&buf, cases[i].value);
        assert_int_equal(buf.len, cases[i].len);
        Reader r = reader_of(buf_str(&buf));
        assert_true(read_varint(&r) == cases[i].value);
        assert_false(r.failed);
        for (size_t cut = 0; cut < buf.len; cut++) {        /* every prefix is a violation */
            r = reader_of((Str){ buf.ptr, cut });
            assert_true(read_varint(&r) == 0);
            assert_true(r.failed);
        }
        buf_free(&buf);
    }
    static const int64_t signed_cases[] = { 0, -1, 1, -64, 64, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < COUNT(signed_cases); i++) {
        Buf buf = { 0 };
        buf_put_zigzag(&buf, signed_cases[i]);
        Reader r = reader_of(buf_str(&buf));
        assert_true(read_zigzag(&r) == signed_cases[i]);
        assert_false(r.failed);
        buf_free(&buf);
    }
    static const Str wrong[] = {
        { "\x80\x00", 2 },                                             /* padded */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },            /* 65 bits */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11 },        /* eleven bytes */
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Reader r = reader_of(wrong[i]);
        assert_true(read_varint(&r) == 0);
        assert_true(r.failed);
    }
}

static void test_bytes(void **state)
{
    Buf buf = { 0 };
    buf_put_bytes(&buf, STR("hello"));
    buf_put_bytes(&buf, STR(""));
    Reader r = reader_of(buf_str(&buf));
    assert_true(str_is(read_bytes(&r, 5), "hello"));
    assert_true(str_is(read_bytes(&r, 5), ""));
    assert_false(r.failed);
    r = reader_of(buf_str(&buf));
    assert_int_equal(read_bytes(&r, 4).len, 0);             /* longer than the caller takes */
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0);                       /* and it stays failed */
    r = reader_of((Str){ buf.ptr, 5 });
    assert_int_equal(read_bytes(&r, 100).len, 0);           /* longer than there is */
    assert_true(r.failed);
    r = reader_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"));
    assert_int_equal(read_bytes(&r, SIZE_MAX).len, 0);
    assert_true(r.failed);
    r = reader_of(STR("abc"));
    assert_true(str_is(read_raw(&r, 3), "abc"));
    assert_int_equal(read_raw(&r, SIZE_MAX).len, 0);
    assert_true(r.failed);
    r = reader_of((Str){ NULL, 0 });
    assert_int_equal(read_raw(&r, 0).len, 0);
    assert_false(r.failed);
    buf_free(&buf);
}

static int folder_entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static void test_files(void **state)
{
    char folder[] = "/tmp/test_buf_XXXXXX", path[64];
    Error error = { 0 };
    Buf in = { 0 }, out = { 0 };
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);

    assert_int_equal(file_read(path, 10, &in, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(file_write(path, STR("first"), &error), ERR_OK);
    assert_int_equal(file_write(path, STR("a\0b"), &error), ERR_OK);
    assert_int_equal(folder_entries(folder), 1);            /* no temporary is left */
    assert_int_equal(file_read(path, 3, &in, &error), ERR_OK);
    assert_true(str_eq(buf_str(&in), STR("a\0b")));
    assert_int_equal(file_read(path, 2, &in, &error), ERR_LIMIT);
    assert_int_equal(in.len, 3);                            /* a failure adds nothing */

    for (int i = 0; i < 300000; i++)
        buf_put_u8(&out, (uint8_t)(i * 7));
    assert_int_equal(file_write(path, buf_str(&out), &error), ERR_OK);
    buf_clear(&in);
    assert_int_equal(file_read(path, out.len, &in, &error), ERR_OK);
    assert_true(str_eq(buf_str(&in), buf_str(&out)));
    assert_int_equal(file_read(path, out.len - 1, &in, &error), ERR_LIMIT);

    assert_int_equal(file_read(folder, 10, &in, &error), ERR_IO);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);                 /* nothing can be renamed over a folder… */
    assert_int_equal(file_write(path, STR("x"), &error), ERR_IO);
    assert_int_equal(folder_entries(folder), 1);            /* …and the temporary is taken away again */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(file_write("/nonexistent/file", STR("x"), &error), ERR_IO);

    struct stat there;                                      /* a pipe or a device is written to, and stays what it is */
    char got[8];
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(file_write(path, STR("piped"), &error), ERR_OK);
    assert_int_equal(stat(path, &there), 0);
    assert_true(S_ISFIFO(there.st_mode));
    assert_int_equal(read(reader, got, sizeof got), 5);
    assert_memory_equal(got, "piped", 5);
    assert_int_equal(folder_entries(folder), 1);
    close(reader);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_borrowed), cmocka_unit_test(test_fixed_width), cmocka_unit_test(test_varint),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
