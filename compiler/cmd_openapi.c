/* cmd_openapi.c - flowc openapi: the HTTP interface of a program, without a server. */
#include "compiler/cmd.h"
#include "interpreter/gateway/gateway.h"

static int write_out(const Buf *text, const char *out_path) {
    Error error = { 0 };
    if (!out_path) return cli_write(stdout, text), EXIT_DONE;
    if (file_write(out_path, buf_str(text), &error) == ERR_OK) return EXIT_DONE;
    fprintf(stderr, "flowc openapi: %s\n", error.text);
    return EXIT_USAGE;
}

int cmd_openapi(int argc, char **argv) {
    const char *out_path = NULL, *title = "Fidus Flow", *url = "";
    CmdSearch search = { .list = search.items };
    const CliOption options[] = { { .name = "-o", .value = &out_path }, { .name = "--title", .value = &title }, { .name = "--url", .value = &url }, CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count != 1) return cli_usage("one file at a time");
    int code;
    Image *image = cmd_image(argv[1], &search, false, &code);
    if (!image) return code;
    Buf out = { 0 }, bytes = { 0 };
    image_encode(image, &bytes);                         /* the version of the document is the program's hash */
    buf_free(&bytes);
    openapi_put(&image, 1, str_of(title), str_of(url), &out);
    code = write_out(&out, out_path);
    buf_free(&out);
    image_free(image);
    return code;
}
