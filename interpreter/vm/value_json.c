/* value_json.c - values by type as JSON and as text, and from JSON that somebody else wrote.
 *
 * Reading is strict: unknown members, missing ones, numbers that do not fit, names that are no member of an enum are refused with a
 * JSON pointer to the place. Depth is bounded by the parser's JSON_DEPTH_MAX and by VALUE_DEPTH_MAX.
 */
#include "base/decimal.h"
#include "base/time.h"
#include "interpreter/vm/value.h"
#include "interpreter/vm/value_internal.h"
#include "base/float.h"
#include <stdio.h>

enum { DECIMAL_INT_DIGITS = 18, DECIMAL_EXPONENT_MAX = 300, POINTER_MAX = 256 };
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- out ---- */

typedef struct Writer { const Image *image; Buf *out; bool redact; } Writer;

static void write_value(Writer *w, uint16_t type, Value v);

/* Numbers that every reader of JSON takes: integers in 64 bits, and fractions a double can come near. The rest is a string, except in
   json, where a number stays one. */
static void decimal_to_json(Decimal d, bool in_json, Buf *out)
{
    Buf text = { 0 };
    decimal_print(d, &text);
    const char *point = memchr(text.ptr, '.', text.len);
    size_t whole = point ? (size_t)(point - text.ptr) : text.len;
    bool plain = point ? whole <= DECIMAL_EXPONENT_MAX : whole <= DECIMAL_INT_DIGITS;
    if (!plain && in_json && whole <= DECIMAL_EXPONENT_MAX) buf_printf(out, "%.*s.0", (int)text.len, text.ptr);
    else if (plain) buf_put_str(out, buf_str(&text));
    else json_put_string(out, buf_str(&text));
    buf_free(&text);
}

static void quoted(Buf *out, void (*print)(int64_t, Buf *), int64_t word)
{
    buf_put_char(out, '"');
    print(word, out);
    buf_put_char(out, '"');
}

static void base64_put(Str bytes, Buf *out)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        const uint8_t *b = (const uint8_t *)bytes.ptr + i;
        uint32_t three = (uint32_t)b[0] << 16 | (left > 1 ? (uint32_t)b[1] << 8 : 0) | (left > 2 ? b[2] : 0);
        buf_put_char(out, base64_digits[three >> 18]);
        buf_put_char(out, base64_digits[three >> 12 & 63]);
        buf_put_char(out, left > 1 ? base64_digits[three >> 6 & 63] : '=');
        buf_put_char(out, left > 2 ? base64_digits[three & 63] : '=');
    }
}

void value_base64(Str bytes, Buf *out) { base64_put(bytes, out); }

static void json_write(Value v, Buf *out)
{
    if (!v.o || ((JsonObj *)v.o)->kind == JSON_NULL) {
        buf_put_text(out, "null");
        return;
    }
    const JsonObj *j = (JsonObj *)v.o;
    switch ((JsonKind)j->kind) {
    case JSON_BOOL: buf_put_text(out, j->value.i ? "true" : "false"); break;
    case JSON_INT: buf_printf(out, "%lld", (long long)j->value.i); break;
    case JSON_NUMBER: decimal_to_json(j->value.w, true, out); break;
    case JSON_STRING: json_put_string(out, value_str(j->value)); break;
    case JSON_ARRAY:
        buf_put_char(out, '[');
        for (uint32_t i = 0; i < list_count(j->value); i++) {
            if (i) buf_put_char(out, ',');
            json_write(list_item(j->value, i), out);
        }
        buf_put_char(out, ']');
        break;
    case JSON_OBJECT:
        buf_put_char(out, '{');
        for (uint32_t i = 0; i < map_count(j->value); i++) {
            if (i) buf_put_char(out, ',');
            json_put_string(out, value_str(((MapObj *)j->value.o)->keys[i]));
            buf_put_char(out, ':');
            json_write(((MapObj *)j->value.o)->values[i], out);
        }
        buf_put_char(out, '}');
        break;
    case JSON_NULL: break;
    }
}

static void write_list(Writer *w, uint16_t element, Value v)
{
    buf_put_char(w->out, '[');
    for (uint32_t i = 0; i < list_count(v); i++) {
        if (i) buf_put_char(w->out, ',');
        write_value(w, element, list_item(v, i));
    }
    buf_put_char(w->out, ']');
}

static void write_map(Writer *w, uint16_t element, Value v)
{
    buf_put_char(w->out, '{');
    for (uint32_t i = 0; i < map_count(v); i++) {
        if (i) buf_put_char(w->out, ',');
        json_put_string(w->out, value_str(((MapObj *)v.o)->keys[i]));
        buf_put_char(w->out, ':');
        write_value(w, element, ((MapObj *)v.o)->values[i]);
    }
    buf_put_char(w->out, '}');
}

static void write_record(Writer *w, const ImageType *t, Value v)
{
    buf_put_char(w->out, '{');
    for (uint16_t i = 0; i < t->field_count; i++) {
        if (i) buf_put_char(w->out, ',');
        json_put_string(w->out, t->fields[i].name);
        buf_put_char(w->out, ':');
        if (w->redact && t->fields[i].labels & (LABEL_PII | LABEL_SECRET)) buf_put_text(w->out, "\"***\"");
        else write_value(w, t->fields[i].type, record_field(v, i));
    }
    buf_put_char(w->out, '}');
}

static void write_option(Writer *w, uint16_t element, Value v)
{
    if (!v.w) {
        buf_put_text(w->out, "null");
        return;
    }
    Value inside = opt_unpack(w->image, element, v);
    write_value(w, element, inside);
    if (!opt_holds_word(w->image->types[element].kind)) value_release(inside);
}

static Str enum_member(const ImageType *t, int64_t ordinal)
{
    return ordinal >= 0 && ordinal < t->member_count ? t->members[ordinal] : STR("");
}

static void write_value(Writer *w, uint16_t type, Value v)
{
    const ImageType *t = &w->image->types[type];
    switch (t->kind) {
    case KIND_VOID: buf_put_text(w->out, "null"); break;
    case KIND_BOOL: buf_put_text(w->out, v.i ? "true" : "false"); break;
    case KIND_INT: case KIND_GROUP: buf_printf(w->out, "%lld", (long long)v.i); break;
    case KIND_FLOAT: json_put_double(w->out, v.f); break;
    case KIND_DECIMAL: decimal_to_json(v.w, false, w->out); break;
    case KIND_STRING: json_put_string(w->out, value_str(v)); break;
    case KIND_DATE: quoted(w->out, date_print, v.i); break;
    case KIND_TIMESTAMP: quoted(w->out, timestamp_print, v.i); break;
    case KIND_DURATION: quoted(w->out, duration_print, v.i); break;
    case KIND_BYTES:
        buf_put_char(w->out, '"');
        base64_put(value_str(v), w->out);
        buf_put_char(w->out, '"');
        break;
    case KIND_JSON: json_write(v, w->out); break;
    case KIND_ENUM: json_put_string(w->out, enum_member(t, v.i)); break;
    case KIND_OPT: write_option(w, t->element, v); break;
    case KIND_LIST: write_list(w, t->element, v); break;
    case KIND_MAP: write_map(w, t->element, v); break;
    case KIND_RECORD: case KIND_ERROR: write_record(w, t, v); break;
    }
}

void value_to_json(const Image *image, uint16_t type, Value v, Buf *out) { write_value(&(Writer){ image, out, false }, type, v); }
void value_to_json_redacted(const Image *image, uint16_t type, Value v, Buf *out) { write_value(&(Writer){ image, out, true }, type, v); }

static void print_option(const Image *image, uint16_t element, Value v, Buf *out)
{
    if (!v.w) {
        buf_put_text(out, "null");
        return;
    }
    Value inside = opt_unpack(image, element, v);
    value_print(image, element, inside, out);
    if (!opt_holds_word(image->types[element].kind)) value_release(inside);
}

/* As JSON, except that texts stand without quotes. */
void value_print(const Image *image, uint16_t type, Value v, Buf *out)
{
    const ImageType *t = &image->types[type];
    char text[FLOAT_TEXT_MAX];
    switch (t->kind) {
    case KIND_FLOAT: buf_put(out, text, float_print(v.f, text)); break;
    case KIND_DECIMAL: decimal_print(v.w, out); break;
    case KIND_STRING: buf_put_str(out, value_str(v)); break;
    case KIND_DATE: date_print(v.i, out); break;
    case KIND_TIMESTAMP: timestamp_print(v.i, out); break;
    case KIND_DURATION: duration_print(v.i, out); break;
    case KIND_BYTES: base64_put(value_str(v), out); break;
    case KIND_ENUM: buf_put_str(out, enum_member(t, v.i)); break;
    case KIND_OPT: print_option(image, t->element, v, out); break;
    case KIND_ERROR: buf_put_str(out, value_str(record_field(v, ERROR_FIELD_MESSAGE))); break;
    case KIND_JSON:
        if (v.o && ((JsonObj *)v.o)->kind == JSON_STRING) buf_put_str(out, value_str(((JsonObj *)v.o)->value));
        else json_write(v, out);
        break;
    default: value_to_json(image, type, v, out); break;
    }
}

/* ---- in ---- */

typedef struct JsonReader { const Image *image; Error *error; char pointer[POINTER_MAX]; size_t pointer_len; } JsonReader;

static Err read_value(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out);

/* One step of the pointer, escaped as RFC 6901 says; a pointer too long keeps its beginning. */
static size_t pointer_push(JsonReader *r, Str step)
{
    size_t before = r->pointer_len;
    if (r->pointer_len + 2 * step.len + 2 >= POINTER_MAX) return before;
    r->pointer[r->pointer_len++] = '/';
    for (size_t i = 0; i < step.len; i++) {
        char c = step.ptr[i];
        if (c == '~' || c == '/') r->pointer[r->pointer_len++] = '~';
        r->pointer[r->pointer_len++] = (char)(c == '~' ? '0' : c == '/' ? '1' : c);
    }
    r->pointer[r->pointer_len] = '\0';
    return before;
}

static size_t pointer_push_index(JsonReader *r, size_t index)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%zu", index);
    return pointer_push(r, (Str){ text, (size_t)len });
}

static void pointer_pop(JsonReader *r, size_t before)
{
    r->pointer_len = before;
    r->pointer[before] = '\0';
}

static const char *json_kind_word(JsonKind kind)
{
    static const char *const words[] = { "null", "a boolean", "an integer", "a number", "a string", "an array", "an object" };
    return words[kind];
}

static Err refuse(JsonReader *r, uint16_t type, const Json *json, const char *why)
{
    Buf name = { 0 };
    image_type_print(r->image, type, &name);
    Err err = err_set(r->error, ERR_INVALID, "%s: expected %.80s, found %s%s%s", r->pointer_len ? r->pointer : "/", buf_cstr(&name),
                      json_kind_word(json->kind), *why ? ": " : "", why);
    buf_free(&name);
    return err;
}

static Err json_decimal(JsonReader *r, uint16_t type, const Json *json, Decimal *out)
{
    Str text = json->kind == JSON_STRING ? json->text : json->number_text;
    if (json->kind == JSON_INT && !text.len) *out = decimal_from_int(json->integer);
    else if (json->kind == JSON_NUMBER && !text.len) return decimal_from_double(json->number, out) ? refuse(r, type, json, "not finite") : ERR_OK;
    else if (json->kind < JSON_INT || json->kind > JSON_STRING || decimal_from_text(text, out)) return refuse(r, type, json, "not a decimal number");
    return ERR_OK;
}

static Err read_int(JsonReader *r, uint16_t type, const Json *json, Value *out)
{
    out->i = json->integer;
    if (json->kind == JSON_INT) return ERR_OK;
    Decimal d;
    if (json->kind != JSON_NUMBER) return refuse(r, type, json, "");
    Err err = json_decimal(r, type, json, &d);
    if (err) return err;
    if (decimal_to_int(d, &out->i)) err = refuse(r, type, json, "it has a fraction or does not fit 64 bits");
    decimal_release(d);
    return err;
}

static Err read_text_word(JsonReader *r, uint16_t type, const Json *json, Err (*parse)(Str, int64_t *), const char *form, Value *out)
{
    if (json->kind != JSON_STRING) return refuse(r, type, json, "");
    return parse(json->text, &out->i) ? refuse(r, type, json, form) : ERR_OK;
}

static Err read_enum(JsonReader *r, uint16_t type, const Json *json, Value *out)
{
    const ImageType *t = &r->image->types[type];
    if (json->kind != JSON_STRING) return refuse(r, type, json, "");
    for (uint16_t i = 0; i < t->member_count; i++)
        if (str_eq(t->members[i], json->text)) {
            out->i = i;
            return ERR_OK;
        }
    Str near = str_nearest(json->text, t->members, t->member_count);
    char why[120];
    if (near.len) snprintf(why, sizeof why, "no member of this name; did you mean \"%.*s\"?", near.len > 60 ? 60 : (int)near.len, near.ptr);
    return refuse(r, type, json, near.len ? why : "no member of this name");
}

static int base64_digit(char c)
{
    const char *at = c ? strchr(base64_digits, c) : NULL;
    return at ? (int)(at - base64_digits) : -1;
}

static Err read_base64(JsonReader *r, uint16_t type, const Json *json, Value *out)
{
    if (json->kind != JSON_STRING) return refuse(r, type, json, "");
    Str text = json->text;
    size_t padding = text.len && text.ptr[text.len - 1] == '=' ? 1 + (text.len > 1 && text.ptr[text.len - 2] == '=') : 0;
    if (text.len % 4) return refuse(r, type, json, "not base64");
    Buf bytes = { 0 };
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = i < text.len - padding ? base64_digit(text.ptr[i]) : 0;
        if (digit < 0) {
            buf_free(&bytes);
            return refuse(r, type, json, "not base64");
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3) continue;
        uint8_t three[3] = { (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits };
        buf_put(&bytes, three, i + 1 == text.len ? 3 - padding : 3);
    }
    *out = value_bytes(buf_str(&bytes));
    buf_free(&bytes);
    return ERR_OK;
}

static Err check_count(JsonReader *r, size_t count, uint32_t depth)
{
    if (count > VALUE_ITEMS_MAX) return err_set(r->error, ERR_LIMIT, "%s: more than VALUE_ITEMS_MAX elements", r->pointer);
    if (depth >= VALUE_DEPTH_MAX) return err_set(r->error, ERR_LIMIT, "%s: nested deeper than VALUE_DEPTH_MAX", r->pointer);
    return ERR_OK;
}

static Err read_list(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out)
{
    if (json->kind != JSON_ARRAY) return refuse(r, type, json, "");
    uint16_t element = r->image->types[type].element;
    Err err = check_count(r, json->count, depth);
    if (err) return err;
    Value list = value_list((uint32_t)json->count, type_counted(r->image, element));
    for (size_t i = 0; i < json->count && !err; i++) {
        Value item = { 0 };
        size_t before = pointer_push_index(r, i);
        err = read_value(r, element, json->items[i], depth + 1, &item);
        pointer_pop(r, before);
        if (!err) list = list_push(list, item);
    }
    if (err) value_release(list);
    else *out = list;
    return err;
}

static Err read_map(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out)
{
    if (json->kind != JSON_OBJECT) return refuse(r, type, json, "");
    uint16_t element = r->image->types[type].element;
    Err err = check_count(r, json->count, depth);
    if (err) return err;
    Value map = value_map(type_counted(r->image, element));
    for (size_t i = 0; i < json->count && !err; i++) {
        Value item = { 0 };
        size_t before = pointer_push(r, json->keys[i]);
        err = read_value(r, element, json->items[i], depth + 1, &item);
        pointer_pop(r, before);
        if (!err) map = value_map_put(map, value_string(json->keys[i]), item);
    }
    if (err) value_release(map);
    else *out = map;
    return err;
}

static int field_find(const ImageType *t, Str name)
{
    for (int i = 0; i < t->field_count; i++)
        if (str_eq(t->fields[i].name, name)) return i;
    return -1;
}

static Err field_unknown(JsonReader *r, const ImageType *t, Str name)
{
    Str names[RECORD_FIELDS_MAX];
    for (int i = 0; i < t->field_count; i++) names[i] = t->fields[i].name;
    Str near = str_nearest(name, names, t->field_count);
    pointer_push(r, name);
    if (!near.len) return err_set(r->error, ERR_INVALID, "%s: unknown field", r->pointer);
    return err_set(r->error, ERR_INVALID, "%s: unknown field; did you mean \"%.*s\"?", r->pointer, STR_ARG(near));
}

static Err read_default(JsonReader *r, const ImageField *field, uint32_t depth, Value *out)
{
    Arena *scratch = arena_new();
    Json *json;
    size_t before = pointer_push(r, field->name);
    Err err = json_parse(scratch, r->image->consts[field->default_const].bytes, CONST_BYTES_MAX, &json, r->error);
    if (!err) err = read_value(r, field->type, json, depth, out);
    pointer_pop(r, before);
    arena_free(scratch);
    return err;
}

/* Absent fields have their default, absent optionals are null; every other field must be there. */
static Err fields_missing(JsonReader *r, const ImageType *t, uint64_t seen, uint32_t depth, Value *fields)
{
    Err err = ERR_OK;
    for (int i = 0; i < t->field_count && !err; i++) {
        TypeKind kind = r->image->types[t->fields[i].type].kind;
        if (seen >> i & 1) continue;
        if (t->fields[i].has_default) err = read_default(r, &t->fields[i], depth, &fields[i]);
        else if (kind != KIND_OPT && kind != KIND_JSON) {
            pointer_push(r, t->fields[i].name);
            err = err_set(r->error, ERR_INVALID, "%s: missing field", r->pointer);
        }
    }
    return err;
}

static Err read_record(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out)
{
    if (json->kind != JSON_OBJECT) return refuse(r, type, json, "");
    const ImageType *t = &r->image->types[type];
    uint64_t seen = 0;
    Err err = check_count(r, json->count, depth);
    if (err) return err;
    Value record = value_record(r->image, type);
    for (size_t i = 0; i < json->count && !err; i++) {
        int field = field_find(t, json->keys[i]);
        if (field < 0) err = field_unknown(r, t, json->keys[i]);
        else if (seen >> field & 1) err = err_set(r->error, ERR_INVALID, "%s: a field stands twice", r->pointer);
        if (err) break;
        size_t before = pointer_push(r, json->keys[i]);
        seen |= UINT64_C(1) << field;
        err = read_value(r, t->fields[field].type, json->items[i], depth + 1, &((Record *)record.o)->fields[field]);
        pointer_pop(r, before);
    }
    if (!err) err = fields_missing(r, t, seen, depth + 1, ((Record *)record.o)->fields);
    if (err) value_release(record);
    else {
        record_seal((Record *)record.o);
        *out = record;
    }
    return err;
}

static Err read_json(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out)
{
    Value v = value_json(json);
    if (depth + value_depth(v) > VALUE_DEPTH_MAX) {
        value_release(v);
        return err_set(r->error, ERR_LIMIT, "%s: nested deeper than VALUE_DEPTH_MAX", r->pointer);
    }
    *out = v;
    return ERR_OK;
}

static Err read_string(JsonReader *r, uint16_t type, const Json *json, Value *out)
{
    if (json->kind != JSON_STRING) return refuse(r, type, json, "");
    if (json->text.len > VALUE_SIZE_MAX) return err_set(r->error, ERR_LIMIT, "%s: longer than VALUE_SIZE_MAX bytes", r->pointer);
    *out = value_string(json->text);
    return ERR_OK;
}

static Err read_option(JsonReader *r, uint16_t element, const Json *json, uint32_t depth, Value *out)
{
    if (json->kind == JSON_NULL) return ERR_OK;
    Value inside = { 0 };
    Err err = read_value(r, element, json, depth, &inside);
    if (!err) *out = opt_pack(r->image, element, inside);
    return err;
}

static Err read_value(JsonReader *r, uint16_t type, const Json *json, uint32_t depth, Value *out)
{
    const ImageType *t = &r->image->types[type];
    Decimal d;
    *out = (Value){ 0 };
    switch (t->kind) {
    case KIND_VOID: return json->kind == JSON_NULL ? ERR_OK : refuse(r, type, json, "");
    case KIND_BOOL:
        out->i = json->boolean;
        return json->kind == JSON_BOOL ? ERR_OK : refuse(r, type, json, "");
    case KIND_INT: return read_int(r, type, json, out);
    case KIND_FLOAT:
        out->f = json->kind == JSON_INT ? (double)json->integer : json->number;
        return json->kind == JSON_INT || json->kind == JSON_NUMBER ? ERR_OK : refuse(r, type, json, "");
    case KIND_DECIMAL: {
        Err err = json_decimal(r, type, json, &d);
        if (!err) *out = decimal_charged(d);
        return err;
    }
    case KIND_STRING: return read_string(r, type, json, out);
    case KIND_DATE: return read_text_word(r, type, json, date_parse, "not a date such as 2025-11-10", out);
    case KIND_TIMESTAMP: return read_text_word(r, type, json, timestamp_parse, "not a time such as 2025-11-10T10:00:00Z", out);
    case KIND_DURATION: return read_text_word(r, type, json, duration_parse, "not a duration such as 1h30m", out);
    case KIND_BYTES: return read_base64(r, type, json, out);
    case KIND_JSON: return read_json(r, type, json, depth, out);
    case KIND_ENUM: return read_enum(r, type, json, out);
    case KIND_OPT: return read_option(r, t->element, json, depth, out);
    case KIND_LIST: return read_list(r, type, json, depth, out);
    case KIND_MAP: return read_map(r, type, json, depth, out);
    case KIND_RECORD: case KIND_ERROR: return read_record(r, type, json, depth, out);
    case KIND_GROUP: break;
    }
    return refuse(r, type, json, "a fiber group has no JSON");
}

Err value_from_json(const Image *image, uint16_t type, const Json *json, Value *out, Error *error)
{
    JsonReader reader = { .image = image, .error = error };
    *out = (Value){ 0 };
    Err err = read_value(&reader, type, json, 0, out);
    if (err) *out = (Value){ 0 };
    return err;
}
