/* fill.c - the parameters that a plan leaves open, written into its text.
 *
 * The plan is read, given its values and printed again: what is filled in is checked as if the plan had said it.
 */
#include "base/json.h"
#include "compiler/plan/plan.h"

/* ~1 and ~0 of a reference token. */
static Str unescaped(Arena *arena, Str token)
{
    char *text = arena_alloc(arena, token.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (c == '~' && i + 1 < token.len)
            c = token.ptr[++i] == '1' ? '/' : '~';
        text[len++] = c;
    }
    return (Str){ text, len };
}

static Json **member(Json *object, Str key)
{
    for (size_t i = 0; i < object->count; i++)
        if (str_eq(object->keys[i], key))
            return &object->items[i];
    return NULL;
}

static Json **member_new(Arena *arena, Json *object, Str key)
{
    Json **items = ARENA_ARRAY(arena, Json *, object->count + 1);
    Str *keys = ARENA_ARRAY(arena, Str, object->count + 1);
    for (size_t i = 0; i < object->count; i++) {
        items[i] = object->items[i];
        keys[i] = object->keys[i];
    }
    object->items = items;
    object->keys = keys;
    keys[object->count] = key;
    return &items[object->count++];
}

static Json **item(Json *array, Str token)
{
    size_t index = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9' || index > array->count)
            return NULL;
        index = index * 10 + (size_t)(token.ptr[i] - '0');
    }
    return token.len && index < array->count ? &array->items[index] : NULL;
}

/* The place that a pointer names; objects on the way are made (a step without `params`). NULL: the plan has no such place. */
static Json **place_of(Arena *arena, Json **root, Str pointer)
{
    Json **at = root;
    while (pointer.len) {
        const char *next = memchr(pointer.ptr + 1, '/', pointer.len - 1);
        size_t end = next ? (size_t)(next - pointer.ptr) : pointer.len;
        Str token = unescaped(arena, (Str){ pointer.ptr + 1, end - 1 });
        pointer = (Str){ pointer.ptr + end, pointer.len - end };
        if (!*at) {
            *at = ARENA_NEW(arena, Json);
            (*at)->kind = JSON_OBJECT;
        }
        Json *inside = *at;
        at = inside->kind == JSON_OBJECT ? member(inside, token) : inside->kind == JSON_ARRAY ? item(inside, token) : NULL;
        if (!at && inside->kind == JSON_OBJECT)
            at = member_new(arena, inside, token);
        if (!at)
            return NULL;
    }
    return at;
}

Str plan_fill(Arena *arena, Str json, const PlanOpen *open, uint32_t count, Str record_json)
{
    Json *plan, *record;
    if (json_parse(arena, json, PLAN_BYTES_MAX, &plan, NULL) || json_parse(arena, record_json, PLAN_BYTES_MAX, &record, NULL) || record->kind != JSON_OBJECT)
        return json;
    for (uint32_t i = 0; i < count; i++) {
        Json **value = member(record, open[i].name), **place;
        if (!value || (*value)->kind == JSON_NULL || !(place = place_of(arena, &plan, open[i].pointer)))
            continue;
        *place = *value;
    }
    Buf text = { 0 };
    json_print(&text, plan);
    Str filled = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return filled;
}
