/* read_value.c - the texts and values of a plan: what deceives is refused, `$` forms become references.
 *
 * A value in which nothing refers stays the JSON that it is. Every byte of every string is looked at once.
 */
#include "compiler/plan/read_internal.h"

#include "dsl/syntax/columns.h"

const char *read_kind_name(const Json *json)
{
    static const char *const names[] = { "null", "a boolean", "an integer", "a number", "a string", "an array", "an object" };
    return names[json->kind];
}

PlanDiag *read_wrong_kind(Reading *r, const PlanPlace *place, const char *what, const char *expected, const Json *json)
{
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "%s is %s, expected %s", what, read_kind_name(json), expected);
    plan_diag_expected(r->diags, diag, "%s", expected);
    return plan_diag_actual(r->diags, diag, "%s", read_kind_name(json));
}

PlanDiag *read_too_large(Reading *r, const PlanPlace *place, const char *what, const char *limit, int64_t value, int64_t most)
{
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_too_large, place, "%s: %lld, more than %s (%lld)", what, (long long)value, limit, (long long)most);
    plan_diag_expected(r->diags, diag, "at most %lld", (long long)most);
    return plan_diag_actual(r->diags, diag, "%lld", (long long)value);
}

/* ---- texts ------------------------------------------------------------------------------------------------ */

static bool is_plain(Str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || (unsigned char)text.ptr[i] > 0x7e)
            return false;
    return true;
}

/* What is wrong is not quoted: nobody knows yet whether it is something personal. */
bool read_check_text(Reading *r, const PlanPlace *place, Str text)
{
    if (text.len > PLAN_TEXT_MAX) {
        read_too_large(r, place, "bytes of this string", "PLAN_TEXT_MAX", (int64_t)text.len, PLAN_TEXT_MAX);
        return false;
    }
    if (is_plain(text))
        return true;
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        uint32_t codepoint = codepoint_next(text, &at);
        if (!codepoint_deceives(codepoint))
            continue;
        PlanDiag *diag = plan_diag_at(r->diags, PLAN_DIAG_deceiving_text, place, (int32_t)from, "the text holds U+%04X, which deceives its reader", codepoint);
        plan_diag_expected(r->diags, diag, "text without control characters, marks that turn its direction and characters that cannot be seen");
        return false;
    }
    return true;
}

/* A key: as a text, and readable letter by letter where it names something. */
bool read_check_name(Reading *r, const PlanPlace *place, const char *what, Str name)
{
    for (size_t at = 0; at < name.len;) {
        size_t from = at;
        uint32_t codepoint = codepoint_next(name, &at);
        if (codepoint >= 0x20 && codepoint < 0x7f)
            continue;
        PlanDiag *diag = plan_diag_at(r->diags, PLAN_DIAG_deceiving_text, place, (int32_t)from, "%s holds U+%04X, which looks like something else", what, codepoint);
        plan_diag_expected(r->diags, diag, "letters a-z, digits and _");
        plan_diag_actual(r->diags, diag, "%s", plan_quote(r->arena, name));
        return false;
    }
    return true;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

/* {"$ref": …} or {"$text": …}; anything else that begins with $ is no form. */
static void read_form(Reading *r, const Json *json, const PlanPlace *place, PlanValue *out)
{
    static const Str forms[] = { { "$ref", 4 }, { "$text", 5 } };
    size_t at = 0;
    out->kind = PLAN_VALUE_BROKEN;
    while (json->keys[at].len == 0 || json->keys[at].ptr[0] != '$')
        at++;
    Str key = json->keys[at];
    const PlanPlace *inner = plan_place_key(r->arena, place, key);
    bool is_ref = str_eq(key, forms[0]);
    if (!is_ref && !str_eq(key, forms[1])) {
        PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_unknown_member, inner, "unknown form `%s`: members that begin with $ are references", plan_quote(r->arena, key));
        plan_diag_did_you_mean(r->diags, diag, "rename", key, forms, 2);
    } else if (json->count != 1) {
        plan_diag_expected(r->diags, plan_diag(r->diags, PLAN_DIAG_unknown_member, place, "`%s` stands together with other members", key.ptr), "`%s` alone", key.ptr);
    } else if (json->items[0]->kind != JSON_STRING) {
        read_wrong_kind(r, inner, arena_printf(r->arena, "`%s`", key.ptr), "a string", json->items[0]);
    } else if (read_check_text(r, inner, json->items[0]->text)) {
        out->place = inner;
        out->kind = is_ref ? PLAN_VALUE_REF : PLAN_VALUE_TEXT;
        out->source = json->items[0]->text;
    }
}

static bool has_form(const Json *json)
{
    for (size_t i = 0; i < json->count; i++)
        if (json->keys[i].len && json->keys[i].ptr[0] == '$')
            return true;
    return false;
}

/* Every text in it is checked; true when a form stands somewhere below. The places live on the stack: most values are never named. */
static bool value_check(Reading *r, const Json *json, const PlanPlace *place)
{
    bool refers = false;
    if (json->kind == JSON_STRING)
        read_check_text(r, place, json->text);
    if (json->kind != JSON_ARRAY && json->kind != JSON_OBJECT)
        return false;
    if (json->kind == JSON_OBJECT && has_form(json))
        return true;                                        /* its own text is checked when it is read */
    for (size_t i = 0; i < json->count; i++) {
        PlanPlace inner = { .up = place, .index = (uint32_t)i };
        if (json->kind == JSON_OBJECT) {
            inner.key = json->keys[i].len ? json->keys[i] : STR("");
            read_check_text(r, &inner, inner.key);
        }
        refers |= value_check(r, json->items[i], &inner);
    }
    return refers;
}

static void value_build(Reading *r, const Json *json, const PlanPlace *place, PlanValue *out)
{
    *out = (PlanValue){ .kind = PLAN_VALUE_LITERAL, .place = place, .json = json };
    if (json->kind == JSON_OBJECT && has_form(json)) {
        read_form(r, json, place, out);
        return;
    }
    if (json->kind != JSON_ARRAY && json->kind != JSON_OBJECT)
        return;
    bool literal = true;
    out->items = ARENA_ARRAY(r->arena, PlanValue, json->count);
    out->keys = json->keys;
    out->count = (uint32_t)json->count;
    for (uint32_t i = 0; i < out->count; i++) {
        const PlanPlace *inner = json->kind == JSON_OBJECT ? plan_place_key(r->arena, place, json->keys[i]) : plan_place_item(r->arena, place, i);
        value_build(r, json->items[i], inner, &out->items[i]);
        literal &= out->items[i].kind == PLAN_VALUE_LITERAL;
    }
    if (!literal)
        out->kind = json->kind == JSON_ARRAY ? PLAN_VALUE_ARRAY : PLAN_VALUE_OBJECT;
}

void read_value(Reading *r, const Json *json, const PlanPlace *place, PlanValue *out)
{
    if (value_check(r, json, place))
        value_build(r, json, place, out);
    else
        *out = (PlanValue){ .kind = PLAN_VALUE_LITERAL, .place = place, .json = json };
}
