/* lower_func.c - one function under construction: registers, code, labels, protected regions, places.
 *
 * Registers have one type for the whole function, so temporaries are kept on a free list per type. Arguments need consecutive registers: a
 * run is allocated once per sequence of types and used again by the next call with the same sequence.
 *
 * Jumps name labels; func_end fills in the targets. The fused compare-and-branch instructions reach 32767 instructions far: when one in a
 * function would not, all of that function are widened (widen_jumps).
 *
 * A protected region is one range of code, as the machine wants it. What leaves it by return, break or continue jumps out to a landing behind
 * the handler, where the cleanup stands once for each kind of way out, and goes on outward from there.
 */
#include "compiler/lower_internal.h"
#include "interpreter/bytecode/opinfo.h"
#include <stdlib.h>

/* ---- begin and end ---- */

static Func *func_take(Lower *lw)
{
    Func *f = lw->pool;
    if (!f) return mem_alloc(sizeof *f);
    lw->pool = f->next_free;
    Func kept = *f;
    *f = (Func){ .code = kept.code, .reg_types = kept.reg_types, .reg_next = kept.reg_next, .free_lists = kept.free_lists, .runs = kept.runs, .labels = kept.labels,
                 .patches = kept.patches, .tries = kept.tries, .lines = kept.lines, .locals = kept.locals, .prologue = kept.prologue };
    Rows *rows[] = { &f->code, &f->reg_types, &f->reg_next, &f->free_lists, &f->runs, &f->labels, &f->patches, &f->tries, &f->lines, &f->locals, &f->prologue };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) rows[i]->count = 0;
    return f;
}

Func *func_begin(Lower *lw, uint16_t index, FuncKind kind, Str name, uint16_t owner, uint16_t agent, uint16_t result, Span span)
{
    Func *f = func_take(lw);
    f->lw = lw;
    f->index = index;
    f->name = lower_str(lw, name);
    f->agent = agent;
    f->result = result;
    f->span = span;
    f->line_start = PC_NONE;
    f->return_reg = NO_REG;
    f->is_test = kind == FUNC_TEST;
    ImageFunc *row = &lw->image->funcs[index];
    row->name = f->name;
    row->kind = (uint8_t)kind;
    row->owner = owner;
    row->agent = agent;
    row->result = result;
    return f;
}

uint16_t func_nested(Func *f, FuncKind kind, uint16_t result, uint8_t flags, Span span, Func **out)
{
    Lower *lw = f->lw;
    uint16_t index = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
    *out = func_begin(lw, index, kind, lower_printf(lw, "%.*s#%u", STR_ARG(f->name), ++f->nested), NO_INDEX, f->agent, result, span);
    (*out)->is_test = f->is_test;
    lw->image->funcs[index].flags = flags;
    return index;
}

uint16_t func_param(Func *f, uint16_t type)
{
    Lower *lw = f->lw;
    uint16_t reg = reg_new(f, type);
    if (++lw->image->funcs[f->index].param_count > FUNC_PARAMS_MAX)
        lower_limit(lw, f->span, "a function", lw->image->funcs[f->index].param_count, "parameters with what it captures", FUNC_PARAMS_MAX);
    return reg;
}

/* ---- registers ---- */

uint16_t reg_type(const Func *f, uint16_t reg) { return ROW(f->reg_types, uint16_t, reg); }

static uint16_t reg_fresh(Func *f, uint16_t type)
{
    if (f->reg_types.count >= FUNC_REGS_MAX) {
        lower_limit(f->lw, f->span, "a function", FUNC_REGS_MAX + 1, "values at once", FUNC_REGS_MAX);
        return 0;
    }
    uint16_t reg = (uint16_t)f->reg_types.count;
    *(uint16_t *)rows_push(&f->reg_types, sizeof(uint16_t)) = type;
    *(uint16_t *)rows_push(&f->reg_next, sizeof(uint16_t)) = NO_INDEX;
    return reg;
}

static FreeList *free_list(Func *f, uint16_t type)
{
    for (uint32_t i = 0; i < f->free_lists.count; i++)
        if (ROW(f->free_lists, FreeList, i).type == type) return &ROW(f->free_lists, FreeList, i);
    FreeList *list = rows_push(&f->free_lists, sizeof *list);
    *list = (FreeList){ type, NO_INDEX };
    return list;
}

uint16_t reg_new(Func *f, uint16_t type)
{
    FreeList *list = free_list(f, type);
    if (list->head == NO_INDEX) return reg_fresh(f, type);
    uint16_t reg = list->head;
    list->head = ROW(f->reg_next, uint16_t, reg);
    return reg;
}

void reg_free(Func *f, uint16_t reg)
{
    if (f->lw->failed) return;
    FreeList *list = free_list(f, reg_type(f, reg));
    ROW(f->reg_next, uint16_t, reg) = list->head;
    list->head = reg;
}

uint16_t local_new(Func *f, Symbol *symbol)
{
    uint16_t reg = reg_new(f, row_of(f->lw, symbol->type));
    symbol->image_index = reg;
    *(uint16_t *)rows_push(&f->locals, sizeof(uint16_t)) = reg;
    return reg;
}

uint32_t locals_mark(const Func *f) { return f->locals.count; }

void locals_free(Func *f, uint32_t mark)
{
    while (f->locals.count > mark) reg_free(f, ROW(f->locals, uint16_t, --f->locals.count));
}

Val val_temp(Func *f, uint16_t type) { return (Val){ reg_new(f, type), type, true }; }
Val val_reg(const Func *f, uint16_t reg) { return (Val){ reg, f->lw->failed ? TYPE_INDEX_JSON : reg_type(f, reg), false }; }

Val val_out(Func *f, uint16_t type, Want want)
{
    if (want.reg >= 0 && want.type == type) return (Val){ (uint16_t)want.reg, type, false };
    return val_temp(f, type);
}

void val_free(Func *f, Val v)
{
    if (v.temp) reg_free(f, v.reg);
}

void val_move(Func *f, uint16_t to, Val v)
{
    if (v.reg != to) {
        if (!lower_is_counted(f->lw, v.type)) emit(f, OP_MOVE, to, v.reg, 0);
        else emit(f, v.temp ? OP_TAKE_REF : OP_MOVE_REF, to, v.reg, 0);
    }
    val_free(f, v);
}

Val val_copy(Func *f, Val v)
{
    if (v.temp || f->dead) return v;
    Val copy = val_temp(f, v.type);
    val_move(f, copy.reg, v);
    return copy;
}

/* ---- runs of consecutive registers ---- */

static uint32_t run_hash(const uint16_t *types, uint16_t count)
{
    return (uint32_t)hash64((Str){ (const char *)types, count * sizeof *types }, count);
}

uint16_t registers_new(Func *f, const uint16_t *types, uint16_t count, int *run)
{
    uint32_t hash = run_hash(types, count);
    for (uint32_t i = 0; i < f->runs.count; i++) {
        RunRow *row = &ROW(f->runs, RunRow, i);
        if (row->busy || row->hash != hash || row->count != count) continue;
        if (memcmp(&ROW(f->reg_types, uint16_t, row->base), types, count * sizeof *types)) continue;
        row->busy = true;
        *run = (int)i;
        return row->base;
    }
    uint16_t base = reg_fresh(f, types[0]);
    for (uint16_t i = 1; i < count; i++) reg_fresh(f, types[i]);
    RunRow *row = rows_push(&f->runs, sizeof *row);
    *row = (RunRow){ base, count, hash, true };
    *run = (int)f->runs.count - 1;
    return base;
}

void run_free(Func *f, int run)
{
    if (run >= 0) ROW(f->runs, RunRow, run).busy = false;
}

/* ---- code and places ---- */

uint32_t func_pc(const Func *f) { return f->code.count; }

static uint16_t column_of(const Source *source, uint32_t line, uint32_t offset)
{
    uint32_t column = 1;
    for (uint32_t i = source->line_starts[line]; i < offset; i++)
        if (((unsigned char)source->text.ptr[i] & 0xC0) != 0x80) column++;
    return (uint16_t)(column < UINT16_MAX ? column : UINT16_MAX);
}

/* Index of the line of an offset: code mostly moves forward, so the search starts where the last one ended. */
static uint32_t line_of(Func *f, const Source *source, uint32_t offset)
{
    uint32_t line = f->line_hint < source->line_count ? f->line_hint : 0;
    if (source->line_starts[line] > offset) {
        uint32_t low = 0, high = line;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (source->line_starts[middle] > offset) high = middle;
            else low = middle;
        }
        line = low;
    }
    for (uint32_t step = 0; line + 1 < source->line_count && source->line_starts[line + 1] <= offset; step++) {
        if (step == 16) {
            uint32_t low = line, high = source->line_count;
            while (high - low > 1) {
                uint32_t middle = low + (high - low) / 2;
                if (source->line_starts[middle] > offset) high = middle;
                else low = middle;
            }
            line = low;
            break;
        }
        line++;
    }
    return f->line_hint = line;
}

static void note_line(Func *f)
{
    f->line_start = f->span.start;
    SourceSet *sources = f->lw->program->sources;
    if (f->span.file >= sources->count) return;
    const Source *source = sources->files[f->span.file];
    if (!source->line_count) return;
    uint32_t line = line_of(f, source, f->span.start);
    uint16_t column = column_of(source, line, f->span.start);
    ImageLine *row = NULL;
    if (f->lines.count && ROW(f->lines, ImageLine, f->lines.count - 1).pc == f->code.count) row = &ROW(f->lines, ImageLine, f->lines.count - 1);
    else row = rows_push(&f->lines, sizeof *row);
    *row = (ImageLine){ .pc = f->code.count, .file = f->span.file, .line = line + 1, .column = column };
}

uint32_t emit(Func *f, Opcode op, uint16_t a, uint16_t b, uint16_t c)
{
    if (f->dead) return f->code.count;
    if (f->span.start != f->line_start) note_line(f);
    *(Insn *)rows_push(&f->code, sizeof(Insn)) = INSN(op, a, b, c);
    if (opinfo_find((uint16_t)op)->flags & OPFLAG_ENDS) f->dead = true;
    return f->code.count - 1;
}

void at(Func *f, Ast *node) { f->span = node->span; }

/* ---- labels ---- */

Label label_new(Func *f)
{
    *(LabelRow *)rows_push(&f->labels, sizeof(LabelRow)) = (LabelRow){ PC_NONE, 0 };
    return (Label)f->labels.count - 1;
}

void label_place(Func *f, Label label)
{
    LabelRow *row = &ROW(f->labels, LabelRow, label);
    row->pc = f->code.count;
    if (row->uses) f->dead = false;
}

static bool is_fused(uint16_t op) { return (op >= OP_JLT_INT && op <= OP_JNEI_INT) || (op >= OP_JLT_DEC && op <= OP_JNEK_DEC); }

void emit_jump(Func *f, Opcode op, uint16_t a, uint16_t b, Label label)
{
    if (f->dead) return;
    uint32_t pc = emit(f, op, a, is_fused((uint16_t)op) ? b : 0, 0);
    *(Patch *)rows_push(&f->patches, sizeof(Patch)) = (Patch){ pc, label };
    ROW(f->labels, LabelRow, label).uses++;
}

/* Backward jumps name their target pc; the distance of a FORLOOP is filled in like that of the others. */
static void emit_back(Func *f, Opcode op, uint16_t a, uint16_t b, uint32_t to)
{
    if (f->dead) return;
    Label label = label_new(f);
    ROW(f->labels, LabelRow, label) = (LabelRow){ to, 1 };
    uint32_t pc = emit(f, op, a, b, 0);
    *(Patch *)rows_push(&f->patches, sizeof(Patch)) = (Patch){ pc, label };
}

void emit_loop(Func *f, uint32_t pc) { emit_back(f, OP_LOOP, 0, 0, pc); }
void emit_forloop(Func *f, uint16_t counter, uint16_t limit, uint32_t body_pc) { emit_back(f, OP_FORLOOP, counter, limit, body_pc); }

/* ---- constants into registers ---- */

/* Inside of a loop a constant that is only read gets a register of its own, filled once before the function's code (see prologue_insert). */
bool const_in_loop(Func *f, uint16_t type, Opcode op, uint16_t b, uint16_t c, Want want, Val *out)
{
    enum { CONST_REGS_MAX = 64 };
    if (!f->loop_depth || want.reg >= 0 || f->dead) return false;
    for (uint32_t i = 0; i < f->prologue.count; i++) {
        Insn insn = ROW(f->prologue, Insn, i);
        if (INSN_OP(insn) != op || INSN_B(insn) != b || INSN_C(insn) != c || reg_type(f, INSN_A(insn)) != type) continue;
        *out = val_reg(f, INSN_A(insn));
        return true;
    }
    if (f->prologue.count == CONST_REGS_MAX) return false;
    uint16_t reg = reg_fresh(f, type);
    *(Insn *)rows_push(&f->prologue, sizeof(Insn)) = INSN(op, reg, b, c);
    *out = val_reg(f, reg);
    return true;
}

void load_int(Func *f, uint16_t reg, int64_t value)
{
    if (f->dead) return;
    if (value >= INT32_MIN && value <= INT32_MAX) emit(f, OP_LOADI, reg, (uint16_t)value, (uint16_t)((uint32_t)value >> 16));
    else emit(f, OP_LOADK, reg, const_scalar(f->lw, reg_type(f, reg), (uint64_t)value), 0);
}

void load_text(Func *f, uint16_t reg, Str text)
{
    if (!f->dead) emit(f, OP_LOADREF, reg, const_bytes(f->lw, TYPE_INDEX_STRING, text), 0);
}

Val val_int(Func *f, uint16_t type, int64_t value)
{
    Val v = val_temp(f, type);
    load_int(f, v.reg, value);
    return v;
}

Val val_text(Func *f, Str text)
{
    Val v = val_temp(f, TYPE_INDEX_STRING);
    load_text(f, v.reg, text);
    return v;
}

/* ---- contexts and regions ---- */

void ctx_push(Func *f, Ctx *ctx, CtxKind kind)
{
    *ctx = (Ctx){ .kind = kind, .outer = f->ctx, .from = PC_NONE };
    f->ctx = ctx;
    f->depth++;
}

void ctx_push_try(Func *f, Ctx *ctx, CtxKind kind, TryKind try_kind)
{
    ctx_push(f, ctx, kind);
    ctx->handler = label_new(f);
    ctx->error_reg = reg_new(f, TYPE_INDEX_ERROR);
    ctx->try_kind = (uint8_t)try_kind;
    ctx->from = f->dead ? PC_NONE : f->code.count;
}

void ctx_pop(Func *f, Ctx *ctx)
{
    assert(f->ctx == ctx);
    if (ctx->from < f->code.count) {
        *(TryRow *)rows_push(&f->tries, sizeof(TryRow)) =
            (TryRow){ .from = ctx->from, .to = f->code.count, .handler = ctx->handler, .error_reg = ctx->error_reg, .depth = f->depth, .kind = ctx->try_kind };
        ROW(f->labels, LabelRow, ctx->handler).uses++;
    }
    f->ctx = ctx->outer;
    f->depth--;
}

bool handler_begin(Func *f, Ctx *ctx)
{
    f->dead = true;
    label_place(f, ctx->handler);
    return !f->dead;
}

/* ---- leaving regions ---- */

static bool has_cleanup(const Ctx *ctx) { return ctx->kind != CTX_LOOP && ctx->kind != CTX_TRY; }

bool ctx_passes_cleanup(const Func *f, const Ctx *target)
{
    for (const Ctx *ctx = f->ctx; ctx != target; ctx = ctx->outer)
        if (has_cleanup(ctx)) return true;
    return false;
}

static void arrive(Func *f, ExitKind kind, Ctx *target, uint16_t return_reg)
{
    if (kind == EXIT_BREAK) emit_jump(f, OP_JUMP, 0, 0, target->break_label);
    else if (kind == EXIT_CONTINUE && target->continue_pc != PC_NONE) emit_loop(f, target->continue_pc);
    else if (kind == EXIT_CONTINUE) emit_jump(f, OP_JUMP, 0, 0, target->continue_label);
    else if (f->result == TYPE_INDEX_VOID) emit(f, OP_RETURN_VOID, 0, 0, 0);
    else emit(f, OP_RETURN, return_reg, 0, 0);
}

static Exit *exit_find(Func *f, Ctx *ctx, ExitKind kind, Ctx *target)
{
    for (Exit *exit = ctx->exits; exit; exit = exit->next)
        if (exit->kind == kind && exit->target == target) return exit;
    Exit *exit = ARENA_NEW(f->lw->arena, Exit);
    *exit = (Exit){ ctx->exits, kind, target, label_new(f) };
    return ctx->exits = exit;
}

void ctx_leave(Func *f, ExitKind kind, Ctx *target, uint16_t return_reg)
{
    if (f->dead) return;
    Ctx *ctx = f->ctx;
    while (ctx != target && !has_cleanup(ctx)) ctx = ctx->outer;
    if (ctx == target) arrive(f, kind, target, return_reg);
    else emit_jump(f, OP_JUMP, 0, 0, exit_find(f, ctx, kind, target)->label);
}

void ctx_exits(Func *f, Ctx *ctx)
{
    for (Exit *exit = ctx->exits; exit; exit = exit->next) {
        f->dead = true;
        label_place(f, exit->label);
        emit_cleanup(f, ctx);
        ctx_leave(f, exit->kind, exit->target, (uint16_t)f->return_reg);
    }
}

/* ---- the end ---- */

static bool reaches(int64_t distance) { return distance >= INT16_MIN && distance <= INT16_MAX; }
static bool is_short(uint16_t op) { return is_fused(op) || op == OP_FORLOOP; }

static bool all_reach(const Func *f)
{
    for (uint32_t i = 0; i < f->patches.count; i++) {
        Patch patch = ROW(f->patches, Patch, i);
        uint16_t op = INSN_OP(ROW(f->code, Insn, patch.pc));
        if (is_short(op) && !reaches((int64_t)ROW(f->labels, LabelRow, patch.label).pc - patch.pc - 1)) return false;
    }
    return true;
}

/* Writes one short jump as instructions of any reach and notes the patch of the far one.
   Jcc L: Jcc +1; JUMP over; JUMP L.     FORLOOP: ADDI; JLT +1; JUMP over; LOOP L. */
static void widen_one(Rows *code, Insn insn, Patch *patch)
{
    uint16_t op = INSN_OP(insn), a = INSN_A(insn), b = INSN_B(insn);
    bool loops = op == OP_FORLOOP;
    if (loops) *(Insn *)rows_push(code, sizeof(Insn)) = INSN(OP_ADDI_INT, a, a, 1);
    *(Insn *)rows_push(code, sizeof(Insn)) = INSN(loops ? OP_JLT_INT : op, a, b, 1);
    uint32_t over = code->count + 2;
    *(Insn *)rows_push(code, sizeof(Insn)) = INSN(OP_JUMP, 0, (uint16_t)over, over >> 16);
    patch->pc = code->count;
    *(Insn *)rows_push(code, sizeof(Insn)) = INSN(loops ? OP_LOOP : OP_JUMP, 0, 0, 0);
}

static void widen_jumps(Func *f)
{
    uint32_t count = f->code.count;
    uint32_t *moved = mem_alloc(((size_t)count + 1) * sizeof *moved);
    int32_t *patch_of = mem_alloc(((size_t)count + 1) * sizeof *patch_of);
    for (uint32_t i = 0; i < count; i++) patch_of[i] = -1;
    for (uint32_t i = 0; i < f->patches.count; i++) patch_of[ROW(f->patches, Patch, i).pc] = (int32_t)i;
    Rows code = { 0 };
    for (uint32_t pc = 0; pc < count; pc++) {
        Insn insn = ROW(f->code, Insn, pc);
        moved[pc] = code.count;
        Patch *patch = patch_of[pc] < 0 ? NULL : &ROW(f->patches, Patch, patch_of[pc]);
        if (patch && is_short(INSN_OP(insn))) {
            widen_one(&code, insn, patch);
            continue;
        }
        if (patch) patch->pc = code.count;
        *(Insn *)rows_push(&code, sizeof(Insn)) = insn;
    }
    moved[count] = code.count;
    for (uint32_t i = 0; i < f->labels.count; i++)
        if (ROW(f->labels, LabelRow, i).pc != PC_NONE) ROW(f->labels, LabelRow, i).pc = moved[ROW(f->labels, LabelRow, i).pc];
    for (uint32_t i = 0; i < f->tries.count; i++) {
        TryRow *row = &ROW(f->tries, TryRow, i);
        row->from = moved[row->from];
        row->to = moved[row->to];
    }
    for (uint32_t i = 0; i < f->lines.count; i++) ROW(f->lines, ImageLine, i).pc = moved[ROW(f->lines, ImageLine, i).pc];
    free(f->code.items);
    f->code = code;
    free(moved);
    free(patch_of);
}

static void prologue_insert(Func *f)
{
    uint32_t more = f->prologue.count, count = f->code.count;
    if (!more) return;
    for (uint32_t i = 0; i < more; i++) rows_push(&f->code, sizeof(Insn));
    memmove((Insn *)f->code.items + more, f->code.items, count * sizeof(Insn));
    memcpy(f->code.items, f->prologue.items, more * sizeof(Insn));
    for (uint32_t i = 0; i < f->labels.count; i++)
        if (ROW(f->labels, LabelRow, i).pc != PC_NONE) ROW(f->labels, LabelRow, i).pc += more;
    for (uint32_t i = 0; i < f->patches.count; i++) ROW(f->patches, Patch, i).pc += more;
    for (uint32_t i = 0; i < f->tries.count; i++) {
        ROW(f->tries, TryRow, i).from += more;
        ROW(f->tries, TryRow, i).to += more;
    }
    for (uint32_t i = 0; i < f->lines.count; i++) ROW(f->lines, ImageLine, i).pc += i ? more : 0;     /* the first row begins with the prologue */
}

static void patch_jumps(Func *f)
{
    if (!all_reach(f)) widen_jumps(f);
    for (uint32_t i = 0; i < f->patches.count; i++) {
        Patch patch = ROW(f->patches, Patch, i);
        Insn *insn = &ROW(f->code, Insn, patch.pc);
        uint32_t to = ROW(f->labels, LabelRow, patch.label).pc;
        assert(to != PC_NONE);
        uint16_t op = INSN_OP(*insn);
        if (is_short(op)) *insn = INSN(op, INSN_A(*insn), INSN_B(*insn), (uint16_t)(int16_t)((int64_t)to - patch.pc - 1));
        else *insn = INSN(op, INSN_A(*insn), (uint16_t)to, to >> 16);
    }
}

static int try_order(const void *a, const void *b)
{
    const TryRow *x = a, *y = b;
    if (x->depth != y->depth) return x->depth > y->depth ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

static void hand_over_tries(Func *f, ImageFunc *row)
{
    if (f->tries.count > UINT16_MAX) {
        lower_limit(f->lw, f->span, "a function", f->tries.count, "protected regions", UINT16_MAX);
        return;
    }
    if (f->tries.count) qsort(f->tries.items, f->tries.count, sizeof(TryRow), try_order);
    row->tries = ARENA_ARRAY(f->lw->image->arena, ImageTry, f->tries.count + 1);
    row->try_count = (uint16_t)f->tries.count;
    for (uint32_t i = 0; i < f->tries.count; i++) {
        TryRow *one = &ROW(f->tries, TryRow, i);
        row->tries[i] = (ImageTry){ one->from, one->to, ROW(f->labels, LabelRow, one->handler).pc, one->error_reg, one->kind };
    }
}

static void *hand_over(Func *f, const Rows *rows, size_t item_size)
{
    void *copy = arena_alloc_array(f->lw->image->arena, (size_t)rows->count + 1, item_size);
    if (rows->count) memcpy(copy, rows->items, rows->count * item_size);
    return copy;
}

void func_end(Func *f)
{
    Lower *lw = f->lw;
    if (!f->dead) {
        if (f->result == TYPE_INDEX_VOID) emit(f, OP_RETURN_VOID, 0, 0, 0);
        else emit_fail(f, ERROR_KIND_internal, STR("the end of the function was reached without a value"));
    }
    if (f->code.count > FUNC_CODE_MAX) lower_limit(lw, f->span, "a function", f->code.count, "instructions", FUNC_CODE_MAX);
    if (!lw->failed) {
        prologue_insert(f);
        patch_jumps(f);
        ImageFunc *row = &lw->image->funcs[f->index];
        row->code = hand_over(f, &f->code, sizeof(Insn));
        row->code_count = f->code.count;
        row->reg_types = hand_over(f, &f->reg_types, sizeof(uint16_t));
        row->reg_count = (uint16_t)f->reg_types.count;
        row->lines = hand_over(f, &f->lines, sizeof(ImageLine));
        row->line_count = f->lines.count;
        hand_over_tries(f, row);
    }
    f->next_free = lw->pool;
    lw->pool = f;
}
