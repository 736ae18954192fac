/* remote.c - see remote.h. */
#include "interpreter/effect/remote.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/time.h"

static Str base_url(const ImageAgent *agent, Arena *arena) {
    const char *set = agent->location_env.len ? getenv(arena_printf(arena, "%.*s", STR_ARG(agent->location_env))) : NULL;
    Str url = set && *set ? str_of(set) : agent->location_text;
    while (url.len && url.ptr[url.len - 1] == '/') url.len--;
    return url;
}

/* A scalar as plain text, anything else as JSON; null gives nothing. */
static bool put_plain(const Image *image, uint16_t type, Value value, Buf *out) {
    const ImageType *row = &image->types[type];
    if (row->kind == KIND_JSON && value.w == 0) return false;
    if (row->kind != KIND_OPT) {
        Buf json = { 0 };
        if (row->kind == KIND_STRING) buf_put_str(out, value_str(value));
        else {
            value_to_json(image, type, value, &json);
            Str text = buf_str(&json);
            if (text.len >= 2 && text.ptr[0] == '"') text = (Str){ text.ptr + 1, text.len - 2 };    /* dates, enum names: no escapes in them */
            buf_put_str(out, text);
            buf_free(&json);
        }
        return true;
    }
    if (value.w == 0) return false;
    Value inside = opt_value(image, type, value);
    bool there = put_plain(image, row->element, inside, out);
    if (kind_is_counted(image->types[row->element].kind)) value_release(inside);
    return there;
}

static int find_param(const ImageTool *tool, Str name) {
    for (uint16_t i = 0; i < tool->param_count; i++)
        if (str_eq(tool->params[i].name, name)) return i;
    return -1;
}

static Err put_path(const Image *image, const ImageTool *tool, const Value *args, uint64_t *used, Buf *url, Error *error) {
    Str path = tool->path;
    Buf text = { 0 };
    Err err = ERR_OK;
    for (size_t i = 0; i < path.len && !err; i++) {
        const char *close = path.ptr[i] == '{' ? memchr(path.ptr + i, '}', path.len - i) : NULL;
        if (!close) { buf_put_char(url, path.ptr[i]); continue; }
        Str name = { path.ptr + i + 1, (size_t)(close - path.ptr) - i - 1 };
        int param = find_param(tool, name);
        buf_clear(&text);
        if (param < 0) err = err_set(error, ERR_INVALID, "the path of %.*s names no parameter `%.*s`", STR_ARG(tool->name), STR_ARG(name));
        else if (!put_plain(image, tool->params[param].type, args[param], &text) || text.len == 0) err = err_set(error, ERR_INVALID, "`%.*s` of %.*s stands in its path and cannot be empty", STR_ARG(name), STR_ARG(tool->name));
        else *used |= UINT64_C(1) << param, http_put_escaped(url, buf_str(&text));
        i += name.len + 1;
    }
    buf_free(&text);
    return err;
}

static void put_query(const Image *image, const ImageTool *tool, const Value *args, uint64_t used, Buf *url) {
    Buf text = { 0 };
    bool first = memchr(url->ptr, '?', url->len) == NULL;
    for (uint16_t i = 0; i < tool->param_count; i++) {
        if (used >> i & 1) continue;
        buf_clear(&text);
        if (!put_plain(image, tool->params[i].type, args[i], &text)) continue;
        buf_put_char(url, first ? '?' : '&');
        first = false;
        http_put_escaped(url, tool->params[i].name);
        buf_put_char(url, '=');
        http_put_escaped(url, buf_str(&text));
    }
    buf_free(&text);
}

static Str json_body(const Image *image, const ImageTool *tool, const Value *args, uint64_t used, Arena *arena) {
    Buf body = { 0 };
    bool first = true;
    buf_put_char(&body, '{');
    for (uint16_t i = 0; i < tool->param_count; i++) {
        if (used >> i & 1) continue;
        if (!first) buf_put_char(&body, ',');
        first = false;
        json_put_string(&body, tool->params[i].name);
        buf_put_char(&body, ':');
        value_to_json(image, tool->params[i].type, args[i], &body);
    }
    buf_put_char(&body, '}');
    Str text = arena_str(arena, buf_str(&body));
    buf_free(&body);
    return text;
}

static void put_headers(const RemoteCall *call, bool has_body, Arena *arena, HttpRequest *out) {
    HttpHeader *headers = ARENA_ARRAY(arena, HttpHeader, 4);
    size_t count = 0;
    headers[count++] = (HttpHeader){ STR("Accept"), STR("application/json") };
    if (has_body) headers[count++] = (HttpHeader){ STR("Content-Type"), STR("application/json") };
    if (call->idempotency_key.len) headers[count++] = (HttpHeader){ STR("Idempotency-Key"), arena_str(arena, call->idempotency_key) };
    if (call->bearer.len) headers[count++] = (HttpHeader){ STR("Authorization"), str_of(arena_printf(arena, "Bearer %.*s", STR_ARG(call->bearer))) };
    out->headers = headers, out->header_count = count;
}

Err remote_request(const Image *image, const ImageTool *tool, const RemoteCall *call, Arena *arena, HttpRequest *out, Error *error) {
    const ImageAgent *agent = &image->agents[tool->agent];
    if (agent->location == AGENT_MCP) return err_set(error, ERR_UNSUPPORTED, "agent `%.*s` is reached by MCP, which this engine does not speak yet", STR_ARG(agent->name));
    Str base = base_url(agent, arena);
    if (base.len == 0) return err_set(error, ERR_INVALID, "no address for agent `%.*s`: set %.*s", STR_ARG(agent->name), STR_ARG(agent->location_env.len ? agent->location_env : STR("its location")));
    Buf url = { 0 };
    uint64_t used = 0;
    buf_put_str(&url, base);
    Str method = tool->method.len ? tool->method : STR("POST");
    Err err = put_path(image, tool, call->args, &used, &url, error);
    if (!err && tool->path.len == 0) buf_put_char(&url, '/'), http_put_escaped(&url, tool->name);
    *out = (HttpRequest){ .method = arena_printf(arena, "%.*s", STR_ARG(method)), .timeout_us = call->timeout_us };
    bool by_query = str_is(method, "GET") || str_is(method, "DELETE");
    if (!err && by_query) put_query(image, tool, call->args, used, &url);
    if (!err && url.len > REMOTE_URL_MAX) err = err_set(error, ERR_LIMIT, "the address of a call of %.*s is longer than REMOTE_URL_MAX (%d bytes)", STR_ARG(tool->name), REMOTE_URL_MAX);
    out->url = arena_str(arena, buf_str(&url));
    buf_free(&url);
    if (err) return err;
    if (!by_query) out->body = json_body(image, tool, call->args, used, arena);
    put_headers(call, !by_query, arena, out);
    return ERR_OK;
}

Str remote_tool_name(const ImageTool *tool) {
    const char *dot = tool->name.len ? memrchr(tool->name.ptr, '.', tool->name.len) : NULL;
    return dot ? (Str){ dot + 1, (size_t)(tool->name.ptr + tool->name.len - dot) - 1 } : tool->name;
}

Str remote_body(const Image *image, const ImageTool *tool, const Value *args, Arena *arena) { return json_body(image, tool, args, 0, arena); }

ErrorKind remote_status_kind(int status) {
    switch (status) {
    case 400: case 422: return ERROR_KIND_invalid;
    case 401: case 403: return ERROR_KIND_denied;
    case 404: case 410: return ERROR_KIND_not_found;
    case 408: case 504: return ERROR_KIND_timeout;
    case 409: case 412: return ERROR_KIND_conflict;
    case 429:           return ERROR_KIND_rate_limited;
    default:            return status >= 500 ? ERROR_KIND_unavailable : ERROR_KIND_rejected;
    }
}

/* What the service says for people, wherever the usual shapes put it. */
static Str message_in(const Json *json) {
    if (!json || json->kind != JSON_OBJECT) return (Str){ 0 };
    static const char *const keys[] = { "message", "detail", "error_description", "title", "error" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const Json *found = json_get(json, keys[i]);
        if (found && found->kind == JSON_STRING && found->text.len) return found->text;
    }
    const Json *error = json_get(json, "error");
    return error && error->kind == JSON_OBJECT ? json_get_text(error, "message") : (Str){ 0 };
}

static Str code_in(const Json *json) {
    const Json *error = json ? json_get(json, "error") : NULL;
    Str code = json ? json_get_text(json, "code") : (Str){ 0 };
    return code.len || !error ? code : json_get_text(error, "code");
}

static Str cut(Str text, size_t max) {
    if (text.len > max) {
        text.len = max;
        while (text.len && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80) text.len--;      /* not inside a character */
    }
    return text;
}

static Value failed_status(const Image *image, const ImageTool *tool, const HttpResponse *response, const Json *json, int64_t now_us, Arena *arena) {
    Str said = cut(message_in(json), 500);
    const char *text = said.len ? arena_printf(arena, "%.*s", STR_ARG(said)) : arena_printf(arena, "%.*s answered with status %d", STR_ARG(tool->name), response->status);
    Value error = value_error(image, remote_status_kind(response->status), str_of(text));
    return error_with(error, response->status, cut(code_in(json), 100), http_retry_after(response->retry_after, now_us));
}

static Value failed_network(const Image *image, const ImageTool *tool, const HttpResponse *response, Arena *arena) {
    ErrorKind kind = response->outcome == HTTP_TIMEOUT ? ERROR_KIND_timeout : response->outcome == HTTP_TOO_LARGE ? ERROR_KIND_rejected
                   : response->outcome == HTTP_BAD_REQUEST ? ERROR_KIND_invalid : ERROR_KIND_unavailable;
    const char *text = arena_printf(arena, "%.*s: %s", STR_ARG(tool->name), response->detail);
    return error_with(value_error(image, kind, str_of(text)), 0, str_of(http_outcome_code(response->outcome)), -1);
}

static bool succeeded(const Image *image, const ImageTool *tool, const HttpResponse *response, const Json *json, const Error *parse_error, Arena *arena, Value *out) {
    TypeKind kind = image->types[tool->result].kind;
    Error error = *parse_error;
    out->w = 0;
    if (kind == KIND_VOID) return true;
    if (response->body.len == 0 && (kind == KIND_OPT || kind == KIND_JSON)) return true;
    if (!json && kind == KIND_STRING && utf8_valid(response->body) && !memchr(response->body.ptr, 0, response->body.len)) { *out = value_string(response->body); return true; }
    if (json && value_from_json(image, tool->result, json, out, &error) == ERR_OK) return true;
    const char *text = arena_printf(arena, "%.*s answered what does not fit its type: %s", STR_ARG(tool->name), error.text);
    *out = error_with(value_error(image, ERROR_KIND_internal, str_of(text)), response->status, STR("EPROTO"), -1);
    return false;
}

bool remote_result(const Image *image, const ImageTool *tool, const HttpResponse *response, int64_t now_us, Value *out) {
    Arena *arena = arena_new();
    Json *json = NULL;
    Error error = { 0 };
    bool ok = false;
    if (response->outcome != HTTP_ANSWERED) *out = failed_network(image, tool, response, arena);
    else {
        if (response->body.len == 0) err_set(&error, ERR_INVALID, "an empty body");
        else if (json_parse(arena, response->body, HTTP_BODY_MAX, &json, &error)) json = NULL;
        if (response->status >= 200 && response->status < 300) ok = succeeded(image, tool, response, json, &error, arena, out);
        else *out = failed_status(image, tool, response, json, now_us, arena);
    }
    arena_free(arena);
    return ok;
}
