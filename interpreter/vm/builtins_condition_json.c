/* builtins_condition_json.c - lists and json in a plan's conditions.
 *
 * Elements of a list are compared as what their JSON is: a decimal as a number, a date as its text. Json says at run time what it is; where it is something else than
 * the place asks for, `invalid` is raised and nothing is converted. A null of json and one that is not there are the same.
 */
#include "interpreter/vm/builtins_condition.h"

#include <math.h>
#include "base/decimal.h"

/* ---- elements ---- */

/* An element as the sort that conditions know. Text of dates and enums is printed into `text`. */
typedef struct Item { enum { ITEM_NONE, ITEM_BOOL, ITEM_NUMBER, ITEM_TEXT, ITEM_OTHER } kind; double number; Str text; } Item;

static Item number_item(double number) { return (Item){ .kind = ITEM_NUMBER, .number = number }; }
static Item text_item(Str text) { return (Item){ .kind = ITEM_TEXT, .text = text }; }
static double decimal_number(Value v) { return decimal_to_double(v.w ? v.w : DECIMAL_ZERO); }

static Item json_item(Value v)
{
    const JsonObj *j = (JsonObj *)v.o;
    switch (j ? (JsonKind)j->kind : JSON_NULL) {
    case JSON_NULL: return (Item){ .kind = ITEM_NONE };
    case JSON_BOOL: return (Item){ .kind = ITEM_BOOL, .number = j->value.i != 0 };
    case JSON_INT: return number_item((double)j->value.i);
    case JSON_NUMBER: return number_item(decimal_number(j->value));
    case JSON_STRING: return text_item(value_str(j->value));
    default: return (Item){ .kind = ITEM_OTHER };
    }
}

static Item item_of(const Image *image, uint16_t type, Value v, Buf *text)
{
    switch (image->types[type].kind) {
    case KIND_JSON: return json_item(v);
    case KIND_BOOL: return (Item){ .kind = ITEM_BOOL, .number = v.i != 0 };
    case KIND_INT: return number_item((double)v.i);
    case KIND_FLOAT: return number_item(v.f);
    case KIND_DECIMAL: return number_item(decimal_number(v));
    case KIND_STRING: return text_item(value_str(v));
    case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION: case KIND_BYTES: case KIND_ENUM:
        buf_clear(text);
        value_print(image, type, v, text);
        return text_item(buf_str(text));
    default: return (Item){ .kind = ITEM_OTHER };
    }
}

/* What is in an optional lives in `*inside` until the next one. */
static Item element_at(const Call *call, uint32_t at, Buf *text, Value *inside)
{
    uint16_t type = element_of(call, call->types[0]);
    Value v = list_item(call->args[0], at);
    value_release(*inside);
    *inside = (Value){ 0 };
    if (call->image->types[type].kind != KIND_OPT) return item_of(call->image, type, v, text);
    if (!v.w) return (Item){ .kind = ITEM_NONE };
    uint16_t element = call->image->types[type].element;
    Value bare = opt_value(call->image, type, v);
    if (type_counted(call->image, element)) *inside = bare;
    return item_of(call->image, element, bare, text);
}

/* Where the search begins: from the end below 0. */
static uint32_t first_place(double from, uint32_t count)
{
    if (from <= -1) return -from >= count ? 0 : count - (uint32_t)-from;
    if (!(from >= 1)) return 0;
    return from >= count ? count : (uint32_t)from;
}

static bool same_item(const Item *a, const Item *b, bool nan_too)
{
    if (a->kind != b->kind) return false;
    if (a->kind == ITEM_TEXT) return str_eq(a->text, b->text);
    return a->number == b->number || (nan_too && isnan(a->number) && isnan(b->number));
}

static int64_t find(const Call *call, Item sought, bool nan_too)
{
    uint32_t count = list_count(call->args[0]);
    Buf text = { 0 };
    Value inside = { 0 };
    int64_t found = -1;
    for (uint32_t at = first_place(call->args[2].f, count); at < count && found < 0; at++) {
        Item item = element_at(call, at, &text, &inside);
        if (same_item(&item, &sought, nan_too)) found = at;
    }
    value_release(inside);
    buf_free(&text);
    return found;
}

static bool charge_list(Call *call) { return vm_charge(call->run, value_weight(call->args[0])); }

bool builtin_JS_LIST_NUMBER(Call *call) { return charge_list(call) && give_float(call, (double)find(call, number_item(call->args[1].f), false)); }
bool builtin_JS_LIST_HAS(Call *call) { return charge_list(call) && give_int(call, find(call, number_item(call->args[1].f), true) >= 0); }
bool builtin_JS_LIST_STRING(Call *call) { return charge_list(call) && give_float(call, (double)find(call, text_item(value_str(call->args[1])), false)); }
bool builtin_JS_LIST_BOOL(Call *call)
{
    return charge_list(call) && give_float(call, (double)find(call, (Item){ .kind = ITEM_BOOL, .number = call->args[1].i != 0 }, false));
}

/* Only a whole number from 0 is a place; elsewhere JavaScript finds undefined. */
static bool place_of(double number, uint32_t count, uint32_t *at)
{
    if (!(number >= 0 && number < (double)count) || number != floor(number)) return false;
    *at = (uint32_t)number;
    return true;
}

bool builtin_JS_AT(Call *call)
{
    uint16_t element = element_of(call, call->types[0]);
    uint32_t at;
    if (!place_of(call->args[1].f, list_count(call->args[0]), &at)) return give_null(call);
    Value v = held(call, element, list_item(call->args[0], at));
    return call->image->types[element].kind == KIND_OPT ? give(call, v) : give_some(call, element, v);
}

static bool not_json(Call *call, const char *expected, const Item *found);

static bool put_item(Call *call, const Item *item, Buf *out)
{
    char number[JS_NUMBER_MAX];
    switch (item->kind) {
    case ITEM_NONE: return true;                                    /* join() leaves null out */
    case ITEM_BOOL: buf_put_text(out, item->number != 0 ? "true" : "false"); return true;
    case ITEM_NUMBER: buf_put(out, number, js_number_text(item->number, number)); return true;
    case ITEM_TEXT: buf_put_str(out, item->text); return true;
    default: return not_json(call, "a string, number or boolean", item);
    }
}

bool builtin_JS_JOIN(Call *call)
{
    Str by = value_str(call->args[1]);
    Buf out = { 0 }, text = { 0 };
    Value inside = { 0 };
    uint32_t count = list_count(call->args[0]);
    bool ok = charge_list(call) && vm_charge(call->run, (uint64_t)count * (by.len + 16) / 16);
    for (uint32_t at = 0; ok && at < count && out.len <= VALUE_SIZE_MAX; at++) {
        Item item = element_at(call, at, &text, &inside);
        if (at) buf_put_str(&out, by);
        ok = put_item(call, &item, &out);
    }
    value_release(inside);
    buf_free(&text);
    if (ok) return give_text(call, &out);
    buf_free(&out);
    return false;
}

/* ---- json ---- */

static const char *word_of(const JsonObj *j)
{
    static const char *const words[] = { "null", "a boolean", "a number", "a number", "a string", "a list", "an object" };
    return words[j ? j->kind : JSON_NULL];
}

static const JsonObj *json_arg(const Call *call, int arg) { return (JsonObj *)call->args[arg].o; }

static bool not_json(Call *call, const char *expected, const Item *found)
{
    static const char *const words[] = { "null", "a boolean", "a number", "a string", "a list or an object" };
    return vm_fail(call->run, ERROR_KIND_invalid, "the condition expects %s, found %s", expected, words[found->kind]);
}

static bool give_item(Call *call, int kind, const char *expected, bool null_too)
{
    Item item = json_item(call->args[0]);
    if (null_too && item.kind == ITEM_NONE) return give_null(call);
    if ((int)item.kind != kind) return not_json(call, expected, &item);
    Value v = { 0 };
    if (kind == ITEM_NUMBER) v.f = item.number;
    else if (kind == ITEM_BOOL) v.i = item.number != 0;
    else v = held(call, TYPE_INDEX_STRING, json_arg(call, 0)->value);
    return null_too ? give_some(call, kind == ITEM_NUMBER ? TYPE_INDEX_FLOAT : kind == ITEM_BOOL ? TYPE_INDEX_BOOL : TYPE_INDEX_STRING, v) : give(call, v);
}

bool builtin_JS_NUMBER(Call *call) { return give_item(call, ITEM_NUMBER, "a number", false); }
bool builtin_JS_STRING(Call *call) { return give_item(call, ITEM_TEXT, "a string", false); }
bool builtin_JS_BOOL(Call *call) { return give_item(call, ITEM_BOOL, "true or false", false); }
bool builtin_JS_MAYBE_NUMBER(Call *call) { return give_item(call, ITEM_NUMBER, "a number or null", true); }
bool builtin_JS_MAYBE_STRING(Call *call) { return give_item(call, ITEM_TEXT, "a string or null", true); }
bool builtin_JS_MAYBE_BOOL(Call *call) { return give_item(call, ITEM_BOOL, "true, false or null", true); }

bool builtin_JS_JSON_TEXT(Call *call)
{
    Item item = json_item(call->args[0]);
    Buf out = { 0 };
    if (item.kind == ITEM_NONE) return not_json(call, "a string, number or boolean", &item);
    if (item.kind == ITEM_TEXT) return give(call, held(call, TYPE_INDEX_STRING, json_arg(call, 0)->value));
    return put_item(call, &item, &out) && give_text(call, &out);
}

static bool two_kinds(Call *call, const Item *a, const Item *b)
{
    static const char *const words[] = { "null", "a boolean", "a number", "a string", "a list or an object" };
    return vm_fail(call->run, ERROR_KIND_invalid, "the condition compares %s with %s", words[a->kind], words[b->kind]);
}

bool builtin_JS_JSON_SAME(Call *call)
{
    Item a = json_item(call->args[0]), b = json_item(call->args[1]);
    if (a.kind == ITEM_TEXT && !vm_charge(call->run, a.text.len / 16)) return false;
    if (a.kind == ITEM_OTHER || b.kind == ITEM_OTHER) return two_kinds(call, &a, &b);
    if (a.kind == ITEM_NONE || b.kind == ITEM_NONE) return give_int(call, a.kind == b.kind);
    return a.kind == b.kind ? give_int(call, same_item(&a, &b, false)) : two_kinds(call, &a, &b);
}

bool builtin_JS_JSON_LESS(Call *call)
{
    Item a = json_item(call->args[0]), b = json_item(call->args[1]);
    if (a.kind == ITEM_TEXT && !vm_charge(call->run, a.text.len / 16)) return false;
    if (a.kind != b.kind || (a.kind != ITEM_NUMBER && a.kind != ITEM_TEXT)) return two_kinds(call, &a, &b);
    return give_int(call, a.kind == ITEM_NUMBER ? a.number < b.number : js_compare(a.text, b.text) < 0);
}

enum { NAME_SHOWN = 60 };

/* `length` of a string and of a list; of objects their members. */
bool builtin_JS_JSON_MEMBER(Call *call)
{
    const JsonObj *j = json_arg(call, 0);
    Str name = value_str(call->args[1]);
    Value item;
    if (j && j->kind == JSON_OBJECT) return value_map_get(j->value, name, &item) ? give(call, held(call, TYPE_INDEX_JSON, item)) : give_null(call);
    bool length = j && (j->kind == JSON_STRING || j->kind == JSON_ARRAY) && str_is(name, "length");
    if (!length) return vm_fail(call->run, ERROR_KIND_invalid, "the condition reads `%.*s` of %s", name.len > NAME_SHOWN ? NAME_SHOWN : (int)name.len, name.ptr, word_of(j));
    if (j->kind == JSON_STRING && !vm_charge(call->run, value_str(j->value).len / 16)) return false;
    uint64_t count = j->kind == JSON_STRING ? js_length(value_str(j->value)) : list_count(j->value);
    return give(call, value_json_of(JSON_INT, (Value){ .i = (int64_t)count }));
}

bool builtin_JS_JSON_AT(Call *call)
{
    const JsonObj *j = json_arg(call, 0);
    uint32_t at;
    if (!j || j->kind != JSON_ARRAY) return vm_fail(call->run, ERROR_KIND_invalid, "the condition reads a place of %s", word_of(j));
    return place_of(call->args[1].f, list_count(j->value), &at) ? give(call, held(call, TYPE_INDEX_JSON, list_item(j->value, at))) : give_null(call);
}

bool builtin_JS_JSON_HAS(Call *call)
{
    const JsonObj *j = json_arg(call, 0);
    Value item;
    if (!j || j->kind != JSON_OBJECT) return vm_fail(call->run, ERROR_KIND_invalid, "the condition asks %s for a name", word_of(j));
    return give_int(call, value_map_get(j->value, value_str(call->args[1]), &item));
}
