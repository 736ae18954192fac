/* map.h - a hash table from byte strings to pointers; keys are borrowed, order of insertion is kept. */
#ifndef BASE_MAP_H
#define BASE_MAP_H
#include "base/str.h"

typedef struct MapEntry {
    Str key;
    void *value;
    uint32_t hash;
} MapEntry;

typedef struct MapSlot {
    uint32_t entry;             /* its index plus one; 0: free */
    uint32_t hash;              /* the entry's: most that are not looked for are passed over without a look at them */
} MapSlot;

typedef struct Map {
    MapEntry *entries;          /* in order of insertion; removed ones have key.ptr == NULL */
    MapSlot *slots;
    uint32_t count, used, entry_cap, slot_cap;
} Map;

void  map_free(Map *map);                                     /* start from (Map){0} */
void *map_find(const Map *map, Str key);                      /* NULL when absent */
void *map_put(Map *map, Str key, void *value);                /* the value that stood there, or NULL */
void *map_remove(Map *map, Str key);
#define MAP_EACH(map, e) for (MapEntry *e = (map)->entries; e && e < (map)->entries + (map)->used; e++) if (e->key.ptr)
#endif
