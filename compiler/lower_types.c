/* lower_types.c - rows of the image that the whole program shares: types, constants, regexes, effects. Each is made once.
 *
 * Two types with the same structure must be one row, or a value could not go from a declared record to a literal of the same fields. The key
 * of a row is therefore its kind, its element and its fields by name, type and default (a twin with another default reads other JSON; values
 * are converted between the two); labels and patterns are not part of it: rows that differ only there are merged and the labels united, so
 * that a value is never shown because it passed through an unlabelled twin.
 */
#include "compiler/lower_internal.h"
#include <stdarg.h>
#include <stdio.h>

void rows_grow(Rows *rows, size_t item_size)
{
    rows->cap = rows->cap ? rows->cap * 2 : 32;
    rows->items = mem_realloc(rows->items, (size_t)rows->cap * item_size);
}

/* ---- limits and texts ---- */

void lower_limit(Lower *lw, Span span, const char *what, unsigned count, const char *items, unsigned limit)
{
    if (!lw->failed) diag_too_many(lw->program->diags, span, what, count, items, limit);
    lw->failed = true;
}

uint16_t lower_row(Lower *lw, uint16_t index, const char *items)
{
    if (index != NO_INDEX) return index;
    lower_limit(lw, (Span){ 0 }, "the program", IMAGE_INDEX_MAX + 1, items, IMAGE_INDEX_MAX);
    return 0;
}

Str lower_str(Lower *lw, Str text)
{
    return text.len ? arena_str(lw->image->arena, text) : STR("");
}

Str lower_printf(Lower *lw, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0) len = 0;
    if ((size_t)len >= sizeof text) len = sizeof text - 1;
    return lower_str(lw, (Str){ text, (size_t)len });
}

/* ---- types ---- */

static uint16_t key_find(Lower *lw, const Map *map)
{
    return (uint16_t)((uintptr_t)map_find(map, buf_str(&lw->key)) - 1);
}

/* A type row of this image, or of the one that it extends. */
static uint16_t row_find(Lower *lw)
{
    uint16_t index = key_find(lw, &lw->types);
    return index == NO_INDEX && lw->known ? key_find(lw, lw->known) : index;
}

static void key_put(Lower *lw, Map *map, uint16_t index)
{
    map_put(map, arena_str(lw->arena, buf_str(&lw->key)), (void *)((uintptr_t)index + 1));
}

static void key_start(Lower *lw, TypeKind kind, uint16_t element)
{
    buf_clear(&lw->key);
    buf_put_u8(&lw->key, (uint8_t)kind);
    buf_put_u16(&lw->key, element);
}

void lower_types_init(Lower *lw)
{
    static const struct { TypeKind kind; uint16_t element, index; } fixed[] = {
        { KIND_OPT, TYPE_INDEX_DURATION, TYPE_INDEX_OPT_DURATION }, { KIND_OPT, TYPE_INDEX_ERROR, TYPE_INDEX_OPT_ERROR },
        { KIND_LIST, TYPE_INDEX_STRING, TYPE_INDEX_LIST_STRING }
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        key_start(lw, fixed[i].kind, fixed[i].element);
        key_put(lw, &lw->types, fixed[i].index);
    }
}

void lower_types_deinit(Lower *lw)
{
    for (uint32_t i = 0; i < lw->placed_count; i++) lw->placed[i]->image_index = NO_INDEX;
    map_free(&lw->types);
    map_free(&lw->consts);
    map_free(&lw->regexes);
    map_free(&lw->effects);
}

TypeKind lower_kind(const Lower *lw, uint16_t type) { return lw->image->types[type].kind; }
uint16_t row_element(const Lower *lw, uint16_t type) { return lw->image->types[type].element; }
bool lower_is_counted(const Lower *lw, uint16_t type) { return kind_is_counted(lower_kind(lw, type)); }
bool lower_is_intlike(const Lower *lw, uint16_t type) { return kind_is_intlike(lower_kind(lw, type)); }
uint16_t row_bare(const Lower *lw, uint16_t type) { return lower_kind(lw, type) == KIND_OPT ? row_element(lw, type) : type; }

static uint16_t type_add(Lower *lw, TypeKind kind, uint16_t element)
{
    uint16_t index = lower_row(lw, IMAGE_ADD(lw->image, type), "types");
    if (lw->failed) return TYPE_INDEX_JSON;
    lw->image->types[index].kind = kind;
    lw->image->types[index].element = element;
    return index;
}

static uint16_t type_of_element(Lower *lw, TypeKind kind, uint16_t element)
{
    key_start(lw, kind, element);
    uint16_t found = row_find(lw);
    if (found != NO_INDEX) return found;
    uint16_t index = type_add(lw, kind, element);
    key_put(lw, &lw->types, index);
    return index;
}

uint16_t row_opt(Lower *lw, uint16_t element)
{
    return lower_kind(lw, element) == KIND_OPT ? element : type_of_element(lw, KIND_OPT, element);
}

uint16_t row_list(Lower *lw, uint16_t element) { return type_of_element(lw, KIND_LIST, element); }
uint16_t row_map(Lower *lw, uint16_t element) { return type_of_element(lw, KIND_MAP, element); }

static void key_record(Lower *lw, const ImageField *fields, uint16_t count)
{
    key_start(lw, KIND_RECORD, 0);
    for (uint16_t i = 0; i < count; i++) {
        buf_put_bytes(&lw->key, fields[i].name);
        buf_put_u16(&lw->key, fields[i].type);
        buf_put_u32(&lw->key, fields[i].has_default ? fields[i].default_const + 1u : 0);
    }
}

static void key_enum(Lower *lw, Str name, const Str *members, uint32_t count)
{
    key_start(lw, KIND_ENUM, 0);
    buf_put_bytes(&lw->key, name);
    for (uint32_t i = 0; i < count; i++) buf_put_bytes(&lw->key, members[i]);
}

void lower_types_read(Lower *lw)
{
    for (uint16_t i = 0; i < lw->image->type_count; i++) {
        const ImageType *row = &lw->image->types[i];
        if (row->kind == KIND_RECORD) key_record(lw, row->fields, row->field_count);
        else if (row->kind == KIND_ENUM) key_enum(lw, row->name, row->members, row->member_count);
        else key_start(lw, row->kind, row->element);
        if (key_find(lw, &lw->types) == NO_INDEX) key_put(lw, &lw->types, i);
    }
}

/* The rows of an image that is extended are never changed. */
static bool is_own_row(const Lower *lw, uint16_t index) { return !lw->image->base || index >= lw->image->base->type_count; }

uint16_t row_record(Lower *lw, const ImageField *fields, uint16_t count)
{
    key_record(lw, fields, count);
    uint16_t index = row_find(lw);
    if (index != NO_INDEX) {
        for (uint16_t i = 0; i < count && is_own_row(lw, index); i++) lw->image->types[index].fields[i].labels |= fields[i].labels;
        return index;
    }
    index = type_add(lw, KIND_RECORD, 0);
    if (lw->failed) return index;
    ImageType *row = &lw->image->types[index];
    row->fields = ARENA_ARRAY(lw->image->arena, ImageField, count);
    row->field_count = count;
    for (uint16_t i = 0; i < count; i++) {
        row->fields[i] = fields[i];
        row->fields[i].name = lower_str(lw, fields[i].name);
    }
    key_put(lw, &lw->types, index);
    return index;
}

/* The `like` patterns of a declared record, for the extraction by rules. */
static void record_patterns(Lower *lw, const Type *type, uint16_t index)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        Ast *decl = type->fields[i].decl;
        if (!decl || decl->kind != AST_FIELD || !as_field(decl)->pattern) continue;
        Str text = regex_text(lw, as_field(decl)->pattern);
        ImageType *row = &lw->image->types[index];
        if (!row->field_patterns) row->field_patterns = ARENA_ARRAY(lw->image->arena, Str, row->field_count);
        if (!row->field_patterns[i].len) row->field_patterns[i] = text;
    }
}

static uint16_t type_record(Lower *lw, const Type *type)
{
    ImageField fields[RECORD_FIELDS_MAX] = { 0 };
    uint16_t count = (uint16_t)(type->field_count < RECORD_FIELDS_MAX ? type->field_count : RECORD_FIELDS_MAX);
    if (type->field_count > RECORD_FIELDS_MAX) lower_limit(lw, (Span){ 0 }, "a record", type->field_count, "fields", RECORD_FIELDS_MAX);
    for (uint16_t i = 0; i < count; i++) {
        fields[i] = (ImageField){ .name = type->fields[i].name, .type = row_of(lw, type->fields[i].type), .labels = type->fields[i].type->labels };
        Ast *decl = type->fields[i].decl;
        if (decl && decl->kind == AST_FIELD && as_field(decl)->value) fields[i].has_default = default_json(lw, as_field(decl)->value, &fields[i].default_const);
    }
    uint16_t index = row_record(lw, fields, count);
    if (lw->failed || !is_own_row(lw, index)) return index;
    if (!lw->image->types[index].name.len) lw->image->types[index].name = lower_str(lw, type->name);
    record_patterns(lw, type, index);
    return index;
}

/* The pattern of each member of a declared enum; NULL when none has one. */
static Str *enum_patterns(Lower *lw, const Type *type)
{
    Str *patterns = NULL;
    if (!type->decl || !type->decl->decl || type->decl->decl->kind != AST_ENUM_DECL) return NULL;
    AstList members = as_enum_decl(type->decl->decl)->members;
    for (uint32_t i = 0; i < members.count && i < type->member_count; i++) {
        if (members.items[i]->kind != AST_ENUM_MEMBER || !as_enum_member(members.items[i])->pattern) continue;
        if (!patterns) patterns = ARENA_ARRAY(lw->image->arena, Str, type->member_count);
        patterns[i] = regex_text(lw, as_enum_member(members.items[i])->pattern);
    }
    return patterns;
}

static uint16_t type_enum(Lower *lw, const Type *type)
{
    if (type == lw->program->error_kind) return TYPE_INDEX_ERROR_KIND;
    key_enum(lw, type->name, type->members, type->member_count);
    uint16_t index = row_find(lw);
    if (index != NO_INDEX) return index;
    index = type_add(lw, KIND_ENUM, 0);
    if (lw->failed) return index;
    key_put(lw, &lw->types, index);
    ImageType *row = &lw->image->types[index];
    row->name = lower_str(lw, type->name);
    row->members = ARENA_ARRAY(lw->image->arena, Str, type->member_count);
    row->member_count = (uint16_t)type->member_count;
    for (uint32_t i = 0; i < type->member_count; i++) row->members[i] = lower_str(lw, type->members[i]);
    Str *patterns = enum_patterns(lw, type);
    lw->image->types[index].member_patterns = patterns;
    return index;
}

static uint16_t type_place(Lower *lw, Type *type)
{
    switch (type->tag) {
    case TYPE_VOID: return TYPE_INDEX_VOID;
    case TYPE_BOOL: return TYPE_INDEX_BOOL;
    case TYPE_INT: return TYPE_INDEX_INT;
    case TYPE_FLOAT: return TYPE_INDEX_FLOAT;
    case TYPE_DECIMAL: return TYPE_INDEX_DECIMAL;
    case TYPE_STRING: case TYPE_ID: return TYPE_INDEX_STRING;
    case TYPE_DATE: return TYPE_INDEX_DATE;
    case TYPE_TIMESTAMP: return TYPE_INDEX_TIMESTAMP;
    case TYPE_DURATION: return TYPE_INDEX_DURATION;
    case TYPE_BYTES: return TYPE_INDEX_BYTES;
    case TYPE_JSON: return TYPE_INDEX_JSON;
    case TYPE_ERROR: return TYPE_INDEX_ERROR;
    case TYPE_OPT: return row_opt(lw, row_of(lw, type->element));
    case TYPE_LIST: return row_list(lw, row_of(lw, type->element));
    case TYPE_MAP: return row_map(lw, row_of(lw, type->element));
    case TYPE_RECORD: return type_record(lw, type);
    case TYPE_ENUM: return type_enum(lw, type);
    default: return TYPE_INDEX_JSON;     /* null without a type around it */
    }
}

uint16_t row_of(Lower *lw, Type *type)
{
    if (!type) return TYPE_INDEX_VOID;
    if (type->tag != TYPE_RECORD && type->tag < TYPE_OPT) return type_place(lw, type);
    if (type->image_index != NO_INDEX) return type->image_index;
    uint16_t index = type_place(lw, type);
    if (lw->placed_count == lw->placed_cap) {
        uint32_t cap = lw->placed_cap ? lw->placed_cap * 2 : 64;
        Type **grown = ARENA_ARRAY(lw->arena, Type *, cap);
        if (lw->placed_count) memcpy(grown, lw->placed, lw->placed_count * sizeof *grown);
        lw->placed = grown;
        lw->placed_cap = cap;
    }
    lw->placed[lw->placed_count++] = type;
    type->image_index = index;
    return index;
}

/* ---- constants ---- */

uint16_t const_scalar(Lower *lw, uint16_t type, uint64_t word)
{
    buf_clear(&lw->key);
    buf_put_u16(&lw->key, type);
    buf_put_u64(&lw->key, word);
    uint16_t index = key_find(lw, &lw->consts);
    if (index != NO_INDEX) return index;
    index = lower_row(lw, IMAGE_ADD(lw->image, const), "constants");
    if (lw->failed) return 0;
    lw->image->consts[index] = (ImageConst){ .type = type, .word = word, .bytes = STR("") };
    key_put(lw, &lw->consts, index);
    return index;
}

uint16_t const_bytes(Lower *lw, uint16_t type, Str bytes)
{
    buf_clear(&lw->key);
    buf_put_u16(&lw->key, type);         /* no type has both scalars and bytes: the keys cannot meet */
    buf_put_str(&lw->key, bytes);
    uint16_t index = key_find(lw, &lw->consts);
    if (index != NO_INDEX) return index;
    index = lower_row(lw, IMAGE_ADD(lw->image, const), "constants");
    if (lw->failed) return 0;
    lw->image->consts[index] = (ImageConst){ .type = type, .bytes = lower_str(lw, bytes) };
    key_put(lw, &lw->consts, index);
    return index;
}

/* ---- regexes ---- */

Str regex_text(Lower *lw, Ast *pattern)
{
    if (!pattern || pattern->kind != AST_REGEX_EXPR) return STR("");
    Ast_regex_expr *regex = as_regex_expr(pattern);
    Buf text = { 0 };
    buf_put_str(&text, regex->flags);
    buf_put_char(&text, '/');
    buf_put_str(&text, regex->pattern);
    Str kept = lower_str(lw, buf_str(&text));
    buf_free(&text);
    return kept;
}

uint16_t regex_index(Lower *lw, Ast_regex_expr *regex)
{
    Str text = regex_text(lw, &regex->head);
    void *found = map_find(&lw->regexes, text);
    if (found) return (uint16_t)((uintptr_t)found - 1);
    uint16_t index = lower_row(lw, IMAGE_ADD_REGEX(lw->image), "regular expressions");
    if (lw->failed) return 0;
    lw->image->regexes[index] = text;
    map_put(&lw->regexes, text, (void *)((uintptr_t)index + 1));
    return index;
}

/* ---- effects ---- */

uint16_t effect_index(Lower *lw, EffectKind kind, uint16_t target, Str name, const uint16_t *params, uint16_t param_count, uint16_t result)
{
    buf_clear(&lw->key);
    buf_put_u8(&lw->key, (uint8_t)kind);
    buf_put_u16(&lw->key, target);
    buf_put_u16(&lw->key, result);
    buf_put_bytes(&lw->key, name);
    for (uint16_t i = 0; i < param_count; i++) buf_put_u16(&lw->key, params[i]);
    uint16_t index = key_find(lw, &lw->effects);
    if (index != NO_INDEX) return index;
    index = lower_row(lw, IMAGE_ADD(lw->image, effect), "effects");
    if (lw->failed) return 0;
    uint16_t *types = ARENA_ARRAY(lw->image->arena, uint16_t, param_count + 1);
    for (uint16_t i = 0; i < param_count; i++) types[i] = params[i];
    lw->image->effects[index] = (ImageEffect){ .kind = (uint8_t)kind, .target = target, .name = lower_str(lw, name), .params = types, .param_count = param_count, .result = result };
    key_put(lw, &lw->effects, index);
    return index;
}
