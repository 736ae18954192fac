/* value.h - what a register holds.
 *
 * A Value is one 64-bit word whose meaning the static type gives: int-like word, double, or a counted word. A counted word is
 * 0 (null of an optional, or json null), an Obj pointer (low bit 0), or an immediate (low bit 1): a small Decimal, or in an
 * optional of a scalar the scalar itself (63 bits; larger ones in an OBJ_BOX). So retain and release need no type.
 * Zero is a good value of every type: an untouched register reads as 0, false, "", an empty list or map, a record of zeros.
 * In an optional the empty string, list, map and the zero record are objects, so that they differ from null; T?? is T?.
 * Objects are immutable once shared, never cyclic; a holder of the only reference may update in place. Every allocation is
 * charged to the heap of the run that runs now (heap_enter), by its content alone and not by spare room, so that a decoded
 * snapshot weighs what the run weighed; objects do not outlive their image.
 * Containers keep how deep and how heavy they are as a tree: shared parts cannot make a value whose walk never ends.
 * Limits: VALUE_SIZE_MAX bytes a string, VALUE_ITEMS_MAX elements a list or map, VALUE_DEPTH_MAX nested, VALUE_WEIGHT_MAX nodes
 * (a string counts 1 per 16 bytes). Inside a run crossing one raises `rejected` with the limit's name as code; values that come in
 * (vm_new, vm_resume) are checked there. Constructors here do not fail.
 */
#ifndef VM_VALUE_H
#define VM_VALUE_H
#include "base/json.h"
#include "base/obj.h"
#include "interpreter/bytecode/image.h"

enum { VALUE_SIZE_MAX = 1 << 20, VALUE_ITEMS_MAX = 1 << 20, VALUE_DEPTH_MAX = 64, VALUE_WEIGHT_MAX = 1 << 22 };

typedef union Value {
    int64_t i;
    double f;
    uint64_t w;
    Obj *o;
} Value;

typedef struct String { Obj head; uint32_t len, cap; char text[]; } String;                      /* OBJ_STRING, OBJ_BYTES; UTF-8, NUL behind the end */
typedef struct List   { Obj head; uint32_t count, cap; Value *items; uint32_t below; uint16_t depth; } List;      /* head.flags & OBJ_COUNTED: elements are counted */
typedef struct MapObj { Obj head; uint32_t count, cap; Value *keys, *values; uint32_t *slots; uint32_t slot_cap, below; uint16_t depth; } MapObj;   /* insertion order */
typedef struct Record { Obj head; uint16_t type, depth; uint32_t below; uint64_t counted_mask; Value fields[]; } Record; /* head.aux: field count */
typedef struct Box    { Obj head; int64_t word; } Box;
/* json: null is 0 (or, inside an optional, an object of kind JSON_NULL); immediates are not used */
typedef struct JsonObj { Obj head; uint8_t kind; uint16_t depth; uint32_t below; Value value; } JsonObj;          /* JsonKind; BOOL, INT: value.i; STRING: String, ARRAY: List of json, OBJECT: MapObj of json, NUMBER: Decimal */
enum { OBJ_COUNTED = 1, OBJ_CHARGED = 2, OBJ_DEADLINE = 4, OBJ_CANCEL = 8 };        /* the last two: how an error is raised, see vm/raise.c */

static inline bool value_is_obj(Value v) { return v.w != 0 && !(v.w & 1); }
void obj_free(Obj *o);
static inline void value_retain(Value v) { if (value_is_obj(v)) v.o->refs++; }
static inline void value_release(Value v) { if (value_is_obj(v) && --v.o->refs == 0) obj_free(v.o); }

/* The memory of one run. Charged before it is taken; over the limit the allocation still succeeds once and `over` is set: the VM raises at the instruction. */
typedef struct Heap { size_t live_bytes, limit_bytes, peak_bytes; bool over; } Heap;
Heap *heap_enter(Heap *heap);                                      /* returns the one before; NULL: uncharged */

Value value_string(Str text);                                      /* every value_* constructor returns a new reference */
static inline Str value_str(Value v) { String *s = (String *)v.o; return s ? (Str){ s->text, s->len } : (Str){ "", 0 }; }
Value value_bytes(Str bytes);
Value value_list(uint32_t cap, bool counted);
Value list_push(Value list, Value item);                           /* takes both; returns the list (a copy when shared) */
Value value_map(bool counted);
Value value_map_put(Value map, Value key, Value item);                   /* takes all three; a key that is there keeps its place */
bool  value_map_get(Value map, Str key, Value *out);                     /* borrowed */
Value value_record(const Image *image, uint16_t type);             /* fields zeroed: set those that are not */
Value value_some(const Image *image, uint16_t opt_type, Value v);  /* takes v */
Value opt_value(const Image *image, uint16_t opt_type, Value v);   /* new reference to what is inside; v is not null */
Value value_json(const Json *json);
Value value_error(const Image *image, ErrorKind kind, Str message);        /* a record of type ERROR; status is what HTTP calls the kind, other fields empty */
Value error_with(Value error, int status /* 0: as it is */, Str code, int64_t retry_after_us /* < 0 none */);      /* takes error */

bool value_equal(const Image *image, uint16_t type, Value a, Value b);
int  value_order(const Image *image, uint16_t type, Value a, Value b);     /* total order of scalars, strings, decimals; lists and records field by field */

/* Canonical bytes by type; decode is bounded and validates everything (enum ordinals, UTF-8, depth, counts). */
void value_encode(const Image *image, uint16_t type, Value v, Buf *out);
Err  value_decode(const Image *image, uint16_t type, Reader *in, Value *out, Error *error);
/* JSON by type; errors carry a JSON pointer. Decimals are written as numbers when they round-trip through JSON text exactly as decimal text; times as ISO text; bytes as base64. */
void value_to_json(const Image *image, uint16_t type, Value v, Buf *out);
/* the same with fields labelled pii or secret shown as "***" */
void value_to_json_redacted(const Image *image, uint16_t type, Value v, Buf *out);
Err  value_from_json(const Image *image, uint16_t type, const Json *json, Value *out, Error *error);
void value_print(const Image *image, uint16_t type, Value v, Buf *out);    /* as interpolation shows it */
#endif
