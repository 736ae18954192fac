/* value.c - what a plan writes as a value, as an expression of the type that its place has.
 *
 * A literal is compared with the type part by part, so that a mistake has the place of that part; what fits is a constant. A reference keeps the exact type of
 * what it refers to and is converted as the language converts it, no further. Whatever is not a literal comes from a tool in the end: it is untrusted.
 */
#include "compiler/plan/plan_internal.h"

#include "base/decimal.h"
#include "base/time.h"
#include "compiler/types.h"
#include "dsl/syntax/columns.h"

#include <ctype.h>

const char *build_type_text(Arena *arena, const Type *type)
{
    Buf text = { 0 };
    type_print(type, &text);
    const char *kept = arena_printf(arena, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return kept;
}

const char *build_quote(Build *b, Str text) { return plan_quote(b->arena, text); }

/* ---- literals ----------------------------------------------------------------------------------------------- */

/* hidden: it stands in something personal or secret, and a report says of what kind it is, no more. */
typedef struct Literal { Maker *maker; PlanDiags *diags; bool hidden; } Literal;

static bool is_labelled(unsigned labels) { return labels & (LABEL_PII | LABEL_SECRET); }
static Literal literal_in(Build *b, const Type *type) { return (Literal){ &b->maker, b->diags, is_labelled(type->labels) }; }

static const char *json_word(const Json *json)
{
    static const char *const words[] = { "null", "true or false", "an integer", "a number", "a string", "an array", "an object" };
    return words[json->kind];
}

static const char *hidden_word(Arena *arena, const Json *json)
{
    uint32_t count = 0;
    for (size_t at = 0; json->kind == JSON_STRING && at < json->text.len; count++)
        codepoint_next(json->text, &at);
    return json->kind == JSON_STRING ? arena_printf(arena, "a string of %u character%s", count, count == 1 ? "" : "s") : json_word(json);
}

static Str json_text(Arena *arena, const Json *json)
{
    Buf text = { 0 };
    json_print(&text, json);
    Str kept = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return kept;
}

static PlanDiag *refuse(Literal *l, const PlanPlace *place, const Json *json, const Type *type, const char *form)
{
    Arena *arena = l->maker->arena;
    bool hidden = l->hidden || is_labelled(labels_within(type));
    const char *word = hidden ? hidden_word(arena, json) : json_word(json);
    PlanDiag *diag = plan_diag(l->diags, PLAN_DIAG_parameter_type, place, "expected %s%s%s, found %s", build_type_text(arena, type),
                               *form ? ", " : "", form, word);
    plan_diag_expected(l->diags, diag, "%s", build_type_text(arena, type));
    plan_diag_actual(l->diags, diag, "%s", hidden ? word : plan_quote(arena, json_text(arena, json)));
    return diag;
}

static bool fits(Literal *l, const PlanPlace *place, const Json *json, const Type *type);

static bool fits_items(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    bool good = true;
    for (size_t i = 0; i < json->count; i++)
        good &= fits(l, plan_place_item(l->maker->arena, place, (uint32_t)i), json->items[i], type->element);
    return good;
}

static bool fits_values(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    bool good = true;
    for (size_t i = 0; i < json->count; i++)                /* keys are data: a pointer does not name hidden ones */
        good &= fits(l, l->hidden ? place : plan_place_key(l->maker->arena, place, json->keys[i]), json->items[i], type->element);
    return good;
}

static bool can_be_missing(const TypeField *field) { return field->has_default || field->type->tag == TYPE_OPT || field->type->tag == TYPE_JSON; }

static void refuse_field(Literal *l, const PlanPlace *place, Str name, const Type *record)
{
    Arena *arena = l->maker->arena;
    Str *names = ARENA_ARRAY(arena, Str, record->field_count + 1);
    for (uint32_t i = 0; i < record->field_count; i++)
        names[i] = record->fields[i].name;
    if (l->hidden) {
        PlanDiag *diag = plan_diag(l->diags, PLAN_DIAG_parameter_type, place, "a field that %s does not have", build_type_text(arena, record));
        plan_diag_allowed(l->diags, diag, names, record->field_count);
        return;
    }
    PlanDiag *diag = plan_diag(l->diags, PLAN_DIAG_parameter_type, plan_place_key(arena, place, name), "%s has no field `%s`",
                               build_type_text(arena, record), plan_quote(arena, name));
    plan_diag_did_you_mean(l->diags, diag, "rename", name, names, record->field_count);
}

static bool fits_missing(Literal *l, const PlanPlace *place, const TypeField *field)
{
    if (can_be_missing(field))
        return true;
    Arena *arena = l->maker->arena;
    PlanDiag *diag = plan_diag(l->diags, PLAN_DIAG_parameter_type, plan_place_key(arena, place, field->name), "field `%.*s` is missing", STR_ARG(field->name));
    plan_diag_expected(l->diags, diag, "%s", build_type_text(arena, field->type));
    return false;
}

static bool fits_record(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    bool good = true, given[RECORD_FIELDS_MAX] = { false };
    for (size_t i = 0; i < json->count; i++) {
        uint32_t index;
        const TypeField *field = type_field(type, json->keys[i], &index);
        if (field && index < RECORD_FIELDS_MAX)
            given[index] = true;
        if (field)
            good &= fits(l, plan_place_key(l->maker->arena, place, json->keys[i]), json->items[i], field->type);
        else
            refuse_field(l, place, json->keys[i], type);
        good &= field != NULL;
    }
    for (uint32_t i = 0; i < type->field_count && i < RECORD_FIELDS_MAX; i++)
        good &= given[i] || fits_missing(l, place, &type->fields[i]);
    return good;
}

static bool fits_enum(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    for (uint32_t i = 0; json->kind == JSON_STRING && i < type->member_count; i++)
        if (str_eq(type->members[i], json->text))
            return true;
    PlanDiag *diag = refuse(l, place, json, type, "a word of its list");
    if (json->kind == JSON_STRING && !l->hidden)
        plan_diag_did_you_mean(l->diags, diag, "replace", json->text, type->members, type->member_count);
    else
        plan_diag_allowed(l->diags, diag, type->members, type->member_count);
    return false;
}

static bool fits_word(Literal *l, const PlanPlace *place, const Json *json, const Type *type, Err (*parse)(Str, int64_t *), const char *form)
{
    int64_t word;
    if (json->kind == JSON_STRING && parse(json->text, &word) == ERR_OK)
        return true;
    refuse(l, place, json, type, form);
    return false;
}

static Str number_text(Arena *arena, const Json *json)
{
    if (json->kind == JSON_STRING)
        return json->text;
    return json->kind == JSON_INT || json->kind == JSON_NUMBER ? json_text(arena, json) : STR("");
}

static bool read_decimal(Arena *arena, const Json *json, Decimal *out)
{
    Str text = number_text(arena, json);
    return text.len && decimal_from_text(text, out) == ERR_OK;
}

static bool read_int(Arena *arena, const Json *json, int64_t *out)
{
    Decimal number;
    *out = json->integer;
    if (json->kind == JSON_INT)
        return true;
    if (json->kind != JSON_NUMBER || !read_decimal(arena, json, &number))
        return false;
    bool good = decimal_to_int(number, out) == ERR_OK;
    decimal_release(number);
    return good;
}

static bool fits_number(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    Decimal number;
    int64_t whole;
    bool good = type->tag == TYPE_INT ? read_int(l->maker->arena, json, &whole) : json->kind == JSON_INT || json->kind == JSON_NUMBER;
    if (type->tag == TYPE_DECIMAL && (good = read_decimal(l->maker->arena, json, &number)))
        decimal_release(number);
    if (!good)
        refuse(l, place, json, type, type->tag == TYPE_INT ? "a whole number" : "a number");
    return good;
}

static bool fits_string(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    if (json->kind == JSON_STRING)
        return true;
    PlanDiag *diag = refuse(l, place, json, type, "");
    if (!l->hidden && (json->kind == JSON_INT || json->kind == JSON_NUMBER))
        plan_diag_suggest_text(l->diags, diag, "replace", json_text(l->maker->arena, json));
    return false;
}

static bool is_base64(Str text)
{
    size_t padding = text.len && text.ptr[text.len - 1] == '=' ? 1 + (text.len > 1 && text.ptr[text.len - 2] == '=') : 0;
    for (size_t i = 0; i + padding < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return text.len % 4 == 0;
}

static bool fits_kind(Literal *l, const PlanPlace *place, const Json *json, const Type *type, bool good, const char *form)
{
    if (!good)
        refuse(l, place, json, type, form);
    return good;
}

/* Recursion is as deep as JSON_DEPTH_MAX. */
static bool fits(Literal *l, const PlanPlace *place, const Json *json, const Type *type)
{
    Literal hidden = { l->maker, l->diags, true };
    if (is_labelled(type->labels))
        l = &hidden;
    switch (type->tag) {
    case TYPE_JSON: return true;
    case TYPE_OPT: return json->kind == JSON_NULL || fits(l, place, json, type->element);
    case TYPE_BOOL: return fits_kind(l, place, json, type, json->kind == JSON_BOOL, "");
    case TYPE_INT: case TYPE_FLOAT: case TYPE_DECIMAL: return fits_number(l, place, json, type);
    case TYPE_STRING: case TYPE_ID: return fits_string(l, place, json, type);
    case TYPE_DATE: return fits_word(l, place, json, type, date_parse, "such as \"2025-11-10\"");
    case TYPE_TIMESTAMP: return fits_word(l, place, json, type, timestamp_parse, "such as \"2025-11-10T10:00:00Z\"");
    case TYPE_DURATION: return fits_word(l, place, json, type, duration_parse, "such as \"1h30m\"");
    case TYPE_BYTES: return fits_kind(l, place, json, type, json->kind == JSON_STRING && is_base64(json->text), "as base64");
    case TYPE_ENUM: return fits_enum(l, place, json, type);
    case TYPE_LIST: return fits_kind(l, place, json, type, json->kind == JSON_ARRAY, "") && fits_items(l, place, json, type);
    case TYPE_MAP: return fits_kind(l, place, json, type, json->kind == JSON_OBJECT, "") && fits_values(l, place, json, type);
    case TYPE_RECORD: return fits_kind(l, place, json, type, json->kind == JSON_OBJECT, "") && fits_record(l, place, json, type);
    default: return fits_kind(l, place, json, type, false, "which no plan can give");
    }
}

static Ast *decimal_literal(Maker *m, const Json *json)
{
    Decimal number;
    Buf digits = { 0 };
    if (!read_decimal(m->arena, json, &number))
        return NULL;
    decimal_print(number, &digits);
    decimal_release(number);
    Ast *node = make_decimal(m, arena_str(m->arena, buf_str(&digits)));
    buf_free(&digits);
    return node;
}

static Ast *literal_of(Maker *m, const Json *json, Type *type)
{
    int64_t word = 0;
    switch (type->tag) {
    case TYPE_JSON: return make_json(m, json_text(m->arena, json));
    case TYPE_BOOL: return make_bool(m, json->boolean);
    case TYPE_INT: return read_int(m->arena, json, &word) ? make_int(m, word) : NULL;
    case TYPE_DECIMAL: return decimal_literal(m, json);
    case TYPE_STRING: case TYPE_ID: return make_string(m, json->text);
    case TYPE_DATE: return date_parse(json->text, &word) ? NULL : make_date(m, word);
    case TYPE_TIMESTAMP: return timestamp_parse(json->text, &word) ? NULL : make_timestamp(m, word);
    case TYPE_DURATION: return duration_parse(json->text, &word) ? NULL : make_duration(m, word);
    case TYPE_ENUM: return make_name(m, json->text);
    default: return make_as(m, make_json(m, json_text(m->arena, json)), type);            /* one constant, read as that type when it is used */
    }
}

Ast *build_literal(Maker *m, PlanDiags *diags, const PlanPlace *place, const Json *json, Type *type)
{
    if (!fits(&(Literal){ m, diags, false }, place, json, type))
        return NULL;
    if (type->tag == TYPE_OPT && json->kind == JSON_NULL)
        return make_null(m);
    return literal_of(m, json, type_strip(type));
}

/* ---- issues of conditions, paths and texts -------------------------------------------------------------------- */

/* A suggestion replaces a part of the string; a PlanDiag's the whole of it. */
static void suggest_part(Build *b, PlanDiag *diag, Str text, const ConditionIssue *issue)
{
    size_t offset = issue->offset < text.len ? issue->offset : text.len, end = offset + issue->length < text.len ? offset + issue->length : text.len;
    Buf whole = { 0 };
    buf_put(&whole, text.ptr, offset);
    buf_put_str(&whole, issue->suggestion);
    buf_put(&whole, text.ptr + end, text.len - end);
    plan_diag_suggest_text(b->diags, diag, "replace", buf_str(&whole));
    buf_free(&whole);
}

/* References and what stands in texts are paths: what helps a condition (`?? ""`, `!= null`) does not help there. */
static bool is_path(Str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && !memchr("_.[]", text.ptr[i], 4))
            return false;
    return text.len > 0;
}

static bool is_no_expression(const char *code) { return !strcmp(code, "E0730") || !strcmp(code, "E0731"); }

typedef enum { OF_CONDITION, OF_PATH, OF_HIDDEN /* a path in something that no report may quote */ } IssuesOf;

static void report_issues(Build *b, const PlanPlace *place, Str text, const ConditionIssues *issues, IssuesOf of)
{
    for (uint32_t i = 0; i < issues->count; i++) {
        const ConditionIssue *issue = &issues->items[i];
        if (of == OF_HIDDEN && is_no_expression(issue->code)) {
            plan_diag_code(b->diags, issue->code, place, (int32_t)issue->offset, STR("no path of names stands here"));
            continue;
        }
        PlanDiag *diag = plan_diag_code(b->diags, issue->code, place, (int32_t)issue->offset, issue->message);
        if (issue->expected.len)
            plan_diag_expected(b->diags, diag, "%.*s", STR_ARG(issue->expected));
        if (issue->actual.len)
            plan_diag_actual(b->diags, diag, "%.*s", STR_ARG(issue->actual));
        if (of == OF_PATH ? is_path(issue->suggestion) : of == OF_CONDITION && issue->suggestion.len > 0)
            suggest_part(b, diag, text, issue);
    }
}

Ast *build_condition(Build *b, Region *from, Str text, const PlanPlace *node)
{
    Names names = { b, from };
    ConditionScope scope = names_scope(&names);
    ConditionIssues issues = { .count = 0 };
    Ast *condition = condition_check(&scope, text, b->maker.span, &issues);
    if (!condition)
        report_issues(b, plan_place_key(b->arena, node, STR("condition")), text, &issues, OF_CONDITION);
    return condition;
}

static Ast *interpolated(Build *b, Region *from, const PlanValue *value, IssuesOf of)
{
    Names names = { b, from };
    ConditionScope scope = names_scope(&names);
    ConditionIssues issues = { .count = 0 };
    Ast *node = condition_check_text(&scope, value->source, b->maker.span, &issues);
    if (!node)
        report_issues(b, value->place, value->source, &issues, of);
    return node;
}

/* A text in which nothing is put in is a literal. */
static bool is_plain(Str text) { return !memmem(text.ptr, text.len, "${", 2); }

Ast *build_text(Build *b, Region *from, const PlanValue *value)
{
    if (value->kind == PLAN_VALUE_LITERAL)
        return make_string(&b->maker, value->json->text);
    if (value->kind == PLAN_VALUE_BROKEN)
        return NULL;                     /* told by plan_read() */
    return is_plain(value->source) ? make_string(&b->maker, value->source) : interpolated(b, from, value, OF_PATH);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

static bool wants_trust(const Type *type)
{
    if (type->labels & LABEL_TRUSTED)
        return true;
    if (type->element)
        return wants_trust(type->element);
    for (uint32_t i = 0; type->tag == TYPE_RECORD && i < type->field_count; i++)
        if (wants_trust(type->fields[i].type))
            return true;
    return false;
}

/* Only what the plan itself says, or what was filled in from the request, may stand where a person's word is wanted. */
static bool refuse_untrusted(Build *b, const PlanValue *value, const Type *type)
{
    if (!wants_trust(type))
        return false;
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_untrusted_value, value->place,
                               "what comes from a tool may not stand here: this place is for a value of the plan itself");
    plan_diag_expected(b->diags, diag, "a literal");
    return true;
}

static Ast *build_reference(Build *b, Region *from, const PlanValue *value, Type *type)
{
    Names names = { b, from };
    ConditionScope scope = names_scope(&names);
    ConditionIssues issues = { .count = 0 };
    Type *found = NULL;
    if (refuse_untrusted(b, value, type))
        return NULL;
    Ast *node = condition_check_path(&scope, value->source, b->maker.span, &found, &issues);
    if (!node) {
        report_issues(b, value->place, value->source, &issues, is_labelled(type->labels) ? OF_HIDDEN : OF_PATH);
        return NULL;
    }
    if (type_assign(found, type) != ASSIGN_NO)
        return node;
    PlanDiagRow row = found->tag == TYPE_OPT && type_assign(found->element, type) != ASSIGN_NO ? PLAN_DIAG_not_there_yet : PLAN_DIAG_parameter_type;
    PlanDiag *diag = plan_diag(b->diags, row, value->place, "`%s` is %s, and %s is wanted", build_quote(b, value->source),
                               build_type_text(b->arena, found), build_type_text(b->arena, type));
    plan_diag_expected(b->diags, diag, "%s", build_type_text(b->arena, type));
    plan_diag_actual(b->diags, diag, "%s", build_type_text(b->arena, found));
    return NULL;
}

static Ast *build_interpolated(Build *b, Region *from, const PlanValue *value, Type *type)
{
    if (is_plain(value->source)) {
        Json *json = ARENA_NEW(b->arena, Json);
        *json = (Json){ .kind = JSON_STRING, .text = value->source };
        return build_literal(&b->maker, b->diags, value->place, json, type);
    }
    if (refuse_untrusted(b, value, type))
        return NULL;
    if (type_assign(b->program->basic[TYPE_STRING], type) != ASSIGN_NO)
        return interpolated(b, from, value, is_labelled(type->labels) ? OF_HIDDEN : OF_PATH);
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_parameter_type, value->place, "a text stands where %s is wanted", build_type_text(b->arena, type));
    plan_diag_expected(b->diags, diag, "%s", build_type_text(b->arena, type));
    return NULL;
}

/* ---- arrays and objects in which something refers ------------------------------------------------------------------- */

static Ast *build_array(Build *b, Region *from, const PlanValue *value, Type *type)
{
    Literal literal = literal_in(b, type);
    Nodes items = { 0 };
    bool good = true;
    if (type->tag != TYPE_LIST && type->tag != TYPE_JSON) {
        refuse(&literal, value->place, value->json, type, "");
        return NULL;
    }
    Type *element = type->tag == TYPE_JSON ? type : type_element(b->program, type);
    for (uint32_t i = 0; i < value->count; i++) {
        Ast *item = build_value(b, from, &value->items[i], element);
        if (item)
            nodes_add(&b->maker, &items, item);
        good &= item != NULL;
    }
    return good ? make_list(&b->maker, &items) : NULL;
}

/* JSON without the field would be read with its default: so is the field alone. */
static void put_default(Build *b, Ast *object, const Type *record, uint32_t field)
{
    const ImageType *row = &b->compiler->base->types[record->image_index];
    Str text = b->compiler->base->consts[row->fields[field].default_const].bytes;
    make_object_put(&b->maker, object, record->fields[field].name, make_as(&b->maker, make_json(&b->maker, text), record->fields[field].type));
}

static Ast *build_record(Build *b, Region *from, const PlanValue *value, Type *type)
{
    Literal literal = literal_in(b, type);
    bool good = true, given[RECORD_FIELDS_MAX] = { false };
    Ast *object = make_object(&b->maker);
    for (uint32_t i = 0; i < value->count; i++) {
        uint32_t index;
        const TypeField *field = type_field(type, value->keys[i], &index);
        Ast *part = field ? build_value(b, from, &value->items[i], type_labeled(b->program, field->type, type->labels)) : NULL;
        if (!field)
            refuse_field(&literal, value->place, value->keys[i], type);
        else if (index < RECORD_FIELDS_MAX)
            given[index] = true;
        if (part)
            make_object_put(&b->maker, object, field->name, part);
        good &= part != NULL;
    }
    for (uint32_t i = 0; i < type->field_count && i < RECORD_FIELDS_MAX; i++) {
        if (given[i])
            continue;
        good &= fits_missing(&literal, value->place, &type->fields[i]);
        if (type->fields[i].has_default && type->image_index != NO_INDEX)
            put_default(b, object, type, i);
    }
    return good ? object : NULL;
}

static Ast *build_object(Build *b, Region *from, const PlanValue *value, Type *type)
{
    Literal literal = literal_in(b, type);
    if (type->tag == TYPE_RECORD)
        return build_record(b, from, value, type);
    if (type->tag != TYPE_MAP && type->tag != TYPE_JSON) {
        refuse(&literal, value->place, value->json, type, "");
        return NULL;
    }
    Type *element = type->tag == TYPE_JSON ? type : type_element(b->program, type);
    Ast *object = make_object(&b->maker);
    bool good = true;
    for (uint32_t i = 0; i < value->count; i++) {
        Ast *part = build_value(b, from, &value->items[i], element);
        if (part)
            make_object_put(&b->maker, object, value->keys[i], part);
        good &= part != NULL;
    }
    return good ? object : NULL;
}

Ast *build_value(Build *b, Region *from, const PlanValue *value, Type *type)
{
    Type *bare = type_labeled(b->program, type_strip(type), type->labels);
    switch (value->kind) {
    case PLAN_VALUE_LITERAL: return build_literal(&b->maker, b->diags, value->place, value->json, type);
    case PLAN_VALUE_REF: return build_reference(b, from, value, type);
    case PLAN_VALUE_TEXT: return build_interpolated(b, from, value, type);
    case PLAN_VALUE_ARRAY: return build_array(b, from, value, bare);
    case PLAN_VALUE_BROKEN: return NULL;                    /* told by plan_read() */
    default: return build_object(b, from, value, bare);
    }
}
