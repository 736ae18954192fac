/* value.c - objects: made, updated in place while nobody else looks, and freed.
 *
 * What an object is charged follows from its content (room_of), never from the room it happens to have, so the same state weighs the
 * same after a snapshot. An object made outside any heap is not charged (constants of an image, values the engine makes) until a run
 * adopts it. Freeing recurses; VALUE_DEPTH_MAX bounds that.
 */
#include "interpreter/vm/value.h"
#include "base/decimal.h"
#include "interpreter/vm/value_internal.h"
#include <stdlib.h>

enum { STRING_ROOM_MIN = 16, LIST_ROOM_MIN = 4, MAP_LINEAR_MAX = 8, DECIMAL_CHARGE = 256 };

static _Thread_local Heap *heap_now;

Heap *heap_enter(Heap *heap)
{
    Heap *before = heap_now;
    heap_now = heap;
    return before;
}

void heap_charge(size_t bytes)
{
    Heap *heap = heap_now;
    if (!heap) return;
    heap->live_bytes += bytes;
    if (heap->live_bytes > heap->peak_bytes) heap->peak_bytes = heap->live_bytes;
    if (heap->live_bytes > heap->limit_bytes) heap->over = true;
}

void heap_discharge(size_t bytes)
{
    if (heap_now) heap_now->live_bytes -= bytes;
}

const char VALUE_NO_ROOM[] = "VM_MEMORY_LIMIT";

bool heap_room(size_t bytes) { return !heap_now || bytes <= heap_now->limit_bytes - (heap_now->live_bytes < heap_now->limit_bytes ? heap_now->live_bytes : heap_now->limit_bytes); }

size_t room_of(size_t count, size_t least)
{
    if (count <= least) return count ? least : 0;
    return (size_t)1 << (64 - __builtin_clzll(count - 1));
}

static size_t string_charge(size_t len) { return sizeof(String) + room_of(len + 1, STRING_ROOM_MIN); }
size_t list_charge(size_t count) { return sizeof(List) + room_of(count, LIST_ROOM_MIN) * sizeof(Value); }
size_t map_charge(size_t count) { return sizeof(MapObj) + room_of(count, LIST_ROOM_MIN) * (2 * sizeof(Value) + (count > MAP_LINEAR_MAX ? 2 * sizeof(uint32_t) : 0)); }
static size_t record_charge(const Record *r) { return sizeof(Record) + record_slots(r->type, r->head.aux) * sizeof(Value); }

static size_t obj_charge(const Obj *o)
{
    switch (o->kind) {
    case OBJ_STRING: case OBJ_BYTES: return string_charge(((const String *)o)->len);
    case OBJ_LIST: return list_charge(((const List *)o)->count);
    case OBJ_MAP: return map_charge(((const MapObj *)o)->count);
    case OBJ_RECORD: return record_charge((const Record *)o);
    case OBJ_JSON: return sizeof(JsonObj);
    case OBJ_BOX: return sizeof(Box);
    default: return DECIMAL_CHARGE;
    }
}

static void obj_take_charge(Obj *o)
{
    if (!heap_now) return;
    o->flags |= OBJ_CHARGED;
    heap_charge(obj_charge(o));
}

static void *obj_new(ObjKind kind, size_t size)
{
    Obj *o = mem_realloc(NULL, size);
    *o = (Obj){ .refs = 1, .kind = (uint8_t)kind };
    return o;
}

static void values_release(const Value *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) value_release(values[i]);
}

static void values_retain(const Value *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) value_retain(values[i]);
}

static void record_free(Record *r)
{
    for (uint64_t mask = r->counted_mask; mask; mask &= mask - 1) value_release(r->fields[__builtin_ctzll(mask)]);
    free(r);
}

static void map_free_object(MapObj *m)
{
    values_release(m->keys, m->count);
    if (m->head.flags & OBJ_COUNTED) values_release(m->values, m->count);
    free(m->keys);
    free(m->values);
    free(m->slots);
    free(m);
}

static void list_free(List *l)
{
    if (l->head.flags & OBJ_COUNTED) values_release(l->items, l->count);
    free(l->items);
    free(l);
}

static bool json_content_counted(uint8_t kind) { return kind == JSON_STRING || kind == JSON_NUMBER || kind == JSON_ARRAY || kind == JSON_OBJECT; }

void obj_free(Obj *o)
{
    if (o->flags & OBJ_CHARGED) heap_discharge(obj_charge(o));
    switch ((ObjKind)o->kind) {
    case OBJ_DECIMAL: decimal_big_free(o); break;
    case OBJ_STRING: case OBJ_BYTES: case OBJ_BOX: free(o); break;
    case OBJ_LIST: list_free((List *)o); break;
    case OBJ_MAP: map_free_object((MapObj *)o); break;
    case OBJ_RECORD: record_free((Record *)o); break;
    case OBJ_JSON:
        if (json_content_counted(((JsonObj *)o)->kind)) value_release(((JsonObj *)o)->value);
        free(o);
        break;
    }
}

/* ---- strings ---- */

static Value string_new(ObjKind kind, Str text)
{
    String *s = obj_new(kind, sizeof(String) + text.len + 1);
    s->len = s->cap = (uint32_t)text.len;
    if (text.len) memcpy(s->text, text.ptr, text.len);
    s->text[text.len] = '\0';
    obj_take_charge(&s->head);
    return (Value){ .o = &s->head };
}

Value value_string(Str text) { return string_new(OBJ_STRING, text); }
Value value_bytes(Str bytes) { return string_new(OBJ_BYTES, bytes); }

/* The only holder appends where it stands, with room doubled; the charge moves with the length alone. */
const char *string_append(Value *text, Str more)
{
    Str old = value_str(*text);
    size_t len = old.len + more.len;
    if (len > VALUE_SIZE_MAX) return "VALUE_SIZE_MAX";
    String *s = (String *)text->o;
    bool shared = !s || s->head.refs > 1;
    if (!heap_room(string_charge(len) - (shared ? 0 : string_charge(old.len)))) return VALUE_NO_ROOM;
    if (shared) {
        String *copy = obj_new(OBJ_STRING, sizeof(String) + len + 1);
        copy->len = copy->cap = (uint32_t)len;
        if (old.len) memcpy(copy->text, old.ptr, old.len);
        if (more.len) memcpy(copy->text + old.len, more.ptr, more.len);
        copy->text[len] = '\0';
        obj_take_charge(&copy->head);
        value_release(*text);
        text->o = &copy->head;
        return NULL;
    }
    size_t inside = more.len && more.ptr >= s->text && more.ptr <= s->text + s->len ? (size_t)(more.ptr - s->text) : SIZE_MAX;
    if (len > s->cap) {
        size_t cap = room_of(len + 1, STRING_ROOM_MIN) - 1;
        s = mem_realloc(s, sizeof(String) + cap + 1);
        s->cap = (uint32_t)cap;
    }
    if (s->head.flags & OBJ_CHARGED) {
        size_t before = string_charge(s->len), after = string_charge(len);
        if (before != after) heap_charge(after - before);
    }
    if (more.len) memcpy(s->text + s->len, inside == SIZE_MAX ? more.ptr : s->text + inside, more.len);
    s->len = (uint32_t)len;
    s->text[len] = '\0';
    text->o = &s->head;
    return NULL;
}

Value decimal_charged(Decimal d)
{
    Value v = { .w = d };
    if (value_is_obj(v) && v.o->refs == 1 && !(v.o->flags & OBJ_CHARGED)) obj_take_charge(v.o);
    return v;
}

/* ---- depth and weight ---- */

static uint32_t weight_clamp(uint64_t weight) { return weight > UINT32_MAX ? UINT32_MAX : (uint32_t)weight; }

static void measure(const Value *values, uint32_t count, uint64_t *below, uint16_t *depth)
{
    for (uint32_t i = 0; i < count; i++) {
        *below += value_weight(values[i]);
        if (value_depth(values[i]) > *depth) *depth = value_depth(values[i]);
    }
}

void list_seal(List *list)
{
    uint64_t below = 0;
    uint16_t depth = 0;
    if (list->head.flags & OBJ_COUNTED) measure(list->items, list->count, &below, &depth);
    list->below = weight_clamp(below);
    list->depth = (uint16_t)(depth + 1);
}

void map_seal(MapObj *map)
{
    uint64_t below = 0;
    uint16_t depth = 0;
    measure(map->keys, map->count, &below, &depth);
    if (map->head.flags & OBJ_COUNTED) measure(map->values, map->count, &below, &depth);
    map->below = weight_clamp(below);
    map->depth = (uint16_t)(depth + 1);
}

void record_seal(Record *record)
{
    uint64_t below = 0;
    uint16_t depth = 0;
    for (uint64_t mask = record->counted_mask; mask; mask &= mask - 1) measure(&record->fields[__builtin_ctzll(mask)], 1, &below, &depth);
    record->below = weight_clamp(below);
    record->depth = (uint16_t)(depth + 1);
}

void json_seal(JsonObj *json)
{
    bool counted = json_content_counted(json->kind);
    json->below = counted ? weight_clamp(value_weight(json->value)) : 0;
    json->depth = counted ? value_depth(json->value) : 0;
}

const char *value_over(Value v)
{
    if (UNLIKELY(value_depth(v) > VALUE_DEPTH_MAX)) return "VALUE_DEPTH_MAX";
    return UNLIKELY(value_weight(v) > VALUE_WEIGHT_MAX) ? "VALUE_WEIGHT_MAX" : NULL;
}

/* Whether a container of depth and weight may take `item` in place of `old`. */
static const char *insert_over(uint64_t weight, Value item, Value old)
{
    if (UNLIKELY(value_depth(item) + 1 > VALUE_DEPTH_MAX)) return "VALUE_DEPTH_MAX";
    return UNLIKELY(weight + value_weight(item) > VALUE_WEIGHT_MAX + value_weight(old)) ? "VALUE_WEIGHT_MAX" : NULL;
}

static void insert_noted(uint32_t *below, uint16_t *depth, Value item, Value old)
{
    *below = weight_clamp(*below + value_weight(item) - value_weight(old));
    if (value_depth(item) + 1 > *depth) *depth = (uint16_t)(value_depth(item) + 1);
}

/* ---- lists ---- */

List *list_new(uint32_t count, bool counted)
{
    List *l = obj_new(OBJ_LIST, sizeof *l);
    l->head.flags = counted ? OBJ_COUNTED : 0;
    l->count = l->cap = count;
    l->items = count ? mem_realloc(NULL, count * sizeof(Value)) : NULL;
    l->below = 0;
    l->depth = 1;
    obj_take_charge(&l->head);
    return l;
}

Value value_list(uint32_t cap, bool counted)
{
    List *l = list_new(0, counted);
    if (cap) l->items = mem_realloc(NULL, cap * sizeof(Value));
    l->cap = cap;
    return (Value){ .o = &l->head };
}

Value list_unshare(Value list, bool counted)
{
    List *l = (List *)list.o;
    if (!l) return value_list(0, counted);
    if (l->head.refs == 1) return list;
    List *copy = list_new(l->count, counted);
    if (l->count) memcpy(copy->items, l->items, l->count * sizeof(Value));
    if (counted) values_retain(copy->items, copy->count);
    copy->below = l->below;
    copy->depth = l->depth;
    value_release(list);
    return (Value){ .o = &copy->head };
}

/* What a list or map is charged when it grows by one, or is copied for that. */
static size_t growth(Value v, size_t count, size_t (*charge)(size_t))
{
    return charge(count + 1) - (v.o && v.o->refs == 1 ? charge(count) : 0);
}

/* The list is ours alone. */
static void list_put(List *l, Value item)
{
    size_t room = room_of((size_t)l->count + 1, LIST_ROOM_MIN);
    if (l->count >= l->cap) {
        l->items = mem_realloc(l->items, room * sizeof(Value));
        l->cap = (uint32_t)room;
    }
    if (l->head.flags & OBJ_CHARGED) {
        size_t before = room_of(l->count, LIST_ROOM_MIN);
        if (before != room) heap_charge((room - before) * sizeof(Value));
    }
    l->items[l->count++] = item;
    if (l->head.flags & OBJ_COUNTED) insert_noted(&l->below, &l->depth, item, (Value){ 0 });
}

const char *list_append(Value *list, Value item, bool counted)
{
    const char *over = list_count(*list) >= VALUE_ITEMS_MAX ? "VALUE_ITEMS_MAX" : counted ? insert_over(value_weight(*list) + 1, item, (Value){ 0 }) : NULL;
    if (!over && !heap_room(growth(*list, list_count(*list), list_charge))) over = VALUE_NO_ROOM;
    if (UNLIKELY(over != NULL)) {
        if (counted) value_release(item);
        return over;
    }
    *list = list_unshare(*list, counted);
    list_put((List *)list->o, item);
    return NULL;
}

const char *list_set(Value *list, uint32_t i, Value item)
{
    bool counted = list->o->flags & OBJ_COUNTED;
    Value old = list_item(*list, i);
    const char *over = counted ? insert_over(value_weight(*list), item, old) : NULL;
    if (!over && list->o->refs > 1 && !heap_room(list_charge(list_count(*list)))) over = VALUE_NO_ROOM;
    if (UNLIKELY(over != NULL)) {
        if (counted) value_release(item);
        return over;
    }
    *list = list_unshare(*list, counted);
    List *l = (List *)list->o;
    l->items[i] = item;
    if (counted) {
        insert_noted(&l->below, &l->depth, item, old);
        value_release(old);
    }
    return NULL;
}

Value list_push(Value list, Value item)
{
    bool counted = list.o ? (list.o->flags & OBJ_COUNTED) != 0 : value_is_obj(item);
    list = list_unshare(list, counted);
    list_put((List *)list.o, item);
    return list;
}

/* ---- maps ---- */

static uint64_t key_hash(Str key) { return hash64(key, 0); }

Value value_map(bool counted)
{
    MapObj *m = obj_new(OBJ_MAP, sizeof *m);
    *m = (MapObj){ .head = m->head, .depth = 1 };
    m->head.flags = counted ? OBJ_COUNTED : 0;
    obj_take_charge(&m->head);
    return (Value){ .o = &m->head };
}

/* Where the key stands, or UINT32_MAX. Few keys are compared in turn; more have slots that hold index + 1. */
static uint32_t map_index(const MapObj *m, Str key)
{
    if (!m->slots) {
        for (uint32_t i = 0; i < m->count; i++)
            if (str_eq(value_str(m->keys[i]), key)) return i;
        return UINT32_MAX;
    }
    uint32_t mask = m->slot_cap - 1;
    for (uint32_t s = (uint32_t)key_hash(key) & mask; m->slots[s]; s = (s + 1) & mask)
        if (str_eq(value_str(m->keys[m->slots[s] - 1]), key)) return m->slots[s] - 1;
    return UINT32_MAX;
}

static void slot_insert(MapObj *m, uint32_t index)
{
    uint32_t mask = m->slot_cap - 1, s = (uint32_t)key_hash(value_str(m->keys[index])) & mask;
    while (m->slots[s]) s = (s + 1) & mask;
    m->slots[s] = index + 1;
}

static void map_grow(MapObj *m)
{
    uint32_t room = (uint32_t)room_of((size_t)m->count + 1, LIST_ROOM_MIN);
    if (m->count >= m->cap) {
        m->keys = mem_realloc(m->keys, room * sizeof(Value));
        m->values = mem_realloc(m->values, room * sizeof(Value));
        m->cap = room;
    }
    if (m->count < MAP_LINEAR_MAX || (m->slots && m->slot_cap >= 2 * (m->count + 1))) return;
    free(m->slots);
    m->slot_cap = 2 * room;
    m->slots = mem_alloc(m->slot_cap * sizeof(uint32_t));
    for (uint32_t i = 0; i < m->count; i++) slot_insert(m, i);
}

/* The map is ours alone and does not have the key. */
static void map_add(MapObj *m, Value key, Value item)
{
    if (m->head.flags & OBJ_CHARGED) {
        size_t before = map_charge(m->count), after = map_charge((size_t)m->count + 1);
        if (before != after) heap_charge(after - before);
    }
    map_grow(m);
    m->keys[m->count] = key;
    m->values[m->count] = item;
    if (m->slots) slot_insert(m, m->count);
    m->count++;
    insert_noted(&m->below, &m->depth, key, (Value){ 0 });
    if (m->head.flags & OBJ_COUNTED) insert_noted(&m->below, &m->depth, item, (Value){ 0 });
}

static void map_replace(MapObj *m, uint32_t i, Value key, Value item)
{
    value_release(key);
    Value old = m->values[i];
    m->values[i] = item;
    if (m->head.flags & OBJ_COUNTED) {
        insert_noted(&m->below, &m->depth, item, old);
        value_release(old);
    }
}

static Value map_copy_without(const MapObj *m, bool counted, uint32_t skip)
{
    Value copy = value_map(counted);
    for (uint32_t i = 0; i < m->count; i++) {
        if (i == skip) continue;
        value_retain(m->keys[i]);
        if (counted) value_retain(m->values[i]);
        map_add((MapObj *)copy.o, m->keys[i], m->values[i]);
    }
    return copy;
}

Value map_unshare(Value map, bool counted)
{
    if (!map.o) return value_map(counted);
    if (map.o->refs == 1) return map;
    Value copy = map_copy_without((MapObj *)map.o, counted, UINT32_MAX);
    ((MapObj *)copy.o)->depth = ((MapObj *)map.o)->depth;
    value_release(map);
    return copy;
}

Value map_without(Value map, Str key)
{
    uint32_t i = map.o ? map_index((MapObj *)map.o, key) : UINT32_MAX;
    if (i != UINT32_MAX) return map_copy_without((MapObj *)map.o, map.o->flags & OBJ_COUNTED, i);
    value_retain(map);
    return map;
}

const char *map_set(Value *map, Value key, Value item, bool counted)
{
    MapObj *m = (MapObj *)map->o;
    uint32_t i = m ? map_index(m, value_str(key)) : UINT32_MAX;
    Value old = i != UINT32_MAX && counted ? m->values[i] : (Value){ 0 };
    const char *over = counted ? insert_over(value_weight(*map) + value_weight(key) + 2, item, old) : NULL;
    if (!over && i == UINT32_MAX && map_count(*map) >= VALUE_ITEMS_MAX) over = "VALUE_ITEMS_MAX";
    if (!over && value_weight(*map) + value_weight(key) + 2 > VALUE_WEIGHT_MAX) over = "VALUE_WEIGHT_MAX";
    if (!over && !heap_room(growth(*map, map_count(*map), map_charge))) over = VALUE_NO_ROOM;
    if (UNLIKELY(over != NULL)) {
        value_release(key);
        if (counted) value_release(item);
        return over;
    }
    *map = map_unshare(*map, counted);
    if (i == UINT32_MAX) map_add((MapObj *)map->o, key, item);
    else map_replace((MapObj *)map->o, i, key, item);
    return NULL;
}

Value value_map_put(Value map, Value key, Value item)
{
    map = map_unshare(map, map.o ? (map.o->flags & OBJ_COUNTED) != 0 : value_is_obj(item));
    uint32_t i = map_index((MapObj *)map.o, value_str(key));
    if (i == UINT32_MAX) map_add((MapObj *)map.o, key, item);
    else map_replace((MapObj *)map.o, i, key, item);
    return map;
}

bool value_map_get(Value map, Str key, Value *out)
{
    uint32_t i = map.o ? map_index((MapObj *)map.o, key) : UINT32_MAX;
    if (i == UINT32_MAX) return false;
    *out = ((MapObj *)map.o)->values[i];
    return true;
}

/* ---- records and errors ---- */

Value value_record(const Image *image, uint16_t type)
{
    const ImageType *t = &image->types[type];
    uint32_t slots = record_slots(type, t->field_count);
    Record *r = obj_new(OBJ_RECORD, sizeof *r + slots * sizeof(Value));
    r->head.aux = t->field_count;
    r->type = type;
    r->depth = 1;
    r->below = 0;
    r->counted_mask = t->counted_mask;
    memset(r->fields, 0, slots * sizeof(Value));
    obj_take_charge(&r->head);
    return (Value){ .o = &r->head };
}

Value record_unshare(const Image *image, uint16_t type, Value record)
{
    if (!record.o) return value_record(image, type);
    if (record.o->refs == 1) return record;
    const Record *r = (Record *)record.o;
    Value v = value_record(image, type);
    Record *copy = (Record *)v.o;
    memcpy(copy->fields, r->fields, record_slots(type, r->head.aux) * sizeof(Value));
    for (uint64_t mask = r->counted_mask; mask; mask &= mask - 1) value_retain(copy->fields[__builtin_ctzll(mask)]);
    copy->head.flags |= r->head.flags & (OBJ_DEADLINE | OBJ_CANCEL);
    copy->below = r->below;
    copy->depth = r->depth;
    value_release(record);
    return v;
}

const char *record_set(const Image *image, uint16_t type, Value *record, uint32_t field, Value item)
{
    Value old = record_field(*record, field);
    bool counted = image->types[type].counted_mask >> field & 1;
    const char *over = counted ? insert_over(value_weight(*record), item, old) : NULL;
    if (UNLIKELY(over != NULL)) {
        value_release(item);
        return over;
    }
    *record = record_unshare(image, type, *record);
    Record *r = (Record *)record->o;
    r->fields[field] = item;
    if (counted) {
        insert_noted(&r->below, &r->depth, item, old);
        value_release(old);
    }
    return NULL;
}

/* The HTTP status that means the same, so that a retry policy and a client can tell by number; 0: there is none. */
static int64_t status_of_kind(ErrorKind kind)
{
    static const int64_t statuses[ERROR_KIND_COUNT] = {
        [ERROR_KIND_invalid] = 400, [ERROR_KIND_denied] = 403, [ERROR_KIND_not_found] = 404, [ERROR_KIND_conflict] = 409, [ERROR_KIND_timeout] = 408,
        [ERROR_KIND_unavailable] = 503, [ERROR_KIND_rejected] = 422, [ERROR_KIND_rate_limited] = 429, [ERROR_KIND_cancelled] = 499, [ERROR_KIND_internal] = 500,
    };
    return statuses[kind];
}

Value value_error(const Image *image, ErrorKind kind, Str message)
{
    Value v = value_record(image, TYPE_INDEX_ERROR);
    Record *r = (Record *)v.o;
    r->fields[ERROR_FIELD_KIND].i = kind;
    r->fields[ERROR_FIELD_STATUS].i = status_of_kind(kind);
    r->fields[ERROR_FIELD_MESSAGE] = value_string(message.len > VALUE_SIZE_MAX ? (Str){ message.ptr, VALUE_SIZE_MAX } : message);
    record_seal(r);
    return v;
}

Value error_with(Value error, int status, Str code, int64_t retry_after_us)
{
    Record *r = (Record *)error.o;
    if (r->head.refs > 1) {                              /* as record_unshare, which wants the image for a type this file knows */
        size_t size = sizeof *r + record_slots(r->type, r->head.aux) * sizeof(Value);
        Record *copy = obj_new(OBJ_RECORD, size);
        memcpy(copy, r, size);
        copy->head.refs = 1;
        copy->head.flags &= (uint8_t)~OBJ_CHARGED;
        for (uint64_t mask = r->counted_mask; mask; mask &= mask - 1) value_retain(copy->fields[__builtin_ctzll(mask)]);
        obj_take_charge(&copy->head);
        value_release(error);
        r = copy;
    }
    if (status) r->fields[ERROR_FIELD_STATUS].i = status;
    value_release(r->fields[ERROR_FIELD_CODE]);
    r->fields[ERROR_FIELD_CODE] = code.len ? value_string(code) : (Value){ 0 };
    value_release(r->fields[ERROR_FIELD_RETRY_AFTER]);
    r->fields[ERROR_FIELD_RETRY_AFTER] = retry_after_us < 0 ? (Value){ 0 } : opt_pack(NULL, TYPE_INDEX_DURATION, (Value){ .i = retry_after_us });
    record_seal(r);
    return (Value){ .o = &r->head };
}

/* ---- optionals ---- */

bool opt_holds_word(TypeKind kind) { return !kind_is_counted(kind); }

static Value box_new(int64_t word)
{
    Box *b = obj_new(OBJ_BOX, sizeof *b);
    b->word = word;
    obj_take_charge(&b->head);
    return (Value){ .o = &b->head };
}

static TypeKind kind_of(const Image *image, uint16_t type) { return type == TYPE_INDEX_DURATION ? KIND_DURATION : image->types[type].kind; }

Value opt_pack(const Image *image, uint16_t element, Value v)
{
    TypeKind kind = kind_of(image, element);
    if (kind_is_intlike(kind))
        return LIKELY(v.i >= INT64_MIN / 2 && v.i <= INT64_MAX / 2) ? (Value){ .w = v.w << 1 | 1 } : box_new(v.i);
    if (v.w != 0 && kind != KIND_FLOAT) return v;
    switch (kind) {
    case KIND_FLOAT: return v.w & 1 ? box_new(v.i) : (Value){ .w = v.w | 1 };      /* half of all doubles have an even word */
    case KIND_DECIMAL: return (Value){ .w = DECIMAL_ZERO };
    case KIND_STRING: return value_string(STR(""));
    case KIND_BYTES: return value_bytes(STR(""));
    case KIND_LIST: return value_list(0, type_counted(image, image->types[element].element));
    case KIND_MAP: return value_map(type_counted(image, image->types[element].element));
    case KIND_RECORD: case KIND_ERROR: return value_record(image, element);
    case KIND_JSON: return value_json_of(JSON_NULL, (Value){ 0 });
    default: return v;
    }
}

Value opt_unpack(const Image *image, uint16_t element, Value v)
{
    TypeKind kind = kind_of(image, element);
    if (opt_holds_word(kind)) {
        if (value_is_obj(v)) return (Value){ .i = ((Box *)v.o)->word };
        return kind == KIND_FLOAT ? (Value){ .w = v.w & ~UINT64_C(1) } : (Value){ .i = v.i >> 1 };
    }
    if (kind == KIND_JSON && v.o && ((JsonObj *)v.o)->kind == JSON_NULL) return (Value){ 0 };
    value_retain(v);
    return v;
}

Value value_some(const Image *image, uint16_t opt_type, Value v) { return opt_pack(image, image->types[opt_type].element, v); }
Value opt_value(const Image *image, uint16_t opt_type, Value v) { return opt_unpack(image, image->types[opt_type].element, v); }

/* ---- json ---- */

Value value_json_of(JsonKind kind, Value content)
{
    JsonObj *j = obj_new(OBJ_JSON, sizeof *j);
    j->kind = (uint8_t)kind;
    j->value = content;
    json_seal(j);
    obj_take_charge(&j->head);
    return (Value){ .o = &j->head };
}

static Value json_array(const Json *json)
{
    List *l = list_new((uint32_t)json->count, true);
    for (size_t i = 0; i < json->count; i++) l->items[i] = value_json(json->items[i]);
    list_seal(l);
    return (Value){ .o = &l->head };
}

static Value json_object(const Json *json)
{
    Value m = value_map(true);
    for (size_t i = 0; i < json->count; i++) m = value_map_put(m, value_string(json->keys[i]), value_json(json->items[i]));
    return m;
}

static Value json_number(const Json *json)
{
    Decimal d = DECIMAL_ZERO;
    if (json->number_text.len ? decimal_from_text(json->number_text, &d) : decimal_from_double(json->number, &d))
        (void)decimal_from_double(json->number, &d);     /* more digits than a decimal holds: the nearest double's */
    return decimal_charged(d);
}

Value value_json(const Json *json)
{
    switch (json->kind) {
    case JSON_BOOL: return value_json_of(JSON_BOOL, (Value){ .i = json->boolean });
    case JSON_INT: return value_json_of(JSON_INT, (Value){ .i = json->integer });
    case JSON_NUMBER: return value_json_of(JSON_NUMBER, json_number(json));
    case JSON_STRING: return value_json_of(JSON_STRING, value_string(json->text));
    case JSON_ARRAY: return value_json_of(JSON_ARRAY, json_array(json));
    case JSON_OBJECT: return value_json_of(JSON_OBJECT, json_object(json));
    case JSON_NULL: break;
    }
    return (Value){ 0 };
}

/* ---- adoption ---- */

static Value copy_deep(Value v);

static void copies(Value *to, const Value *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) to[i] = copy_deep(from[i]);
}

static Value copy_map(const MapObj *m)
{
    bool counted = m->head.flags & OBJ_COUNTED;
    Value v = value_map(counted);
    for (uint32_t i = 0; i < m->count; i++) v = value_map_put(v, copy_deep(m->keys[i]), counted ? copy_deep(m->values[i]) : m->values[i]);
    map_seal((MapObj *)v.o);
    return v;
}

static Value copy_list(const List *l)
{
    bool counted = l->head.flags & OBJ_COUNTED;
    List *copy = list_new(l->count, counted);
    if (counted) copies(copy->items, l->items, l->count);
    else if (l->count) memcpy(copy->items, l->items, l->count * sizeof(Value));
    list_seal(copy);
    return (Value){ .o = &copy->head };
}

static Value copy_record(const Record *r)
{
    size_t size = sizeof *r + record_slots(r->type, r->head.aux) * sizeof(Value);
    Record *copy = obj_new(OBJ_RECORD, size);
    memcpy(copy, r, size);
    copy->head.refs = 1;
    copy->head.flags = 0;                                /* how an error was raised stays with its run */
    for (uint64_t mask = r->counted_mask; mask; mask &= mask - 1) {
        int i = __builtin_ctzll(mask);
        copy->fields[i] = copy_deep(r->fields[i]);
    }
    record_seal(copy);
    obj_take_charge(&copy->head);
    return (Value){ .o = &copy->head };
}

static Value copy_deep(Value v)
{
    if (!value_is_obj(v)) return v;
    switch ((ObjKind)v.o->kind) {
    case OBJ_STRING: return value_string(value_str(v));
    case OBJ_BYTES: return value_bytes(value_str(v));
    case OBJ_LIST: return copy_list((List *)v.o);
    case OBJ_MAP: return copy_map((MapObj *)v.o);
    case OBJ_RECORD: return copy_record((Record *)v.o);
    case OBJ_BOX: return box_new(((Box *)v.o)->word);
    case OBJ_JSON: {
        const JsonObj *j = (JsonObj *)v.o;
        return value_json_of((JsonKind)j->kind, json_content_counted(j->kind) ? copy_deep(j->value) : j->value);
    }
    case OBJ_DECIMAL: break;
    }
    Decimal opposite = decimal_neg(v.w), copy = decimal_neg(opposite);         /* decimals have no copy; twice the opposite is one */
    decimal_release(opposite);
    return decimal_charged(copy);
}

/* The deepest a value from outside may be is walked before anything recurses on it freely. */
typedef struct Walk { uint64_t left; size_t bytes; } Walk;
static const char *walk_over(Value v, uint32_t depth, Walk *walk)
{
    if (!value_is_obj(v)) return NULL;
    uint64_t own = 1;
    const Value *children[2] = { NULL, NULL };
    uint32_t count = 0;
    const char *over = NULL;
    switch ((ObjKind)v.o->kind) {
    case OBJ_STRING: case OBJ_BYTES:
        if (((String *)v.o)->len > VALUE_SIZE_MAX) return "VALUE_SIZE_MAX";
        own = value_weight(v);
        break;
    case OBJ_LIST:
        count = ((List *)v.o)->count;
        children[0] = v.o->flags & OBJ_COUNTED ? ((List *)v.o)->items : NULL;
        break;
    case OBJ_MAP:
        count = ((MapObj *)v.o)->count;
        children[0] = ((MapObj *)v.o)->keys;
        children[1] = v.o->flags & OBJ_COUNTED ? ((MapObj *)v.o)->values : NULL;
        own += count;
        break;
    case OBJ_JSON:
        if (json_content_counted(((JsonObj *)v.o)->kind)) over = walk_over(((JsonObj *)v.o)->value, depth, walk);
        break;
    case OBJ_RECORD:
        own += v.o->aux;
        if (depth >= VALUE_DEPTH_MAX) return "VALUE_DEPTH_MAX";
        for (uint64_t mask = ((Record *)v.o)->counted_mask; mask && !over; mask &= mask - 1)
            over = walk_over(((Record *)v.o)->fields[__builtin_ctzll(mask)], depth + 1, walk);
        break;
    case OBJ_BOX: case OBJ_DECIMAL: break;
    }
    if (over) return over;
    own += count;
    if (own > walk->left) return "VALUE_WEIGHT_MAX";
    walk->left -= own;
    walk->bytes += obj_charge(v.o);
    if (count > VALUE_ITEMS_MAX) return "VALUE_ITEMS_MAX";
    if ((v.o->kind == OBJ_LIST || v.o->kind == OBJ_MAP) && depth >= VALUE_DEPTH_MAX) return "VALUE_DEPTH_MAX";
    for (int side = 0; side < 2; side++)
        for (uint32_t i = 0; children[side] && i < count && !over; i++) over = walk_over(children[side][i], depth + 1, walk);
    return over;
}

/* Only the holder's, and nobody's bill yet: its memory can be taken over as it is. */
static bool is_ours_alone(Value v)
{
    if (!value_is_obj(v)) return true;
    if (v.o->refs != 1 || v.o->flags & (OBJ_CHARGED | OBJ_DEADLINE | OBJ_CANCEL)) return false;
    switch ((ObjKind)v.o->kind) {
    case OBJ_LIST:
        for (uint32_t i = 0; v.o->flags & OBJ_COUNTED && i < ((List *)v.o)->count; i++)
            if (!is_ours_alone(((List *)v.o)->items[i])) return false;
        return true;
    case OBJ_MAP:
        for (uint32_t i = 0; i < ((MapObj *)v.o)->count; i++)
            if (!is_ours_alone(((MapObj *)v.o)->keys[i]) || (v.o->flags & OBJ_COUNTED && !is_ours_alone(((MapObj *)v.o)->values[i]))) return false;
        return true;
    case OBJ_RECORD:
        for (uint64_t mask = ((Record *)v.o)->counted_mask; mask; mask &= mask - 1)
            if (!is_ours_alone(((Record *)v.o)->fields[__builtin_ctzll(mask)])) return false;
        return true;
    case OBJ_JSON: return !json_content_counted(((JsonObj *)v.o)->kind) || is_ours_alone(((JsonObj *)v.o)->value);
    default: return true;
    }
}

/* Leaves first, so that every container sees its children measured. */
static void take_over(Value v)
{
    if (!value_is_obj(v)) return;
    switch ((ObjKind)v.o->kind) {
    case OBJ_LIST:
        for (uint32_t i = 0; v.o->flags & OBJ_COUNTED && i < ((List *)v.o)->count; i++) take_over(((List *)v.o)->items[i]);
        list_seal((List *)v.o);
        break;
    case OBJ_MAP:
        for (uint32_t i = 0; i < ((MapObj *)v.o)->count; i++) {
            take_over(((MapObj *)v.o)->keys[i]);
            if (v.o->flags & OBJ_COUNTED) take_over(((MapObj *)v.o)->values[i]);
        }
        map_seal((MapObj *)v.o);
        break;
    case OBJ_RECORD:
        for (uint64_t mask = ((Record *)v.o)->counted_mask; mask; mask &= mask - 1) take_over(((Record *)v.o)->fields[__builtin_ctzll(mask)]);
        record_seal((Record *)v.o);
        break;
    case OBJ_JSON:
        if (json_content_counted(((JsonObj *)v.o)->kind)) take_over(((JsonObj *)v.o)->value);
        json_seal((JsonObj *)v.o);
        break;
    default: break;
    }
    obj_take_charge(v.o);
}

const char *value_adopt(Value *v)
{
    Walk walk = { .left = VALUE_WEIGHT_MAX };
    const char *over = walk_over(*v, 0, &walk);
    if (over) return over;
    if (!heap_room(walk.bytes)) return VALUE_NO_ROOM;
    if (is_ours_alone(*v)) {
        take_over(*v);
        return NULL;
    }
    Value copy = copy_deep(*v);
    value_release(*v);
    *v = copy;
    return NULL;
}
