/* region.c - blocks of the function under construction, and what is told of its steps.
 *
 * A block is filled in last, because names that come later put things into it. The outcomes of a function's steps are a list with a place for
 * each, so that what was not done needs no code.
 */
#include "compiler/plan/plan_internal.h"

#include "compiler/types.h"

/* ---- regions ------------------------------------------------------------------------------------------------ */

static Entry *entry_new(Build *b, Region *region)
{
    if (region->entry_count == region->entry_cap) {
        region->entry_cap = region->entry_cap ? region->entry_cap * 2 : 8;
        Entry *grown = ARENA_ARRAY(b->arena, Entry, region->entry_cap);
        if (region->entry_count)
            memcpy(grown, region->entries, region->entry_count * sizeof *grown);
        region->entries = grown;
    }
    return &region->entries[region->entry_count++];
}

void region_add(Build *b, Region *region, Ast *node) { *entry_new(b, region) = (Entry){ .node = node }; }

Slot *region_slot(Build *b, Region *region)
{
    Slot *slot = ARENA_NEW(b->arena, Slot);
    *entry_new(b, region) = (Entry){ .slot = slot };
    return slot;
}

Region *region_new(Build *b, Region *up)
{
    Region *region = ARENA_NEW(b->arena, Region);
    *region = (Region){ .up = up, .func = up ? up->func : NULL, .number = b->region_count++, .next = b->regions, .block = make_block(&b->maker) };
    return b->regions = region;
}

Region *region_guard(Build *b, Region *up, const char *why)
{
    Region *region = region_new(b, up);
    region->guard = true;
    region->why = why;
    return region;
}

/* The statement that holds the block of `inside`; what is taken out of it comes behind. */
void region_hold(Build *b, Region *inside, Ast *statement)
{
    region_add(b, inside->up, statement);
    inside->after = region_slot(b, inside->up);
}

/* Puts the items into the blocks, when nothing more is asked for. */
void regions_fill(Build *b)
{
    for (Region *region = b->regions; region; region = region->next) {
        Nodes items = { 0 };
        for (uint32_t i = 0; i < region->entry_count; i++) {
            const Entry *entry = &region->entries[i];
            if (entry->node)
                nodes_add(&b->maker, &items, entry->node);
            for (uint32_t k = 0; entry->slot && k < entry->slot->nodes.count; k++)
                nodes_add(&b->maker, &items, entry->slot->nodes.items[k]);
        }
        if (region->record)
            nodes_add(&b->maker, &items, make_do(&b->maker, region->record));
        as_block(region->block)->items = nodes_list(&items);
    }
}

/* ---- outcomes: what happened to each step, in the order of the plan ---------------------------------------------- */

static void put_string(Buf *out, const char *key, Str text)
{
    buf_printf(out, ",\"%s\":", key);
    json_put_string(out, text);
}

static void put_skipped(const PlanNode *node, Buf *out)
{
    buf_printf(out, "{\"index\":%d", node->index);
    if (node->agent.len)
        put_string(out, "agent", node->agent);
    put_string(out, "action", node->action);
    put_string(out, "status", STR("SKIPPED"));
    buf_put_char(out, '}');
}

static Ast *json_of(Build *b, Buf *text)
{
    Ast *node = make_json(&b->maker, arena_str(b->arena, buf_str(text)));
    buf_free(text);
    return node;
}

/* The function's list for steps `from` to `to`. What may be skipped has been until it is done; the others are done or the plan has failed. */
void outcomes_begin(Build *b, Region *func, uint32_t from, uint32_t to)
{
    Maker *m = &b->maker;
    Buf text = { 0 };
    func->out = make_text(m, "#o%u", func->number);
    func->out_base = from;
    buf_put_char(&text, '[');
    for (uint32_t i = from; i < to; i++) {
        if (i > from)
            buf_put_char(&text, ',');
        if (b->results[i].conditional)
            put_skipped(b->tree->by_index[i], &text);
        else
            buf_put_text(&text, "null");
    }
    buf_put_char(&text, ']');
    Type *list = b->compiler->json_list;
    nodes_add(m, &func->prologue->nodes, make_let(m, true, func->out, list, make_as(m, json_of(b, &text), list)));
}

Ast *outcome_place(Build *b, Region *region, uint32_t index)
{
    return make_index(&b->maker, make_name(&b->maker, region->func->out), index - region->func->out_base);
}

/* What is told of a step, but for how it ended. */
static Ast *outcome_new(Build *b, const PlanNode *node, const char *status)
{
    Maker *m = &b->maker;
    Ast *object = make_object(m);
    make_object_put(m, object, STR("index"), make_int(m, node->index));
    if (node->agent.len)
        make_object_put(m, object, STR("agent"), make_string(m, node->agent));
    make_object_put(m, object, STR("action"), make_string(m, node->action));
    make_object_put(m, object, STR("status"), make_string(m, str_of(status)));
    return object;
}

unsigned labels_within(const Type *type)
{
    unsigned labels = type->labels;
    if (type->element)
        labels |= labels_within(type->element);
    for (uint32_t i = 0; type->tag == TYPE_RECORD && i < type->field_count; i++)
        labels |= labels_within(type->fields[i].type);
    return labels;
}

/* Results that are secret, as a whole or in a part, stay out of what the program gets to see. */
static bool can_be_told(const Build *b, const Type *type)
{
    return !(labels_within(type) & LABEL_SECRET) && type_assign(type, b->program->basic[TYPE_JSON]) != ASSIGN_NO;
}

/* { let #d: … = { index: 0, … } #o[0] = #d }: as a record it is half the code of a map. */
void outcome_done(Build *b, Region *region, const PlanNode *node, Str name, const Type *type)
{
    Maker *m = &b->maker;
    bool told = name.len && can_be_told(b, type);
    Ast *object = outcome_new(b, node, "DONE");
    if (told)
        make_object_put(m, object, STR("result"), make_name(m, name));
    Region *inside = region_new(b, region);
    region_add(b, inside, make_let(m, false, STR("#d"), b->compiler->done[node->agent.len != 0][told], object));
    region_add(b, inside, make_assign(m, outcome_place(b, region, (uint32_t)node->index), make_name(m, STR("#d"))));
    region_add(b, region, inside->block);
}

static Ast *error_part(Build *b, Str error, const char *field)
{
    return make_field(&b->maker, make_name(&b->maker, error), str_of(field), false);
}

static Ast *outcome_failed(Build *b, Region *region, const PlanNode *node, Str error)
{
    Maker *m = &b->maker;
    Ast *object = outcome_new(b, node, "FAILED"), *what = make_object(m);
    static const char *const parts[] = { "kind", "message", "code" };
    for (int i = 0; i < 3; i++)
        make_object_put(m, what, str_of(parts[i]), error_part(b, error, parts[i]));
    make_object_put(m, object, STR("error"), what);
    return make_assign(m, outcome_place(b, region, (uint32_t)node->index), object);
}

/* ---- survived and tried again ------------------------------------------------------------------------------------- */

/* Steps are numbered in document order, so those of a subtree are in a row. A plan with mistakes may have subtrees without any: -1. */
static int32_t first_of(const PlanNode *node)
{
    int32_t found = node->index;
    for (uint32_t i = 0; i < node->step_count && found < 0; i++)
        found = first_of(node->steps[i]);
    for (uint32_t i = 0; i < node->otherwise_count && found < 0; i++)
        found = first_of(node->otherwise[i]);
    return found;
}

static int32_t last_of(const PlanNode *node)
{
    int32_t found = node->index;
    for (uint32_t i = node->otherwise_count; i-- > 0 && found < 0;)
        found = last_of(node->otherwise[i]);
    for (uint32_t i = node->step_count; i-- > 0 && found < 0;)
        found = last_of(node->steps[i]);
    return found;
}

uint32_t first_index(const PlanNode *node) { return (uint32_t)(first_of(node) < 0 ? 0 : first_of(node)); }
uint32_t end_index(const PlanNode *node) { return (uint32_t)(last_of(node) + 1); }

/* Code of a step stands in its line. */
void stand_at(Build *b, uint32_t index) { b->maker.span.start = b->maker.span.end = index < PLAN_LINES ? index : PLAN_LINES - 1; }

Ast *survive(Build *b, Region *inside, const PlanNode *node)
{
    Maker *m = &b->maker;
    Str error = make_text(m, "#e%u", inside->number);
    Region *handler = region_new(b, inside->up);
    for (uint32_t i = first_index(node); i < end_index(node); i++)
        region_add(b, handler, outcome_failed(b, inside, b->tree->by_index[i], error));
    inside->lost = region_slot(b, handler);
    return make_try(m, inside->block, error, handler->block);
}

/* What an earlier attempt has noted is not so any more. */
void begin_again(Build *b, Region *region, const PlanNode *node)
{
    region->again = true;
    region->begin = region_slot(b, region);
    for (uint32_t i = first_index(node); i < end_index(node); i++) {
        Buf text = { 0 };
        put_skipped(b->tree->by_index[i], &text);
        region_add(b, region, make_assign(&b->maker, outcome_place(b, region, i), json_of(b, &text)));
    }
}
