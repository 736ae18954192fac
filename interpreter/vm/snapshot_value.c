/* snapshot_value.c - values inside a snapshot: by static type, every object once.
 *
 * Objects are numbered when they are complete, so a reference can only point to one that is there and no cycle can be said. Constants
 * of the image and the run's information are named, not copied: they are nobody's charge and must stay so. An object that is seen again
 * must fit where it stands now: same kind, and same element, record or boxed type.
 */
#include "base/decimal.h"
#include "interpreter/vm/snapshot_internal.h"
#include <stdlib.h>

enum { SEEN_SLOTS_MIN = 64, OBJECTS_MIN = 64 };

/* ---- out ---- */

static uint32_t seen_hash(const Obj *object) { return (uint32_t)(((uintptr_t)object >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32); }

static SeenSlot *seen_slot(const ValueWriter *w, const Obj *object)
{
    uint32_t mask = w->slot_cap - 1, at = seen_hash(object) & mask;
    while (w->slots[at].object && w->slots[at].object != object) at = (at + 1) & mask;
    return &w->slots[at];
}

static void seen_grow(ValueWriter *w)
{
    SeenSlot *old = w->slots;
    uint32_t old_cap = w->slot_cap;
    w->slot_cap = old_cap ? old_cap * 2 : SEEN_SLOTS_MIN;
    w->slots = mem_alloc(w->slot_cap * sizeof(SeenSlot));
    for (uint32_t k = 0; k < old_cap; k++)
        if (old[k].object) *seen_slot(w, old[k].object) = old[k];
    free(old);
}

static void seen_add(ValueWriter *w, const Obj *object, uint32_t number, bool constant)
{
    if (w->slot_used * 2 >= w->slot_cap) seen_grow(w);
    SeenSlot *slot = seen_slot(w, object);
    w->slot_used += slot->object == NULL;
    *slot = (SeenSlot){ object, number, constant };
}

void value_writer_init(ValueWriter *w, const VmRun *run, Buf *out)
{
    *w = (ValueWriter){ .image = run->image, .out = out };
    seen_grow(w);
    for (uint16_t k = 0; k < run->image->const_count; k++)
        if (type_counted(run->image, run->image->consts[k].type) && value_is_obj(run->live->consts[k])) seen_add(w, run->live->consts[k].o, k, true);
    for (int k = 0; k < VM_INFO_COUNT; k++) seen_add(w, run->info[k].o, run->image->const_count + (uint32_t)k, true);
}

void value_writer_deinit(ValueWriter *w) { free(w->slots); }

static void put_list(ValueWriter *w, uint16_t element, const List *l)
{
    buf_put_varint(w->out, l->depth);
    buf_put_varint(w->out, l->count);
    for (uint32_t k = 0; k < l->count; k++) state_put_value(w, element, l->items[k]);
}

static void put_map(ValueWriter *w, uint16_t element, const MapObj *m)
{
    buf_put_varint(w->out, m->depth);
    buf_put_varint(w->out, m->count);
    for (uint32_t k = 0; k < m->count; k++) {
        state_put_value(w, TYPE_INDEX_STRING, m->keys[k]);
        state_put_value(w, element, m->values[k]);
    }
}

static void put_record(ValueWriter *w, const Record *r)
{
    const ImageType *t = &w->image->types[r->type];
    buf_put_varint(w->out, r->depth);
    if (r->type == TYPE_INDEX_ERROR) {
        buf_put_u8(w->out, r->head.flags & (OBJ_DEADLINE | OBJ_CANCEL));
        buf_put_zigzag(w->out, r->fields[ERROR_FIELD_COUNT].i);
    }
    for (uint16_t k = 0; k < t->field_count; k++) state_put_value(w, t->fields[k].type, r->fields[k]);
}

static void put_json(ValueWriter *w, const JsonObj *j)
{
    buf_put_u8(w->out, j->kind);
    buf_put_varint(w->out, j->depth);
    switch ((JsonKind)j->kind) {
    case JSON_NULL: break;
    case JSON_BOOL: case JSON_INT: buf_put_zigzag(w->out, j->value.i); break;
    case JSON_NUMBER: state_put_value(w, TYPE_INDEX_DECIMAL, j->value); break;
    case JSON_STRING: state_put_value(w, TYPE_INDEX_STRING, j->value); break;
    case JSON_ARRAY: put_list(w, TYPE_INDEX_JSON, (List *)j->value.o); break;      /* the list and map of a json are its own */
    case JSON_OBJECT: put_map(w, TYPE_INDEX_JSON, (MapObj *)j->value.o); break;
    }
}

static void put_object(ValueWriter *w, const ImageType *t, Value v)
{
    Buf text = { 0 };
    switch ((ObjKind)v.o->kind) {
    case OBJ_STRING: case OBJ_BYTES: buf_put_bytes(w->out, value_str(v)); break;
    case OBJ_BOX: buf_put_u64(w->out, (uint64_t)((Box *)v.o)->word); break;
    case OBJ_LIST: put_list(w, t->element, (List *)v.o); break;
    case OBJ_MAP: put_map(w, t->element, (MapObj *)v.o); break;
    case OBJ_RECORD: put_record(w, (Record *)v.o); break;
    case OBJ_JSON: put_json(w, (JsonObj *)v.o); break;
    case OBJ_DECIMAL:
        decimal_print(v.w, &text);
        buf_put_bytes(w->out, buf_str(&text));
        buf_free(&text);
        break;
    }
}

static uint16_t inside_options(const Image *image, uint16_t type)
{
    for (int depth = 0; image->types[type].kind == KIND_OPT && depth < TYPE_DEPTH_MAX; depth++) type = image->types[type].element;
    return type;
}

static void put_counted(ValueWriter *w, uint16_t type, Value v)
{
    if (!value_is_obj(v)) {
        buf_put_varint(w->out, v.w ? TAG_WORD : TAG_ZERO);
        if (v.w) buf_put_varint(w->out, v.w >> 1);
        return;
    }
    const SeenSlot *seen = seen_slot(w, v.o);
    if (seen->object && seen->constant) {
        buf_put_varint(w->out, TAG_CONST);
        buf_put_varint(w->out, seen->number);
    } else if (seen->object) buf_put_varint(w->out, TAG_SEEN + (uint64_t)seen->number);
    else {
        buf_put_varint(w->out, TAG_NEW);
        put_object(w, &w->image->types[inside_options(w->image, type)], v);
        seen_add(w, v.o, w->next++, false);
    }
}

void state_put_value(ValueWriter *w, uint16_t type, Value v)
{
    TypeKind kind = w->image->types[type].kind;
    if (kind == KIND_VOID) return;
    if (kind == KIND_FLOAT) buf_put_u64(w->out, v.w);
    else if (kind_is_counted(kind)) put_counted(w, type, v);
    else buf_put_zigzag(w->out, v.i);
}

/* ---- in ---- */

Err state_corrupt(ValueReader *r, const char *what) { return err_set(r->error, ERR_CORRUPT, "cannot read the snapshot: %s", what); }

void value_reader_deinit(ValueReader *r)
{
    for (uint32_t k = 0; k < r->count; k++) value_release(r->objects[k].value);
    free(r->objects);
}

static Err get_at(ValueReader *r, uint16_t type, uint32_t depth, Value *out);

static uint8_t object_kind(TypeKind kind)
{
    switch (kind) {
    case KIND_DECIMAL: return OBJ_DECIMAL;
    case KIND_STRING: return OBJ_STRING;
    case KIND_BYTES: return OBJ_BYTES;
    case KIND_LIST: return OBJ_LIST;
    case KIND_MAP: return OBJ_MAP;
    case KIND_RECORD: case KIND_ERROR: return OBJ_RECORD;
    case KIND_JSON: return OBJ_JSON;
    default: return OBJ_BOX;
    }
}

/* What besides its kind must be equal for an object of `type` to stand elsewhere. */
static uint16_t object_what(const Image *image, uint16_t type)
{
    const ImageType *t = &image->types[type];
    if (t->kind == KIND_LIST || t->kind == KIND_MAP) return t->element;
    return t->kind == KIND_RECORD || t->kind == KIND_ERROR || opt_holds_word(t->kind) ? type : 0;
}

static Err get_count(ValueReader *r, uint32_t depth, uint32_t *kept_depth, uint32_t *count)
{
    uint64_t stored = read_varint(&r->in), n = read_varint(&r->in);
    if (r->in.failed || stored > VALUE_DEPTH_MAX || n > VALUE_ITEMS_MAX || n > reader_left(&r->in)) return state_corrupt(r, "a list or map that cannot be");
    if (depth >= VALUE_DEPTH_MAX) return state_corrupt(r, "values nested deeper than VALUE_DEPTH_MAX");
    *kept_depth = (uint32_t)stored;
    *count = (uint32_t)n;
    return ERR_OK;
}

/* A container remembers how deep it ever was; that is state too. */
static Err keep_depth(ValueReader *r, uint16_t *depth, uint32_t stored)
{
    if (stored < *depth || stored > VALUE_DEPTH_MAX) return state_corrupt(r, "a depth that cannot be");
    *depth = (uint16_t)stored;
    return ERR_OK;
}

static Err get_list(ValueReader *r, uint16_t element, uint32_t depth, Value *out)
{
    uint32_t stored, count;
    Err err = get_count(r, depth, &stored, &count);
    if (err) return err;
    *out = value_list(0, type_counted(r->image, element));
    for (uint32_t k = 0; k < count && !err; k++) {
        Value item;
        err = get_at(r, element, depth + 1, &item);
        if (!err) *out = list_push(*out, item);
    }
    return err ? err : keep_depth(r, &((List *)out->o)->depth, stored);
}

static Err get_map(ValueReader *r, uint16_t element, uint32_t depth, Value *out)
{
    uint32_t stored, count;
    Err err = get_count(r, depth, &stored, &count);
    if (err) return err;
    *out = value_map(type_counted(r->image, element));
    for (uint32_t k = 0; k < count && !err; k++) {
        Value key, item;
        err = get_at(r, TYPE_INDEX_STRING, depth + 1, &key);
        if (err) break;
        err = get_at(r, element, depth + 1, &item);
        if (err) value_release(key);
        else *out = value_map_put(*out, key, item);
        if (!err && map_count(*out) != k + 1) err = state_corrupt(r, "a key stands twice in a map");
    }
    return err ? err : keep_depth(r, &((MapObj *)out->o)->depth, stored);
}

static Err get_record(ValueReader *r, uint16_t type, uint32_t depth, Value *out)
{
    const ImageType *t = &r->image->types[type];
    uint64_t stored = read_varint(&r->in);
    if (depth >= VALUE_DEPTH_MAX || stored > VALUE_DEPTH_MAX) return state_corrupt(r, "a record nested too deeply");
    *out = value_record(r->image, type);
    Record *record = (Record *)out->o;
    if (type == TYPE_INDEX_ERROR) {
        uint8_t nature = read_u8(&r->in);
        if (nature != 0 && nature != OBJ_DEADLINE && nature != OBJ_CANCEL) return state_corrupt(r, "an error of unknown nature");
        record->head.flags |= nature;
        record->fields[ERROR_FIELD_COUNT].i = read_zigzag(&r->in);
    }
    Err err = r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
    for (uint16_t k = 0; k < t->field_count && !err; k++) err = get_at(r, t->fields[k].type, depth + 1, &record->fields[k]);
    record_seal(record);
    return err ? err : keep_depth(r, &record->depth, (uint32_t)stored);
}

static Err get_json_content(ValueReader *r, uint8_t kind, uint32_t depth, Value *content)
{
    switch ((JsonKind)kind) {
    case JSON_BOOL: case JSON_INT: content->i = read_zigzag(&r->in); return ERR_OK;
    case JSON_NUMBER: return get_at(r, TYPE_INDEX_DECIMAL, depth, content);
    case JSON_STRING: return get_at(r, TYPE_INDEX_STRING, depth, content);
    case JSON_ARRAY: return get_list(r, TYPE_INDEX_JSON, depth, content);
    case JSON_OBJECT: return get_map(r, TYPE_INDEX_JSON, depth, content);
    default: return ERR_OK;
    }
}

static Err get_json(ValueReader *r, uint32_t depth, Value *out)
{
    uint8_t kind = read_u8(&r->in);
    uint64_t stored = read_varint(&r->in);
    Value content = { 0 };
    if (r->in.failed || kind > JSON_OBJECT) return state_corrupt(r, "json of an unknown kind");
    Err err = get_json_content(r, kind, depth, &content);
    if (!err && kind == JSON_BOOL && content.w > 1) err = state_corrupt(r, "json that is malformed");
    *out = value_json_of((JsonKind)kind, content);
    return err ? err : keep_depth(r, &((JsonObj *)out->o)->depth, stored > VALUE_DEPTH_MAX ? UINT32_MAX : (uint32_t)stored);
}

static Err get_text(ValueReader *r, bool utf8, Value *out)
{
    Str text = read_bytes(&r->in, VALUE_SIZE_MAX);
    if (r->in.failed || (utf8 && !utf8_valid(text))) return state_corrupt(r, "a string that cannot be");
    *out = utf8 ? value_string(text) : value_bytes(text);
    return ERR_OK;
}

static Err get_decimal(ValueReader *r, Value *out)
{
    Decimal d;
    Str text = read_bytes(&r->in, 4 * DECIMAL_DIGITS_MAX);
    if (r->in.failed || decimal_from_text(text, &d)) return state_corrupt(r, "a decimal that cannot be");
    *out = decimal_charged(d);
    return decimal_is_inline(d) ? state_corrupt(r, "a small decimal written as a large one") : ERR_OK;
}

/* Only words that do not fit their optional are boxed; packing the word again says so. */
static Err get_box(ValueReader *r, uint16_t type, Value *out)
{
    Value word = { .w = read_u64(&r->in) };
    if (r->in.failed || !value_word_fits(r->image, type, word.i)) return state_corrupt(r, "a boxed word that cannot be");
    *out = opt_pack(r->image, type, word);
    return value_is_obj(*out) ? ERR_OK : state_corrupt(r, "a boxed word that needs no box");
}

static Err get_object(ValueReader *r, uint16_t type, uint32_t depth, Value *out)
{
    const ImageType *t = &r->image->types[type];
    switch (object_kind(t->kind)) {
    case OBJ_DECIMAL: return get_decimal(r, out);
    case OBJ_STRING: return get_text(r, true, out);
    case OBJ_BYTES: return get_text(r, false, out);
    case OBJ_LIST: return get_list(r, t->element, depth, out);
    case OBJ_MAP: return get_map(r, t->element, depth, out);
    case OBJ_RECORD: return get_record(r, type, depth, out);
    case OBJ_JSON: return get_json(r, depth, out);
    default: return get_box(r, type, out);
    }
}

static Err get_new(ValueReader *r, uint16_t type, uint32_t depth, Value *out)
{
    Err err = get_object(r, type, depth, out);
    if (!err && value_over(*out)) err = err_set(r->error, ERR_LIMIT, "cannot read the snapshot: a value is over %s", value_over(*out));
    if (!err && r->run->heap.live_bytes > r->bytes_max) err = err_set(r->error, ERR_LIMIT, "cannot read the snapshot: it needs more memory than the run may have");
    if (err) return err;
    if (r->count == r->cap) {
        r->cap = (uint32_t)room_of((size_t)r->count + 1, OBJECTS_MIN);
        r->objects = mem_realloc(r->objects, r->cap * sizeof *r->objects);
    }
    value_retain(*out);
    r->objects[r->count++] = (ReadObj){ *out, object_kind(r->image->types[type].kind), object_what(r->image, type) };
    return ERR_OK;
}

static Err get_seen(ValueReader *r, uint16_t type, uint64_t number, Value *out)
{
    if (number >= r->count) return state_corrupt(r, "a reference to an object that is not there");
    const ReadObj *seen = &r->objects[number];
    if (seen->kind != object_kind(r->image->types[type].kind) || seen->what != object_what(r->image, type))
        return state_corrupt(r, "a reference to an object of another type");
    value_retain(seen->value);
    *out = seen->value;
    return ERR_OK;
}

static Err get_const(ValueReader *r, uint16_t type, Value *out)
{
    uint64_t number = read_varint(&r->in), consts = r->image->const_count;
    if (r->in.failed || number >= consts + VM_INFO_COUNT) return state_corrupt(r, "a constant that is not there");
    uint16_t found = number < consts ? r->image->consts[number].type : TYPE_INDEX_STRING;
    if (inside_options(r->image, found) != type || !type_counted(r->image, found)) return state_corrupt(r, "a constant of another type");
    *out = number < consts ? r->run->live->consts[number] : r->run->info[number - consts];
    if (!value_is_obj(*out)) {
        *out = (Value){ 0 };
        return state_corrupt(r, "a constant that is no object");
    }
    value_retain(*out);
    return ERR_OK;
}

/* Immediate words: small decimals, and scalars inside optionals. */
static Err get_word(ValueReader *r, uint16_t type, bool optional, Value *out)
{
    uint64_t word = read_varint(&r->in);
    TypeKind kind = r->image->types[type].kind;
    if (r->in.failed || word >> 63) return state_corrupt(r, "a word that cannot be");
    Value v = { .w = word << 1 | 1 };
    bool fits = kind == KIND_DECIMAL || (optional && (kind == KIND_FLOAT || (kind_is_intlike(kind) && value_word_fits(r->image, type, v.i >> 1))));
    if (!fits) return state_corrupt(r, "a word where an object belongs");
    *out = v;
    return ERR_OK;
}

static Err get_counted(ValueReader *r, uint16_t type, uint32_t depth, Value *out)
{
    uint16_t inside = inside_options(r->image, type);
    uint64_t tag = read_varint(&r->in);
    if (r->in.failed) return state_corrupt(r, "it is cut off");
    if (tag == TAG_ZERO) return ERR_OK;
    if (tag == TAG_WORD) return get_word(r, inside, inside != type, out);
    if (tag == TAG_CONST) return get_const(r, inside, out);
    return tag == TAG_NEW ? get_new(r, inside, depth, out) : get_seen(r, inside, tag - TAG_SEEN, out);
}

/* On failure *out is what was made so far, and its container releases it. */
static Err get_at(ValueReader *r, uint16_t type, uint32_t depth, Value *out)
{
    TypeKind kind = r->image->types[type].kind;
    *out = (Value){ 0 };
    if (kind == KIND_VOID) return ERR_OK;
    if (kind_is_counted(kind)) {
        Err err = get_counted(r, type, depth, out);
        if (err) {
            value_release(*out);
            *out = (Value){ 0 };
        }
        return err;
    }
    if (kind == KIND_FLOAT) out->w = read_u64(&r->in);
    else out->i = read_zigzag(&r->in);
    if (!r->in.failed && (kind == KIND_FLOAT || value_word_fits(r->image, type, out->i))) return ERR_OK;
    *out = (Value){ 0 };
    return state_corrupt(r, "a word that is no value of its type");
}

Err state_get_value(ValueReader *r, uint16_t type, Value *out) { return get_at(r, type, 0, out); }
