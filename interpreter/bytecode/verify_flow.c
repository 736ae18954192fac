/* verify_flow.c - which registers hold a value, on every way to every instruction.
 *
 * Registers start as zero. Zero is a value of words, floats, decimals, optionals and json, but not of strings, bytes, lists, maps,
 * records and errors, nor a group handle; those are tracked here, one bit each, in one forward pass:
 *   - A label keeps the meet (intersection) of the sets of all jumps to it. Jumps go forward except LOOP and FORLOOP, so all
 *     other ways into a label are known when the pass arrives. The set assumed at the head of a loop stays; the jump back must
 *     bring at least as much. When it does not, the head is marked careful and the pass is made again: a careful head assumes
 *     nothing of registers that are taken away anywhere in its loop (temporaries, which nobody reads across the head). After
 *     FLOW_ROUNDS_MAX - 1 passes all heads are careful, so there are at most FLOW_ROUNDS_MAX of them.
 *   - The handler of a try range gets the meet over every point in the range: a set only grows except at labels and where a
 *     register is taken away, so it is met there and at the beginning. Ranges need not nest: each keeps its own meet.
 *   - Code that nothing reaches has no set; a jump back into it is refused.
 *
 * Groups: a handle never leaves its register, so at every use the GROUP_NEW it comes from is known: each such instruction (a site)
 * has a bit of its own that replaces the bits of other sites on the same register. From the fibers spawned at a site follow the
 * types of its results, which are compared at the end, when all of its SPAWNs were seen.
 *
 * Memory is bounded: all sets together have at most VERIFY_STATE_WORDS_MAX words, and sets of labels passed are used again. So is
 * time: words met and instructions searched for what a loop takes away are counted against VERIFY_WORK_MAX, and at most
 * VERIFY_TRIES_OPEN_MAX ranges cover one instruction.
 */
#include "interpreter/bytecode/verify_internal.h"

typedef struct Set { struct Set *next; uint64_t words[]; } Set;
enum { FLOW_ROUNDS_MAX = 5 };

typedef struct Label { Set *set; uint32_t last_back; bool loop, careful, reached; } Label;     /* last_back: pc of the last jump back to it */
typedef struct OpenTry { const ImageTry *row; Set *set; } OpenTry;             /* set NULL: nothing in it was reached yet */
typedef struct Site { uint16_t reg; uint32_t older; uint32_t labels_passed; uint32_t spawns, first_spawn; bool ordered; } Site;   /* older: site index + 1 on the same register */
typedef struct Spawn { uint32_t site, ordinal; uint16_t func; } Spawn;
typedef struct Use { uint32_t site, pc; } Use;

struct Flow {
    int32_t *bit_of;                     /* register -> bit, -1: not tracked */
    uint32_t *site_of;                   /* register -> newest site + 1 */
    uint32_t bits, words, tracked;       /* bits of sites follow those of registers */
    uint32_t *label_of;                  /* pc -> label + 1 */
    Label *labels;
    uint32_t label_count, labels_passed;
    Set *free;
    size_t words_used;
    size_t work;
    Set *now;                            /* the set here; meaningless when not live */
    bool live, again;                    /* again: a head became careful in this pass */
    int round;
    OpenTry *open;
    uint32_t open_count, next_close, try_next;          /* next_close: pc at which an open range ends */
    Site *sites; uint32_t site_count;
    Spawn *spawns; uint32_t spawn_count;
    Use *uses; uint32_t use_count;
};

/* ---- sets ---- */

static Set *set_new(FuncCheck *f)
{
    Flow *flow = f->flow;
    Set *set = flow->free;
    if (set) {
        flow->free = set->next;
        return set;
    }
    flow->words_used += flow->words + 1;
    return flow->words_used > VERIFY_STATE_WORDS_MAX ? NULL : arena_alloc(f->v->scratch, sizeof(Set) + flow->words * sizeof(uint64_t));
}

static void set_free(Flow *flow, Set *set)
{
    if (!set) return;
    set->next = flow->free;
    flow->free = set;
}

static void set_copy(const Flow *flow, Set *to, const Set *from) { memcpy(to->words, from->words, flow->words * sizeof(uint64_t)); }
static void set_meet(const Flow *flow, Set *to, const Set *with)
{
    for (uint32_t i = 0; i < flow->words; i++) to->words[i] &= with->words[i];
}
static bool bit_get(const Set *set, uint32_t bit) { return set->words[bit / 64] >> (bit % 64) & 1; }
static void bit_put(Set *set, uint32_t bit) { set->words[bit / 64] |= UINT64_C(1) << (bit % 64); }
static void bit_drop(Set *set, uint32_t bit) { set->words[bit / 64] &= ~(UINT64_C(1) << (bit % 64)); }

static Err too_large(FuncCheck *f)
{
    return verify_limit(f->v, "words for the sets of assigned registers", f->flow->words_used, "VERIFY_STATE_WORDS_MAX", VERIFY_STATE_WORDS_MAX);
}

static Err work_add(FuncCheck *f, size_t work)
{
    f->flow->work += work;
    return f->flow->work <= VERIFY_WORK_MAX ? ERR_OK : verify_limit(f->v, "steps to follow what is assigned", f->flow->work, "VERIFY_WORK_MAX", VERIFY_WORK_MAX);
}

/* *to becomes the meet of itself and `with`; the first one is copied. */
static Err meet_into(FuncCheck *f, Set **to, const Set *with)
{
    Err err = work_add(f, f->flow->words);
    if (err) return err;
    if (*to) {
        set_meet(f->flow, *to, with);
        return ERR_OK;
    }
    *to = set_new(f);
    if (!*to) return too_large(f);
    set_copy(f->flow, *to, with);
    return ERR_OK;
}

/* ---- labels ---- */

static bool insn_target(const FuncCheck *f, Insn insn, uint32_t pc, uint32_t *target)
{
    const OpInfo *info = opinfo_find(INSN_OP(insn));
    if (info->sort[1] == SORT_TARGET) *target = INSN_BC(insn);
    else if (info->sort[2] == SORT_REL) *target = insn_rel_target(insn, pc);
    else return false;
    return true;
}

static bool goes_back(uint16_t op) { return op == OP_LOOP || op == OP_FORLOOP; }

static void label_add(Flow *flow, uint32_t pc)
{
    if (!flow->label_of[pc]) flow->label_of[pc] = ++flow->label_count;
}

static void labels_find(FuncCheck *f)
{
    Flow *flow = f->flow;
    uint32_t target;
    flow->label_of = ARENA_ARRAY(f->v->scratch, uint32_t, f->func->code_count);
    for (int i = 0; i < f->func->try_count; i++) label_add(flow, f->func->tries[i].handler);
    for (uint32_t pc = 0; pc < f->func->code_count; pc++)
        if (insn_target(f, f->func->code[pc], pc, &target)) label_add(flow, target);
    flow->labels = ARENA_ARRAY(f->v->scratch, Label, flow->label_count + 1);
    for (uint32_t pc = 0; pc < f->func->code_count; pc++) {
        if (!goes_back(INSN_OP(f->func->code[pc])) || !insn_target(f, f->func->code[pc], pc, &target)) continue;
        Label *label = &flow->labels[flow->label_of[target] - 1];
        label->loop = true;
        label->last_back = pc;
    }
}

/* ---- beginning ---- */

static bool kind_is_tracked(TypeKind kind)
{
    return kind == KIND_STRING || kind == KIND_BYTES || kind == KIND_LIST || kind == KIND_MAP || kind == KIND_RECORD || kind == KIND_ERROR;
}

static void registers_find(FuncCheck *f)
{
    Flow *flow = f->flow;
    flow->bit_of = ARENA_ARRAY(f->v->scratch, int32_t, f->func->reg_count + 1);
    flow->site_of = ARENA_ARRAY(f->v->scratch, uint32_t, f->func->reg_count + 1);
    for (int r = 0; r < f->func->reg_count; r++)
        flow->bit_of[r] = kind_is_tracked(type_kind(f->v, f->func->reg_types[r])) ? (int32_t)flow->tracked++ : -1;
}

static Err sites_count(FuncCheck *f)
{
    Flow *flow = f->flow;
    uint32_t sites = 0, spawns = 0, uses = 0;
    for (uint32_t pc = 0; pc < f->func->code_count; pc++) {
        uint16_t op = INSN_OP(f->func->code[pc]);
        sites += op == OP_GROUP_NEW;
        spawns += op == OP_SPAWN;
        uses += op == OP_FIBER_RESULT || op == OP_GROUP_RESULTS || op == OP_RACE_RESULT;
    }
    if (sites > VERIFY_GROUPS_MAX) return verify_limit(f->v, "GROUP_NEW instructions", sites, "VERIFY_GROUPS_MAX", VERIFY_GROUPS_MAX);
    flow->sites = ARENA_ARRAY(f->v->scratch, Site, sites + 1);
    flow->spawns = ARENA_ARRAY(f->v->scratch, Spawn, spawns + 1);
    flow->uses = ARENA_ARRAY(f->v->scratch, Use, uses + 1);
    flow->bits = flow->tracked + sites;
    flow->words = (flow->bits + 63) / 64;
    return ERR_OK;
}

Err flow_begin(FuncCheck *f)
{
    Flow *flow = f->flow = ARENA_NEW(f->v->scratch, Flow);
    labels_find(f);
    registers_find(f);
    Err err = sites_count(f);
    if (err) return err;
    flow->open = ARENA_ARRAY(f->v->scratch, OpenTry, f->func->try_count + 1);
    flow->now = set_new(f);
    return flow->now ? ERR_OK : too_large(f);
}

bool flow_round(FuncCheck *f)
{
    Flow *flow = f->flow;
    if (flow->round && !flow->again) return false;
    flow->round++;
    flow->again = false;
    flow->live = true;
    flow->labels_passed = flow->open_count = flow->try_next = flow->site_count = flow->spawn_count = flow->use_count = 0;
    flow->next_close = UINT32_MAX;
    memset(flow->site_of, 0, f->func->reg_count * sizeof *flow->site_of);
    for (uint32_t i = 0; i < flow->label_count; i++) {
        set_free(flow, flow->labels[i].set);
        flow->labels[i].set = NULL;
        if (flow->round == FLOW_ROUNDS_MAX) flow->labels[i].careful = true;
    }
    memset(flow->now->words, 0, flow->words * sizeof(uint64_t));
    for (int r = 0; r < f->func->param_count; r++)
        if (flow->bit_of[r] >= 0) bit_put(flow->now, (uint32_t)flow->bit_of[r]);
    return true;
}

/* ---- arriving at an instruction ---- */

/* Something can be raised here with this set: every range around it hears of it. */
static Err note_raise(FuncCheck *f)
{
    Flow *flow = f->flow;
    Err err = ERR_OK;
    for (uint32_t i = 0; flow->live && i < flow->open_count && !err; i++) err = meet_into(f, &flow->open[i].set, flow->now);
    return err;
}

static Err open_try(FuncCheck *f, const ImageTry *row)
{
    Flow *flow = f->flow;
    if (flow->open_count == VERIFY_TRIES_OPEN_MAX) return verify_limit(f->v, "try ranges around one instruction", flow->open_count + 1u, "VERIFY_TRIES_OPEN_MAX", VERIFY_TRIES_OPEN_MAX);
    flow->open[flow->open_count++] = (OpenTry){ row, NULL };
    if (row->to < flow->next_close) flow->next_close = row->to;
    return ERR_OK;
}

static Err close_try(FuncCheck *f, OpenTry closed)
{
    Flow *flow = f->flow;
    if (!closed.set) return ERR_OK;
    bit_put(closed.set, (uint32_t)flow->bit_of[closed.row->error_reg]);
    Err err = meet_into(f, &flow->labels[flow->label_of[closed.row->handler] - 1].set, closed.set);
    set_free(flow, closed.set);
    return err;
}

static Err close_tries(FuncCheck *f)
{
    Flow *flow = f->flow;
    uint32_t kept = 0;
    Err err = ERR_OK;
    flow->next_close = UINT32_MAX;
    for (uint32_t i = 0; i < flow->open_count && !err; i++) {
        OpenTry open = flow->open[i];
        if (open.row->to == f->pc) {
            err = close_try(f, open);
            continue;
        }
        if (open.row->to < flow->next_close) flow->next_close = open.row->to;
        flow->open[kept++] = open;
    }
    flow->open_count = kept;
    return err;
}

static void drop_sites(Flow *flow, uint16_t r);

/* Forgets what is taken away somewhere in the loop that begins here. */
static Err be_careful(FuncCheck *f, const Label *label)
{
    Err err = work_add(f, label->last_back - f->pc);
    for (uint32_t pc = f->pc; pc <= label->last_back && !err; pc++) {
        Insn insn = f->func->code[pc];
        uint16_t op = INSN_OP(insn);
        if (op == OP_TAKE_REF && f->flow->bit_of[INSN_B(insn)] >= 0) bit_drop(f->flow->now, (uint32_t)f->flow->bit_of[INSN_B(insn)]);
        if (op == OP_GROUP_NEW || op == OP_GROUP_FREE) drop_sites(f->flow, INSN_A(insn));
    }
    return err;
}

static Err pass_label(FuncCheck *f, Label *label)
{
    Flow *flow = f->flow;
    flow->labels_passed++;
    if (label->set && flow->live) set_meet(flow, flow->now, label->set);
    else if (label->set) set_copy(flow, flow->now, label->set);
    flow->live = flow->live || label->set;
    label->reached = flow->live;
    set_free(flow, label->set);
    label->set = NULL;
    if (!label->loop || !flow->live) return ERR_OK;
    Err err = label->careful ? be_careful(f, label) : ERR_OK;
    return err ? err : meet_into(f, &label->set, flow->now);
}

Err flow_at(FuncCheck *f)
{
    Flow *flow = f->flow;
    Err err = ERR_OK;
    if (flow->next_close == f->pc) err = close_tries(f);
    bool is_label = flow->label_of[f->pc] != 0, opened = false;
    if (!err && is_label) err = pass_label(f, &flow->labels[flow->label_of[f->pc] - 1]);
    for (; !err && flow->try_next < f->func->try_count && f->tries[flow->try_next]->from == f->pc; opened = true)
        err = open_try(f, f->tries[flow->try_next++]);
    return err || !(is_label || opened) ? err : note_raise(f);
}

/* ---- reads and writes ---- */

static Err flow_read(FuncCheck *f, uint32_t r)
{
    int32_t bit = f->flow->bit_of[r];
    if (bit < 0 || bit_get(f->flow->now, (uint32_t)bit)) return ERR_OK;
    return verify_fail(f->v, "register r%u (%s) is read and may hold no value yet", r, verify_type_text(f->v, f->func->reg_types[r]));
}

static void flow_write(FuncCheck *f, uint32_t r)
{
    int32_t bit = f->flow->bit_of[r];
    if (bit >= 0) bit_put(f->flow->now, (uint32_t)bit);
}

static Err read_operands(FuncCheck *f)
{
    Err err = ERR_OK;
    for (int i = 0; i < 3 && !err; i++) {
        OpSort sort = (OpSort)f->info->sort[i];
        uint32_t r = insn_operand(f->insn, i);
        if (!sort_is_in(sort) && !sort_is_mod(sort)) continue;
        if (i != f->run_operand) err = flow_read(f, r);
        else for (uint32_t k = 0; k < f->run_count && !err; k++) err = flow_read(f, r + k);
    }
    return err;
}

static Err take_away(FuncCheck *f, uint32_t r)
{
    int32_t bit = f->flow->bit_of[r];
    if (bit < 0) return ERR_OK;
    bit_drop(f->flow->now, (uint32_t)bit);
    return note_raise(f);
}

/* ---- groups ---- */

static uint32_t site_bit(const Flow *flow, uint32_t site) { return flow->tracked + site; }

static void drop_sites(Flow *flow, uint16_t r)
{
    for (uint32_t s = flow->site_of[r]; s; s = flow->sites[s - 1].older) bit_drop(flow->now, site_bit(flow, s - 1));
}

static void site_begin(Flow *flow, uint16_t r)
{
    uint32_t site = flow->site_count++;
    drop_sites(flow, r);
    flow->sites[site] = (Site){ .reg = r, .older = flow->site_of[r], .labels_passed = flow->labels_passed, .ordered = true };
    flow->site_of[r] = site + 1;
    bit_put(flow->now, site_bit(flow, site));
}

/* Fibers count in code order as long as the SPAWNs stand in a row without a label between them and their GROUP_NEW. */
static void site_spawn(Flow *flow, uint32_t site, uint16_t func)
{
    Site *s = &flow->sites[site];
    if (s->labels_passed != flow->labels_passed) s->ordered = false;
    flow->spawns[flow->spawn_count++] = (Spawn){ site, s->spawns++, func };
}

static Err flow_group(FuncCheck *f)
{
    Flow *flow = f->flow;
    uint16_t op = INSN_OP(f->insn), r = insn_operand(f->insn, insn_group_operand(op));
    if (op == OP_GROUP_NEW) {
        site_begin(flow, r);
        return note_raise(f);
    }
    uint32_t site = flow->site_of[r];
    if (!site || !bit_get(flow->now, site_bit(flow, site - 1))) return verify_fail(f->v, "register r%u holds no group here, or one of several", r);
    if (op == OP_SPAWN) site_spawn(flow, site - 1, INSN_B(f->insn));
    else if (op == OP_GROUP_FREE) {
        drop_sites(flow, r);
        return note_raise(f);
    } else if (op != OP_JOIN) flow->uses[flow->use_count++] = (Use){ site - 1, f->pc };
    return ERR_OK;
}

/* ---- one instruction ---- */

static Err jump_back(FuncCheck *f, Label *label)
{
    if (!label->reached) return verify_fail(f->v, "jumps back to code that nothing else reaches");
    for (uint32_t bit = 0; bit < f->flow->bits; bit += 64) {
        uint64_t missing = label->set->words[bit / 64] & ~f->flow->now->words[bit / 64];
        if (!missing) continue;
        if (!label->careful) {
            label->careful = f->flow->again = true;
            return ERR_OK;
        }
        bit += (uint32_t)__builtin_ctzll(missing);
        for (int r = 0; r < f->func->reg_count; r++)
            if (f->flow->bit_of[r] == (int32_t)bit) return verify_fail(f->v, "register r%d holds a value where the loop begins and none on the way back", r);
        return verify_fail(f->v, "a group that is open where the loop begins is not on the way back");
    }
    return ERR_OK;
}

static Err follow_jump(FuncCheck *f)
{
    uint32_t target;
    if (!insn_target(f, f->insn, f->pc, &target)) return ERR_OK;
    Label *label = &f->flow->labels[f->flow->label_of[target] - 1];
    return goes_back(INSN_OP(f->insn)) ? jump_back(f, label) : meet_into(f, &label->set, f->flow->now);
}

Err flow_step(FuncCheck *f)
{
    Flow *flow = f->flow;
    if (!flow->live) return ERR_OK;
    uint16_t op = INSN_OP(f->insn);
    Err err = read_operands(f);
    if (!err && insn_group_operand(op) >= 0) err = flow_group(f);
    if (!err && op == OP_TAKE_REF) err = take_away(f, INSN_B(f->insn));
    if (err) return err;
    if (sort_is_out((OpSort)f->info->sort[0]) && !f->result_void) flow_write(f, INSN_A(f->insn));
    err = follow_jump(f);
    if (f->info->flags & OPFLAG_ENDS) flow->live = false;
    return err;
}

/* ---- results of groups ---- */

static const ImageFunc *spawned_func(const FuncCheck *f, const Spawn *spawn) { return &f->v->image->funcs[spawn->func]; }

/* Spawns sorted by site, then by order: counting sort. */
static Spawn *spawns_by_site(FuncCheck *f)
{
    Flow *flow = f->flow;
    Spawn *sorted = ARENA_ARRAY(f->v->scratch, Spawn, flow->spawn_count + 1);
    uint32_t first = 0;
    for (uint32_t i = 0; i < flow->site_count; i++) {
        flow->sites[i].first_spawn = first;
        first += flow->sites[i].spawns;
    }
    for (uint32_t i = 0; i < flow->spawn_count; i++) sorted[flow->sites[flow->spawns[i].site].first_spawn + flow->spawns[i].ordinal] = flow->spawns[i];
    return sorted;
}

/* All fibers of the site have one result type and one criticality; the first spawn speaks for them. */
static bool site_is_uniform(const FuncCheck *f, const Spawn *spawns, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const ImageFunc *one = spawned_func(f, &spawns[i]), *first = spawned_func(f, &spawns[0]);
        if (one->result != first->result || ((one->flags ^ first->flags) & FUNC_FLAG_CRITICAL)) return false;
    }
    return true;
}

/* T when critical, else T?; what is optional already stays as it is. */
static bool fiber_result_fits(const FuncCheck *f, const ImageFunc *func, uint16_t type)
{
    if (func->result == TYPE_INDEX_VOID) return false;
    bool wrapped = !(func->flags & FUNC_FLAG_CRITICAL) && type_kind(f->v, func->result) != KIND_OPT;
    const ImageType *row = type_row(f->v, type);
    return wrapped ? row->kind == KIND_OPT && row->element == func->result : type == func->result;
}

static Err use_check(FuncCheck *f, const Use *use, const Spawn *sorted, const int8_t *uniform)
{
    const Site *site = &f->flow->sites[use->site];
    const Spawn *spawns = &sorted[site->first_spawn];
    Insn insn = f->func->code[use->pc];
    uint16_t type = f->func->reg_types[INSN_A(insn)];
    f->v->place.pc = use->pc;
    f->v->place.op = opcode_name(INSN_OP(insn));
    if (!site->spawns) return verify_fail(f->v, "no fiber is started in this group");
    bool by_order = INSN_OP(insn) == OP_FIBER_RESULT && site->ordered;
    if (!by_order && !uniform[use->site]) return verify_fail(f->v, "fibers of this group have results of different types");
    if (by_order && INSN_C(insn) >= site->spawns) return verify_fail(f->v, "the group has no fiber %u", INSN_C(insn));
    const ImageFunc *func = spawned_func(f, &spawns[by_order ? INSN_C(insn) : 0]);
    const ImageType *row = type_row(f->v, type);
    bool fits = INSN_OP(insn) == OP_FIBER_RESULT ? fiber_result_fits(f, func, type)
              : INSN_OP(insn) == OP_GROUP_RESULTS ? func->result != TYPE_INDEX_VOID && row->element == func->result
              : func->result != TYPE_INDEX_VOID && type == func->result;
    return fits ? ERR_OK : verify_fail(f->v, "register r%u is %s, which is not what the fibers give", INSN_A(insn), verify_type_text(f->v, type));
}

Err flow_end(FuncCheck *f)
{
    Flow *flow = f->flow;
    Err err = ERR_OK;
    if (!flow->use_count) return ERR_OK;
    const Spawn *sorted = spawns_by_site(f);
    int8_t *uniform = ARENA_ARRAY(f->v->scratch, int8_t, flow->site_count + 1);
    for (uint32_t i = 0; i < flow->site_count; i++) uniform[i] = site_is_uniform(f, &sorted[flow->sites[i].first_spawn], flow->sites[i].spawns);
    for (uint32_t i = 0; i < flow->use_count && !err; i++) err = use_check(f, &flow->uses[i], sorted, uniform);
    return err;
}
