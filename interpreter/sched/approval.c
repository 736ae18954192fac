/* approval.c - what exactly a person is asked to allow, as bytes, as JSON and as text. */
#include "interpreter/sched/approval.h"

#include <stdlib.h>

#include "base/plain.h"
#include "interpreter/sched/engine_internal.h"

/* ---- the canonical form ------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b, void *object) {
    const Json *json = object;
    return str_cmp(json->keys[*(const uint32_t *)a], json->keys[*(const uint32_t *)b]);
}

static void put_canonical(const Json *json, Buf *out) {
    if (json->kind != JSON_ARRAY && json->kind != JSON_OBJECT) { json_print(out, json); return; }
    bool object = json->kind == JSON_OBJECT;
    uint32_t *order = mem_alloc((json->count + 1) * sizeof *order);
    for (uint32_t i = 0; i < json->count; i++) order[i] = i;
    if (object) qsort_r(order, json->count, sizeof *order, by_key, (void *)json);
    buf_put_char(out, object ? '{' : '[');
    for (uint32_t i = 0; i < json->count; i++) {
        if (i) buf_put_char(out, ',');
        if (object) json_put_string(out, json->keys[order[i]]), buf_put_char(out, ':');
        put_canonical(json->items[order[i]], out);
    }
    buf_put_char(out, object ? '}' : ']');
    free(order);
}

void approval_hash(Str tool, const Json *arguments, char out[SHA256_HEX + 1]) {
    Buf text = { 0 };
    buf_put_text(&text, "{\"arguments\":");
    put_canonical(arguments, &text);
    buf_put_text(&text, ",\"tool\":");
    json_put_string(&text, tool);
    buf_put_char(&text, '}');
    Sha256 digest = sha256(buf_str(&text));
    hex_encode(digest.bytes, SHA256_BYTES, out);
    buf_free(&text);
}

Str approval_text(Str tool, Arena *arena) { return str_of(arena_printf(arena, "Allow %.*s?", STR_ARG(tool))); }

/* ---- of a request ------------------------------------------------------------------------------------------------- */

Err approval_read(const Image *image, const VmRequest *request, Arena *arena, Approval *out, Error *error) {
    Buf text = { 0 };
    value_to_json(image, request->effect->params[1], request->args[1], &text);
    Err err = json_parse(arena, buf_str(&text), APPROVAL_BYTES_MAX, &out->arguments, error);
    if (err) err_set(error, ERR_LIMIT, "the arguments are too long to be shown to anybody: %zu bytes, APPROVAL_BYTES_MAX is %d", buf_str(&text).len, APPROVAL_BYTES_MAX);
    buf_free(&text);
    if (err) return ERR_LIMIT;
    out->tool = arena_str(arena, value_str(request->args[0]));
    approval_hash(out->tool, out->arguments, out->hash);
    return ERR_OK;
}

static const ImageTool *tool_named(const Image *image, Str name, Arena *arena) {
    for (uint16_t i = 0; i < image->tool_count; i++)
        if (str_eq(live_tool_name(image, i, arena), name)) return &image->tools[i];
    return NULL;
}

void approval_put_arguments(const Image *image, const Approval *approval, uint8_t hidden, Arena *arena, Buf *out) {
    const ImageTool *tool = tool_named(image, approval->tool, arena);
    const Json *arguments = approval->arguments;
    if (!tool || arguments->kind != JSON_OBJECT) { json_print(out, arguments); return; }
    buf_put_char(out, '{');
    for (size_t i = 0; i < arguments->count; i++) {
        bool hide = false;
        for (uint16_t p = 0; p < tool->param_count; p++) hide |= (tool->params[p].labels & hidden) && str_eq(tool->params[p].name, arguments->keys[i]);
        if (i) buf_put_char(out, ',');
        json_put_string(out, arguments->keys[i]);
        buf_put_char(out, ':');
        if (hide) buf_put_text(out, "\"***\"");
        else json_print(out, arguments->items[i]);
    }
    buf_put_char(out, '}');
}

/* ---- for a terminal ------------------------------------------------------------------------------------------------- */

void approval_put_shown(const Json *arguments, Buf *out) {
    bool object = arguments->kind == JSON_OBJECT;
    Buf one = { 0 };
    for (size_t i = 0; i < (object ? arguments->count : 1); i++) {
        buf_clear(&one);
        if (object) json_put_string(&one, arguments->keys[i]), buf_put_text(&one, ": ");
        json_print(&one, object ? arguments->items[i] : arguments);
        buf_put_text(out, "  ");
        plain_put(out, buf_str(&one));
        buf_put_char(out, '\n');
    }
    buf_free(&one);
}
