/* verify.c - proves that an image can be run without looking at an operand again.
 *
 * Order matters: each part may lean on those before it. Types come first and refer only to earlier rows, so no later walk over a
 * type can run in circles or deep. Then what the code refers to (constants, tables, queries, effects, heads of functions), then
 * what the engine refers to, then the code itself, one pass over each function. What is made on load is filled in at the end.
 */
#include "interpreter/bytecode/image.h"
#include "interpreter/bytecode/image_internal.h"
#include "interpreter/bytecode/verify_internal.h"
#include "base/json.h"
#include "base/map.h"
#include "base/re.h"
#include "base/time.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- saying where and why ---- */

void verify_at(Verifier *v, const char *what, uint32_t index, Str name)
{
    v->place = (Place){ .what = what, .index = index, .name = name };
}

static Err fail_with(Verifier *v, Err code, const char *reason)
{
    const Place *p = &v->place;
    char at[64] = "";
    if (p->op) snprintf(at, sizeof at, ", pc %u (%s)", p->pc, p->op);
    int name_len = p->name.len > 80 ? 80 : (int)p->name.len;
    return err_set(v->error, code, "%s %u%s%.*s%s%s: %s", p->what, p->index, name_len ? " `" : "", name_len, p->name.ptr, name_len ? "`" : "", at, reason);
}

Err verify_fail(Verifier *v, const char *format, ...)
{
    char reason[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return fail_with(v, ERR_CORRUPT, reason);
}

Err verify_limit(Verifier *v, const char *what, size_t found, const char *limit_name, size_t limit)
{
    char reason[ERROR_TEXT_MAX];
    snprintf(reason, sizeof reason, "%zu %s; %s is %zu", found, what, limit_name, limit);
    return fail_with(v, ERR_LIMIT, reason);
}

const char *verify_type_text(Verifier *v, uint16_t type)
{
    enum { TEXT_SHOWN = 120 };
    Buf text = { 0 };
    image_type_print(v->image, type, &text);
    const char *copy = arena_printf(v->scratch, "%.*s%s", text.len > TEXT_SHOWN ? TEXT_SHOWN : (int)text.len, text.ptr, text.len > TEXT_SHOWN ? "..." : "");
    buf_free(&text);
    return copy;
}

/* ---- small questions ---- */

bool type_is_value(const Verifier *v, uint16_t type)
{
    return type < v->image->type_count && type != TYPE_INDEX_VOID && type != TYPE_INDEX_GROUP;
}

Err verify_result_type(Verifier *v, uint16_t type)
{
    return type == TYPE_INDEX_VOID || type_is_value(v, type) ? ERR_OK : verify_fail(v, "result type %u is not a type of values", type);
}

Err verify_fields(Verifier *v, const ImageField *fields, uint16_t count, uint16_t count_max, const char *limit_name)
{
    if (count > count_max) return verify_limit(v, "fields or parameters", count, limit_name, count_max);
    for (int i = 0; i < count; i++) {
        if (!fields[i].name.len) return verify_fail(v, "field or parameter %d has no name", i);
        if (!type_is_value(v, fields[i].type)) return verify_fail(v, "`%.*s` has type %u, which is not a type of values", STR_ARG(fields[i].name), fields[i].type);
        if (fields[i].labels & ~(LABEL_PII | LABEL_SECRET | LABEL_UNTRUSTED | LABEL_TRUSTED)) return verify_fail(v, "`%.*s` has unknown labels", STR_ARG(fields[i].name));
        for (int j = 0; j < i; j++)
            if (str_eq(fields[j].name, fields[i].name)) return verify_fail(v, "two fields or parameters are named `%.*s`", STR_ARG(fields[i].name));
    }
    return ERR_OK;
}

Err verify_unique(Verifier *v, const char *what, Str (*name_of)(const Image *, uint32_t), uint32_t count)
{
    static char seen;
    Map names = { 0 };
    Err err = ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++) {
        Str name = name_of(v->image, i);
        verify_at(v, what, i, name);
        if (!name.len) err = verify_fail(v, "has no name");
        else if (map_put(&names, name, &seen)) err = verify_fail(v, "its name is taken by an earlier one");
    }
    map_free(&names);
    return err;
}

/* ---- types ---- */

/* "flags/pattern" as vm_prepare will compile it. */
static Err verify_pattern(Verifier *v, Str text)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    if (!slash) return verify_fail(v, "pattern `%.*s` has no `/` behind its flags", text.len > 80 ? 80 : (int)text.len, text.ptr);
    size_t flags_len = (size_t)(slash - text.ptr);
    Re *re = NULL;
    Error why = { 0 };
    Err err = re_compile((Str){ slash + 1, text.len - flags_len - 1 }, (Str){ text.ptr, flags_len }, &re, NULL, &why);
    re_free(re);
    return err ? verify_fail(v, "cannot compile pattern: %s", why.text) : ERR_OK;
}

Err verify_patterns(Verifier *v, const Str *patterns, uint16_t count)
{
    Err err = ERR_OK;
    for (int i = 0; patterns && i < count && !err; i++)
        if (patterns[i].len) err = verify_pattern(v, patterns[i]);
    return err;
}

static Err verify_members(Verifier *v, const ImageType *type)
{
    static char seen;
    Map names = { 0 };
    Err err = type->member_count ? ERR_OK : verify_fail(v, "enum has no members");
    for (int i = 0; i < type->member_count && !err; i++) {
        if (!type->members[i].len) err = verify_fail(v, "member %d has no name", i);
        else if (map_put(&names, type->members[i], &seen)) err = verify_fail(v, "two members are named `%.*s`", STR_ARG(type->members[i]));
    }
    map_free(&names);
    return err ? err : verify_patterns(v, type->member_patterns, type->member_count);
}

static void measure_part(Verifier *v, uint16_t index, uint16_t part)
{
    if (v->type_depth[part] + 1 > v->type_depth[index]) v->type_depth[index] = (uint8_t)(v->type_depth[part] + 1);
    if (!v->type_orderable[part]) v->type_orderable[index] = false;
}

static Err verify_element(Verifier *v, uint16_t index, uint16_t element, const char *role)
{
    if (element >= index) return verify_fail(v, "%s type %u is not an earlier row", role, element);
    if (!type_is_value(v, element)) return verify_fail(v, "%s type %u is not a type of values", role, element);
    measure_part(v, index, element);
    return ERR_OK;
}

/* Whether its text fits the field is seen when it is read. */
static Err verify_field_default(Verifier *v, const ImageField *field)
{
    if (!field->has_default && !field->default_const) return ERR_OK;
    bool fits = field->has_default && field->default_const < v->image->const_count && v->image->consts[field->default_const].type == TYPE_INDEX_JSON;
    return fits ? ERR_OK : verify_fail(v, "default of field `%.*s` is not a json constant", STR_ARG(field->name));
}

static Err verify_record(Verifier *v, uint16_t index, const ImageType *type)
{
    for (int i = 0; i < type->field_count && i < RECORD_FIELDS_MAX; i++) {
        Err err = verify_element(v, index, type->fields[i].type, "field");
        if (!err) err = verify_field_default(v, &type->fields[i]);
        if (err) return err;
    }
    Err err = verify_fields(v, type->fields, type->field_count, RECORD_FIELDS_MAX, "RECORD_FIELDS_MAX");
    return err ? err : verify_patterns(v, type->field_patterns, type->field_count);
}

static Err verify_type(Verifier *v, uint16_t index)
{
    ImageType *type = &v->image->types[index];
    verify_at(v, "type", index, type->name);
    v->type_depth[index] = 1;
    v->type_orderable[index] = type->kind != KIND_MAP;
    Err err = ERR_OK;
    switch (type->kind) {
    case KIND_OPT:
        err = verify_element(v, index, type->element, "element");
        if (!err && type_kind(v, type->element) == KIND_OPT) err = verify_fail(v, "an optional of an optional cannot be represented");
        break;
    case KIND_LIST: case KIND_MAP: err = verify_element(v, index, type->element, "element"); break;
    case KIND_RECORD: err = verify_record(v, index, type); break;
    case KIND_ENUM: err = verify_members(v, type); break;
    default: err = verify_fail(v, "kind %d stands only among the fixed types", (int)type->kind);
    }
    if (!err && v->type_depth[index] > TYPE_DEPTH_MAX) err = verify_limit(v, "levels of nesting", v->type_depth[index], "TYPE_DEPTH_MAX", TYPE_DEPTH_MAX);
    if (!err && type->kind == KIND_RECORD) type->counted_mask = image_counted_mask(v->image, type);
    return err;
}

static uint8_t fixed_type_depth(uint16_t i) { return i == TYPE_INDEX_ERROR || i == TYPE_INDEX_OPT_ERROR ? 3 : i >= TYPE_INDEX_OPT_DURATION ? 2 : 1; }
static bool fixed_type_orderable(uint16_t i) { return i != TYPE_INDEX_JSON && i != TYPE_INDEX_ERROR && i != TYPE_INDEX_OPT_ERROR; }

/* A row of the base: right, and only as deep as it is. */
static void measure_type(Verifier *v, uint16_t index)
{
    const ImageType *type = &v->image->types[index];
    bool fixed = index < TYPE_INDEX_FIXED_COUNT;
    v->type_depth[index] = fixed ? fixed_type_depth(index) : 1;
    v->type_orderable[index] = fixed ? fixed_type_orderable(index) : type->kind != KIND_MAP;
    if (fixed) return;
    if (type->kind == KIND_OPT || type->kind == KIND_LIST || type->kind == KIND_MAP) measure_part(v, index, type->element);
    for (int i = 0; type->kind == KIND_RECORD && i < type->field_count; i++) measure_part(v, index, type->fields[i].type);
}

/* Fixed types are those of image_new; an error refers to itself through its cause, so their depths are simply stated. */
static Err verify_fixed_types(Verifier *v)
{
    if (v->image->type_count < TYPE_INDEX_FIXED_COUNT) return verify_limit(v, "types", v->image->type_count, "TYPE_INDEX_FIXED_COUNT", TYPE_INDEX_FIXED_COUNT);
    for (uint16_t i = 0; i < TYPE_INDEX_FIXED_COUNT; i++) {
        verify_at(v, "type", i, STR(""));
        if (!image_type_is_fixed(v->image, i)) return verify_fail(v, "is not the fixed type of this index");
        v->type_depth[i] = fixed_type_depth(i);
        v->type_orderable[i] = fixed_type_orderable(i);
    }
    v->image->types[TYPE_INDEX_ERROR].counted_mask = image_counted_mask(v->image, &v->image->types[TYPE_INDEX_ERROR]);
    return ERR_OK;
}

static Err verify_types(Verifier *v)
{
    v->type_depth = ARENA_ARRAY(v->arena, uint8_t, v->image->type_count + 1);
    v->type_orderable = ARENA_ARRAY(v->arena, bool, v->image->type_count + 1);
    Err err = v->first.type ? ERR_OK : verify_fixed_types(v);
    for (uint16_t i = 0; i < v->first.type; i++) measure_type(v, i);
    for (uint16_t i = v->first.type ? v->first.type : TYPE_INDEX_FIXED_COUNT; i < v->image->type_count && !err; i++) err = verify_type(v, i);
    return err;
}

/* ---- constants, regexes, files ---- */

static Err verify_scalar(Verifier *v, const ImageConst *constant)
{
    int64_t word = (int64_t)constant->word;
    double number;
    memcpy(&number, &constant->word, sizeof number);
    const ImageType *type = type_row(v, constant->type);
    bool fits = false;
    switch (type->kind) {
    case KIND_BOOL: fits = word == 0 || word == 1; break;
    case KIND_INT: case KIND_DURATION: fits = true; break;
    case KIND_DATE: fits = word >= DATE_MIN && word <= DATE_MAX; break;
    case KIND_TIMESTAMP: fits = word >= TIMESTAMP_MIN && word <= TIMESTAMP_MAX; break;
    case KIND_ENUM: fits = word >= 0 && word < type->member_count; break;
    case KIND_FLOAT: fits = isfinite(number); break;
    default: return verify_fail(v, "%s has no constants", verify_type_text(v, constant->type));
    }
    if (!fits) return verify_fail(v, "word is not a value of %s", verify_type_text(v, constant->type));
    return constant->bytes.len ? verify_fail(v, "a scalar constant has bytes") : ERR_OK;
}

static Err verify_text_const(Verifier *v, const ImageConst *constant)
{
    Decimal decimal;
    Json *json;
    if (constant->word) return verify_fail(v, "a constant of bytes has a word");
    if (constant->bytes.len > CONST_BYTES_MAX) return verify_limit(v, "bytes", constant->bytes.len, "CONST_BYTES_MAX", CONST_BYTES_MAX);
    switch (type_kind(v, constant->type)) {
    case KIND_STRING:
        return utf8_valid(constant->bytes) ? ERR_OK : verify_fail(v, "a string constant is not valid UTF-8");
    case KIND_DECIMAL:
        if (decimal_from_text(constant->bytes, &decimal)) return verify_fail(v, "`%.*s` is not a decimal", constant->bytes.len > 80 ? 80 : (int)constant->bytes.len, constant->bytes.ptr);
        decimal_release(decimal);
        return ERR_OK;
    case KIND_JSON: {
        Error why = { 0 };
        return json_parse(v->scratch, constant->bytes, CONST_BYTES_MAX, &json, &why) ? verify_fail(v, "json constant: %s", why.text) : ERR_OK;
    }
    default: return ERR_OK;              /* bytes */
    }
}

static Err verify_consts(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = v->first.constant; i < v->image->const_count && !err; i++) {
        const ImageConst *constant = &v->image->consts[i];
        verify_at(v, "constant", i, STR(""));
        arena_reuse(v->scratch);
        if (!type_is_value(v, constant->type)) return verify_fail(v, "type %u is not a type of values", constant->type);
        TypeKind kind = type_kind(v, constant->type);
        bool has_bytes = kind == KIND_STRING || kind == KIND_BYTES || kind == KIND_DECIMAL || kind == KIND_JSON;
        err = has_bytes ? verify_text_const(v, constant) : verify_scalar(v, constant);
    }
    return err;
}

static Err verify_regexes(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = v->first.regex; i < v->image->regex_count && !err; i++) {
        verify_at(v, "regex", i, STR(""));
        err = verify_pattern(v, v->image->regexes[i]);
    }
    return err;
}

/* ---- the whole ---- */

static Err verify_counts(Verifier *v)
{
    const Image *m = v->image;
    const struct { const char *what; uint16_t count; } tables[] = {
        { "files", m->file_count }, { "types", m->type_count }, { "constants", m->const_count }, { "regexes", m->regex_count }, { "functions", m->func_count },
        { "effects", m->effect_count }, { "queries", m->query_count }, { "agents", m->agent_count }, { "tools", m->tool_count }, { "flows", m->flow_count },
        { "events", m->event_count }, { "signals", m->signal_count }, { "handlers", m->handler_count }, { "tables", m->table_count },
        { "machines", m->machine_count }, { "states", m->state_count }, { "tests", m->test_count }, { "fixtures", m->fixture_count }, { "participants", m->participant_count },
        { "routes", m->route_count }, { "webhooks", m->webhook_count }, { "scopes", m->scope_count }, { "roles", m->role_count }, { "plans", m->plan_count }
    };
    verify_at(v, "version", IMAGE_VERSION, STR(""));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].count > IMAGE_INDEX_MAX) return verify_limit(v, tables[i].what, tables[i].count, "IMAGE_INDEX_MAX", IMAGE_INDEX_MAX);
    return ERR_OK;
}

static void fill_counted_regs(Image *image, uint16_t first)
{
    for (int i = first; i < image->func_count; i++) {
        ImageFunc *func = &image->funcs[i];
        func->counted_regs = ARENA_ARRAY(image->arena, uint16_t, func->reg_count + 1);
        func->counted_count = 0;
        for (uint32_t r = 0; r < func->reg_count; r++)
            if (kind_is_counted(image->types[func->reg_types[r]].kind)) func->counted_regs[func->counted_count++] = (uint16_t)r;
    }
}

static Err verify_parts(Verifier *v, Err (*const parts[])(Verifier *))
{
    Err err = ERR_OK;
    v->arena = arena_new();
    v->scratch = arena_new();
    for (; *parts && !err; parts++) err = (*parts)(v);
    if (!err) fill_counted_regs(v->image, v->first.func);
    arena_free(v->arena);
    arena_free(v->scratch);
    return err;
}

Err image_verify(Image *image, Error *error)
{
    static Err (*const parts[])(Verifier *) = {
        verify_counts, verify_types, verify_consts, verify_regexes, verify_tables, verify_machines, verify_states, verify_queries, verify_func_heads,
        verify_plans, verify_declarations, verify_routes, verify_effects, verify_func_bodies, verify_confinement, NULL
    };
    Verifier v = { .image = image, .error = error };
    return verify_parts(&v, parts);
}

Err image_verify_extension(Image *image, Error *error)
{
    static Err (*const parts[])(Verifier *) = {
        verify_counts, verify_types, verify_consts, verify_regexes, verify_func_heads, verify_plans, verify_effects, verify_func_bodies, verify_confinement, NULL
    };
    const Image *base = image->base;
    if (!base) return err_set(error, ERR_INVALID, "the image is not an extension");
    Verifier v = { .image = image, .error = error };
    v.first = (FirstRows){ base->type_count, base->const_count, base->regex_count, base->func_count, base->effect_count };
    return verify_parts(&v, parts);
}
