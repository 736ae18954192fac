/* test_hash.c - published vectors (FIPS 180-2, RFC 4231) and hexadecimal. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_digest(Sha256 digest, const char *expected)
{
    char hex[SHA256_HEX + 1];
    hex_encode(digest.bytes, SHA256_BYTES, hex);
    assert_string_equal(hex, expected);
}

static void test_sha256(void **state)
{
    static char million[1000000];
    memset(million, 'a', sizeof million);
    assert_digest(sha256((Str){ NULL, 0 }), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(sha256(STR("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(sha256((Str){ million, sizeof million }), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_hmac(void **state)
{
    char key[131];
    memset(key, 0xaa, sizeof key);
    assert_digest(hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?")),
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_digest(hmac_sha256((Str){ key, sizeof key }, STR("Test Using Larger Than Block-Size Key - Hash Key First")),
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_digest(hmac_sha256((Str){ NULL, 0 }, (Str){ NULL, 0 }),
                  "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_equal(void **state)
{
    Sha256 a = sha256(STR("a")), b = a;
    assert_true(digest_equal(a.bytes, b.bytes, SHA256_BYTES));
    b.bytes[SHA256_BYTES - 1] ^= 1;
    assert_false(digest_equal(a.bytes, b.bytes, SHA256_BYTES));
    assert_true(digest_equal(a.bytes, b.bytes, SHA256_BYTES - 1));
}

static void test_hex(void **state)
{
    static const struct { const char *text; size_t len; bool valid; } cases[] = {
        { "00ff10", 3, true }, { "ABcdEF", 3, true }, { "", 0, true }, { "00ff1", 3, false }, { "00ff1", 2, false },
        { "00fg10", 3, false }, { "00ff10", 2, false }, { " 0ff10", 3, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[4];
        assert_int_equal(hex_decode(str_of(cases[i].text), bytes, cases[i].len), cases[i].valid);
    }
    uint8_t all[256], back[256];
    char hex[513];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    hex_encode(all, sizeof all, hex);
    assert_int_equal(strlen(hex), 512);
    assert_true(hex_decode(str_of(hex), back, sizeof back));
    assert_memory_equal(all, back, sizeof all);
}

static void test_hash64(void **state)
{
    assert_true(hash64(STR(""), 0) == 0x2D06800538D394C2);  /* XXH3's published value of the empty input */
    assert_true(hash64((Str){ NULL, 0 }, 0) == hash64(STR(""), 0));
    assert_true(hash64(STR("a"), 0) != hash64(STR("b"), 0));
    assert_true(hash64(STR("a"), 0) != hash64(STR("a"), 1));
}

static void test_random(void **state)
{
    uint8_t a[64] = { 0 }, b[64] = { 0 }, zero[64] = { 0 };
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, zero, sizeof a);
    static uint8_t large[100000];                           /* more than one call of the kernel's may give */
    random_bytes(large, sizeof large);
    assert_memory_not_equal(large + sizeof large - 64, zero, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256), cmocka_unit_test(test_hmac), cmocka_unit_test(test_equal),
        cmocka_unit_test(test_hex), cmocka_unit_test(test_hash64), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
