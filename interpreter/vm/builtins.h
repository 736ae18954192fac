/* builtins.h - one function for every row of builtins.def, named builtin_ROW. False: raised; else call->result is a new reference. */
#ifndef VM_BUILTINS_H
#define VM_BUILTINS_H
#include "interpreter/vm/vm_internal.h"

#define BUILTIN(num, NAME, receiver, name, params, result) bool builtin_##NAME(Call *call);
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN

/* Results of every sort; the ones that allocate take what they are given. */
static inline bool give_int(Call *call, int64_t i) { call->result.i = i; return true; }
static inline bool give_float(Call *call, double f) { call->result.f = f; return true; }
static inline bool give(Call *call, Value v) { call->result = v; return true; }
/* `x?` of json is json: its null stays null. */
static inline bool give_some(Call *call, uint16_t element, Value v)
{
    call->result = call->image->types[element].kind == KIND_JSON ? v : opt_pack(call->image, element, v);
    return true;
}
static inline bool give_null(Call *call) { call->result.w = 0; return true; }
bool give_text(Call *call, Buf *text);                             /* frees the text */
bool give_decimal(Call *call, Decimal d);
bool give_made(Call *call, Value container);                       /* releases it and raises when it is over a limit */
static inline uint16_t element_of(const Call *call, uint16_t type) { return call->image->types[type].element; }
static inline Value held(const Call *call, uint16_t type, Value v) { if (type_counted(call->image, type)) value_retain(v); return v; }
#endif
