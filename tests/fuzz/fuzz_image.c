/* fuzz_image.c - any bytes are an image or are refused with a reason; what is accepted can be shown, and encodes to the same bytes.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address,undefined. Without it (gcc) define FUZZ_MAIN: each argument is a file that is read once.
 */
#include "interpreter/bytecode/image.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Str bytes = { (const char *)data, size };
    Image *image = NULL;
    Error error = { 0 };
    if (image_decode(bytes, &image, &error)) {
        if (!error.text[0]) abort();
        return 0;
    }
    Buf again = { 0 }, text = { 0 };
    image_encode(image, &again);
    if (!str_eq(buf_str(&again), bytes)) abort();
    image_disasm(image, &text);
    buf_free(&again);
    buf_free(&text);
    image_free(image);
    return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        Buf file = { 0 };
        if (!file_read(argv[i], IMAGE_SIZE_MAX, &file, NULL)) LLVMFuzzerTestOneInput((const uint8_t *)file.ptr, file.len);
        buf_free(&file);
    }
    return 0;
}
#endif
