/* compile.c - the whole way from modules to an image. */
#include "compiler/typed.h"

Image *compile_program(Program *program, bool with_tests)
{
    resolve_program(program);                               /* what could be resolved is checked all the same: more errors in one run */
    check_program(program);
    if (program->diags->error_count)
        return NULL;
    return lower_program(program, with_tests);
}
