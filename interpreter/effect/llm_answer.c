/* llm_answer.c - what a model said, read as what was asked for: bounded, parsed, checked against the type; never evaluated. */
#include "interpreter/effect/llm_model.h"
#include <stdio.h>

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* Models like to put JSON between ```json and ```. */
static Str inside_fence(Str text) {
    while (text.len && is_space(text.ptr[0])) text.ptr++, text.len--;
    while (text.len && is_space(text.ptr[text.len - 1])) text.len--;
    if (!str_starts(text, STR("```")) || !str_ends(text, STR("```")) || text.len < 6) return text;
    const char *line = memchr(text.ptr, '\n', text.len);
    if (!line) return text;
    return (Str){ line + 1, text.len - (size_t)(line + 1 - text.ptr) - 3 };
}

static bool refuse(Buf *complaint, const char *why) {
    buf_printf(complaint, "That is not what was asked for: %s. Answer again, with JSON only.", why);
    return false;
}

static bool failed(const LlmQuestion *question, ErrorKind kind, const char *text, bool *ok, Value *out) {
    *ok = false;
    *out = value_error(question->image, kind, str_of(text));
    return true;
}

/* Each intent once, where it stands first. */
static Value without_repeats(Value list) {
    const List *all = (const List *)list.o;
    Value once = value_list(all->count, false);
    for (uint32_t i = 0; i < all->count; i++) {
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++) seen = all->items[k].i == all->items[i].i;
        if (!seen) once = list_push(once, all->items[i]);
    }
    value_release(list);
    return once;
}

static bool read_classify(const LlmQuestion *question, const Json *root, bool *ok, Value *out, Buf *complaint) {
    const Json *answer = json_get(root, "answer");
    bool all = question->image->types[question->result].kind == KIND_LIST;
    Error error;
    if (!answer) return refuse(complaint, "`answer` is missing");
    if (answer->kind == JSON_NULL || (all && answer->kind == JSON_ARRAY && answer->count == 0)) return failed(question, ERROR_KIND_not_found, "no intent matches", ok, out);
    if (value_from_json(question->image, question->result, answer, out, &error)) return refuse(complaint, error.text);
    if (all) *out = without_repeats(*out);
    return *ok = true;
}

/* The first field that the model misses and the type cannot do without; NULL: it misses none. */
static const ImageField *missing_field(const LlmQuestion *question, const Json *root) {
    const ImageType *type = &question->image->types[question->result];
    const Json *missing = json_get(root, "missing");
    for (size_t m = 0; missing && missing->kind == JSON_ARRAY && m < missing->count; m++)
        for (uint16_t i = 0; i < type->field_count && missing->items[m]->kind == JSON_STRING; i++) {
            TypeKind kind = question->image->types[type->fields[i].type].kind;
            if (kind != KIND_OPT && kind != KIND_JSON && str_eq(type->fields[i].name, missing->items[m]->text)) return &type->fields[i];
        }
    return NULL;
}

static bool read_extract(const LlmQuestion *question, const Json *root, bool *ok, Value *out, Buf *complaint) {
    const Json *answer = json_get(root, "answer");
    const ImageField *field = missing_field(question, root);
    Error error;
    char text[256];
    if (!answer) return refuse(complaint, "`answer` is missing");
    if (answer->kind == JSON_NULL && !field) return refuse(complaint, "`answer` is null, and `missing` names no field that must be there");
    if (answer->kind == JSON_NULL) {
        snprintf(text, sizeof text, "the text does not say `%.*s`", STR_ARG(field->name));
        return failed(question, ERROR_KIND_invalid, text, ok, out);
    }
    if (value_from_json(question->image, question->result, answer, out, &error)) return refuse(complaint, error.text);
    return *ok = true;
}

bool llm_read_answer(const LlmQuestion *question, Str text, bool *ok, Value *out, Buf *complaint) {
    text = inside_fence(text);
    if (question->kind == EFFECT_LLM_PLAN) return llm_read_plan(question, text, ok, out, complaint);
    Arena *arena = arena_new();
    Json *root = NULL;
    Error error;
    bool good = false;
    out->w = 0;
    if (json_parse(arena, text, LLM_ANSWER_MAX, &root, &error)) refuse(complaint, error.text);
    else if (root->kind != JSON_OBJECT) refuse(complaint, "it is no JSON object");
    else if (question->kind == EFFECT_LLM_CLASSIFY) good = read_classify(question, root, ok, out, complaint);
    else if (question->kind == EFFECT_LLM_EXTRACT) good = read_extract(question, root, ok, out, complaint);
    else good = llm_read_fill(question, root, ok, out, complaint);
    arena_free(arena);
    return good;
}
