/* snapshot_internal.h - the two directions of the state of a run, and the objects in it. */
#ifndef VM_SNAPSHOT_INTERNAL_H
#define VM_SNAPSHOT_INTERNAL_H
#include "interpreter/vm/vm_internal.h"

/* How an object stands in the bytes. A number from TAG_SEEN on is an object written before. */
enum { TAG_ZERO, TAG_WORD, TAG_CONST, TAG_NEW, TAG_SEEN };

typedef struct SeenSlot { const Obj *object; uint32_t number; bool constant; } SeenSlot;
typedef struct ValueWriter { const Image *image; Buf *out; SeenSlot *slots; uint32_t slot_cap, slot_used, next; } ValueWriter;
void value_writer_init(ValueWriter *w, const VmRun *run, Buf *out);
void value_writer_deinit(ValueWriter *w);
void state_put_value(ValueWriter *w, uint16_t type, Value v);

/* `what` it is decides where an object seen before may stand again. */
typedef struct ReadObj { Value value; uint8_t kind; uint16_t what; } ReadObj;
typedef struct ValueReader { VmRun *run; const Image *image; Reader in; ReadObj *objects; uint32_t count, cap; Error *error; size_t bytes_max; } ValueReader;
void value_reader_deinit(ValueReader *r);
Err  state_get_value(ValueReader *r, uint16_t type, Value *out);   /* a new reference */
Err  state_corrupt(ValueReader *r, const char *what);

void state_encode(const VmRun *run, Buf *out);
Err  state_decode(VmRun *run, Str bytes, Error *error);            /* into a run without fibers; what it filled in is vm_free's also on failure */
#endif
