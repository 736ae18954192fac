/* compile.c - the whole way from modules to an image. */
#include "compiler/typed.h"

Image *compile_program(Program *program, bool with_tests)
{
    resolve_program(program);                               /* what could be resolved is checked all the same: more errors in one run */
    check_program(program);
    if (program->diags->error_count)
        return NULL;
    Image *image = lower_program(program, with_tests);
    Error error = { 0 };
    if (!image || image_verify(image, &error) == ERR_OK) return image;           /* also fills in what the machine needs of a loaded image */
    Span start = { .file = program->modules[program->main_module]->source->index };
    Diag *diag = diag_image_refused(program->diags, start, error.text);
    diag_help(program->diags, diag, "this is a mistake of the compiler, not of the program: report it with the program that shows it");
    image_free(image);
    return NULL;
}
