/* signature.c - builtins.def holds types in the notation of the language; this reads them once per program. The rows are ours, so a
 * row that cannot be read is an assertion. A lower-case letter alone is the type variable; no row has two. */
#include "compiler/signature.h"

static const struct Row { Builtin builtin; const char *receiver, *name, *params, *result; } rows[] = {
#define BUILTIN(num, NAME, receiver, name, params, result) { BUILTIN_##NAME, receiver, name, params, result },
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN
};

typedef struct Cursor { Program *program; Signatures *signatures; const char *at; } Cursor;

static void skip_spaces(Cursor *cursor)
{
    while (*cursor->at == ' ' || *cursor->at == ',')
        cursor->at++;
}

static Type *basic_named(Program *program, Str word)
{
    static const struct { const char *name; TypeTag tag; } names[] = {
        { "bool", TYPE_BOOL }, { "int", TYPE_INT }, { "float", TYPE_FLOAT }, { "decimal", TYPE_DECIMAL }, { "string", TYPE_STRING }, { "date", TYPE_DATE },
        { "timestamp", TYPE_TIMESTAMP }, { "duration", TYPE_DURATION }, { "bytes", TYPE_BYTES }, { "json", TYPE_JSON }, { "error", TYPE_ERROR },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_is(word, names[i].name))
            return program->basic[names[i].tag];
    return NULL;
}

static Type *read_type(Cursor *cursor)
{
    skip_spaces(cursor);
    const char *start = cursor->at;
    while (*cursor->at >= 'a' && *cursor->at <= 'z')
        cursor->at++;
    Str word = { start, (size_t)(cursor->at - start) };
    Type *type;
    if (word.len == 1) {
        type = cursor->signatures->var;
    } else if (*cursor->at == '<') {
        cursor->at++;
        Type *element = read_type(cursor);
        assert(*cursor->at == '>');
        cursor->at++;
        type = str_is(word, "list") ? type_list(cursor->program, element) : type_map(cursor->program, element);
    } else {
        type = basic_named(cursor->program, word);
    }
    assert(type);
    if (*cursor->at == '?') {
        cursor->at++;
        type = type_optional(cursor->program, type);
    }
    return type;
}

static Type *read_text(Cursor *cursor, const char *text)
{
    cursor->at = text;
    return read_type(cursor);
}

Signatures *signatures_new(Program *program)
{
    Signatures *signatures = ARENA_NEW(program->arena, Signatures);
    signatures->var = type_new(program, TYPE_VAR);
    Cursor cursor = { program, signatures, "" };
    size_t count = sizeof rows / sizeof rows[0];
    Signature *all = ARENA_ARRAY(program->arena, Signature, count);
    for (size_t i = count; i-- > 0;) {
        const struct Row *row = &rows[i];
        Signature *signature = &all[i];
        signature->builtin = row->builtin;
        signature->name = str_of(row->name);
        if (*row->receiver)
            signature->receiver = read_text(&cursor, row->receiver);
        cursor.at = row->params;
        while (*cursor.at) {
            assert(signature->param_count < SIGNATURE_PARAMS_MAX);
            signature->params[signature->param_count++] = read_type(&cursor);
            skip_spaces(&cursor);
        }
        signature->result = read_text(&cursor, row->result);
        signature->next = map_put(&signatures->by_name, signature->name, signature);
    }
    return signatures;
}

void signatures_free(Signatures *signatures)
{
    map_free(&signatures->by_name);
}

bool signature_unify(Type *pattern, Type *type, Type **bound)
{
    if (pattern->tag == TYPE_VAR) {
        *bound = type;
        return true;
    }
    if (pattern->tag == TYPE_STRING && type->tag == TYPE_ID)
        return true;
    if (pattern->tag != type->tag)
        return false;
    if (pattern->element)
        return signature_unify(pattern->element, type->element, bound);
    return true;
}

Type *signature_apply(Program *program, Type *pattern, Type *bound)
{
    switch (pattern->tag) {
    case TYPE_VAR: return bound ? bound : program->basic[TYPE_POISON];
    case TYPE_OPT: return type_optional(program, signature_apply(program, pattern->element, bound));
    case TYPE_LIST: return type_list(program, signature_apply(program, pattern->element, bound));
    case TYPE_MAP: return type_map(program, signature_apply(program, pattern->element, bound));
    default: return pattern;
    }
}
