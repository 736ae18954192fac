/* verify_signature.c - compares types of an image with types written as text: "list<x>", "int?", "string".
 *
 * A lower-case letter alone is a type variable, `@` the type that belongs to an effect's target. The texts come from our own
 * .def files, never from an image; depth is that of the text.
 */
#include "interpreter/bytecode/verify_internal.h"
#include "interpreter/bytecode/image_internal.h"

void signature_vars_init(uint16_t vars[SIGNATURE_VARS])
{
    for (int i = 0; i < SIGNATURE_VARS; i++) vars[i] = NO_INDEX;
}

static bool match_variable(const Verifier *v, uint16_t *variable, uint16_t type)
{
    if (*variable == NO_INDEX) *variable = type;
    return *variable == type && type_is_value(v, type);
}

/* `x?` of an x that can be null already is x itself. */
static bool signature_match_null(const Verifier *v, Str inner, uint16_t type, const uint16_t vars[SIGNATURE_VARS])
{
    bool variable = inner.len == 1 && inner.ptr[0] >= 'a' && inner.ptr[0] <= 'z';
    TypeKind kind = type_kind(v, type);
    return variable && vars[inner.ptr[0] - 'a'] == type && (kind == KIND_OPT || kind == KIND_JSON);
}

bool signature_match(const Verifier *v, Str signature, uint16_t type, uint16_t vars[SIGNATURE_VARS])
{
    const ImageType *row = type_row(v, type);
    char last = signature.ptr[signature.len - 1];
    if (last == '?' && signature_match_null(v, (Str){ signature.ptr, signature.len - 1 }, type, vars)) return true;
    if (last == '?') return row->kind == KIND_OPT && signature_match(v, (Str){ signature.ptr, signature.len - 1 }, row->element, vars);
    if (last == '>') {
        const char *open = memchr(signature.ptr, '<', signature.len);
        size_t word_len = (size_t)(open - signature.ptr);
        return str_is((Str){ signature.ptr, word_len }, image_kind_word(row->kind))
            && signature_match(v, (Str){ open + 1, signature.len - word_len - 2 }, row->element, vars);
    }
    if (signature.len == 1 && last == '@') return match_variable(v, &vars[SIGNATURE_TARGET], type);
    if (signature.len == 1 && last >= 'a' && last <= 'z') return match_variable(v, &vars[last - 'a'], type);
    return str_is(signature, image_kind_word(row->kind));        /* a kind word that has no `<` or `?` names one fixed row */
}

bool signature_next(Str *rest, Str *first)
{
    if (!rest->len) return false;
    const char *comma = memchr(rest->ptr, ',', rest->len);       /* no type has a comma inside */
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    *first = (Str){ rest->ptr, len };
    size_t skip = comma ? len + 2 : len;
    *rest = (Str){ rest->ptr + skip, rest->len - skip };
    return true;
}
