/* opinfo.h - the rows of opcodes.def as data, for the verifier, the disassembler and the documentation.
 *
 * One row per number; an unknown number has a NULL name. Nothing else in the tree lists the instructions.
 */
#ifndef BYTECODE_OPINFO_H
#define BYTECODE_OPINFO_H
#include "interpreter/bytecode/image.h"

enum { OPCODE_LIMIT = 256 };             /* every number is below */

typedef enum {
    SORT_NONE, SORT_IMM, SORT_IMMS, SORT_IMM32, SORT_TARGET, SORT_REL, SORT_CONST, SORT_REFC, SORT_TYPE, SORT_FUNC, SORT_EFFECT, SORT_REGEX, SORT_BUILTIN,
    SORT_OUT_I, SORT_OUT_B, SORT_OUT_F, SORT_OUT_D, SORT_OUT_S, SORT_OUT_L, SORT_OUT_M, SORT_OUT_R, SORT_OUT_O, SORT_OUT_J, SORT_OUT_E, SORT_OUT_X,
    SORT_IN_I, SORT_IN_B, SORT_IN_F, SORT_IN_D, SORT_IN_S, SORT_IN_L, SORT_IN_M, SORT_IN_R, SORT_IN_O, SORT_IN_J, SORT_IN_E, SORT_IN_X,
    SORT_MOD_I, SORT_MOD_B, SORT_MOD_F, SORT_MOD_D, SORT_MOD_S, SORT_MOD_L, SORT_MOD_M, SORT_MOD_R, SORT_MOD_O, SORT_MOD_J, SORT_MOD_E, SORT_MOD_X,
    SORT_COUNT
} OpSort;
enum { OPFLAG_ENDS = 1, OPFLAG_RAISES = 2, OPFLAG_SUSPENDS = 4, OPFLAG_JUMPS = 8, OPFLAG_FUEL = 16 };

/* Registers come in three groups of the same twelve classes, in the same order. */
enum { SORT_CLASS_COUNT = SORT_IN_I - SORT_OUT_I };
typedef enum { CLASS_I, CLASS_B, CLASS_F, CLASS_D, CLASS_S, CLASS_L, CLASS_M, CLASS_R, CLASS_O, CLASS_J, CLASS_E, CLASS_X } OpClass;
static inline bool sort_is_out(OpSort s) { return s >= SORT_OUT_I && s < SORT_IN_I; }
static inline bool sort_is_in(OpSort s) { return s >= SORT_IN_I && s < SORT_MOD_I; }
static inline bool sort_is_mod(OpSort s) { return s >= SORT_MOD_I && s < SORT_COUNT; }
static inline bool sort_is_register(OpSort s) { return s >= SORT_OUT_I && s < SORT_COUNT; }
static inline OpClass sort_class(OpSort s) { return (OpClass)((s - SORT_OUT_I) % SORT_CLASS_COUNT); }

typedef struct OpInfo { const char *name; uint8_t sort[3]; uint8_t flags; const char *meaning; const char *sort_text[3]; const char *flag_text; } OpInfo;
extern const OpInfo opinfo_rows[OPCODE_LIMIT];           /* for opinfo_find alone, which the verifier asks several times for each instruction */
static inline const OpInfo *opinfo_find(uint16_t op) { return op < OPCODE_LIMIT && opinfo_rows[op].name ? &opinfo_rows[op] : NULL; }     /* NULL when unknown */

typedef struct EffectInfo { const char *name; EffectClass effect_class; const char *class_text, *meaning; } EffectInfo;
const EffectInfo *effectinfo_find(uint16_t kind);        /* NULL when unknown */

enum { BUILTIN_LIMIT = 0x200 };
typedef struct BuiltinInfo { const char *id, *receiver, *name, *params, *result; } BuiltinInfo;
const BuiltinInfo *builtininfo_find(uint16_t number);    /* NULL when unknown */
#endif
