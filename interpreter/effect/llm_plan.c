/* llm_plan.c - plans and a model: what it is sent, what of its answers is a plan, and what it says about the parameters that a plan leaves out. */
#include "interpreter/effect/llm_model.h"
#include <string.h>

/* ---- what a model is sent for a plan -------------------------------------------------------------------------- */

static const char coordination[] =
    "You are a multi-agent coordinator. From the user's request you decide which agents are needed, what strategy to use, and the exact flow of operations.\n"
    "Strategies: SEQUENTIAL, one step after the other; PARALLEL, all at once, no step may use another's result; CONDITIONAL, in order, with conditions. A step is one of\n"
    "- {\"agent\": …, \"action\": …, \"params\": {…}}: one action of the list below. Also: \"id\", a name for its result; \"condition\", it is done only if that is true; \"timeout_ms\"; "
    "\"on_error\": \"ABORT\" (the default: what was done is undone), \"CONTINUE\" (its result is null) or \"RETRY\" with \"retry_count\", for actions marked repeatable\n"
    "- {\"condition\": \"budget_available >= 200\", \"then\": [steps], \"else\": [steps]}\n"
    "- {\"strategy\": …, \"flow\": [steps]}: a group\n"
    "- {\"action\": \"notify_user\", \"message\": …}\n"
    "A condition is a JavaScript expression (comparisons, && || !, arithmetic, ?: and methods of strings and lists) over the results of earlier steps: a result is called by the step's \"id\", its action or its "
    "agent, or steps[0]; check_budget.available may also be written budget_available. A parameter is a literal; {\"$ref\": \"book_hotel.booking_id\"}, the exact value of an earlier result; or "
    "{\"$text\": \"Booked ${book_hotel.booking_id}\"}. Leave out a parameter that neither the request nor a result gives: it is asked for; never invent one. "
    "Use only the actions below; an empty flow when none does what is asked.\n";

enum { RESULT_DEPTH_MAX = 3 };                           /* deeper, a name must do */

/* Types in words: a record by its fields and an enum by its members, because those are what a plan may write. */
static void put_type(const Image *image, uint16_t index, int depth, Buf *out) {
    const ImageType *type = &image->types[index];
    switch (type->kind) {
    case KIND_OPT: put_type(image, type->element, depth, out); buf_put_char(out, '?'); break;
    case KIND_LIST: buf_put_text(out, "list<"); put_type(image, type->element, depth + 1, out); buf_put_char(out, '>'); break;
    case KIND_ENUM:
        for (uint16_t i = 0; i < type->member_count; i++) buf_printf(out, "%s\"%.*s\"", i ? "|" : "", STR_ARG(type->members[i]));
        break;
    case KIND_RECORD:
        if (depth >= RESULT_DEPTH_MAX) { image_type_print(image, index, out); break; }
        buf_put_char(out, '{');
        for (uint16_t i = 0; i < type->field_count; i++) {
            buf_printf(out, "%s%.*s: ", i ? ", " : "", STR_ARG(type->fields[i].name));
            put_type(image, type->fields[i].type, depth + 1, out);
        }
        buf_put_char(out, '}');
        break;
    default: image_type_print(image, index, out); break;
    }
}

static bool may_use(const LlmQuestion *question, Str agent) {
    for (uint32_t i = 0; i < question->agent_count; i++)
        if (str_eq(question->agents[i], agent)) return true;
    return question->agent_count == 0;
}

static void put_tools(const LlmQuestion *question, Buf *out) {
    const Image *image = question->image;
    for (uint16_t t = 0; t < image->tool_count; t++) {
        const ImageTool *tool = &image->tools[t];
        if (tool->agent == NO_INDEX || !may_use(question, image->agents[tool->agent].name)) continue;
        const char *dot = memchr(tool->name.ptr, '.', tool->name.len);
        Str action = dot ? (Str){ dot + 1, tool->name.len - (size_t)(dot + 1 - tool->name.ptr) } : tool->name;
        buf_printf(out, "- agent %.*s, action %.*s(", STR_ARG(image->agents[tool->agent].name), STR_ARG(action));
        for (uint16_t p = 0; p < tool->param_count; p++) {
            buf_printf(out, "%s%.*s%s: ", p ? ", " : "", STR_ARG(tool->params[p].name), tool->params[p].has_default ? " (optional)" : "");
            put_type(image, tool->params[p].type, 1, out);
        }
        buf_put_char(out, ')');
        if (image->types[tool->result].kind != KIND_VOID) buf_put_text(out, " -> "), put_type(image, tool->result, 1, out);
        if (tool->doc.len) buf_printf(out, ": %.*s", STR_ARG(tool->doc));
        if (tool->flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED)) buf_put_text(out, " (repeatable)");
        if (tool->flags & TOOL_IRREVERSIBLE) buf_put_text(out, " (cannot be undone: the user is asked first)");
        buf_put_char(out, '\n');
    }
}

void llm_put_plan_prompt(const LlmQuestion *question, Buf *schema, Buf *words) {
    buf_put_text(words, coordination);
    put_tools(question, words);
    planner_put_schema(question->image, question->agents, question->agent_count, schema);
}

/* ---- what is a plan --------------------------------------------------------------------------------------------- */

static bool is_empty(Str text) {
    Arena *arena = arena_new();
    Json *root = NULL;
    bool empty = json_parse(arena, text, LLM_ANSWER_MAX, &root, NULL) == ERR_OK && root->kind == JSON_OBJECT;
    const Json *flow = empty ? json_get(root, "flow") : NULL;
    empty = flow && flow->kind == JSON_ARRAY && flow->count == 0;
    arena_free(arena);
    return empty;
}

bool llm_read_plan(const LlmQuestion *question, Str text, bool *ok, Value *out, Buf *report) {
    out->w = 0;
    *ok = false;
    if (is_empty(text)) return *out = value_error(question->image, ERROR_KIND_not_found, STR("no tool matches the request")), true;
    if (!planner_accepts(question->planner, question->image, text, question->agents, question->agent_count, report)) return false;
    buf_clear(report);
    Arena *arena = arena_new();
    Json *root = NULL;
    *ok = json_parse(arena, text, LLM_ANSWER_MAX, &root, NULL) == ERR_OK;
    if (*ok) *out = value_json(root);
    else *out = value_error(question->image, ERROR_KIND_internal, STR("a plan that was accepted is no JSON"));
    arena_free(arena);
    return true;
}

Value llm_plan_refused(const LlmQuestion *question, Str report) {
    Arena *arena = arena_new();
    Json *root = NULL;
    json_parse(arena, report, SIZE_MAX, &root, NULL);
    const Json *all = root ? json_get(root, "diagnostics") : NULL;
    Str code = all && all->kind == JSON_ARRAY && all->count ? json_get_text(all->items[0], "code") : (Str){ "", 0 };
    Value error = error_with(value_error(question->image, ERROR_KIND_invalid, report), 0, code, -1);
    arena_free(arena);
    return error;
}

/* ---- what a plan leaves out ---------------------------------------------------------------------------------------- */

static const char filling[] =
    "The user's message is a request, and these are parameters of actions that are about to be done for it. You take from the message what it says about each of them and guess nothing: null when "
    "the message does not say it.\n";

bool llm_put_fill_prompt(const LlmQuestion *question, Buf *schema, Buf *words) {
    bool strict = true;
    buf_put_text(words, filling);
    buf_put_text(schema, "{\"type\":\"object\",\"properties\":{");
    for (uint32_t i = 0; i < question->blanks->count; i++) {
        const PlanBlank *blank = &question->blanks->rows[i];
        buf_printf(words, "- %.*s: the %.*s of %.*s%s%.*s\n", STR_ARG(blank->name), STR_ARG(blank->param), STR_ARG(blank->tool), blank->doc.len ? ": " : "", STR_ARG(blank->doc));
        if (i) buf_put_char(schema, ',');
        json_put_string(schema, blank->name);
        buf_put_text(schema, ":{\"anyOf\":[");
        strict &= llm_put_schema(question->image, blank->type, schema);
        buf_put_text(schema, ",{\"type\":\"null\"}]}");
    }
    buf_put_text(schema, "},\"required\":[");
    for (uint32_t i = 0; i < question->blanks->count; i++) {
        if (i) buf_put_char(schema, ',');
        json_put_string(schema, question->blanks->rows[i].name);
    }
    buf_put_text(schema, "],\"additionalProperties\":false}");
    return strict;
}

static const PlanBlank *blank_named(const LlmQuestion *question, Str name) {
    for (uint32_t i = 0; i < question->blanks->count; i++)
        if (str_eq(question->blanks->rows[i].name, name)) return &question->blanks->rows[i];
    return NULL;
}

bool llm_read_fill(const LlmQuestion *question, const Json *root, bool *ok, Value *out, Buf *complaint) {
    for (size_t i = 0; i < root->count; i++) {
        const PlanBlank *blank = blank_named(question, root->keys[i]);
        Value value = { 0 };
        Error error;
        if (!blank) return buf_printf(complaint, "That is not what was asked for: nobody asked for `%.*s`. Answer again, with JSON only.", STR_ARG(root->keys[i])), false;
        if (root->items[i]->kind == JSON_NULL) continue;
        if (value_from_json(question->image, blank->type, root->items[i], &value, &error))
            return buf_printf(complaint, "That is not what was asked for: `%.*s`: %s. Answer again, with JSON only.", STR_ARG(root->keys[i]), error.text), false;
        if (kind_is_counted(question->image->types[blank->type].kind)) value_release(value);
    }
    Buf answers = { 0 };
    json_print(&answers, root);
    *out = llm_filled(question, buf_str(&answers));
    buf_free(&answers);
    return *ok = true;
}
