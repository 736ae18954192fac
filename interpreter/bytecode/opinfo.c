/* opinfo.c - the three .def files spread out into tables indexed by number. */
#include "interpreter/bytecode/opinfo.h"

/* The flag words of opcodes.def stand there bare, as in RAISES|FUEL, so they are names here and nowhere else. */
enum { ENDS = OPFLAG_ENDS, RAISES = OPFLAG_RAISES, SUSPENDS = OPFLAG_SUSPENDS, JUMPS = OPFLAG_JUMPS, FUEL = OPFLAG_FUEL };

const OpInfo opinfo_rows[OPCODE_LIMIT] = {
#define OP(num, NAME, a, b, c, flags, meaning) [num] = { #NAME, { SORT_##a, SORT_##b, SORT_##c }, flags, meaning, { #a, #b, #c }, #flags },
#include "interpreter/bytecode/opcodes.def"
#undef OP
};

enum { EFFECT_LIMIT = 256, EFFECT_WORD_MAX = 32 };
static const EffectInfo effects[EFFECT_LIMIT] = {
#define EFFECT(num, NAME, class, meaning) [num] = { #NAME, EFFECT_CLASS_##class, #class, meaning },
#include "interpreter/bytecode/effects.def"
#undef EFFECT
};

static const BuiltinInfo builtins[BUILTIN_LIMIT] = {
#define BUILTIN(num, NAME, receiver, name, params, result) [num] = { #NAME, receiver, name, params, result },
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN
};

const char *opcode_name(uint16_t op)
{
    const OpInfo *info = opinfo_find(op);
    return info ? info->name : NULL;
}

const EffectInfo *effectinfo_find(uint16_t kind)
{
    return kind < EFFECT_LIMIT && effects[kind].name ? &effects[kind] : NULL;
}

/* The lower-case word is made once, before main: the table itself stays constant. */
static char effect_words[EFFECT_LIMIT][EFFECT_WORD_MAX];
static __attribute__((constructor)) void effect_words_make(void)
{
    for (int kind = 0; kind < EFFECT_LIMIT; kind++)
        for (int i = 0; effects[kind].name && effects[kind].name[i] && i < EFFECT_WORD_MAX - 1; i++) {
            char c = effects[kind].name[i];
            effect_words[kind][i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
}

const char *effect_name(uint16_t kind)
{
    return effectinfo_find(kind) ? effect_words[kind] : NULL;
}

EffectClass effect_class(EffectKind kind)
{
    const EffectInfo *info = effectinfo_find((uint16_t)kind);
    return info ? info->effect_class : EFFECT_CLASS_NOTE;
}

const char *error_kind_name(ErrorKind kind)
{
    static const char *const names[ERROR_KIND_COUNT] = {
#define K(name) [ERROR_KIND_##name] = #name,
        ERROR_KINDS(K)
#undef K
    };
    return (unsigned)kind < ERROR_KIND_COUNT ? names[kind] : NULL;
}

const BuiltinInfo *builtininfo_find(uint16_t number)
{
    return number < BUILTIN_LIMIT && builtins[number].id ? &builtins[number] : NULL;
}
