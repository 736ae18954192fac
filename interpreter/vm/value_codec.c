/* value_codec.c - values by type: compared, and as canonical bytes.
 *
 * Bytes carry no types, both sides know them: int-like words zigzag, floats their eight bytes, decimals their text with its scale (a
 * journalled result must print as the one that was not), counts before elements, optionals behind one byte. A record without fields is
 * one zero byte, so that every element of a list costs at least one and a short input cannot claim a long list.
 */
#include "base/decimal.h"
#include "base/time.h"
#include "interpreter/vm/value.h"
#include "interpreter/vm/value_internal.h"

/* ---- comparing ---- */

static int words_order(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* NaN stands behind every number, so that sorting ends. */
static int floats_order(double a, double b)
{
    if (a != a || b != b) return (a != a) - (b != b);
    return (a > b) - (a < b);
}

static int json_order(Value a, Value b);

static Decimal json_number_of(const JsonObj *j) { return j->kind == JSON_INT ? decimal_from_int(j->value.i) : decimal_retain(j->value.w); }

static int json_numbers_order(const JsonObj *a, const JsonObj *b)
{
    if (a->kind == JSON_INT && b->kind == JSON_INT) return words_order(a->value.i, b->value.i);
    Decimal x = json_number_of(a), y = json_number_of(b);
    int order = decimal_cmp(x, y);
    decimal_release(x);
    decimal_release(y);
    return order;
}

static int json_lists_order(Value a, Value b)
{
    uint32_t n = list_count(a) < list_count(b) ? list_count(a) : list_count(b);
    for (uint32_t i = 0; i < n; i++) {
        int order = json_order(list_item(a, i), list_item(b, i));
        if (order) return order;
    }
    return words_order(list_count(a), list_count(b));
}

/* 0 exactly when both have the same members, in whatever order; otherwise by a's first member that differs. */
static int json_maps_order(Value a, Value b)
{
    int order = words_order(map_count(a), map_count(b));
    for (uint32_t i = 0; !order && i < map_count(a); i++) {
        Value other, key = ((MapObj *)a.o)->keys[i];
        if (!value_map_get(b, value_str(key), &other)) {
            order = str_cmp(value_str(key), value_str(((MapObj *)b.o)->keys[i]));
            return order ? order : 1;
        }
        order = json_order(((MapObj *)a.o)->values[i], other);
    }
    return order;
}

static int json_rank(Value v)
{
    if (!v.o) return JSON_NULL;
    int kind = ((JsonObj *)v.o)->kind;
    return kind == JSON_NUMBER ? JSON_INT : kind;
}

static int json_order(Value a, Value b)
{
    if (a.w == b.w) return 0;
    int rank = json_rank(a), order = words_order(rank, json_rank(b));
    if (order || rank == JSON_NULL) return order;
    const JsonObj *x = (JsonObj *)a.o, *y = (JsonObj *)b.o;
    switch (rank) {
    case JSON_BOOL: return words_order(x->value.i, y->value.i);
    case JSON_INT: return json_numbers_order(x, y);
    case JSON_STRING: return str_cmp(value_str(x->value), value_str(y->value));
    case JSON_ARRAY: return json_lists_order(x->value, y->value);
    default: return json_maps_order(x->value, y->value);
    }
}

static int lists_order(const Image *image, uint16_t element, Value a, Value b)
{
    uint32_t n = list_count(a) < list_count(b) ? list_count(a) : list_count(b);
    for (uint32_t i = 0; i < n; i++) {
        int order = value_order(image, element, list_item(a, i), list_item(b, i));
        if (order) return order;
    }
    return words_order(list_count(a), list_count(b));
}

static int maps_order(const Image *image, uint16_t element, Value a, Value b)
{
    int order = words_order(map_count(a), map_count(b));
    for (uint32_t i = 0; !order && i < map_count(a); i++) {
        Value other, key = ((MapObj *)a.o)->keys[i];
        if (!value_map_get(b, value_str(key), &other)) {
            order = str_cmp(value_str(key), value_str(((MapObj *)b.o)->keys[i]));
            return order ? order : 1;
        }
        order = value_order(image, element, ((MapObj *)a.o)->values[i], other);
    }
    return order;
}

static int records_order(const Image *image, const ImageType *t, Value a, Value b)
{
    for (uint16_t i = 0; i < t->field_count; i++) {
        int order = value_order(image, t->fields[i].type, record_field(a, i), record_field(b, i));
        if (order) return order;
    }
    return 0;
}

static int options_order(const Image *image, uint16_t element, Value a, Value b)
{
    if (!a.w || !b.w) return (a.w != 0) - (b.w != 0);
    Value x = opt_unpack(image, element, a), y = opt_unpack(image, element, b);
    int order = value_order(image, element, x, y);
    if (!opt_holds_word(image->types[element].kind)) {
        value_release(x);
        value_release(y);
    }
    return order;
}

int value_order(const Image *image, uint16_t type, Value a, Value b)
{
    const ImageType *t = &image->types[type];
    if (t->kind == KIND_FLOAT) return floats_order(a.f, b.f);
    if (a.w == b.w) return 0;
    switch (t->kind) {
    case KIND_DECIMAL: return decimal_cmp(a.w, b.w);
    case KIND_STRING: case KIND_BYTES: return str_cmp(value_str(a), value_str(b));
    case KIND_JSON: return json_order(a, b);
    case KIND_OPT: return options_order(image, t->element, a, b);
    case KIND_LIST: return lists_order(image, t->element, a, b);
    case KIND_MAP: return maps_order(image, t->element, a, b);
    case KIND_RECORD: case KIND_ERROR: return records_order(image, t, a, b);
    default: return words_order(a.i, b.i);
    }
}

bool value_equal(const Image *image, uint16_t type, Value a, Value b)
{
    if (image->types[type].kind == KIND_FLOAT) return a.f == b.f;
    return value_order(image, type, a, b) == 0;
}

bool value_word_fits(const Image *image, uint16_t type, int64_t word)
{
    const ImageType *t = &image->types[type];
    if (t->kind == KIND_BOOL) return word == 0 || word == 1;
    if (t->kind == KIND_ENUM) return word >= 0 && (word < t->member_count || word == 0);
    return true;
}

/* ---- bytes out ---- */

static void json_encode(Value v, Buf *out)
{
    if (!v.o) {
        buf_put_u8(out, JSON_NULL);
        return;
    }
    const JsonObj *j = (JsonObj *)v.o;
    buf_put_u8(out, j->kind);
    switch ((JsonKind)j->kind) {
    case JSON_NULL: break;
    case JSON_BOOL: buf_put_u8(out, j->value.i != 0); break;
    case JSON_INT: buf_put_zigzag(out, j->value.i); break;
    case JSON_NUMBER: value_encode(NULL, TYPE_INDEX_DECIMAL, j->value, out); break;
    case JSON_STRING: buf_put_bytes(out, value_str(j->value)); break;
    case JSON_ARRAY:
        buf_put_varint(out, list_count(j->value));
        for (uint32_t i = 0; i < list_count(j->value); i++) json_encode(list_item(j->value, i), out);
        break;
    case JSON_OBJECT:
        buf_put_varint(out, map_count(j->value));
        for (uint32_t i = 0; i < map_count(j->value); i++) {
            buf_put_bytes(out, value_str(((MapObj *)j->value.o)->keys[i]));
            json_encode(((MapObj *)j->value.o)->values[i], out);
        }
        break;
    }
}

static void decimal_encode(Decimal d, Buf *out)
{
    Buf text = { 0 };
    decimal_print(d, &text);
    buf_put_bytes(out, buf_str(&text));
    buf_free(&text);
}

static void option_encode(const Image *image, uint16_t element, Value v, Buf *out)
{
    buf_put_u8(out, v.w != 0);
    if (!v.w) return;
    Value inside = opt_unpack(image, element, v);
    value_encode(image, element, inside, out);
    if (!opt_holds_word(image->types[element].kind)) value_release(inside);
}

static void map_encode(const Image *image, uint16_t element, Value v, Buf *out)
{
    buf_put_varint(out, map_count(v));
    for (uint32_t i = 0; i < map_count(v); i++) {
        buf_put_bytes(out, value_str(((MapObj *)v.o)->keys[i]));
        value_encode(image, element, ((MapObj *)v.o)->values[i], out);
    }
}

void value_encode(const Image *image, uint16_t type, Value v, Buf *out)
{
    if (type == TYPE_INDEX_DECIMAL) {
        decimal_encode(v.w, out);
        return;
    }
    const ImageType *t = &image->types[type];
    switch (t->kind) {
    case KIND_VOID: break;
    case KIND_FLOAT: buf_put_u64(out, v.w); break;
    case KIND_DECIMAL: decimal_encode(v.w, out); break;
    case KIND_STRING: case KIND_BYTES: buf_put_bytes(out, value_str(v)); break;
    case KIND_JSON: json_encode(v, out); break;
    case KIND_OPT: option_encode(image, t->element, v, out); break;
    case KIND_LIST:
        buf_put_varint(out, list_count(v));
        for (uint32_t i = 0; i < list_count(v); i++) value_encode(image, t->element, list_item(v, i), out);
        break;
    case KIND_MAP: map_encode(image, t->element, v, out); break;
    case KIND_RECORD: case KIND_ERROR:
        if (!t->field_count) buf_put_u8(out, 0);
        for (uint16_t i = 0; i < t->field_count; i++) value_encode(image, t->fields[i].type, record_field(v, i), out);
        break;
    default: buf_put_zigzag(out, v.i); break;
    }
}

/* ---- bytes in ---- */

typedef struct Decoder { const Image *image; Reader *in; Error *error; uint64_t left; } Decoder;

static Err decode_at(Decoder *d, uint16_t type, uint32_t depth, Value *out);

static Err corrupt(Decoder *d, const char *what) { return err_set(d->error, ERR_CORRUPT, "cannot read a value: %s", what); }

static Err decode_text(Decoder *d, bool utf8, Value *out)
{
    Str text = read_bytes(d->in, VALUE_SIZE_MAX);
    if (d->in->failed) return corrupt(d, "a string is cut off or longer than VALUE_SIZE_MAX");
    if (utf8 && !utf8_valid(text)) return corrupt(d, "a string is not UTF-8");
    *out = utf8 ? value_string(text) : value_bytes(text);
    return ERR_OK;
}

static Err decode_decimal(Decoder *d, Value *out)
{
    Decimal decimal;
    Str text = read_bytes(d->in, 4 * DECIMAL_DIGITS_MAX);
    if (d->in->failed || decimal_from_text(text, &decimal)) return corrupt(d, "a decimal is malformed");
    *out = decimal_charged(decimal);
    return ERR_OK;
}

static Err decode_count(Decoder *d, uint32_t depth, uint32_t *count)
{
    uint64_t n = read_varint(d->in);
    if (d->in->failed || n > reader_left(d->in)) return corrupt(d, "a list or map claims more elements than there are bytes");
    if (n > VALUE_ITEMS_MAX) return err_set(d->error, ERR_LIMIT, "cannot read a value: more than VALUE_ITEMS_MAX elements");
    if (depth >= VALUE_DEPTH_MAX) return err_set(d->error, ERR_LIMIT, "cannot read a value: nested deeper than VALUE_DEPTH_MAX");
    *count = (uint32_t)n;
    return ERR_OK;
}

/* What was read so far is released with its container. */
static Err decode_list(Decoder *d, uint16_t element, uint32_t depth, bool json, Value *out);

static Err decode_json(Decoder *d, uint32_t depth, Value *out);

static Err decode_item(Decoder *d, uint16_t element, uint32_t depth, bool json, Value *out)
{
    return json ? decode_json(d, depth, out) : decode_at(d, element, depth, out);
}

static Err decode_list(Decoder *d, uint16_t element, uint32_t depth, bool json, Value *out)
{
    uint32_t count;
    Err err = decode_count(d, depth, &count);
    if (err) return err;
    Value list = value_list(0, json || type_counted(d->image, element));
    for (uint32_t i = 0; i < count && !err; i++) {
        Value item = { 0 };
        err = decode_item(d, element, depth + 1, json, &item);
        if (!err) list = list_push(list, item);
    }
    if (err) value_release(list);
    else *out = list;
    return err;
}

static Err decode_map(Decoder *d, uint16_t element, uint32_t depth, bool json, Value *out)
{
    uint32_t count;
    Err err = decode_count(d, depth, &count);
    if (err) return err;
    Value map = value_map(json || type_counted(d->image, element));
    for (uint32_t i = 0; i < count && !err; i++) {
        Value key = { 0 }, item = { 0 };
        err = decode_text(d, true, &key);
        if (!err) err = decode_item(d, element, depth + 1, json, &item);
        if (err) value_release(key);
        else map = value_map_put(map, key, item);
        if (!err && map_count(map) != i + 1) err = corrupt(d, "a key stands twice in a map");
    }
    if (err) value_release(map);
    else *out = map;
    return err;
}

static Err decode_json(Decoder *d, uint32_t depth, Value *out)
{
    uint8_t kind = read_u8(d->in);
    if (d->in->failed || kind > JSON_OBJECT) return corrupt(d, "json of an unknown kind");
    Value content = { 0 };
    Err err = ERR_OK;
    switch ((JsonKind)kind) {
    case JSON_NULL: *out = (Value){ 0 }; return ERR_OK;
    case JSON_BOOL: content.i = read_u8(d->in); break;
    case JSON_INT: content.i = read_zigzag(d->in); break;
    case JSON_NUMBER: err = decode_decimal(d, &content); break;
    case JSON_STRING: err = decode_text(d, true, &content); break;
    case JSON_ARRAY: err = decode_list(d, 0, depth, true, &content); break;
    case JSON_OBJECT: err = decode_map(d, 0, depth, true, &content); break;
    }
    if (err) return err;
    if (d->in->failed || (kind == JSON_BOOL && content.w > 1)) return corrupt(d, "json is cut off or malformed");
    *out = value_json_of((JsonKind)kind, content);
    return ERR_OK;
}

static Err decode_record(Decoder *d, uint16_t type, uint32_t depth, Value *out)
{
    const ImageType *t = &d->image->types[type];
    if (depth >= VALUE_DEPTH_MAX) return err_set(d->error, ERR_LIMIT, "cannot read a value: nested deeper than VALUE_DEPTH_MAX");
    if (!t->field_count && (read_u8(d->in) != 0 || d->in->failed)) return corrupt(d, "an empty record is not empty");
    Value record = value_record(d->image, type);
    Err err = ERR_OK;
    for (uint16_t i = 0; i < t->field_count && !err; i++) err = decode_at(d, t->fields[i].type, depth + 1, &((Record *)record.o)->fields[i]);
    if (err) value_release(record);
    else {
        record_seal((Record *)record.o);
        *out = record;
    }
    return err;
}

static Err decode_option(Decoder *d, uint16_t element, uint32_t depth, Value *out)
{
    uint8_t some = read_u8(d->in);
    if (d->in->failed || some > 1) return corrupt(d, "an optional is malformed");
    *out = (Value){ 0 };
    if (!some) return ERR_OK;
    Value inside = { 0 };
    Err err = decode_at(d, element, depth, &inside);
    if (!err) *out = opt_pack(d->image, element, inside);
    return err;
}

static Err decode_at(Decoder *d, uint16_t type, uint32_t depth, Value *out)
{
    const ImageType *t = &d->image->types[type];
    if (d->left == 0) return err_set(d->error, ERR_LIMIT, "cannot read a value: heavier than VALUE_WEIGHT_MAX");
    d->left--;
    *out = (Value){ 0 };
    switch (t->kind) {
    case KIND_VOID: return ERR_OK;
    case KIND_FLOAT: out->w = read_u64(d->in); break;
    case KIND_DECIMAL: return decode_decimal(d, out);
    case KIND_STRING: return decode_text(d, true, out);
    case KIND_BYTES: return decode_text(d, false, out);
    case KIND_JSON: return decode_json(d, depth, out);
    case KIND_OPT: return decode_option(d, t->element, depth, out);
    case KIND_LIST: return decode_list(d, t->element, depth, false, out);
    case KIND_MAP: return decode_map(d, t->element, depth, false, out);
    case KIND_RECORD: case KIND_ERROR: return decode_record(d, type, depth, out);
    case KIND_GROUP: return corrupt(d, "a fiber group cannot stand outside its run");
    default:
        out->i = read_zigzag(d->in);
        if (!d->in->failed && !value_word_fits(d->image, type, out->i)) return corrupt(d, "a word is not a value of its type");
        break;
    }
    return d->in->failed ? corrupt(d, "it is cut off") : ERR_OK;
}

Err value_decode(const Image *image, uint16_t type, Reader *in, Value *out, Error *error)
{
    Decoder decoder = { image, in, error, VALUE_WEIGHT_MAX };
    *out = (Value){ 0 };
    Err err = decode_at(&decoder, type, 0, out);
    if (err) *out = (Value){ 0 };
    return err;
}
