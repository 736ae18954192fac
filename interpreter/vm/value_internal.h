/* value_internal.h - what the files of the machine share about values beyond value.h.
 *
 * Updates that may cross a limit return NULL, or the limit's name and then have changed nothing; what they take they release in both cases.
 */
#ifndef VM_VALUE_INTERNAL_H
#define VM_VALUE_INTERNAL_H
#include "interpreter/vm/value.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* How heavy a value is as a tree: what a walk over it costs. */
static inline uint64_t value_weight(Value v)
{
    if (!value_is_obj(v)) return 0;
    switch (v.o->kind) {
    case OBJ_STRING: case OBJ_BYTES: return 1 + ((String *)v.o)->len / 16;
    case OBJ_LIST: return 1 + (uint64_t)((List *)v.o)->count + ((List *)v.o)->below;
    case OBJ_MAP: return 1 + 2 * (uint64_t)((MapObj *)v.o)->count + ((MapObj *)v.o)->below;
    case OBJ_RECORD: return 1 + (uint64_t)v.o->aux + ((Record *)v.o)->below;
    case OBJ_JSON: return 1 + (uint64_t)((JsonObj *)v.o)->below;
    default: return 1;
    }
}
static inline uint16_t value_depth(Value v)
{
    if (!value_is_obj(v)) return 0;
    switch (v.o->kind) {
    case OBJ_LIST: return ((List *)v.o)->depth;
    case OBJ_MAP: return ((MapObj *)v.o)->depth;
    case OBJ_RECORD: return ((Record *)v.o)->depth;
    case OBJ_JSON: return ((JsonObj *)v.o)->depth;
    default: return 0;
    }
}
/* Errors carry one word behind their fields: the scope whose deadline they are (flags OBJ_DEADLINE, OBJ_CANCEL). */
static inline uint32_t record_slots(uint16_t type, uint16_t field_count) { return field_count + (type == TYPE_INDEX_ERROR); }
static inline Value record_field(Value record, uint32_t field) { return record.o ? ((Record *)record.o)->fields[field] : (Value){ 0 }; }
static inline uint32_t list_count(Value list) { return list.o ? ((List *)list.o)->count : 0; }
static inline Value list_item(Value list, uint32_t i) { return ((List *)list.o)->items[i]; }
static inline uint32_t map_count(Value map) { return map.o ? ((MapObj *)map.o)->count : 0; }
static inline bool type_counted(const Image *image, uint16_t type) { return kind_is_counted(image->types[type].kind); }

/* Memory that is not an object: stacks, groups, notes. */
void heap_charge(size_t bytes);
void heap_discharge(size_t bytes);
/* Before something that may be large is made. What is small is charged as it is made and noticed behind it: no more than VM_MEMORY_SLACK. */
enum { VM_MEMORY_SLACK = 64 << 10 };
bool heap_room(size_t bytes);
extern const char VALUE_NO_ROOM[];                                 /* among the names of limits: there was no room, vm_fail_limit says whose */
size_t list_charge(size_t count);
size_t map_charge(size_t count);
size_t room_of(size_t count, size_t least);                        /* the power of two that holds count, at least `least`; 0 for 0 */
Value decimal_charged(Decimal d);                                  /* a fresh decimal, charged when it is an object */

Value value_json_of(JsonKind kind, Value content);                 /* takes content */
void  record_seal(Record *record);                                 /* depth and weight anew from its fields */
void  list_seal(List *list);
void  map_seal(MapObj *map);
void  json_seal(JsonObj *json);
/* Room for exactly what will be set; the caller fills items[0..count) and seals. */
List *list_new(uint32_t count, bool counted);
Value record_unshare(const Image *image, uint16_t type, Value record);     /* takes it; the only reference to an equal one; null becomes zeros */
Value list_unshare(Value list, bool counted);
Value map_unshare(Value map, bool counted);

const char *value_over(Value v);                                   /* the limit a sealed container is over, or NULL */
const char *list_append(Value *list, Value item, bool counted);    /* takes item */
const char *list_set(Value *list, uint32_t i, Value item);         /* takes item; i < count */
const char *map_set(Value *map, Value key, Value item, bool counted);      /* takes key and item */
const char *record_set(const Image *image, uint16_t type, Value *record, uint32_t field, Value item);   /* takes item */
const char *string_append(Value *text, Str more);                  /* `more` may lie inside *text */
Value map_without(Value map, Str key);                             /* a new reference */

/* Optionals. */
bool opt_holds_word(TypeKind kind);                                /* bool int … float: the scalar is in the word or in a box */
Value opt_pack(const Image *image, uint16_t element, Value v);     /* takes v */
Value opt_unpack(const Image *image, uint16_t element, Value v);   /* a new reference */

/* A value from outside (engine) becomes this run's own: taken over or copied, charged, measured. NULL or the limit's name. Takes *v. */
const char *value_adopt(Value *v);
void value_base64(Str bytes, Buf *out);
bool value_word_fits(const Image *image, uint16_t type, int64_t word);     /* a scalar word that type may hold */
#endif
