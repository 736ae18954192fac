/* vm_asm.h - images by hand, for tests and benches of the machine.
 *
 *     Asm *m = asm_new();
 *     uint16_t f = asm_func(m, "double", FUNC_FN, TYPE_INDEX_INT, 1, (uint16_t[]){ TYPE_INDEX_INT });      r0 is the parameter
 *     uint16_t r = asm_reg(m, TYPE_INDEX_INT);
 *     EMIT(m, ADD_INT, r, 0, 0);  EMIT(m, RETURN, r, 0, 0);
 *     Image *image = asm_done(m);                      verified
 */
#ifndef TESTS_VM_ASM_H
#define TESTS_VM_ASM_H
#include "interpreter/vm/vm.h"
#include <stdio.h>
#include <stdlib.h>

enum { ASM_CODE_MAX = 512, ASM_REGS_MAX = 128, ASM_TRIES_MAX = 16 };
typedef struct Asm { Image *image; uint16_t func; } Asm;

static inline Asm *asm_new(void)
{
    Asm *m = mem_alloc(sizeof *m);
    m->image = image_new();
    return m;
}

static inline ImageFunc *asm_now(Asm *m) { return &m->image->funcs[m->func]; }

static inline uint16_t asm_func(Asm *m, const char *name, FuncKind kind, uint16_t result, uint16_t param_count, const uint16_t *params)
{
    m->func = IMAGE_ADD(m->image, func);
    ImageFunc *f = asm_now(m);
    f->name = str_of(name);
    f->kind = (uint8_t)kind;
    f->owner = f->agent = NO_INDEX;
    f->result = result;
    f->param_count = f->reg_count = param_count;
    f->reg_types = ARENA_ARRAY(m->image->arena, uint16_t, ASM_REGS_MAX);
    if (param_count) memcpy(f->reg_types, params, param_count * sizeof *params);
    f->code = ARENA_ARRAY(m->image->arena, Insn, ASM_CODE_MAX);
    f->tries = ARENA_ARRAY(m->image->arena, ImageTry, ASM_TRIES_MAX);
    return m->func;
}

static inline uint16_t asm_reg(Asm *m, uint16_t type)
{
    ImageFunc *f = asm_now(m);
    f->reg_types[f->reg_count] = type;
    return f->reg_count++;
}

static inline uint32_t asm_pc(Asm *m) { return asm_now(m)->code_count; }
static inline uint32_t asm_emit(Asm *m, Insn i)
{
    ImageFunc *f = asm_now(m);
    f->code[f->code_count] = i;
    return f->code_count++;
}
#define EMIT(m, OP, a, b, c) asm_emit(m, INSN(OP_##OP, a, b, c))
/* B and C as one number: immediates of LOADI, targets of jumps. */
#define EMIT32(m, OP, a, bc) asm_emit(m, INSN(OP_##OP, a, (uint32_t)(bc) & 0xFFFF, (uint32_t)(bc) >> 16))
/* A forward jump emitted with any target is pointed here. */
static inline void asm_here(Asm *m, uint32_t at)
{
    Insn *i = &asm_now(m)->code[at];
    uint16_t op = INSN_OP(*i);
    uint32_t pc = asm_pc(m);
    bool absolute = op == OP_JUMP || op == OP_JT || op == OP_JF || op == OP_JNULL || op == OP_JNOTNULL;
    *i = absolute ? INSN(op, INSN_A(*i), pc & 0xFFFF, pc >> 16) : INSN(op, INSN_A(*i), INSN_B(*i), pc - at - 1);
}
static inline void asm_try(Asm *m, TryKind kind, uint32_t from, uint32_t to, uint32_t handler, uint16_t error_reg)
{
    ImageFunc *f = asm_now(m);
    f->tries[f->try_count++] = (ImageTry){ .from = from, .to = to, .handler = handler, .error_reg = error_reg, .kind = (uint8_t)kind };
}

static inline uint16_t asm_const(Asm *m, uint16_t type, uint64_t word)
{
    uint16_t c = IMAGE_ADD(m->image, const);
    m->image->consts[c] = (ImageConst){ .type = type, .word = word };
    return c;
}
static inline uint16_t asm_text(Asm *m, uint16_t type, const char *text)
{
    uint16_t c = IMAGE_ADD(m->image, const);
    m->image->consts[c] = (ImageConst){ .type = type, .bytes = str_of(text) };
    return c;
}
static inline uint16_t asm_type(Asm *m, TypeKind kind, uint16_t element)
{
    uint16_t t = IMAGE_ADD(m->image, type);
    m->image->types[t].kind = kind;
    m->image->types[t].element = element;
    return t;
}
static inline uint16_t asm_record(Asm *m, const char *name, uint16_t count, const char *const *names, const uint16_t *types)
{
    uint16_t t = asm_type(m, KIND_RECORD, 0);
    ImageType *row = &m->image->types[t];
    row->name = str_of(name);
    row->field_count = count;
    row->fields = ARENA_ARRAY(m->image->arena, ImageField, count + 1);
    for (int i = 0; i < count; i++) row->fields[i] = (ImageField){ .name = str_of(names[i]), .type = types[i] };
    return t;
}
static inline uint16_t asm_enum(Asm *m, const char *name, uint16_t count, const char *const *names)
{
    uint16_t t = asm_type(m, KIND_ENUM, 0);
    ImageType *row = &m->image->types[t];
    row->name = str_of(name);
    row->member_count = count;
    row->members = ARENA_ARRAY(m->image->arena, Str, count + 1);
    for (int i = 0; i < count; i++) row->members[i] = str_of(names[i]);
    return t;
}
static inline uint16_t asm_effect(Asm *m, EffectKind kind, const char *name, uint16_t target, uint16_t result, uint16_t count, const uint16_t *params)
{
    uint16_t e = IMAGE_ADD(m->image, effect);
    ImageEffect *row = &m->image->effects[e];
    *row = (ImageEffect){ .kind = (uint8_t)kind, .target = target, .name = str_of(name), .param_count = count, .result = result };
    row->params = ARENA_ARRAY(m->image->arena, uint16_t, count + 1);
    if (count) memcpy(row->params, params, count * sizeof *params);
    return e;
}

/* The loaded form, through its bytes as in life. */
static inline Image *asm_done(Asm *m)
{
    Error error = { 0 };
    Buf bytes = { 0 };
    Image *image = NULL;
    image_encode(m->image, &bytes);
    if (image_decode(buf_str(&bytes), &image, &error)) {
        Buf text = { 0 };
        image_disasm(m->image, &text);
        fprintf(stderr, "%s\n%.*s\n", error.text, (int)text.len, text.ptr);
        abort();
    }
    buf_free(&bytes);
    image_free(m->image);
    free(m);
    return image;
}
static const VmInfo asm_info = { .run_id = { "run-1", 5 }, .tenant = { "family", 6 }, .user = { "anna", 4 }, .flow = { "main", 4 }, .correlation = { "c-1", 3 }, .user_name = { "Anna", 4 }, .causation = { "e-1", 3 } };
#endif
