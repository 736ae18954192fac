/* standalone.c - base and plan as one image.
 *
 * An extension holds every row of its base, so its tables are those of a whole image already: what is missing is that it stands for itself and has a flow. The
 * rows are shared with the extension; only the tables that grow are copied.
 */
#include "compiler/plan/standalone.h"

enum { FLOW_REGS = 2 };

/* image_grow() writes into the table it is given when that has room: the extension's stay as they are. */
static void own_tables(Image *image)
{
    ImageFunc *funcs = ARENA_ARRAY(image->arena, ImageFunc, image->func_count);
    memcpy(funcs, image->funcs, image->func_count * sizeof *funcs);
    image->funcs = funcs;
    ImageFlow *flows = ARENA_ARRAY(image->arena, ImageFlow, image->flow_count + 1u);
    if (image->flow_count)
        memcpy(flows, image->flows, image->flow_count * sizeof *flows);
    image->flows = flows;
}

/* int number := the plan's; json out := call of it; return out */
static void flow_code(Image *image, ImageFunc *func, uint16_t number)
{
    func->reg_count = FLOW_REGS;
    func->reg_types = ARENA_ARRAY(image->arena, uint16_t, FLOW_REGS);
    func->reg_types[0] = TYPE_INDEX_INT;
    func->reg_types[1] = TYPE_INDEX_JSON;
    func->code_count = 3;
    func->code = ARENA_ARRAY(image->arena, Insn, func->code_count);
    func->code[0] = INSN(OP_LOADI, 0, number, 0);
    func->code[1] = INSN(OP_CALL_PLAN, 1, 0, 0);
    func->code[2] = INSN(OP_RETURN, 1, 0, 0);
}

Err plan_image(const PlanResult *result, Buf *out, Error *error)
{
    Image whole = *result->image;
    Image *checked = NULL;
    if (image_find_flow(&whole, STR("plan")) >= 0)
        return err_set(error, ERR_CONFLICT, "cannot build: the agents' program has a flow `plan` already");
    whole.base = NULL;
    whole.live = NULL;
    whole.live_free = NULL;
    own_tables(&whole);
    uint16_t flow = IMAGE_ADD(&whole, flow), func = IMAGE_ADD(&whole, func);
    if (flow == NO_INDEX || func == NO_INDEX)
        return err_set(error, ERR_LIMIT, "cannot build: more than IMAGE_INDEX_MAX (%d) rows", IMAGE_INDEX_MAX);
    ImageFunc *row = &whole.funcs[func];
    *row = (ImageFunc){ .name = STR("plan"), .kind = FUNC_FLOW, .owner = flow, .agent = NO_INDEX, .result = TYPE_INDEX_JSON };
    flow_code(&whole, row, result->func);
    whole.flows[flow] = (ImageFlow){ .name = STR("plan"), .doc = STR("a plan of a language model"), .func = func, .result = TYPE_INDEX_JSON, .init_func = NO_INDEX,
                                     .scopes = result->cost.scopes, .scope_count = (uint16_t)result->cost.scope_count, .durability = DURABILITY_STRICT,
                                     .one_per_func = NO_INDEX, .limit_func = NO_INDEX, .rate_func = NO_INDEX };
    image_encode(&whole, out);
    Err err = image_decode(buf_str(out), &checked, error);
    image_free(checked);
    return err;
}
