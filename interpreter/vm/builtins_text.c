/* builtins_text.c - functions of strings and bytes. Positions and lengths count code points; case follows Unicode without a locale. */
#include "interpreter/vm/builtins.h"
#include "base/decimal.h"
#include <utf8proc.h>

enum { BYTES_PER_FUEL = 16 };

static Str text_of(const Call *call, int arg) { return value_str(call->args[arg]); }
static bool charge_bytes(Call *call, uint64_t bytes) { return vm_charge(call->run, bytes / BYTES_PER_FUEL); }
static bool charge_text(Call *call) { return charge_bytes(call, text_of(call, 0).len); }

/* ---- code points ---- */

static size_t char_size(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/* Byte offset of code point `index`, at most the length. */
static size_t offset_of(Str text, int64_t index)
{
    size_t at = 0;
    for (; index > 0 && at < text.len; index--) at += char_size((unsigned char)text.ptr[at]);
    return at < text.len ? at : text.len;
}

static const char *find(Str text, Str part)
{
    return part.len ? memmem(text.ptr, text.len, part.ptr, part.len) : text.ptr;
}

/* ---- questions ---- */

bool builtin_STR_LENGTH(Call *call) { return charge_text(call) && give_int(call, (int64_t)utf8_length(text_of(call, 0))); }
bool builtin_STR_IS_EMPTY(Call *call) { return give_int(call, text_of(call, 0).len == 0); }
bool builtin_STR_CONTAINS(Call *call) { return charge_text(call) && give_int(call, find(text_of(call, 0), text_of(call, 1)) != NULL); }
bool builtin_STR_STARTS(Call *call) { return give_int(call, str_starts(text_of(call, 0), text_of(call, 1))); }
bool builtin_STR_ENDS(Call *call) { return give_int(call, str_ends(text_of(call, 0), text_of(call, 1))); }

bool builtin_STR_INDEX(Call *call)
{
    Str text = text_of(call, 0);
    if (!charge_text(call)) return false;
    const char *at = find(text, text_of(call, 1));
    if (!at) return give_null(call);
    return give_some(call, TYPE_INDEX_INT, (Value){ .i = (int64_t)utf8_length((Str){ text.ptr, (size_t)(at - text.ptr) }) });
}

/* ---- case ---- */

static bool map_case(Call *call, utf8proc_int32_t (*to)(utf8proc_int32_t))
{
    Str text = text_of(call, 0);
    Buf out = { 0 };
    if (!charge_text(call)) return false;
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t c;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text.ptr + at, (utf8proc_ssize_t)(text.len - at), &c);
        if (size <= 0) break;                            /* cannot be: strings are UTF-8 */
        buf_put(&out, bytes, (size_t)utf8proc_encode_char(to(c), bytes));
        at += (size_t)size;
    }
    return give_text(call, &out);
}

bool builtin_STR_UPPER(Call *call) { return map_case(call, utf8proc_toupper); }
bool builtin_STR_LOWER(Call *call) { return map_case(call, utf8proc_tolower); }

/* ---- parts ---- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool give_part(Call *call, Str part) { return vm_room(call->run, part.len) && give(call, value_string(part)); }

bool builtin_STR_TRIM(Call *call)
{
    Str text = text_of(call, 0);
    if (!charge_text(call)) return false;
    for (; text.len && is_space(text.ptr[0]); text.len--) text.ptr++;
    while (text.len && is_space(text.ptr[text.len - 1])) text.len--;
    return give_part(call, text);
}

/* From code point a up to b, both cut to the text; b before a gives "". */
bool builtin_STR_SLICE(Call *call)
{
    Str text = text_of(call, 0);
    int64_t from = call->args[1].i < 0 ? 0 : call->args[1].i, to = call->args[2].i;
    if (!charge_text(call)) return false;
    if (to <= from) return give_part(call, STR(""));
    size_t start = offset_of(text, from), rest = offset_of((Str){ text.ptr + start, text.len - start }, to - from);
    return give_part(call, (Str){ text.ptr + start, rest });
}

/* An empty separator splits into characters. */
bool builtin_STR_SPLIT(Call *call)
{
    Str text = text_of(call, 0), by = text_of(call, 1);
    if (!vm_charge(call->run, text.len / 4)) return false;
    Value list = value_list(0, true);
    const char *over = NULL;
    while (!over && (by.len || text.len)) {
        const char *at = by.len ? find(text, by) : text.ptr + char_size((unsigned char)*text.ptr);
        size_t part = at ? (size_t)(at - text.ptr) : text.len;
        over = heap_room(part) ? list_append(&list, value_string((Str){ text.ptr, part }), true) : VALUE_NO_ROOM;
        if (!at) break;
        size_t skip = part + by.len;
        text = (Str){ text.ptr + skip, text.len - skip };
    }
    if (!over) return give(call, list);
    value_release(list);
    return vm_fail_limit(call->run, over);
}

bool builtin_STR_REPLACE(Call *call)
{
    Str text = text_of(call, 0), old = text_of(call, 1), new = text_of(call, 2);
    Buf out = { 0 };
    if (!charge_text(call)) return false;
    while (old.len && out.len <= VALUE_SIZE_MAX) {
        const char *at = find(text, old);
        if (!at) break;
        size_t before = (size_t)(at - text.ptr);
        buf_put(&out, text.ptr, before);
        buf_put_str(&out, new);
        text = (Str){ text.ptr + before + old.len, text.len - before - old.len };
    }
    buf_put_str(&out, text);
    return give_text(call, &out);
}

/* ---- growing ---- */

static bool repeat(Call *call, Buf *out, Str part, uint64_t times)
{
    if (part.len && times > VALUE_SIZE_MAX / part.len) return vm_fail_limit(call->run, "VALUE_SIZE_MAX");
    if (!charge_bytes(call, part.len * times) || !vm_room(call->run, part.len * times)) return false;
    for (uint64_t k = 0; part.len && k < times; k++) buf_put_str(out, part);
    return true;
}

bool builtin_STR_REPEAT(Call *call)
{
    Buf out = { 0 };
    int64_t times = call->args[1].i;
    if (times < 0) return vm_fail(call->run, ERROR_KIND_invalid, "a text cannot be repeated %lld times", (long long)times);
    return repeat(call, &out, text_of(call, 0), (uint64_t)times) && give_text(call, &out);
}

bool builtin_STR_PAD(Call *call)
{
    Str text = text_of(call, 0), pad = text_of(call, 2);
    if (!charge_text(call)) return false;
    int64_t missing = call->args[1].i - (int64_t)utf8_length(text);
    if (missing <= 0 || call->args[1].i < 0) return give(call, held(call, TYPE_INDEX_STRING, call->args[0]));
    if (utf8_length(pad) != 1) return vm_fail(call->run, ERROR_KIND_invalid, "the padding must be one character");
    Buf out = { 0 };
    if (!repeat(call, &out, pad, (uint64_t)missing)) return false;
    buf_put_str(&out, text);
    return give_text(call, &out);
}

bool builtin_LIST_JOIN(Call *call)
{
    Str by = text_of(call, 1);
    Buf out = { 0 };
    if (!vm_charge(call->run, value_weight(call->args[0]))) return false;
    for (uint32_t k = 0; k < list_count(call->args[0]) && out.len <= VALUE_SIZE_MAX; k++) {
        if (k) buf_put_str(&out, by);
        buf_put_str(&out, value_str(list_item(call->args[0], k)));
    }
    return give_text(call, &out);
}

/* ---- other types ---- */

/* An optional minus and digits, nothing else. */
bool builtin_STR_TO_INT(Call *call)
{
    Str text = text_of(call, 0);
    bool minus = text.len && text.ptr[0] == '-';
    int64_t value = 0;
    if (text.len == (size_t)minus || text.len > 40) return give_null(call);
    for (size_t k = minus; k < text.len; k++) {
        if (text.ptr[k] < '0' || text.ptr[k] > '9' || __builtin_mul_overflow(value, (int64_t)10, &value)) return give_null(call);
        int64_t digit = text.ptr[k] - '0';
        if (minus ? __builtin_sub_overflow(value, digit, &value) : __builtin_add_overflow(value, digit, &value)) return give_null(call);
    }
    return give_some(call, TYPE_INDEX_INT, (Value){ .i = value });
}

bool builtin_STR_TO_DECIMAL(Call *call)
{
    Decimal d;
    if (!charge_text(call)) return false;
    if (decimal_from_text(text_of(call, 0), &d)) return give_null(call);
    return give_some(call, TYPE_INDEX_DECIMAL, decimal_charged(d));
}

static bool to_time(Call *call, uint16_t element, Err (*parse)(Str, int64_t *))
{
    Value v;
    if (parse(text_of(call, 0), &v.i)) return give_null(call);
    return give_some(call, element, v);
}

bool builtin_STR_TO_DATE(Call *call) { return to_time(call, TYPE_INDEX_DATE, date_parse); }
bool builtin_STR_TO_TIMESTAMP(Call *call) { return to_time(call, TYPE_INDEX_TIMESTAMP, timestamp_parse); }
bool builtin_STR_TO_BYTES(Call *call) { return charge_text(call) && vm_room(call->run, text_of(call, 0).len) && give(call, value_bytes(text_of(call, 0))); }
bool builtin_STR_REDACT(Call *call) { return give(call, value_string(text_of(call, 0).len ? STR("***") : STR(""))); }
bool builtin_BYTES_LENGTH(Call *call) { return give_int(call, (int64_t)text_of(call, 0).len); }

bool builtin_BYTES_BASE64(Call *call)
{
    Buf out = { 0 };
    if (!charge_text(call)) return false;
    value_base64(text_of(call, 0), &out);
    return give_text(call, &out);
}
