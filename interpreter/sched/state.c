/* state.c - keys, fields and records of sessions and contexts: see state.h. */
#include "interpreter/sched/state.h"

#include "base/json.h"

Err state_key(const ImageState *state, Str id, Arena *arena, Str *key, Error *error) {
    bool session = state->kind == STATE_SESSION;
    if (!id.len) return err_set(error, ERR_INVALID, "the id of session `%.*s` is empty", STR_ARG(state->name));
    if (id.len > STATE_ID_MAX) return err_set(error, ERR_LIMIT, "the id of session `%.*s` is longer than STATE_ID_MAX (%d) bytes", STR_ARG(state->name), STATE_ID_MAX);
    const char *text = session ? arena_printf(arena, "session:%.*s:%.*s", STR_ARG(id), STR_ARG(state->name))
                               : arena_printf(arena, "coordination:%.*s.%.*s", STR_ARG(id), STR_ARG(state->name));
    *key = str_of(text);
    return key->len > HOT_KEY_MAX ? err_set(error, ERR_LIMIT, "the key of session `%.*s` is longer than HOT_KEY_MAX (%d) bytes", STR_ARG(state->name), HOT_KEY_MAX) : ERR_OK;
}

HotField *state_fields(const Image *image, const ImageState *state, Value record, uint64_t mask, Arena *arena, uint32_t *count) {
    const ImageType *type = &image->types[state->type];
    const Record *values = (const Record *)record.o;     /* NULL: a record of zeros */
    HotField *fields = ARENA_ARRAY(arena, HotField, type->field_count + 1u);
    *count = 0;
    for (uint16_t i = 0; i < type->field_count; i++) {
        if (!(mask >> i & 1)) continue;
        Buf json = { 0 };
        value_to_json(image, type->fields[i].type, values ? values->fields[i] : (Value){ 0 }, &json);
        fields[(*count)++] = (HotField){ type->fields[i].name, arena_str(arena, buf_str(&json)) };
        buf_free(&json);
    }
    return fields;
}

static const HotField *find_field(const HotField *fields, uint32_t count, Str name) {
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(fields[i].name, name)) return &fields[i];
    return NULL;
}

static bool fits(const Image *image, uint16_t type, Str json) {
    Arena *arena = arena_new();
    Json *parsed = NULL;
    Value value = { 0 };
    Error error;
    bool ok = json_parse(arena, json, HOT_VALUE_MAX, &parsed, NULL) == ERR_OK && value_from_json(image, type, parsed, &value, &error) == ERR_OK;
    if (ok && kind_is_counted(image->types[type].kind)) value_release(value);
    arena_free(arena);
    return ok;
}

Err state_record(const Image *image, const ImageState *state, const HotField *fields, uint32_t count, Value *out, Error *error) {
    const ImageType *type = &image->types[state->type];
    Buf json = { 0 };
    buf_put_char(&json, '{');
    for (uint16_t i = 0; i < type->field_count; i++) {
        const HotField *field = find_field(fields, count, type->fields[i].name);
        if (!field || !fits(image, type->fields[i].type, field->value)) continue;
        if (json.len > 1) buf_put_char(&json, ',');
        json_put_string(&json, field->name);
        buf_put_char(&json, ':');
        buf_put_str(&json, field->value);
    }
    buf_put_char(&json, '}');
    Arena *arena = arena_new();
    Json *parsed = NULL;
    Err err = json_parse(arena, buf_str(&json), HOT_VALUE_MAX, &parsed, error);
    if (!err) err = value_from_json(image, state->type, parsed, out, error);
    arena_free(arena);
    buf_free(&json);
    return err;
}
