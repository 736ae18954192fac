/* schema.c - the JSON Schema (2020-12) of the plans that a grant allows: what a model is given to write by.
 *
 * Closed: no object takes members that it does not name. A step is told apart by its constants `agent` and `action`, so a validator says of a wrong step what is
 * wrong with it as that step. It is small: one definition for each type that the granted tools have, one for each tool. It is not the judge of a plan: what it
 * cannot say (names of results, order, budgets) plan_compile() does, and what it says plan_compile() says too.
 *
 * A parameter is never `required` here: what a plan leaves open is filled in from the request, and its description says that it has to come from somewhere.
 */
#include "compiler/plan/bound.h"
#include "compiler/plan/plan_internal.h"

enum { TYPES_DEEP_MAX = 16 /* beyond it anything fits */ };

typedef struct Schema {
    const Image *base;
    const PlanGrant *grant;
    Buf *out;
    Arena *arena;
    bool *wanted;                        /* types that have a definition, by row */
} Schema;

/* ---- JSON -------------------------------------------------------------------------------------------------- */

static void put_text(Schema *s, const char *text) { buf_put_text(s->out, text); }

static void put_description(Schema *s, Str doc)
{
    if (!doc.len)
        return;
    put_text(s, ",\"description\":");
    json_put_string(s->out, doc);
}

/* ---- types ------------------------------------------------------------------------------------------------- */

static void want_type(Schema *s, uint16_t type, int depth)
{
    const ImageType *row = &s->base->types[type];
    if (s->wanted[type] || depth > TYPES_DEEP_MAX)
        return;
    s->wanted[type] = true;
    if (row->kind == KIND_OPT || row->kind == KIND_LIST || row->kind == KIND_MAP)
        want_type(s, row->element, depth + 1);
    for (uint32_t i = 0; row->kind == KIND_RECORD && i < row->field_count; i++)
        want_type(s, row->fields[i].type, depth + 1);
}

static void put_type_ref(Schema *s, uint16_t type)
{
    if (s->wanted[type])
        buf_printf(s->out, "{\"$ref\":\"#/$defs/t%u\"}", type);
    else
        put_text(s, "{}");
}

static void put_record(Schema *s, const ImageType *row)
{
    put_text(s, "{\"type\":\"object\",\"properties\":{");
    for (uint32_t i = 0; i < row->field_count; i++) {
        if (i)
            put_text(s, ",");
        json_put_string(s->out, row->fields[i].name);
        put_text(s, ":");
        put_type_ref(s, row->fields[i].type);
    }
    put_text(s, "},\"required\":[");
    bool any = false;
    for (uint32_t i = 0; i < row->field_count; i++) {
        if (row->fields[i].has_default || s->base->types[row->fields[i].type].kind == KIND_OPT)
            continue;
        if (any)
            put_text(s, ",");
        json_put_string(s->out, row->fields[i].name);
        any = true;
    }
    put_text(s, "],\"additionalProperties\":false}");
}

static void put_words(Schema *s, const Str *words, uint32_t count)
{
    put_text(s, "{\"enum\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            put_text(s, ",");
        json_put_string(s->out, words[i]);
    }
    put_text(s, "]}");
}

static void put_form(Schema *s, const char *words) { buf_printf(s->out, "{\"type\":\"string\",\"description\":\"%s\"}", words); }

/* The type as it is written, without references. */
static void put_plain_type(Schema *s, uint16_t type)
{
    const ImageType *row = &s->base->types[type];
    switch (row->kind) {
    case KIND_BOOL:      put_text(s, "{\"type\":\"boolean\"}"); break;
    case KIND_INT:       put_text(s, "{\"type\":\"integer\"}"); break;
    case KIND_FLOAT:
    case KIND_DECIMAL:   put_text(s, "{\"type\":\"number\"}"); break;
    case KIND_STRING:    put_text(s, "{\"type\":\"string\"}"); break;
    case KIND_DATE:      put_form(s, "a date, as 2025-11-10"); break;
    case KIND_TIMESTAMP: put_form(s, "a moment in UTC, as 2025-11-10T14:30:00Z"); break;
    case KIND_DURATION:  put_form(s, "a duration, as 30d, 1h30m or 45s"); break;
    case KIND_BYTES:     put_form(s, "base64"); break;
    case KIND_ENUM:      put_words(s, row->members, row->member_count); break;
    case KIND_RECORD:    put_record(s, row); break;
    case KIND_LIST:
        put_text(s, "{\"type\":\"array\",\"items\":");
        put_type_ref(s, row->element);
        put_text(s, "}");
        break;
    case KIND_MAP:
        put_text(s, "{\"type\":\"object\",\"additionalProperties\":");
        put_type_ref(s, row->element);
        put_text(s, "}");
        break;
    default: put_text(s, "{}"); break;
    }
}

/* A value of the type, or what stands for one. json takes anything already. */
static void put_type(Schema *s, uint16_t type)
{
    const ImageType *row = &s->base->types[type];
    if (row->kind == KIND_JSON) {
        put_text(s, "{}");
        return;
    }
    put_text(s, "{\"anyOf\":[");
    if (row->kind == KIND_OPT) {
        put_type_ref(s, row->element);
        put_text(s, ",{\"type\":\"null\"}]}");
        return;
    }
    put_plain_type(s, type);
    put_text(s, ",{\"$ref\":\"#/$defs/ref\"}");
    if (row->kind == KIND_STRING)
        put_text(s, ",{\"$ref\":\"#/$defs/text\"}");
    put_text(s, "]}");
}

/* ---- tools ------------------------------------------------------------------------------------------------- */

static bool is_offered(const Schema *s, uint16_t tool)
{
    const ImageTool *row = &s->base->tools[tool];
    Buf name = { 0 };
    plan_put_tool_name(s->base, tool, &name);
    bool granted = row->agent != NO_INDEX && tool_granted(s->grant, buf_str(&name));
    buf_free(&name);
    return granted && (s->grant->may_ask || !(row->flags & TOOL_IRREVERSIBLE));
}

static void put_param(Schema *s, const ImageTool *tool, uint32_t index)
{
    const ImageField *param = &tool->params[index];
    const ImageType *type = &s->base->types[param->type];
    json_put_string(s->out, param->name);
    put_text(s, ":");
    if (!(param->labels & LABEL_TRUSTED)) {
        put_type_ref(s, param->type);
        return;
    }
    put_text(s, "{\"description\":\"written out: no reference may stand here\",\"anyOf\":[");
    put_plain_type(s, type->kind == KIND_OPT ? type->element : param->type);
    put_text(s, type->kind == KIND_OPT ? ",{\"type\":\"null\"}]}" : "]}");
}

static void put_needed(Schema *s, const ImageTool *tool)
{
    bool any = false;
    for (uint32_t i = 0; i < tool->param_count; i++) {
        if (tool->params[i].has_default || s->base->types[tool->params[i].type].kind == KIND_OPT)
            continue;
        buf_printf(s->out, "%s%.*s", any ? ", " : ",\"description\":\"needed, here or in the request: ", STR_ARG(tool->params[i].name));
        any = true;
    }
    if (any)
        put_text(s, "\"");
}

static void put_on_error(Schema *s, bool may_repeat)
{
    if (may_repeat)
        buf_printf(s->out, "\"on_error\":{\"enum\":[\"ABORT\",\"CONTINUE\",\"RETRY\"]},\"retry_count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":%d}", PLAN_RETRIES_MAX);
    else
        put_text(s, "\"on_error\":{\"enum\":[\"ABORT\",\"CONTINUE\"]}");
}

static void put_timeout(Schema *s)
{
    buf_printf(s->out, "\"timeout_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":%d}", PLAN_TIMEOUT_MAX);
}

static void put_tool(Schema *s, uint16_t index)
{
    const ImageTool *tool = &s->base->tools[index];
    buf_printf(s->out, "\"c%u\":{\"type\":\"object\"", index);
    put_description(s, tool->doc);
    put_text(s, ",\"properties\":{\"agent\":{\"const\":");
    json_put_string(s->out, s->base->agents[tool->agent].name);
    put_text(s, "},\"action\":{\"const\":");
    json_put_string(s->out, tool->name);
    put_text(s, "},\"params\":{\"type\":\"object\"");
    put_needed(s, tool);
    put_text(s, ",\"properties\":{");
    for (uint32_t i = 0; i < tool->param_count; i++) {
        if (i)
            put_text(s, ",");
        put_param(s, tool, i);
    }
    put_text(s, "},\"additionalProperties\":false},\"id\":{\"$ref\":\"#/$defs/id\"},\"condition\":{\"$ref\":\"#/$defs/condition\"},");
    put_timeout(s);
    put_text(s, ",");
    put_on_error(s, tool->flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED));
    put_text(s, "},\"required\":[\"agent\",\"action\"],\"additionalProperties\":false},");
}

/* ---- the plan ---------------------------------------------------------------------------------------------- */

static uint32_t steps_max(const PlanLimits *limits) { return limits->steps < PLAN_STEPS_MAX ? limits->steps : PLAN_STEPS_MAX; }

static void put_fixed_definitions(Schema *s, const PlanLimits *limits)
{
    put_text(s, "\"ref\":{\"type\":\"object\",\"description\":\"the value of an earlier result: its name and fields, as book_hotel.booking_id or steps[0].items[2]\","
                "\"properties\":{\"$ref\":{\"type\":\"string\"}},\"required\":[\"$ref\"],\"additionalProperties\":false},"
                "\"text\":{\"type\":\"object\",\"description\":\"text with earlier results in it, as: Booked ${book_hotel.booking_id}\","
                "\"properties\":{\"$text\":{\"type\":\"string\"}},\"required\":[\"$text\"],\"additionalProperties\":false},"
                "\"message\":{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/text\"}]},"
                "\"id\":{\"type\":\"string\",\"description\":\"a name for the result\",\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\",\"maxLength\":");
    buf_printf(s->out, "%d},\"condition\":{\"type\":\"string\",\"description\":\"an expression in a small part of JavaScript over earlier results, true or false\",\"maxLength\":%d},",
               PLAN_NAME_MAX, CONDITION_BYTES_MAX);
    buf_printf(s->out, "\"flow\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":%u,\"items\":{\"$ref\":\"#/$defs/step\"}},", steps_max(limits));
    put_text(s, "\"strategy\":{\"enum\":[\"SEQUENTIAL\",\"PARALLEL\",\"CONDITIONAL\"]},"
                "\"notify\":{\"type\":\"object\",\"description\":\"tells the user something\",\"properties\":{\"action\":{\"const\":\"notify_user\"},"
                "\"message\":{\"$ref\":\"#/$defs/message\"},\"condition\":{\"$ref\":\"#/$defs/condition\"}},\"required\":[\"action\",\"message\"],\"additionalProperties\":false},"
                "\"branch\":{\"type\":\"object\",\"properties\":{\"condition\":{\"$ref\":\"#/$defs/condition\"},\"then\":{\"$ref\":\"#/$defs/flow\"},\"else\":{\"$ref\":\"#/$defs/flow\"}},"
                "\"required\":[\"condition\",\"then\"],\"additionalProperties\":false},"
                "\"group\":{\"type\":\"object\",\"properties\":{\"strategy\":{\"$ref\":\"#/$defs/strategy\"},\"flow\":{\"$ref\":\"#/$defs/flow\"},");
    put_timeout(s);
    put_text(s, ",");
    put_on_error(s, true);
    put_text(s, "},\"required\":[\"strategy\",\"flow\"],\"additionalProperties\":false},");
}

static void put_definitions(Schema *s)
{
    for (uint32_t i = 0; i < s->base->tool_count; i++)
        for (uint32_t k = 0; is_offered(s, (uint16_t)i) && k < s->base->tools[i].param_count; k++)
            want_type(s, s->base->tools[i].params[k].type, 0);
    for (uint32_t i = 0; i < s->base->type_count; i++) {
        if (!s->wanted[i])
            continue;
        buf_printf(s->out, "\"t%u\":", i);
        put_type(s, (uint16_t)i);
        put_text(s, ",");
    }
    for (uint32_t i = 0; i < s->base->tool_count; i++)
        if (is_offered(s, (uint16_t)i))
            put_tool(s, (uint16_t)i);
    put_text(s, "\"step\":{\"anyOf\":[");
    for (uint32_t i = 0; i < s->base->tool_count; i++)
        if (is_offered(s, (uint16_t)i))
            buf_printf(s->out, "{\"$ref\":\"#/$defs/c%u\"},", i);
    put_text(s, "{\"$ref\":\"#/$defs/notify\"},{\"$ref\":\"#/$defs/branch\"},{\"$ref\":\"#/$defs/group\"}]}");
}

void plan_put_schema(const Image *base, const PlanGrant *grant, bool may_be_empty, Buf *out)
{
    PlanLimits limits = plan_limits(grant);
    Schema s = { .base = base, .grant = grant, .out = out, .arena = arena_new() };
    s.wanted = ARENA_ARRAY(s.arena, bool, base->type_count + 1);
    put_text(&s, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"properties\":{\"strategy\":{\"$ref\":\"#/$defs/strategy\"},"
                 "\"flow\":");
    if (may_be_empty) buf_printf(out, "{\"type\":\"array\",\"description\":\"empty: no action does what is asked\",\"maxItems\":%u,\"items\":{\"$ref\":\"#/$defs/step\"}}", steps_max(&limits));
    else put_text(&s, "{\"$ref\":\"#/$defs/flow\"}");
    put_text(&s, ",\"message\":{\"$ref\":\"#/$defs/message\"},");
    put_timeout(&s);
    put_text(&s, ",\"version\":{\"const\":1}},\"required\":[\"strategy\",\"flow\"],\"additionalProperties\":false,\"$defs\":{");
    put_fixed_definitions(&s, &limits);
    put_definitions(&s);
    put_text(&s, "}}");
    arena_free(s.arena);
}

bool plan_grant_matches(const Image *base, Str pattern)
{
    const PlanGrant one = { .tools = &pattern, .tool_count = 1 };
    bool found = false;
    Buf name = { 0 };
    for (uint32_t i = 0; i < base->tool_count && !found; i++) {
        buf_clear(&name);
        plan_put_tool_name(base, (uint16_t)i, &name);
        found = tool_granted(&one, buf_str(&name));
    }
    buf_free(&name);
    return found;
}
