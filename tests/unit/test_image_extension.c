/* test_image_extension.c - an image that grows: rows behind those of its base, their bytes, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/sample_image.h"

static void an_extension_begins_with_its_base_and_leaves_it_alone(void **state)
{
    (void)state;
    Image *base = sample_image();
    Buf before = { 0 }, after = { 0 };
    image_encode(base, &before);
    Image *image = image_extend(base);
    assert_ptr_equal(image->base, base);
    assert_int_equal(image_depth(image), 1);
    uint16_t type = IMAGE_ADD(image, type), constant = IMAGE_ADD(image, const);
    assert_int_equal(type, base->type_count);
    assert_int_equal(constant, base->const_count);
    image->types[type] = (ImageType){ .kind = KIND_LIST, .element = TYPE_INDEX_INT };
    image->consts[constant] = (ImageConst){ .type = TYPE_INDEX_INT, .word = 7 };
    assert_ptr_equal(image->funcs, base->funcs);         /* nothing appended: still the base's memory */
    for (uint32_t i = 0; i < base->const_count; i++) assert_memory_equal(&image->consts[i], &base->consts[i], sizeof *base->consts);
    image_encode(base, &after);
    assert_true(str_eq(buf_str(&before), buf_str(&after)));
    Buf bytes = { 0 };
    Image *read = NULL;
    Error error = { 0 };
    image_encode_extension(image, &bytes);
    if (image_decode_extension(base, buf_str(&bytes), &read, &error)) fail_msg("%s", error.text);
    assert_memory_equal(read->hash.bytes, image->hash.bytes, SHA256_BYTES);
    assert_int_equal(read->types[type].element, TYPE_INDEX_INT);
    assert_int_equal(read->consts[constant].word, 7);
    buf_free(&before);
    buf_free(&after);
    buf_free(&bytes);
    image_free(base);                                    /* extensions hold it */
    image_free(read);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_extension_begins_with_its_base_and_leaves_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
