/* cmd_build.c - flowc build and flowc disasm: an image as a file, and as text. */
#include "compiler/cmd.h"

int cmd_build(int argc, char **argv) {
    const char *out_path = NULL;
    bool with_tests = false;
    CmdSearch search = { .list = search.items };
    const CliOption options[] = { { .name = "-o", .value = &out_path }, { .name = "--with-tests", .flag = &with_tests }, CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count != 1) return cli_usage("one file at a time");
    if (!out_path) return cli_usage("where to? -o OUT.flowb");
    int code;
    Image *image = cmd_image(argv[1], &search, with_tests, &code);
    if (!image) return code;
    Buf bytes = { 0 };
    Error error = { 0 };
    image_encode(image, &bytes);
    if (file_write(out_path, buf_str(&bytes), &error) != ERR_OK) {
        fprintf(stderr, "flowc build: %s\n", error.text);
        code = EXIT_USAGE;
    } else {
        char hash[SHA256_HEX + 1];
        hex_encode(image->hash.bytes, SHA256_BYTES, hash);
        printf("%s  %zu bytes  sha256:%s\n", out_path, bytes.len, hash);
    }
    buf_free(&bytes);
    image_free(image);
    return code;
}

int cmd_disasm(int argc, char **argv) {
    CmdSearch search = { .list = search.items };
    bool with_tests = false;
    const CliOption options[] = { { .name = "--with-tests", .flag = &with_tests }, CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count != 1) return cli_usage("one file at a time");
    int code;
    Image *image = cmd_image(argv[1], &search, with_tests, &code);
    if (!image) return code;
    Buf out = { 0 };
    image_disasm(image, &out);
    cli_write(stdout, &out);
    buf_free(&out);
    image_free(image);
    return code;
}
