/* signature.h - the built-in functions with their types, read from builtins.def. */
#ifndef COMPILER_SIGNATURE_H
#define COMPILER_SIGNATURE_H
#include "compiler/types.h"

enum { SIGNATURE_PARAMS_MAX = 8 };
typedef struct Signature {
    Builtin builtin;
    Str name;
    Type *receiver;             /* NULL: a free function */
    Type *params[SIGNATURE_PARAMS_MAX]; uint32_t param_count;
    Type *result;
    struct Signature *next;     /* of the same name */
} Signature;
typedef struct Signatures { Map by_name; Type *var; } Signatures;

Signatures *signatures_new(Program *program);
void signatures_free(Signatures *signatures);
/* Does `type` fit `pattern`? Binds the type variable. */
bool  signature_unify(Type *pattern, Type *type, Type **bound);
Type *signature_apply(Program *program, Type *pattern, Type *bound);   /* puts the bound type in */
#endif
