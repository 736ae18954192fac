/* exec.c - the interpreter loop.
 *
 * One function, because its locals (pc, regs, frame, fuel) must stay in machine registers. The rules that keep it right:
 *   - It runs verified code: operands are not checked here, only what the values themselves decide (null records, ranges, overflow).
 *   - Whatever leaves the loop (raise, wait, call of a helper that looks at the fiber) first does SAVE(), and LOAD() after it when the
 *     helper may have changed frames or moved the stack.
 *   - A frame's pc is the next instruction; the one that raises is always the one before it.
 *   - Fuel is counted in a local that helpers see as run->fuel (SAVE, LOAD); it is looked at at calls and back-edges, and before work that is charged by its size.
 * Dispatch is by computed goto; -DVM_NO_COMPUTED_GOTO takes a switch for compilers without it. A missing handler does not compile in
 * either form: both are filled from opcodes.def.
 */
#include "base/decimal.h"
#include "interpreter/vm/quick.h"
#include "interpreter/vm/vm_internal.h"

#if !defined(__GNUC__) && !defined(VM_NO_COMPUTED_GOTO)
#define VM_NO_COMPUTED_GOTO
#endif

#define A INSN_A(i)
#define B INSN_B(i)
#define C INSN_C(i)
#define RA regs[INSN_A(i)]
#define RB regs[INSN_B(i)]
#define RC regs[INSN_C(i)]
#define IMMS_B ((int16_t)INSN_B(i))
#define IMMS_C ((int16_t)INSN_C(i))
#define REL_BC ((int32_t)INSN_BC(i))

#define SAVE() (fiber->frame->pc = pc, RUN->fuel = fuel)
#define LOAD() (regs = fiber->frame->regs, pc = fiber->frame->pc, fuel = RUN->fuel)
#define SET_REF(reg, value) do { Value new_ = (value), old_ = (reg); (reg) = new_; value_release(old_); } while (0)
#define TYPE_OF(r) (fiber->frame->func->func->reg_types[r])
/* Not locals: what is used seldom leaves the machine registers to what is used always. */
#define RUN (fiber->run)
#define IMAGE (RUN->image)
/* The result has a variable of its own: one whose address a helper gets would live in memory. */
#define INT_OP(op, left, right) { int64_t int_; if (UNLIKELY(op((left), (right), &int_))) goto raise_overflow; RA.i = int_; NEXT; }
#define RAISE_UNLESS(ok) do { if (UNLIKELY(!(ok))) goto raise; } while (0)
#define RAISE_LIMIT(name) do { limit = (name); if (UNLIKELY(limit != NULL)) goto raise_limit; } while (0)
#define RAISE_IF_OVER() do { if (UNLIKELY(RUN->heap.over)) goto raise_memory; } while (0)
/* Before work of that size. Small work is free, so the common case is a test of a register. */
#define CHARGE(size) do { uint64_t cost_ = (size); if (UNLIKELY(cost_ != 0)) { SAVE(); RAISE_UNLESS(vm_charge(RUN, cost_)); fuel = RUN->fuel; } } while (0)

/* Two inline decimals of one scale: their words differ from their coefficients by the same seven low bits (base/decimal.h). */
#define DECIMAL_SCALE_BITS UINT64_C(0x7F)
static inline bool decimals_alike(Value a, Value b) { return (a.w & b.w & 1) && !((a.w ^ b.w) & DECIMAL_SCALE_BITS); }

#define DECIMALS(a, op, b) ({ int64_t x_, y_; LIKELY(decimal_align((a), (b), &x_, &y_)) ? x_ op y_ : decimal_cmp((a), (b)) op 0; })

static bool decimal_failed(VmRun *run, Err err)
{
    if (err == ERR_LIMIT) return vm_fail_limit(run, "DECIMAL_DIGITS_MAX");
    return vm_fail(run, ERROR_KIND_invalid, "division by zero");
}

static bool decimal_op(VmRun *run, Err (*op)(Decimal, Decimal, Decimal *), Value a, Value b, Value *out)
{
    Decimal d;
    Err err = op(a.w, b.w, &d);
    if (UNLIKELY(err != ERR_OK)) return decimal_failed(run, err);
    *out = decimal_charged(d);
    return true;
}

static bool fail_overflow(VmRun *run) { return vm_fail(run, ERROR_KIND_invalid, "integer overflow"); }

static bool int_divide(VmRun *run, int64_t a, int64_t b, bool modulo, Value *out)
{
    if (b == 0) return vm_fail(run, ERROR_KIND_invalid, "division by zero");
    if (b == -1) {
        if (modulo) out->i = 0;
        else if (__builtin_sub_overflow((int64_t)0, a, &out->i)) return fail_overflow(run);
        return true;
    }
    out->i = modulo ? a % b : a / b;
    return true;
}

static bool float_divide(VmRun *run, double a, double b, Value *out)
{
    double quotient = a / b;
    if (!__builtin_isfinite(quotient)) return vm_fail(run, ERROR_KIND_invalid, b == 0 ? "division by zero" : "the quotient is not a finite number");
    out->f = quotient;
    return true;
}

static bool float_to_int(VmRun *run, double f, Value *out)
{
    if (!(f >= -9223372036854775808.0 && f < 9223372036854775808.0)) return vm_fail(run, ERROR_KIND_invalid, "the number does not fit an int");
    out->i = (int64_t)f;
    return true;
}

static bool float_to_decimal(VmRun *run, double f, Value *out)
{
    Decimal d;
    if (decimal_from_double(f, &d)) return vm_fail(run, ERROR_KIND_invalid, "the number is not finite");
    *out = decimal_charged(d);
    return true;
}

static inline bool string_equal(Value a, Value b)
{
    return a.w == b.w || str_eq(value_str(a), value_str(b));
}

static size_t texts_length(const Value *parts, uint16_t count)
{
    size_t len = 0;
    for (uint16_t k = 0; k < count; k++) len += value_str(parts[k]).len;
    return len;
}

/* Several texts at once: room is taken once. */
static const char *concat_many(const Value *parts, uint16_t count, Value *out)
{
    size_t len = texts_length(parts, count);
    if (len > VALUE_SIZE_MAX) return "VALUE_SIZE_MAX";
    if (!heap_room(2 * len)) return VALUE_NO_ROOM;       /* as what it is charged at most */
    Value text = value_string((Str){ "", 0 });
    for (uint16_t k = 0; k < count; k++) string_append(&text, value_str(parts[k]));
    *out = text;
    return NULL;
}

static bool match_op(VmRun *run, const Re *re, Str subject, Value *out)
{
    bool matched = false;
    if (!re) return vm_fail(run, ERROR_KIND_internal, "the pattern did not compile");
    if (!vm_charge(run, subject.len / 16)) return false;
    if (re_match(re, subject, &matched, NULL, 0, NULL)) return vm_fail_limit(run, "RE_MATCH_LIMIT");
    out->i = matched;
    return true;
}

static const char *record_make(const Image *image, uint16_t type, const Value *from, Value *out)
{
    Value v = value_record(image, type);
    Record *r = (Record *)v.o;
    memcpy(r->fields, from, r->head.aux * sizeof(Value));
    for (uint64_t mask = r->counted_mask; mask; mask &= mask - 1) value_retain(r->fields[__builtin_ctzll(mask)]);
    if (r->counted_mask) record_seal(r);
    const char *over = value_over(v);
    if (over) value_release(v);
    else *out = v;
    return over;
}

static const char *list_make(bool counted, const Value *from, uint16_t count, Value *out)
{
    List *l = list_new(count, counted);
    if (count) memcpy(l->items, from, count * sizeof(Value));
    for (uint16_t k = 0; counted && k < count; k++) value_retain(from[k]);
    list_seal(l);
    Value v = { .o = &l->head };
    const char *over = value_over(v);
    if (over) value_release(v);
    else *out = v;
    return over;
}

static Value enum_name(const Image *image, uint16_t type, int64_t ordinal)
{
    const ImageType *t = &image->types[type];
    return value_string(ordinal >= 0 && ordinal < t->member_count ? t->members[ordinal] : STR(""));
}

static bool new_error(VmRun *run, const Frame *frame, int64_t kind, Value message, Value *out)
{
    if (kind < 0 || kind >= ERROR_KIND_COUNT) return vm_fail(run, ERROR_KIND_internal, "no such error kind");
    Value error = value_error(run->image, (ErrorKind)kind, STR(""));
    Record *r = (Record *)error.o;
    value_retain(message);
    value_release(r->fields[ERROR_FIELD_MESSAGE]);
    r->fields[ERROR_FIELD_MESSAGE] = message;
    record_seal(r);
    *out = error_at(run, error, frame);
    return true;
}

static Value map_get_optional(const Image *image, uint16_t map_type, Value map, Value key)
{
    Value item;
    if (!value_map_get(map, value_str(key), &item)) return (Value){ 0 };
    uint16_t element = image->types[map_type].element;
    if (type_counted(image, element)) value_retain(item);
    return opt_pack(image, element, item);
}

static bool run_builtin(VmRun *run, const Frame *frame, Insn i, Value *regs)
{
    const uint16_t *types = frame->func->func->reg_types;
    Call call = { .run = run, .image = run->image, .types = types + C, .result_type = types[A], .args = regs + C };
    if (!builtin_call(B, &call)) return false;
    if (type_counted(run->image, call.result_type)) SET_REF(RA, call.result);
    else RA = call.result;
    return true;
}

#ifdef VM_NO_COMPUTED_GOTO
#define CASE(NAME)       case OP_##NAME:
#define QUICK_CASE(NAME) case QUICK_##NAME:
#define NEXT             continue
#else
#define CASE(NAME)       do_##NAME:
#define QUICK_CASE(NAME) quick_##NAME:
#define NEXT             do { i = *pc++; goto *labels[(uint8_t)i]; } while (0)
#endif

ExecEnd vm_exec(Fiber *fiber)
{
#ifndef VM_NO_COMPUTED_GOTO
    static const void *const labels[256] = {
#define OP(num, NAME, a, b, c, flags, meaning) [num] = &&do_##NAME,
#include "interpreter/bytecode/opcodes.def"
#undef OP
#define QUICK(num, NAME) [num] = &&quick_##NAME,
#include "interpreter/vm/quick.def"
#undef QUICK
    };
#endif
    const ImageLive *live = RUN->live;
    Value *regs, new_value;
    const Insn *pc;
    int64_t fuel;
    Insn i;
    Flow flow;
    const char *limit;
    LOAD();

#ifdef VM_NO_COMPUTED_GOTO
    for (;;) {
        i = *pc++;
        switch ((uint8_t)i) {
#else
        NEXT;
#endif
        /* ---- moving ---- */
        CASE(LOADI) RA.i = REL_BC; NEXT;
        CASE(LOADK) RA = live->consts[B]; NEXT;
        CASE(LOADREF) value_retain(live->consts[B]); SET_REF(RA, live->consts[B]); NEXT;
        CASE(LOADNULL) SET_REF(RA, (Value){ 0 }); NEXT;
        CASE(MOVE) RA = RB; NEXT;
        CASE(RECAST) RA = RB; NEXT;
        CASE(MOVE_REF) value_retain(RB); SET_REF(RA, RB); NEXT;
        CASE(TAKE_REF)
            new_value = RB;
            RB.w = 0;
            SET_REF(RA, new_value);
            NEXT;
        CASE(INFO)
            new_value = B < VM_INFO_COUNT ? RUN->info[B] : (Value){ 0 };
            value_retain(new_value);
            SET_REF(RA, new_value);
            NEXT;

        /* ---- integers ---- */
        CASE(ADD_INT) INT_OP(__builtin_add_overflow, RB.i, RC.i)
        CASE(SUB_INT) INT_OP(__builtin_sub_overflow, RB.i, RC.i)
        CASE(MUL_INT) INT_OP(__builtin_mul_overflow, RB.i, RC.i)
        CASE(DIV_INT) RAISE_UNLESS(int_divide(RUN, RB.i, RC.i, false, &new_value)); RA = new_value; NEXT;
        CASE(MOD_INT) RAISE_UNLESS(int_divide(RUN, RB.i, RC.i, true, &new_value)); RA = new_value; NEXT;
        CASE(NEG_INT) INT_OP(__builtin_sub_overflow, (int64_t)0, RB.i)
        CASE(ADDI_INT) INT_OP(__builtin_add_overflow, RB.i, (int64_t)IMMS_C)
        CASE(MULI_INT) INT_OP(__builtin_mul_overflow, RB.i, (int64_t)IMMS_C)
        CASE(LT_INT) RA.i = RB.i < RC.i; NEXT;
        CASE(LE_INT) RA.i = RB.i <= RC.i; NEXT;
        CASE(EQ_INT) RA.i = RB.i == RC.i; NEXT;
        CASE(NOT) RA.i = !RB.i; NEXT;

        /* ---- floats ---- */
        CASE(ADD_FLOAT) RA.f = RB.f + RC.f; NEXT;
        CASE(SUB_FLOAT) RA.f = RB.f - RC.f; NEXT;
        CASE(MUL_FLOAT) RA.f = RB.f * RC.f; NEXT;
        CASE(DIV_FLOAT) RAISE_UNLESS(float_divide(RUN, RB.f, RC.f, &new_value)); RA = new_value; NEXT;
        CASE(NEG_FLOAT) RA.f = -RB.f; NEXT;
        CASE(LT_FLOAT) RA.i = RB.f < RC.f; NEXT;
        CASE(LE_FLOAT) RA.i = RB.f <= RC.f; NEXT;
        CASE(EQ_FLOAT) RA.i = RB.f == RC.f; NEXT;
        CASE(INT_TO_FLOAT) RA.f = (double)RB.i; NEXT;
        CASE(FLOAT_TO_INT) RAISE_UNLESS(float_to_int(RUN, RB.f, &new_value)); RA = new_value; NEXT;

        /* ---- decimals ---- */
        CASE(ADD_DEC)
            if (!decimals_alike(RB, RC) || __builtin_add_overflow(RB.i, (int64_t)(RC.w & ~DECIMAL_SCALE_BITS), &new_value.i))
                RAISE_UNLESS(decimal_op(RUN, decimal_add, RB, RC, &new_value));
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(SUB_DEC)
            if (!decimals_alike(RB, RC) || __builtin_sub_overflow(RB.i, (int64_t)(RC.w & ~DECIMAL_SCALE_BITS), &new_value.i))
                RAISE_UNLESS(decimal_op(RUN, decimal_sub, RB, RC, &new_value));
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(MUL_DEC) RAISE_UNLESS(decimal_op(RUN, decimal_mul, RB, RC, &new_value)); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;
        CASE(DIV_DEC) RAISE_UNLESS(decimal_op(RUN, decimal_div, RB, RC, &new_value)); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;
        CASE(MOD_DEC) RAISE_UNLESS(decimal_op(RUN, decimal_mod, RB, RC, &new_value)); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;
        CASE(NEG_DEC) new_value = decimal_charged(decimal_neg(RB.w)); SET_REF(RA, new_value); NEXT;
        CASE(LT_DEC) RA.i = DECIMALS(RB.w, <, RC.w); NEXT;
        CASE(LE_DEC) RA.i = DECIMALS(RB.w, <=, RC.w); NEXT;
        CASE(EQ_DEC) RA.i = DECIMALS(RB.w, ==, RC.w); NEXT;
        CASE(INT_TO_DEC) new_value = decimal_charged(decimal_from_int(RB.i)); SET_REF(RA, new_value); NEXT;
        CASE(FLOAT_TO_DEC) RAISE_UNLESS(float_to_decimal(RUN, RB.f, &new_value)); SET_REF(RA, new_value); NEXT;
        CASE(DEC_TO_FLOAT) RA.f = decimal_to_double(RB.w); NEXT;

        /* ---- texts and any value ---- */
        CASE(LT_STR) RA.i = str_cmp(value_str(RB), value_str(RC)) < 0; NEXT;
        CASE(LE_STR) RA.i = str_cmp(value_str(RB), value_str(RC)) <= 0; NEXT;
        CASE(EQ_STR) RA.i = string_equal(RB, RC); NEXT;
        CASE(EQ_VAL)
            SAVE();
            RAISE_UNLESS(vm_charge(RUN, value_weight(RB) < value_weight(RC) ? value_weight(RB) : value_weight(RC)));
            fuel = RUN->fuel;
            RA.i = value_equal(IMAGE, TYPE_OF(B), RB, RC);
            NEXT;
        CASE(CONCAT)
            CHARGE((value_str(RC).len + (A == B && RA.o && RA.o->refs == 1 ? 0 : value_str(RB).len)) / 64);
            if (A == B) RAISE_LIMIT(string_append(&RA, value_str(RC)));
            else {
                RAISE_LIMIT(concat_many((Value[]){ RB, RC }, 2, &new_value));
                SET_REF(RA, new_value);
            }
            RAISE_IF_OVER();
            NEXT;
        CASE(CONCATN)
            CHARGE(texts_length(&RB, C) / 64);
            RAISE_LIMIT(concat_many(&RB, C, &new_value));
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(TO_STR)
            SAVE();
            if (op_text(RUN, TYPE_OF(B), RB, &new_value) == FLOW_RAISE) goto raise;
            fuel = RUN->fuel;
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(FORMAT)
            SAVE();
            if (op_format(RUN, TYPE_OF(B), RB, value_str(live->consts[C]), &new_value) == FLOW_RAISE) goto raise;
            fuel = RUN->fuel;
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(MATCH)
            SAVE();
            RAISE_UNLESS(match_op(RUN, live->regexes[C], value_str(RB), &new_value));
            fuel = RUN->fuel;
            RA = new_value;
            NEXT;
        CASE(ENUM_NAME) new_value = enum_name(IMAGE, TYPE_OF(B), RB.i); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;

        /* ---- optionals ---- */
        CASE(WRAP)
            if (type_counted(IMAGE, TYPE_OF(B))) value_retain(RB);
            new_value = opt_pack(IMAGE, TYPE_OF(B), RB);
            SET_REF(RA, new_value);
            NEXT;
        QUICK_CASE(WRAP_WORD)
            new_value = LIKELY(RB.i >= INT64_MIN / 2 && RB.i <= INT64_MAX / 2) ? (Value){ .w = RB.w << 1 | 1 } : opt_pack(IMAGE, TYPE_OF(B), RB);
            SET_REF(RA, new_value);
            NEXT;
        CASE(UNWRAP)
            if (UNLIKELY(!RB.w)) goto raise_null;
            new_value = opt_unpack(IMAGE, TYPE_OF(A), RB);
            if (type_counted(IMAGE, TYPE_OF(A))) SET_REF(RA, new_value);
            else RA = new_value;
            NEXT;
        QUICK_CASE(UNWRAP_WORD)
            if (UNLIKELY(!RB.w)) goto raise_null;
            RA.i = LIKELY(RB.w & 1) ? RB.i >> 1 : ((Box *)RB.o)->word;
            NEXT;
        CASE(IS_NULL) RA.i = !RB.w; NEXT;

        /* ---- records, lists, maps ---- */
        CASE(NEW_RECORD) RAISE_LIMIT(record_make(IMAGE, C, &RB, &new_value)); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;
        CASE(GET_FIELD) RA = LIKELY(RB.o != NULL) ? ((Record *)RB.o)->fields[C] : (Value){ 0 }; NEXT;
        QUICK_CASE(GET_FIELD_REF)
            new_value = LIKELY(RB.o != NULL) ? ((Record *)RB.o)->fields[C] : (Value){ 0 };
            value_retain(new_value);
            SET_REF(RA, new_value);
            NEXT;
        CASE(SET_FIELD)
            if (UNLIKELY(!RA.o || RA.o->refs != 1)) {
                RA = record_unshare(IMAGE, TYPE_OF(A), RA);
                RAISE_IF_OVER();
            }
            ((Record *)RA.o)->fields[B] = RC;
            NEXT;
        QUICK_CASE(SET_FIELD_REF) value_retain(RC); RAISE_LIMIT(record_set(IMAGE, TYPE_OF(A), &RA, B, RC)); RAISE_IF_OVER(); NEXT;
        CASE(NEW_LIST)
            RAISE_LIMIT(list_make(type_counted(IMAGE, IMAGE->types[TYPE_OF(A)].element), &RB, C, &new_value));
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;
        CASE(LIST_LEN) RA.i = LIKELY(RB.o != NULL) ? ((List *)RB.o)->count : 0; NEXT;
        CASE(LIST_GET)
            if (UNLIKELY(!RB.o || (uint64_t)RC.i >= ((List *)RB.o)->count)) goto raise_range_get;
            RA = ((List *)RB.o)->items[RC.i];
            NEXT;
        QUICK_CASE(LIST_GET_REF)
            if (UNLIKELY(!RB.o || (uint64_t)RC.i >= ((List *)RB.o)->count)) goto raise_range_get;
            new_value = ((List *)RB.o)->items[RC.i];
            value_retain(new_value);
            SET_REF(RA, new_value);
            NEXT;
        CASE(LIST_PUSH) {
            List *list = (List *)RA.o;                   /* between powers of two neither room nor charge changes */
            if (LIKELY(list && list->head.refs == 1 && list->count < list->cap && (list->count & (list->count - 1)) && list->count < VALUE_ITEMS_MAX)) {
                list->items[list->count++] = RB;
                NEXT;
            }
            CHARGE(list && list->head.refs > 1 ? list->count / 64 : 0);
            RAISE_LIMIT(list_append(&RA, RB, false));
            RAISE_IF_OVER();
            NEXT;
        }
        QUICK_CASE(LIST_PUSH_REF)
            CHARGE(RA.o && RA.o->refs > 1 ? ((List *)RA.o)->count / 64 : 0);
            value_retain(RB);
            RAISE_LIMIT(list_append(&RA, RB, true));
            RAISE_IF_OVER();
            NEXT;
        CASE(LIST_SET)
        QUICK_CASE(LIST_SET_REF)
            if (UNLIKELY(!RA.o || (uint64_t)RB.i >= ((List *)RA.o)->count)) goto raise_range_set;
            CHARGE(RA.o->refs > 1 ? ((List *)RA.o)->count / 64 : 0);
            if (RA.o->flags & OBJ_COUNTED) value_retain(RC);
            RAISE_LIMIT(list_set(&RA, (uint32_t)RB.i, RC));
            RAISE_IF_OVER();
            NEXT;
        CASE(NEW_MAP) new_value = value_map(type_counted(IMAGE, IMAGE->types[TYPE_OF(A)].element)); SET_REF(RA, new_value); RAISE_IF_OVER(); NEXT;
        CASE(MAP_GET) new_value = map_get_optional(IMAGE, TYPE_OF(B), RB, RC); SET_REF(RA, new_value); NEXT;
        CASE(MAP_SET) {
            bool counted = type_counted(IMAGE, IMAGE->types[TYPE_OF(A)].element);
            CHARGE(RA.o && RA.o->refs > 1 ? ((MapObj *)RA.o)->count / 16 : 0);
            value_retain(RB);
            if (counted) value_retain(RC);
            RAISE_LIMIT(map_set(&RA, RB, RC, counted));
            RAISE_IF_OVER();
            NEXT;
        }
        CASE(NEW_ERROR)
            SAVE();
            RAISE_UNLESS(new_error(RUN, fiber->frame, RB.i, RC, &new_value));
            SET_REF(RA, new_value);
            RAISE_IF_OVER();
            NEXT;

        /* ---- control ---- */
        CASE(JUMP) pc += REL_BC; NEXT;
        CASE(LOOP)
            if (UNLIKELY(fuel <= 0)) {
                pc--;
                goto out_of_fuel;
            }
            fuel--;
            pc += REL_BC;
            NEXT;
        CASE(JT) if (RA.i) pc += REL_BC; NEXT;
        CASE(JF) if (!RA.i) pc += REL_BC; NEXT;
        CASE(JNULL) if (!RA.w) pc += REL_BC; NEXT;
        CASE(JNOTNULL) if (RA.w) pc += REL_BC; NEXT;
        CASE(JLT_INT) if (RA.i < RB.i) pc += IMMS_C; NEXT;
        CASE(JLE_INT) if (RA.i <= RB.i) pc += IMMS_C; NEXT;
        CASE(JEQ_INT) if (RA.i == RB.i) pc += IMMS_C; NEXT;
        CASE(JNE_INT) if (RA.i != RB.i) pc += IMMS_C; NEXT;
        CASE(JLTI_INT) if (RA.i < IMMS_B) pc += IMMS_C; NEXT;
        CASE(JLEI_INT) if (RA.i <= IMMS_B) pc += IMMS_C; NEXT;
        CASE(JGTI_INT) if (RA.i > IMMS_B) pc += IMMS_C; NEXT;
        CASE(JGEI_INT) if (RA.i >= IMMS_B) pc += IMMS_C; NEXT;
        CASE(JEQI_INT) if (RA.i == IMMS_B) pc += IMMS_C; NEXT;
        CASE(JNEI_INT) if (RA.i != IMMS_B) pc += IMMS_C; NEXT;
        CASE(JLT_DEC) if (DECIMALS(RA.w, <, RB.w)) pc += IMMS_C; NEXT;
        CASE(JLE_DEC) if (DECIMALS(RA.w, <=, RB.w)) pc += IMMS_C; NEXT;
        CASE(JEQ_DEC) if (DECIMALS(RA.w, ==, RB.w)) pc += IMMS_C; NEXT;
        CASE(JNE_DEC) if (DECIMALS(RA.w, !=, RB.w)) pc += IMMS_C; NEXT;
        CASE(JLTK_DEC) if (DECIMALS(RA.w, <, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(JLEK_DEC) if (DECIMALS(RA.w, <=, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(JGTK_DEC) if (DECIMALS(RA.w, >, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(JGEK_DEC) if (DECIMALS(RA.w, >=, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(JEQK_DEC) if (DECIMALS(RA.w, ==, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(JNEK_DEC) if (DECIMALS(RA.w, !=, live->consts[B].w)) pc += IMMS_C; NEXT;
        CASE(FORLOOP)
            if (UNLIKELY(RA.i == INT64_MAX)) goto raise_overflow;
            if (++RA.i < RB.i) {
                pc += IMMS_C;
                if (UNLIKELY(--fuel < 0)) {
                    fuel++;
                    RA.i--;
                    pc -= IMMS_C + 1;
                    goto out_of_fuel;
                }
            }
            NEXT;
        CASE(CALL) {
            const LiveFunc *callee = &live->funcs[B];
            Frame *frame = fiber->frame;
            Value *top = regs + frame->func->reg_count;
            const Value *args = regs + C;
            if (UNLIKELY(--fuel < 0)) {
                fuel++;
                pc--;
                goto out_of_fuel;
            }
            frame->pc = pc;
            if (UNLIKELY(frame + 1 >= fiber->frame_end || top + callee->reg_count > fiber->stack_end)) {
                SAVE();
                RAISE_UNLESS(fiber_room(RUN, fiber, callee));
                LOAD();
                frame = fiber->frame;
                top = regs + frame->func->reg_count;
                args = regs + C;
            }
            frame++;
            frame->func = callee;
            frame->regs = top;
            frame->result = A;
            frame->flags = 0;
            fiber->frame = frame;
            pc = callee->code;
            /* Two at a time, into the slack: a call of memset would cost more than the zeros. */
            for (Value *zero = top, *end = top + callee->reg_count; zero < end; zero += 2) {
                zero[0].w = 0;
                zero[1].w = 0;
                __asm__ volatile("");
            }
            for (uint16_t k = 0; k < callee->param_count; k++) {
                top[k] = args[k];
                __asm__ volatile("");
            }
            regs = top;
            for (uint16_t k = 0; k < callee->counted_params; k++) value_retain(top[callee->counted[k]]);
            NEXT;
        }
        QUICK_CASE(CALL_SPAN)
            if (UNLIKELY(fuel <= 0)) {
                pc--;
                goto out_of_fuel;
            }
            fuel--;
            SAVE();
            flow = vm_call(RUN, fiber, &live->funcs[B], regs + C, A);
            goto follow;
        CASE(RETURN) {
            Frame *frame = fiber->frame;
            if (UNLIKELY(frame->flags)) goto return_slow_word;
            Value result = RA;
            const LiveFunc *func = frame->func;
            for (uint16_t k = 0; k < func->counted_count; k++) value_release(regs[func->counted[k]]);
            fiber->frame = frame - 1;
            regs = frame[-1].regs;
            pc = frame[-1].pc;
            regs[frame->result] = result;
            NEXT;
        }
        QUICK_CASE(RETURN_REF) {
            Frame *frame = fiber->frame;
            if (UNLIKELY(frame->flags)) goto return_slow_ref;
            Value result = RA;
            RA.w = 0;
            const LiveFunc *func = frame->func;
            for (uint16_t k = 0; k < func->counted_count; k++) value_release(regs[func->counted[k]]);
            fiber->frame = frame - 1;
            regs = frame[-1].regs;
            pc = frame[-1].pc;
            SET_REF(regs[frame->result], result);
            NEXT;
        }
        CASE(RETURN_VOID) {
            Frame *frame = fiber->frame;
            if (UNLIKELY(frame->flags)) goto return_slow_void;
            const LiveFunc *func = frame->func;
            for (uint16_t k = 0; k < func->counted_count; k++) value_release(regs[func->counted[k]]);
            fiber->frame = frame - 1;
            regs = frame[-1].regs;
            pc = frame[-1].pc;
            NEXT;
        }
        CASE(RAISE)
            SAVE();
            if (UNLIKELY(!RA.o)) {
                vm_fail(RUN, ERROR_KIND_internal, "an error without content was raised");
                goto raise;
            }
            value_retain(RA);
            RUN->raised = RA;
            goto raise;
        CASE(BUILTIN)
            SAVE();
            RAISE_UNLESS(run_builtin(RUN, fiber->frame, i, regs));
            fuel = RUN->fuel;
            RAISE_IF_OVER();
            NEXT;

        /* ---- effects, scopes, fibers, compensation ---- */
        CASE(EFFECT) SAVE(); flow = op_effect(RUN, fiber, i, regs); goto follow;
        CASE(SCOPE_ENTER)
            fiber->frame->flags |= FRAME_OWNS;
            mark_push(fiber, (Mark){ .frame = frame_index(fiber, fiber->frame), .pc = (uint32_t)(pc - fiber->frame->func->code - 1), .id = ++RUN->last_scope, .deadline_us = RA.i });
            RAISE_IF_OVER();
            NEXT;
        CASE(SCOPE_EXIT) mark_pop(fiber, false); NEXT;
        CASE(SHIELD_ENTER)
            fiber->frame->flags |= FRAME_OWNS;
            mark_push(fiber, (Mark){ .shield = 1, .frame = frame_index(fiber, fiber->frame), .pc = (uint32_t)(pc - fiber->frame->func->code - 1) });
            RAISE_IF_OVER();
            NEXT;
        CASE(SHIELD_EXIT)
            SAVE();
            mark_pop(fiber, true);
            if (UNLIKELY(fiber->interrupt) && vm_interrupted(RUN, fiber)) goto raise;
            NEXT;
        CASE(GROUP_NEW) SAVE(); flow = op_group_new(RUN, fiber, i, regs); goto follow;
        CASE(SPAWN)
            if (UNLIKELY(fuel <= 0)) {
                pc--;
                goto out_of_fuel;
            }
            fuel--;
            SAVE();
            flow = op_spawn(RUN, fiber, i, regs);
            goto follow;
        CASE(JOIN) SAVE(); flow = op_join(RUN, fiber, i, regs); goto follow;
        CASE(FIBER_RESULT) SAVE(); flow = op_fiber_result(RUN, fiber, i, regs); goto follow;
        CASE(GROUP_RESULTS) SAVE(); flow = op_group_results(RUN, fiber, i, regs); goto follow;
        CASE(RACE_RESULT) SAVE(); flow = op_race_result(RUN, fiber, i, regs); goto follow;
        CASE(GROUP_FREE) SAVE(); op_group_free(RUN, fiber, RA); NEXT;
        CASE(SAGA_ENTER) SAVE(); flow = op_saga_enter(RUN, fiber); goto follow;
        CASE(COMP_PUSH) SAVE(); flow = op_comp_push(RUN, fiber, i, regs); goto follow;
        CASE(SAGA_COMMIT) op_saga_commit(RUN, fiber); NEXT;
        CASE(COMP_NEXT)
            if (UNLIKELY(fuel <= 0)) {
                pc--;
                goto out_of_fuel;
            }
            fuel--;
            SAVE();
            flow = op_comp_next(RUN, fiber, i, regs);
            goto follow;
        CASE(SAGA_ABORT) SAVE(); flow = op_saga_abort(RUN, fiber, i, regs); goto follow;
        CASE(COMP_REPORT) SAVE(); flow = op_comp_report(RUN, fiber, i, regs); goto follow;
        CASE(CALL_PLAN)
            if (UNLIKELY(fuel <= 0)) {
                pc--;
                goto out_of_fuel;
            }
            fuel--;
            SAVE();
            flow = op_call_plan(RUN, fiber, i, regs);
            goto follow;
        CASE(METER) SAVE(); flow = op_meter(RUN, fiber, i); goto follow;
#ifdef VM_NO_COMPUTED_GOTO
        default: __builtin_unreachable();                /* the verifier knows every number */
        }
#endif

    return_slow_word: new_value = RA; goto return_slow;
    return_slow_ref: new_value = RA; RA.w = 0; goto return_slow;
    return_slow_void: new_value.w = 0;
    return_slow:
        SAVE();
        flow = vm_return(RUN, fiber, new_value);
        goto follow;

    raise_overflow: fail_overflow(RUN); goto raise;
    raise_null: vm_fail(RUN, ERROR_KIND_internal, "null has no value"); goto raise;
    raise_range_get: vm_fail(RUN, ERROR_KIND_invalid, "index %lld is outside a list of %u", (long long)RC.i, list_count(RB)); goto raise;
    raise_range_set: vm_fail(RUN, ERROR_KIND_invalid, "index %lld is outside a list of %u", (long long)RB.i, list_count(RA)); goto raise;
    raise_memory: vm_memory_over(RUN); goto raise;
    raise_limit: vm_fail_limit(RUN, limit); goto raise;
    raise:
        fiber->frame->pc = pc;                           /* what a helper charged before it raised stays charged */
        if (fuel < RUN->fuel) RUN->fuel = fuel;
        flow = vm_raise_now(RUN, fiber);

    follow:                                              /* what a helper did to the fiber */
        switch (flow) {
        case FLOW_NEXT: fuel = RUN->fuel; break;
        case FLOW_RELOAD: LOAD(); break;
        case FLOW_WAIT: return EXEC_WAITS;
        case FLOW_ENDED: return EXEC_ENDED;
        case FLOW_RAISE: goto raise;
        }
        RAISE_IF_OVER();
        NEXT;

    out_of_fuel:                                         /* pc is where to go on */
        SAVE();
        return EXEC_SLICE;
#ifdef VM_NO_COMPUTED_GOTO
    }
#endif
}
