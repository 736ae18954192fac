/* builtins_json.c - functions of json: looking into it, making it from any value, and narrowing it to a type.
 *
 * Both directions go through the JSON of value_json.c, so `to_json`, `as T` and what comes over the wire agree.
 */
#include "interpreter/vm/builtins.h"

enum { BYTES_PER_FUEL = 16 };

static const JsonObj *json_of(const Call *call, JsonKind kind)
{
    const JsonObj *j = (JsonObj *)call->args[0].o;
    return j && j->kind == kind ? j : NULL;
}

static bool give_json(Call *call, Value v) { return give(call, held(call, TYPE_INDEX_JSON, v)); }

/* Absent members and elements are null, as are those of null and of scalars. */
bool builtin_JSON_GET(Call *call)
{
    const JsonObj *j = json_of(call, JSON_OBJECT);
    Value item;
    return j && value_map_get(j->value, value_str(call->args[1]), &item) ? give_json(call, item) : give_null(call);
}

bool builtin_JSON_AT(Call *call)
{
    const JsonObj *j = json_of(call, JSON_ARRAY);
    int64_t at = call->args[1].i;
    return j && at >= 0 && at < list_count(j->value) ? give_json(call, list_item(j->value, (uint32_t)at)) : give_null(call);
}

bool builtin_JSON_LENGTH(Call *call)
{
    const JsonObj *array = json_of(call, JSON_ARRAY), *object = json_of(call, JSON_OBJECT), *text = json_of(call, JSON_STRING);
    if (text && !vm_charge(call->run, value_weight(call->args[0]))) return false;
    return give_int(call, array ? list_count(array->value) : object ? map_count(object->value) : text ? (int64_t)utf8_length(value_str(text->value)) : 0);
}

bool builtin_JSON_KEYS(Call *call)
{
    const JsonObj *j = json_of(call, JSON_OBJECT);
    uint32_t count = j ? map_count(j->value) : 0;
    if (!vm_charge(call->run, count) || !vm_room(call->run, list_charge(count))) return false;
    List *list = list_new(count, true);
    for (uint32_t k = 0; k < count; k++) list->items[k] = held(call, TYPE_INDEX_STRING, ((MapObj *)j->value.o)->keys[k]);
    list_seal(list);
    return give(call, (Value){ .o = &list->head });
}

bool builtin_JSON_TEXT(Call *call)
{
    Buf text = { 0 };
    if (!vm_charge(call->run, value_weight(call->args[0]))) return false;
    value_to_json(call->image, TYPE_INDEX_JSON, call->args[0], &text);
    return give_text(call, &text);
}

/* Only containers can be over a limit; what the parser refuses is the caller's text. How large it is shows when it is there, so it is made on nobody's bill. */
static bool parse(Call *call, Str text, uint16_t type, ErrorKind kind)
{
    Arena *arena = arena_new();
    Json *json = NULL;
    Error error = { 0 };
    Value v = { 0 };
    Err err = json_parse(arena, text, 4 * VALUE_SIZE_MAX, &json, &error);
    Heap *heap = heap_enter(NULL);
    if (!err) err = value_from_json(call->image, type, json, &v, &error);
    heap_enter(heap);
    arena_free(arena);
    if (err) return vm_fail(call->run, kind, "%s", error.text);
    const char *over = type_counted(call->image, type) ? value_adopt(&v) : NULL;
    if (!over) return give(call, v);
    value_release(v);
    return vm_fail_limit(call->run, over);
}

bool builtin_JSON_PARSE(Call *call)
{
    Str text = value_str(call->args[0]);
    return vm_charge(call->run, text.len / BYTES_PER_FUEL) && parse(call, text, TYPE_INDEX_JSON, ERROR_KIND_invalid);
}

bool builtin_JSON_OF(Call *call)
{
    uint16_t type = call->types[0];
    if (call->image->types[type].kind == KIND_JSON) return give_json(call, call->args[0]);
    if (type_counted(call->image, type) && !vm_charge(call->run, 2 * value_weight(call->args[0]))) return false;
    Buf text = { 0 };
    value_to_json(call->image, type, call->args[0], &text);
    bool ok = text.len <= 4 * VALUE_SIZE_MAX ? parse(call, buf_str(&text), TYPE_INDEX_JSON, ERROR_KIND_invalid) : vm_fail_limit(call->run, "VALUE_SIZE_MAX");
    buf_free(&text);
    return ok;
}

bool builtin_JSON_AS(Call *call)
{
    if (!vm_charge(call->run, 2 * value_weight(call->args[0]))) return false;
    Buf text = { 0 };
    value_to_json(call->image, TYPE_INDEX_JSON, call->args[0], &text);
    bool ok = text.len <= 4 * VALUE_SIZE_MAX ? parse(call, buf_str(&text), call->result_type, ERROR_KIND_invalid) : vm_fail_limit(call->run, "VALUE_SIZE_MAX");
    buf_free(&text);
    return ok;
}
