/* live.c - what an image needs before it runs: constants as values, compiled regexes, and the quick form of its code.
 *
 * The quick form has the same instructions at the same places, so a pc means the same in both. It differs in two ways: absolute targets
 * become relative, and operators whose work depends on a type (is the field counted? is a span noted?) get a number of their own from
 * quick.def, decided here once. To add a quick operator: a row there, a rule in quicken(), a handler in exec.c.
 * What an extension begins with was made ready with its base: the rows are copied, what they point to is shared.
 */
#include "base/decimal.h"
#include "interpreter/vm/quick.h"
#include "interpreter/vm/vm_internal.h"

static Value const_value(const Image *image, Arena *scratch, const ImageConst *c)
{
    Decimal d;
    Json *json;
    switch (image->types[c->type].kind) {
    case KIND_STRING: return value_string(c->bytes);
    case KIND_BYTES: return value_bytes(c->bytes);
    case KIND_DECIMAL: return (Value){ .w = decimal_from_text(c->bytes, &d) ? DECIMAL_ZERO : d };
    case KIND_JSON: return json_parse(scratch, c->bytes, VALUE_SIZE_MAX, &json, NULL) ? (Value){ 0 } : value_json(json);
    default: return (Value){ .w = c->word };
    }
}

/* A table whose first rows are those of the base's, which holds what is in them. */
static void *rows_of_base(ImageLive *live, const void *rows, size_t base_rows, size_t count, size_t row_size)
{
    void *all = arena_alloc_array(live->arena, count + 1, row_size);
    if (base_rows) memcpy(all, rows, base_rows * row_size);
    return all;
}
#define BASE_COUNT(image, table) ((image)->base ? (image)->base->table : 0u)

static void consts_make(ImageLive *live)
{
    const Image *image = live->image;
    Arena *scratch = arena_new();
    live->consts = rows_of_base(live, image->base ? image->base->live->consts : NULL, BASE_COUNT(image, const_count), image->const_count, sizeof *live->consts);
    for (uint32_t i = BASE_COUNT(image, const_count); i < image->const_count; i++) live->consts[i] = const_value(image, scratch, &image->consts[i]);
    arena_free(scratch);
}

static Re *regex_make(Str source)
{
    Re *re = NULL;
    const char *slash = memchr(source.ptr, '/', source.len);
    size_t flags = slash ? (size_t)(slash - source.ptr) : 0, skip = slash ? flags + 1 : 0;
    if (re_compile((Str){ source.ptr + skip, source.len - skip }, (Str){ source.ptr, flags }, &re, NULL, NULL)) return NULL;
    return re;
}

static bool reg_counted(const LiveFunc *f, const Image *image, uint16_t reg) { return type_counted(image, f->func->reg_types[reg]); }

static bool reg_intlike(const LiveFunc *f, const Image *image, uint16_t reg) { return kind_is_intlike(image->types[f->func->reg_types[reg]].kind); }

/* `ref` when register `reg` is counted, else `word`. */
static uint16_t pick(const LiveFunc *f, const Image *image, uint16_t reg, uint16_t word, uint16_t ref) { return reg_counted(f, image, reg) ? ref : word; }

static Insn relative(Insn i, uint32_t at)
{
    return (i & 0xFFFFFFFFu) | (Insn)(uint32_t)((int32_t)INSN_BC(i) - (int32_t)(at + 1)) << 32;
}

static Insn with_op(Insn i, uint16_t op) { return (i & ~(Insn)0xFFFF) | op; }

static Insn quicken(const LiveFunc *f, const ImageLive *live, uint32_t at)
{
    const Image *image = live->image;
    Insn i = f->func->code[at];
    switch (INSN_OP(i)) {
    case OP_JUMP: case OP_LOOP: case OP_JT: case OP_JF: case OP_JNULL: case OP_JNOTNULL: return relative(i, at);
    case OP_GET_FIELD: return with_op(i, pick(f, image, INSN_A(i), OP_GET_FIELD, QUICK_GET_FIELD_REF));
    case OP_SET_FIELD: return with_op(i, pick(f, image, INSN_C(i), OP_SET_FIELD, QUICK_SET_FIELD_REF));
    case OP_LIST_GET: return with_op(i, pick(f, image, INSN_A(i), OP_LIST_GET, QUICK_LIST_GET_REF));
    case OP_LIST_PUSH: return with_op(i, pick(f, image, INSN_B(i), OP_LIST_PUSH, QUICK_LIST_PUSH_REF));
    case OP_LIST_SET: return with_op(i, pick(f, image, INSN_C(i), OP_LIST_SET, QUICK_LIST_SET_REF));
    case OP_WRAP: return with_op(i, reg_intlike(f, image, INSN_B(i)) ? QUICK_WRAP_WORD : OP_WRAP);
    case OP_UNWRAP: return with_op(i, reg_intlike(f, image, INSN_A(i)) ? QUICK_UNWRAP_WORD : OP_UNWRAP);
    case OP_CALL: return with_op(i, live->funcs[INSN_B(i)].spans ? QUICK_CALL_SPAN : OP_CALL);
    case OP_RETURN: return with_op(i, pick(f, image, INSN_A(i), OP_RETURN, QUICK_RETURN_REF));
    default: return i;
    }
}

static void func_shape(ImageLive *live, uint16_t index)
{
    const Image *image = live->image;
    const ImageFunc *func = &image->funcs[index];
    LiveFunc *f = &live->funcs[index];
    *f = (LiveFunc){ .param_count = func->param_count, .reg_count = func->reg_count, .index = index, .func = func };
    f->result_counted = type_counted(image, func->result);
    f->spans = func->kind == FUNC_TOOL || func->kind == FUNC_FLOW;
    uint16_t *counted = ARENA_ARRAY(live->arena, uint16_t, func->reg_count + 1);
    for (uint16_t r = 0; r < func->reg_count; r++) {
        if (!reg_counted(f, image, r)) continue;
        counted[f->counted_count++] = r;
        if (r < func->param_count) f->counted_params++;
    }
    f->counted = counted;
}

static void func_code(ImageLive *live, uint16_t index)
{
    LiveFunc *f = &live->funcs[index];
    Insn *code = ARENA_ARRAY(live->arena, Insn, f->func->code_count + 1);
    for (uint32_t at = 0; at < f->func->code_count; at++) code[at] = quicken(f, live, at);
    f->code = code;
}

static void func_effects(ImageLive *live, uint16_t index)
{
    const ImageFunc *func = &live->image->funcs[index];
    LiveEffects *effects = ARENA_NEW(live->arena, LiveEffects);
    ImageEffect begin = { .kind = EFFECT_NOTE_SPAN_BEGIN, .target = func->owner, .name = func->name, .params = func->reg_types, .param_count = func->param_count, .result = TYPE_INDEX_VOID };
    *effects = (LiveEffects){ begin, begin, begin };
    effects->span_end.kind = EFFECT_NOTE_SPAN_END;
    effects->span_end.params = (uint16_t *)&func->result;
    effects->span_end.param_count = live->image->types[func->result].kind == KIND_VOID ? 0 : 1;
    effects->intercepted.kind = EFFECT_REMOTE_CALL;
    effects->intercepted.result = func->result;
    live->funcs[index].effects = effects;
}

static void live_free(ImageLive *live)
{
    Heap *before = heap_enter(NULL);
    for (uint32_t i = BASE_COUNT(live->image, const_count); i < live->image->const_count; i++)
        if (type_counted(live->image, live->image->consts[i].type)) value_release(live->consts[i]);
    for (uint32_t i = BASE_COUNT(live->image, regex_count); i < live->image->regex_count; i++) re_free(live->regexes[i]);
    heap_enter(before);
    arena_free(live->arena);
}

static void funcs_make(ImageLive *live)
{
    const Image *image = live->image;
    const ImageLive *base = image->base ? image->base->live : NULL;
    uint16_t first = (uint16_t)BASE_COUNT(image, func_count);
    live->funcs = rows_of_base(live, base ? base->funcs : NULL, first, image->func_count, sizeof *live->funcs);
    for (uint16_t i = first; i < image->func_count; i++) func_shape(live, i);
    for (uint16_t i = first; i < image->func_count; i++) {
        func_code(live, i);
        func_effects(live, i);
    }
}

static void regexes_make(ImageLive *live)
{
    const Image *image = live->image;
    uint32_t first = BASE_COUNT(image, regex_count);
    live->regexes = rows_of_base(live, image->base ? image->base->live->regexes : NULL, first, image->regex_count, sizeof(Re *));
    for (uint32_t i = first; i < image->regex_count; i++) live->regexes[i] = regex_make(image->regexes[i]);
}

void vm_prepare(Image *image)
{
    if (image->live) return;
    if (image->base) vm_prepare(image->base);
    Heap *before = heap_enter(NULL);
    Arena *arena = arena_new();
    ImageLive *live = ARENA_NEW(arena, ImageLive);
    *live = (ImageLive){ .image = image, .arena = arena };
    consts_make(live);
    regexes_make(live);
    funcs_make(live);
    heap_enter(before);
    image->live = live;
    image->live_free = live_free;
}
