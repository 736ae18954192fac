/* builtins_list.c - functions of lists and maps. Work is charged by count, and by weight where elements are compared. */
#include "interpreter/vm/builtins.h"
#include "base/decimal.h"
#include <stdlib.h>

enum { ITEMS_PER_FUEL = 8 };

static Value list_of(const Call *call) { return call->args[0]; }
static uint32_t count_of(const Call *call) { return list_count(call->args[0]); }
static uint16_t item_type(const Call *call) { return element_of(call, call->types[0]); }
static bool charge_items(Call *call, uint64_t items) { return vm_charge(call->run, items / ITEMS_PER_FUEL); }
static bool charge_list(Call *call, uint64_t items) { return charge_items(call, items) && vm_room(call->run, list_charge(items)); }

/* ---- questions ---- */

bool builtin_LIST_LENGTH(Call *call) { return give_int(call, count_of(call)); }
bool builtin_LIST_IS_EMPTY(Call *call) { return give_int(call, count_of(call) == 0); }

static bool give_item(Call *call, int64_t index)
{
    if (index < 0 || index >= count_of(call)) return give_null(call);
    return give_some(call, item_type(call), held(call, item_type(call), list_item(list_of(call), (uint32_t)index)));
}

bool builtin_LIST_FIRST(Call *call) { return give_item(call, 0); }
bool builtin_LIST_LAST(Call *call) { return give_item(call, (int64_t)count_of(call) - 1); }
bool builtin_LIST_AT(Call *call) { return give_item(call, call->args[1].i); }

bool builtin_LIST_CONTAINS(Call *call)
{
    bool found = false;
    if (!vm_charge(call->run, value_weight(list_of(call)))) return false;
    for (uint32_t k = 0; k < count_of(call) && !found; k++) found = value_equal(call->image, item_type(call), list_item(list_of(call), k), call->args[1]);
    return give_int(call, found);
}

/* ---- parts ---- */

/* Elements [from, to), both cut to the list. */
static bool give_range(Call *call, int64_t from, int64_t to)
{
    int64_t count = count_of(call);
    bool counted = type_counted(call->image, item_type(call));
    from = from < 0 ? 0 : from > count ? count : from;
    to = to > count ? count : to < from ? from : to;
    if (from == 0 && to == count && list_of(call).o) return give(call, held(call, call->types[0], list_of(call)));
    if (!charge_list(call, (uint64_t)(to - from))) return false;
    List *part = list_new((uint32_t)(to - from), counted);
    for (int64_t k = from; k < to; k++) part->items[k - from] = held(call, item_type(call), list_item(list_of(call), (uint32_t)k));
    list_seal(part);
    return give(call, (Value){ .o = &part->head });
}

bool builtin_LIST_SLICE(Call *call) { return give_range(call, call->args[1].i, call->args[2].i); }
bool builtin_LIST_TAKE(Call *call) { return give_range(call, 0, call->args[1].i); }
bool builtin_LIST_DROP(Call *call) { return give_range(call, call->args[1].i, INT64_MAX); }

bool builtin_LIST_REVERSE(Call *call)
{
    uint32_t count = count_of(call);
    if (!charge_list(call, count)) return false;
    List *list = list_new(count, type_counted(call->image, item_type(call)));
    for (uint32_t k = 0; k < count; k++) list->items[count - 1 - k] = held(call, item_type(call), list_item(list_of(call), k));
    list_seal(list);
    return give(call, (Value){ .o = &list->head });
}

bool builtin_LIST_CONCAT(Call *call)
{
    uint32_t first = count_of(call), second = list_count(call->args[1]);
    if (first + second > VALUE_ITEMS_MAX) return vm_fail_limit(call->run, "VALUE_ITEMS_MAX");
    if (!charge_list(call, first + second)) return false;
    List *list = list_new(first + second, type_counted(call->image, item_type(call)));
    for (uint32_t k = 0; k < first; k++) list->items[k] = held(call, item_type(call), list_item(list_of(call), k));
    for (uint32_t k = 0; k < second; k++) list->items[first + k] = held(call, item_type(call), list_item(call->args[1], k));
    list_seal(list);
    return give_made(call, (Value){ .o = &list->head });
}

bool builtin_LIST_APPEND(Call *call)
{
    if (!charge_items(call, count_of(call))) return false;
    Value list = held(call, call->types[0], list_of(call));
    const char *over = list_append(&list, held(call, item_type(call), call->args[1]), type_counted(call->image, item_type(call)));
    if (!over) return give(call, list);
    value_release(list);
    return vm_fail_limit(call->run, over);
}

bool builtin_RANGE(Call *call)
{
    int64_t from = call->args[0].i, to = call->args[1].i;
    uint64_t count = to > from ? (uint64_t)to - (uint64_t)from : 0;
    if (count > VALUE_ITEMS_MAX) return vm_fail_limit(call->run, "VALUE_ITEMS_MAX");
    if (!charge_list(call, count)) return false;
    List *list = list_new((uint32_t)count, false);
    for (uint64_t k = 0; k < count; k++) list->items[k].i = from + (int64_t)k;
    list_seal(list);
    return give(call, (Value){ .o = &list->head });
}

/* ---- sums ---- */

bool builtin_LIST_SUM_INT(Call *call)
{
    int64_t sum = 0;
    if (!charge_items(call, count_of(call))) return false;
    for (uint32_t k = 0; k < count_of(call); k++)
        if (__builtin_add_overflow(sum, list_item(list_of(call), k).i, &sum)) return vm_fail(call->run, ERROR_KIND_invalid, "integer overflow");
    return give_int(call, sum);
}

bool builtin_LIST_SUM_FLOAT(Call *call)
{
    double sum = 0;
    if (!charge_items(call, count_of(call))) return false;
    for (uint32_t k = 0; k < count_of(call); k++) sum += list_item(list_of(call), k).f;
    return give_float(call, sum);
}

bool builtin_LIST_SUM_DEC(Call *call)
{
    Decimal sum = DECIMAL_ZERO;
    if (!vm_charge(call->run, count_of(call))) return false;
    for (uint32_t k = 0; k < count_of(call); k++) {
        Decimal next;
        Err err = decimal_add(sum, list_item(list_of(call), k).w, &next);
        decimal_release(sum);
        if (err) return vm_fail_limit(call->run, "DECIMAL_DIGITS_MAX");
        sum = next;
    }
    return give_decimal(call, sum);
}

/* ---- order ---- */

/* Merge sort over indexes: stable, and bounded whatever the elements are. */
typedef struct Sorter { const Call *call; uint32_t *order, *spare; } Sorter;

static bool before(const Sorter *s, uint32_t a, uint32_t b)
{
    return value_order(s->call->image, item_type(s->call), list_item(list_of(s->call), a), list_item(list_of(s->call), b)) <= 0;
}

static void merge(Sorter *s, uint32_t low, uint32_t middle, uint32_t high)
{
    uint32_t left = low, right = middle;
    for (uint32_t k = low; k < high; k++) {
        bool take_left = left < middle && (right >= high || before(s, s->order[left], s->order[right]));
        s->spare[k] = take_left ? s->order[left++] : s->order[right++];
    }
}

static uint32_t *sorted(const Call *call, uint32_t count)
{
    Sorter s = { call, mem_realloc(NULL, (count + 1) * sizeof(uint32_t)), mem_realloc(NULL, (count + 1) * sizeof(uint32_t)) };
    for (uint32_t k = 0; k < count; k++) s.order[k] = k;
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t low = 0; low < count; low += 2 * width) {
            uint64_t middle = low + width < count ? low + width : count, high = low + 2 * width < count ? low + 2 * width : count;
            merge(&s, (uint32_t)low, (uint32_t)middle, (uint32_t)high);
        }
        uint32_t *swap = s.order;
        s.order = s.spare;
        s.spare = swap;
    }
    free(s.spare);
    return s.order;
}

static bool charge_sort(Call *call)
{
    uint64_t weight = value_weight(list_of(call)), levels = 1;
    for (uint32_t n = count_of(call); n > 1; n /= 2) levels++;
    return vm_charge(call->run, weight * levels / 4) && vm_room(call->run, list_charge(count_of(call)));
}

bool builtin_LIST_SORT(Call *call)
{
    uint32_t count = count_of(call);
    if (!charge_sort(call)) return false;
    uint32_t *order = sorted(call, count);
    List *list = list_new(count, type_counted(call->image, item_type(call)));
    for (uint32_t k = 0; k < count; k++) list->items[k] = held(call, item_type(call), list_item(list_of(call), order[k]));
    list_seal(list);
    free(order);
    return give(call, (Value){ .o = &list->head });
}

bool builtin_LIST_ARGSORT(Call *call)
{
    uint32_t count = count_of(call);
    if (!charge_sort(call)) return false;
    uint32_t *order = sorted(call, count);
    List *list = list_new(count, false);
    for (uint32_t k = 0; k < count; k++) list->items[k].i = order[k];
    list_seal(list);
    free(order);
    return give(call, (Value){ .o = &list->head });
}

/* First of each kind, in their order: equal ones stand together when sorted. */
bool builtin_LIST_DISTINCT(Call *call)
{
    uint32_t count = count_of(call), kept = 0;
    if (!charge_sort(call)) return false;
    uint32_t *order = sorted(call, count);
    bool *keep = mem_alloc(count + 1);
    for (uint32_t k = 0; k < count; k++) {
        keep[order[k]] = k == 0 || value_order(call->image, item_type(call), list_item(list_of(call), order[k - 1]), list_item(list_of(call), order[k])) != 0;
        kept += keep[order[k]];
    }
    List *list = list_new(kept, type_counted(call->image, item_type(call)));
    for (uint32_t k = 0, to = 0; k < count; k++)
        if (keep[k]) list->items[to++] = held(call, item_type(call), list_item(list_of(call), k));
    list_seal(list);
    free(order);
    free(keep);
    return give(call, (Value){ .o = &list->head });
}

static bool give_extreme(Call *call, int sign)
{
    uint32_t best = 0;
    if (!vm_charge(call->run, value_weight(list_of(call)))) return false;
    for (uint32_t k = 1; k < count_of(call); k++)
        if (sign * value_order(call->image, item_type(call), list_item(list_of(call), k), list_item(list_of(call), best)) > 0) best = k;
    return give_item(call, best);
}

bool builtin_LIST_MIN(Call *call) { return give_extreme(call, -1); }
bool builtin_LIST_MAX(Call *call) { return give_extreme(call, 1); }

/* ---- maps ---- */

static const MapObj *map_of(const Call *call) { return (MapObj *)call->args[0].o; }

bool builtin_MAP_LENGTH(Call *call) { return give_int(call, map_count(call->args[0])); }
bool builtin_MAP_IS_EMPTY(Call *call) { return give_int(call, map_count(call->args[0]) == 0); }

static bool give_members(Call *call, const Value *members, uint16_t type)
{
    uint32_t count = map_count(call->args[0]);
    if (!charge_list(call, count)) return false;
    List *list = list_new(count, type_counted(call->image, type));
    for (uint32_t k = 0; k < count; k++) list->items[k] = held(call, type, members[k]);
    list_seal(list);
    return give(call, (Value){ .o = &list->head });
}

bool builtin_MAP_KEYS(Call *call) { return give_members(call, map_of(call) ? map_of(call)->keys : NULL, TYPE_INDEX_STRING); }
bool builtin_MAP_VALUES(Call *call) { return give_members(call, map_of(call) ? map_of(call)->values : NULL, item_type(call)); }

bool builtin_MAP_HAS(Call *call)
{
    Value item;
    return give_int(call, value_map_get(call->args[0], value_str(call->args[1]), &item));
}

bool builtin_MAP_REMOVE(Call *call) { return charge_items(call, map_count(call->args[0])) && vm_room(call->run, map_charge(map_count(call->args[0]))) && give(call, map_without(call->args[0], value_str(call->args[1]))); }

bool builtin_MAP_MERGE(Call *call)
{
    const MapObj *more = (MapObj *)call->args[1].o;
    bool counted = type_counted(call->image, item_type(call));
    const char *over = NULL;
    if (!vm_charge(call->run, (uint64_t)map_count(call->args[0]) + map_count(call->args[1]))) return false;
    Value map = held(call, call->types[0], call->args[0]);
    for (uint32_t k = 0; more && k < more->count && !over; k++)
        over = map_set(&map, held(call, TYPE_INDEX_STRING, more->keys[k]), held(call, item_type(call), more->values[k]), counted);
    if (!over) return give(call, map);
    value_release(map);
    return vm_fail_limit(call->run, over);
}
