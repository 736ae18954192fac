/* llm_schema.c - a type as JSON Schema for a model. Every field is required and nullable ones may be null: what strict modes of providers ask for, and
 * what leaves a model least to guess. Forms that JSON does not have are described in words. */
#include "interpreter/effect/llm_model.h"

enum { SCHEMA_DEPTH_MAX = 16 };                          /* beyond it anything fits; the answer is checked against the type itself */

static bool put_type(const Image *image, uint16_t type, int depth, Buf *out);

static void put_words(Buf *out, const char *words) { buf_printf(out, "{\"type\":\"string\",\"description\":\"%s\"}", words); }

static bool put_record(const Image *image, const ImageType *type, int depth, Buf *out) {
    bool strict = true;
    buf_put_text(out, "{\"type\":\"object\",\"properties\":{");
    for (uint16_t i = 0; i < type->field_count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, type->fields[i].name);
        buf_put_char(out, ':');
        strict &= put_type(image, type->fields[i].type, depth + 1, out);
    }
    buf_put_text(out, "},\"required\":[");
    for (uint16_t i = 0; i < type->field_count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, type->fields[i].name);
    }
    buf_put_text(out, "],\"additionalProperties\":false}");
    return strict;
}

static void put_enum(const ImageType *type, Buf *out) {
    buf_put_text(out, "{\"type\":\"string\",\"enum\":[");
    for (uint16_t i = 0; i < type->member_count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, type->members[i]);
    }
    buf_put_text(out, "]}");
}

static bool put_type(const Image *image, uint16_t index, int depth, Buf *out) {
    const ImageType *type = &image->types[index];
    bool strict = true;
    if (depth > SCHEMA_DEPTH_MAX) return buf_put_text(out, "{}"), false;
    switch (type->kind) {
    case KIND_BOOL:      buf_put_text(out, "{\"type\":\"boolean\"}"); break;
    case KIND_INT:       buf_put_text(out, "{\"type\":\"integer\"}"); break;
    case KIND_FLOAT: case KIND_DECIMAL: buf_put_text(out, "{\"type\":\"number\"}"); break;
    case KIND_STRING:    buf_put_text(out, "{\"type\":\"string\"}"); break;
    case KIND_DATE:      put_words(out, "a date, as 2025-11-10"); break;
    case KIND_TIMESTAMP: put_words(out, "a moment in UTC, as 2025-11-10T14:30:00Z"); break;
    case KIND_DURATION:  put_words(out, "a duration, as 30d, 1h30m or 45s"); break;
    case KIND_BYTES:     put_words(out, "base64"); break;
    case KIND_ENUM:      put_enum(type, out); break;
    case KIND_RECORD:    strict = put_record(image, type, depth, out); break;
    case KIND_OPT:
        buf_put_text(out, "{\"anyOf\":[");
        strict = put_type(image, type->element, depth + 1, out);
        buf_put_text(out, ",{\"type\":\"null\"}]}");
        break;
    case KIND_LIST:
        buf_put_text(out, "{\"type\":\"array\",\"items\":");
        strict = put_type(image, type->element, depth + 1, out);
        buf_put_char(out, '}');
        break;
    case KIND_MAP:
        buf_put_text(out, "{\"type\":\"object\",\"additionalProperties\":");
        put_type(image, type->element, depth + 1, out);
        buf_put_char(out, '}');
        strict = false;
        break;
    default:
        buf_put_text(out, "{}");
        strict = false;
        break;
    }
    return strict;
}

bool llm_put_schema(const Image *image, uint16_t type, Buf *out) { return put_type(image, type, 0, out); }
