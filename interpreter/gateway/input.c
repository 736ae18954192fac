/* input.c - path, query and body as one JSON object: see input.h. */
#include "interpreter/gateway/input.h"

#include <strings.h>

#include "base/json.h"

static bool refuse(Str pointer, Str detail, const HttpServerRequest *request, Arena *arena, Reply *reply) {
    ProblemMore more = { .pointer = pointer, .detail = detail };
    problem_reply(PROBLEM_invalid, str_of(request->request_id), detail, &more, arena, reply);
    return false;
}

/* "application/json", or a format on top of it, with parameters or without. */
static bool is_json(Str type) {
    size_t end = 0;
    while (end < type.len && type.ptr[end] != ';' && type.ptr[end] != ' ') end++;
    Str media = { type.ptr, end };
    return (media.len == 16 && strncasecmp(media.ptr, "application/json", 16) == 0) || (media.len > 5 && strncasecmp(media.ptr + media.len - 5, "+json", 5) == 0);
}

bool input_body(const HttpServerRequest *request, Arena *arena, Json **out, Reply *reply) {
    *out = NULL;
    if (!request->body.len) return true;
    if (!is_json(http_header(request, "Content-Type"))) {
        problem_reply(PROBLEM_unsupported_media, str_of(request->request_id), STR("the body is read as application/json only"), NULL, arena, reply);
        reply_header(reply, STR("Accept"), STR("application/json"));
        return false;
    }
    Error error;
    if (json_parse(arena, request->body, HTTP_SERVER_BODY_MAX, out, &error) == ERR_OK) return true;
    return refuse((Str){ 0 }, arena_str(arena, str_of(error.text)), request, arena, reply);
}

/* ---- text of a URL ------------------------------------------------------------------------------------------ */

static const ImageField *find_param(const ImageFlow *flow, Str name) {
    for (uint16_t i = 0; i < flow->param_count; i++)
        if (str_eq(flow->params[i].name, name)) return &flow->params[i];
    return NULL;
}

static uint16_t inner_type(const Image *image, uint16_t type) {
    while (image->types[type].kind == KIND_OPT) type = image->types[type].element;
    return type;
}

/* As JSON of that kind if the text reads as such, else as a string: then the engine says what is wrong with it. */
static void put_text(const Image *image, uint16_t type, Str text, Arena *arena, Buf *out) {
    TypeKind kind = image->types[inner_type(image, type)].kind;
    Json *json = NULL;
    bool tries = kind == KIND_BOOL || kind == KIND_INT || kind == KIND_FLOAT || kind == KIND_DECIMAL || kind == KIND_JSON || kind == KIND_RECORD || kind == KIND_MAP;
    bool fits = tries && json_parse(arena, text, HTTP_SERVER_BODY_MAX, &json, NULL) == ERR_OK;
    bool number = fits && (json->kind == JSON_INT || json->kind == JSON_NUMBER);
    if (kind == KIND_BOOL) fits = fits && json->kind == JSON_BOOL;
    if (kind == KIND_INT || kind == KIND_FLOAT || kind == KIND_DECIMAL) fits = number;
    if (fits) json_print(out, json);
    else json_put_string(out, text);
}

static uint32_t count_named(const HttpServerRequest *request, Str name) {
    uint32_t count = 0;
    for (size_t i = 0; i < request->query_count; i++) count += str_eq(request->query[i].name, name);
    return count;
}

/* `tag=a&tag=b` is a list where the parameter is one. */
static bool put_query(const Target *target, const ImageFlow *flow, const HttpServerRequest *request, size_t number, Arena *arena, Buf *out, Reply *reply) {
    const HttpQuery *query = &request->query[number];
    const ImageField *param = find_param(flow, query->name);
    uint16_t type = param ? inner_type(target->image, param->type) : TYPE_INDEX_STRING;
    const ImageType *row = &target->image->types[type];
    if (row->kind == KIND_LIST) {
        buf_put_char(out, '[');
        for (size_t i = number, some = 0; i < request->query_count; i++)
            if (str_eq(request->query[i].name, query->name)) {
                if (some++) buf_put_char(out, ',');
                put_text(target->image, row->element, request->query[i].value, arena, out);
            }
        buf_put_char(out, ']');
        return true;
    }
    if (count_named(request, query->name) > 1)
        return refuse(str_of(arena_printf(arena, "/%.*s", STR_ARG(query->name))), STR("stands in the query more than once"), request, arena, reply);
    put_text(target->image, type, query->value, arena, out);
    return true;
}

/* ---- the object ------------------------------------------------------------------------------------------------ */

static void put_name(Str name, Buf *out) {
    if (out->len > 1) buf_put_char(out, ',');
    json_put_string(out, name);
    buf_put_char(out, ':');
}

static bool in_path(const Target *target, Str name) {
    for (int i = 0; i < target->segment_count; i++)
        if (target->segments[i].is_param && str_eq(target->segments[i].text, name)) return true;
    return false;
}

static bool refuse_twice(Str name, const HttpServerRequest *request, Arena *arena, Reply *reply) {
    return refuse(str_of(arena_printf(arena, "/%.*s", STR_ARG(name))), STR("stands in the path already"), request, arena, reply);
}

static bool put_body(const Target *target, const HttpServerRequest *request, Arena *arena, Buf *out, Reply *reply) {
    Json *body;
    if (!input_body(request, arena, &body, reply)) return false;
    if (body && body->kind != JSON_OBJECT) return refuse((Str){ 0 }, STR("the body is not a JSON object"), request, arena, reply);
    if (request->query_count)
        return refuse(str_of(arena_printf(arena, "/%.*s", STR_ARG(request->query[0].name))), STR("this route takes no query: parameters stand in the body"), request, arena, reply);
    for (size_t i = 0; body && i < body->count; i++) {
        if (in_path(target, body->keys[i])) return refuse_twice(body->keys[i], request, arena, reply);
        put_name(body->keys[i], out);
        json_print(out, body->items[i]);
    }
    return true;
}

static bool put_all_query(const Target *target, const ImageFlow *flow, const HttpServerRequest *request, Arena *arena, Buf *out, Reply *reply) {
    if (request->body.len) return refuse((Str){ 0 }, STR("this route takes no body: parameters stand in the query"), request, arena, reply);
    for (size_t i = 0; i < request->query_count; i++) {
        Str name = request->query[i].name;
        bool before = false;
        for (size_t k = 0; k < i; k++) before |= str_eq(request->query[k].name, name);
        if (before) continue;
        if (in_path(target, name)) return refuse_twice(name, request, arena, reply);
        put_name(name, out);
        if (!put_query(target, flow, request, i, arena, out, reply)) return false;
    }
    return true;
}

bool input_read(const Target *target, const HttpServerRequest *request, Arena *arena, Str *json, Reply *reply) {
    const ImageFlow *flow = &target->image->flows[target->route->flow];
    Buf out = { 0 };
    buf_put_char(&out, '{');
    for (int i = 0; i < target->segment_count; i++) {
        if (!target->segments[i].is_param) continue;
        const ImageField *param = find_param(flow, target->segments[i].text);
        put_name(target->segments[i].text, &out);
        put_text(target->image, param ? param->type : TYPE_INDEX_STRING, target_param(target, request->path, i), arena, &out);
    }
    bool ok = route_has_body(target->route->method) ? put_body(target, request, arena, &out, reply) : put_all_query(target, flow, request, arena, &out, reply);
    buf_put_char(&out, '}');
    *json = arena_str(arena, buf_str(&out));
    buf_free(&out);
    return ok;
}
