/* obj.h - the head of every counted value. Values are immutable once shared and never cyclic; counts are not atomic: a run lives on one thread. */
#ifndef BASE_OBJ_H
#define BASE_OBJ_H
#include <stdint.h>

typedef enum {
    OBJ_DECIMAL = 1, OBJ_STRING, OBJ_BYTES, OBJ_LIST, OBJ_MAP, OBJ_RECORD, OBJ_JSON, OBJ_BOX
} ObjKind;

typedef struct Obj {
    uint32_t refs;
    uint8_t kind;       /* ObjKind */
    uint8_t flags;
    uint16_t aux;       /* by kind: fields of a record, … */
} Obj;
#endif
