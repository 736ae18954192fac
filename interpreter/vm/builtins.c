/* builtins.c - the table of pure functions, and the texts of values.
 *
 * To add one: a row in builtins.def, a function builtin_ROW in the file of its receiver. Each charges fuel by the size of its
 * arguments before it works, and asks for room (vm_room) before it makes something large; memory is charged by the allocations and looked at by the instruction.
 */
#include "interpreter/vm/builtins.h"
#include "base/decimal.h"

enum { BUILTIN_NUMBERS = 0x200, FORMAT_PLACES_MAX = 30 };

static bool (*const builtins[BUILTIN_NUMBERS])(Call *call) = {
#define BUILTIN(num, NAME, receiver, name, params, result) [num] = builtin_##NAME,
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN
};

bool builtin_call(uint16_t builtin, Call *call)
{
    if (!vm_charge(call->run, 1)) return false;
    return builtins[builtin](call);
}

bool builtin_text(VmRun *run, Buf *text, Value *out)
{
    const char *over = text->len > VALUE_SIZE_MAX ? "VALUE_SIZE_MAX" : heap_room(text->len) ? NULL : VALUE_NO_ROOM;
    if (!over) *out = value_string(buf_str(text));
    buf_free(text);
    return over ? vm_fail_limit(run, over) : true;
}

bool give_text(Call *call, Buf *text) { return builtin_text(call->run, text, &call->result); }
bool give_decimal(Call *call, Decimal d) { return give(call, decimal_charged(d)); }

bool give_made(Call *call, Value container)
{
    const char *over = value_over(container);
    if (!over) return give(call, container);
    value_release(container);
    return vm_fail_limit(call->run, over);
}

Flow op_text(VmRun *run, uint16_t type, Value v, Value *out)
{
    if (run->image->types[type].kind == KIND_STRING) {
        value_retain(v);
        *out = v;
        return FLOW_NEXT;
    }
    if (type_counted(run->image, type) && !vm_charge(run, value_weight(v))) return FLOW_RAISE;
    Buf text = { 0 };
    value_print(run->image, type, v, &text);
    return builtin_text(run, &text, out) ? FLOW_NEXT : FLOW_RAISE;
}

/* "0", "0.00": so many places. */
static int format_places(Str format)
{
    if (str_is(format, "0")) return 0;
    if (!str_starts(format, STR("0.")) || format.len - 2 > FORMAT_PLACES_MAX || format.len == 2) return -1;
    for (size_t k = 2; k < format.len; k++)
        if (format.ptr[k] != '0') return -1;
    return (int)format.len - 2;
}

static bool format_number(VmRun *run, TypeKind kind, Value v, Str format, Buf *out)
{
    int places = format_places(format);
    Decimal d = DECIMAL_ZERO;
    if (places < 0) return false;
    if (kind == KIND_INT) d = decimal_from_int(v.i);
    else if (kind == KIND_DECIMAL) d = decimal_retain(v.w ? v.w : DECIMAL_ZERO);
    else if (decimal_from_double(v.f, &d)) return false;
    decimal_print_fixed(d, places, out);
    decimal_release(d);
    return true;
}

static bool format_value(VmRun *run, uint16_t type, Value v, Str format, Buf *out)
{
    int64_t us;
    switch (run->image->types[type].kind) {
    case KIND_TIMESTAMP: return timestamp_format(v.i, format, out);
    case KIND_DATE:
        if (__builtin_mul_overflow(v.i, TIME_DAY, &us)) return false;
        return timestamp_format(us, format, out);
    case KIND_INT: case KIND_DECIMAL: case KIND_FLOAT: return format_number(run, run->image->types[type].kind, v, format, out);
    default: return false;
    }
}

Flow op_format(VmRun *run, uint16_t type, Value v, Str format, Value *out)
{
    Buf text = { 0 };
    if (!vm_charge(run, 1)) return FLOW_RAISE;
    if (format_value(run, type, v, format, &text)) return builtin_text(run, &text, out) ? FLOW_NEXT : FLOW_RAISE;
    buf_free(&text);
    vm_fail(run, ERROR_KIND_invalid, "no format \"%.*s\" for this value", format.len > 40 ? 40 : (int)format.len, format.ptr);
    return FLOW_RAISE;
}
