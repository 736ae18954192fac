/* map.c - open addressing over an array of entries in order of insertion.
 *
 * A removed entry keeps its slot as a tombstone until the next rebuild. At most half of the
 * slots are taken, because there are twice as many as entries have room.
 * The hash is seeded per process: keys come from outside.
 */
#include "base/map.h"

#include "base/arena.h"
#include "base/hash.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { MAP_ENTRIES_MIN = 8 };
static const uint32_t MAP_ENTRIES_MAX = UINT32_C(1) << 30;

static uint64_t process_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t now = atomic_load_explicit(&seed, memory_order_relaxed);
    if (now)
        return now;
    uint64_t fresh = 0;
    random_bytes(&fresh, sizeof fresh);
    fresh |= 1;
    return atomic_compare_exchange_strong(&seed, &now, fresh) ? fresh : now;
}

static uint32_t hash_of(Str key)
{
    return (uint32_t)hash64(key, process_seed());
}

/* The slot of the key, or the free one where it would go. */
static MapSlot *slot_of(const Map *map, Str key, uint32_t hash)
{
    uint32_t mask = map->slot_cap - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        MapSlot *slot = &map->slots[i];
        if (slot->entry == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        const MapEntry *entry = &map->entries[slot->entry - 1];
        if (entry->key.ptr && str_eq(entry->key, key))
            return slot;
    }
}

static MapSlot *free_slot(const Map *map, uint32_t hash)
{
    uint32_t mask = map->slot_cap - 1, i = hash & mask;
    while (map->slots[i].entry)
        i = (i + 1) & mask;
    return &map->slots[i];
}

static MapEntry *entry_of(const Map *map, Str key)
{
    if (map->count == 0)
        return NULL;
    const MapSlot *slot = slot_of(map, key, hash_of(key));
    return slot->entry ? &map->entries[slot->entry - 1] : NULL;
}

/* Closes the gaps, and doubles the room when there are few. */
static void rebuild(Map *map)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->used; i++)
        if (map->entries[i].key.ptr)
            map->entries[kept++] = map->entries[i];
    map->used = kept;
    if (kept >= map->entry_cap - map->entry_cap / 4) {
        if (map->entry_cap >= MAP_ENTRIES_MAX)
            abort();                                        /* tens of gigabytes: out of memory in all but name */
        map->entry_cap = map->entry_cap ? map->entry_cap * 2 : MAP_ENTRIES_MIN;
        map->entries = mem_realloc(map->entries, sizeof(MapEntry) * map->entry_cap);
    }
    free(map->slots);
    map->slot_cap = map->entry_cap * 2;
    map->slots = mem_alloc(sizeof(MapSlot) * map->slot_cap);
    for (uint32_t i = 0; i < map->used; i++)
        *free_slot(map, map->entries[i].hash) = (MapSlot){ i + 1, map->entries[i].hash };
}

void map_free(Map *map)
{
    free(map->entries);
    free(map->slots);
    *map = (Map){ 0 };
}

void *map_find(const Map *map, Str key)
{
    const MapEntry *entry = entry_of(map, key);
    return entry ? entry->value : NULL;
}

void *map_put(Map *map, Str key, void *value)
{
    uint32_t hash = hash_of(key);
    MapSlot *slot = map->slot_cap ? slot_of(map, key, hash) : NULL;
    if (slot && slot->entry) {
        MapEntry *entry = &map->entries[slot->entry - 1];
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    if (map->used == map->entry_cap) {
        rebuild(map);
        slot = free_slot(map, hash);
    }
    if (!key.ptr)
        key.ptr = "";                                       /* NULL marks the removed */
    *slot = (MapSlot){ map->used + 1, hash };
    map->entries[map->used++] = (MapEntry){ key, value, hash };
    map->count++;
    return NULL;
}

void *map_remove(Map *map, Str key)
{
    MapEntry *entry = entry_of(map, key);
    if (!entry)
        return NULL;
    void *old = entry->value;
    *entry = (MapEntry){ 0 };
    map->count--;
    return old;
}
