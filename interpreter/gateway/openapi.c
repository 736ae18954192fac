/* openapi.c - what a program answers over HTTP, as an OpenAPI 3.1 document.
 *
 * It is made from the images alone, so `flowc openapi` and a server of the same program say the same. Types are JSON Schema 2020-12: named records and
 * enums are components, everything else stands where it is used. Paths of one shape are one entry, whatever their parameters are called, since the
 * standard takes them for one: the names of the first route stand in the address.
 */
#include "interpreter/bytecode/route.h"
#include "interpreter/gateway/gateway.h"
#include "interpreter/gateway/reply.h"

#include <stdio.h>

enum { HASH_SHOWN = 12 };

typedef struct Unit { const Image *image; bool *used; } Unit;            /* used, by type: it is a component */
typedef struct Place { const Unit *unit; const ImageRoute *route; const ImageWebhook *hook; Str method, path; } Place;     /* route or hook */
typedef struct Api {
    const Unit *units, *unit; uint32_t unit_count;       /* unit, image: what is shown now */
    const Image *image;
    Buf *out;
    int depth;
    bool fresh;                          /* nothing stands in the open object or list yet */
    Place *places; uint32_t place_count;
} Api;

static void look_at(Api *api, const Unit *unit) {
    api->unit = unit;
    api->image = unit->image;
}

/* ---- JSON, one member a line ---- */

static void line(Api *api) {
    if (!api->fresh) buf_put_char(api->out, ',');
    buf_put_char(api->out, '\n');
    for (int i = 0; i < api->depth; i++) buf_put_text(api->out, "  ");
    api->fresh = false;
}

static void key(Api *api, Str name) {
    line(api);
    json_put_string(api->out, name);
    buf_put_text(api->out, ": ");
}

static void begin(Api *api, char bracket) {
    buf_put_char(api->out, bracket);
    api->depth++;
    api->fresh = true;
}

static void end(Api *api, char bracket) {
    bool empty = api->fresh;
    api->depth--;
    api->fresh = true;
    if (!empty) line(api);
    buf_put_char(api->out, bracket);
    api->fresh = false;
}

static void object(Api *api, const char *name) { key(api, str_of(name)), begin(api, '{'); }
static void list(Api *api, const char *name) { key(api, str_of(name)), begin(api, '['); }
static void item(Api *api) { line(api), begin(api, '{'); }
static void text_of(Api *api, Str name, Str value) { key(api, name), json_put_string(api->out, value); }
static void text(Api *api, const char *name, Str value) { text_of(api, str_of(name), value); }
static void raw(Api *api, const char *name, const char *value) { key(api, str_of(name)), buf_put_text(api->out, value); }
static void ref(Api *api, const char *kind, const char *name) {
    key(api, STR("$ref"));
    buf_printf(api->out, "\"#/components/%s/%s\"", kind, name);
}

/* ---- types ---- */

static bool is_component(const ImageType *type) { return (type->kind == KIND_RECORD || type->kind == KIND_ENUM) && type->name.len; }

/* Names of components have no characters but these. A second type of a name gets a number; those of the document itself begin with a `_`. */
static void put_component(const Api *api, uint16_t type, Buf *out) {
    Str name = api->image->types[type].name;
    unsigned same = 1;
    for (const Unit *unit = api->units; unit <= api->unit; unit++)
        for (uint16_t i = 0; i < (unit == api->unit ? type : unit->image->type_count); i++) same += unit->used[i] && str_eq(unit->image->types[i].name, name);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        buf_put_char(out, plain ? c : '_');
    }
    if (same > 1) buf_printf(out, ".%u", same);
}

static void mark(Api *api, uint16_t type) {
    const ImageType *row = &api->image->types[type];
    if (api->unit->used[type]) return;
    if (row->kind == KIND_OPT || row->kind == KIND_LIST || row->kind == KIND_MAP) mark(api, row->element);
    if (row->kind == KIND_RECORD)
        for (int i = 0; i < row->field_count; i++) mark(api, row->fields[i].type);
    api->unit->used[type] = is_component(row);
}

static void schema_members(Api *api, uint16_t type, bool whole);

static void schema(Api *api, const char *name, uint16_t type) {
    object(api, name);
    schema_members(api, type, false);
    end(api, '}');
}

static void field_schema(Api *api, const ImageField *field, bool with_default) {
    key(api, field->name);
    begin(api, '{');
    schema_members(api, field->type, false);
    if (with_default && field->has_default) {
        key(api, STR("default"));
        buf_put_str(api->out, api->image->consts[field->default_const].bytes);
    }
    end(api, '}');
}

static bool may_be_missing(const Api *api, const ImageField *field) { return field->has_default || api->image->types[field->type].kind == KIND_OPT; }

typedef bool (*Keep)(const ImageField *field, const void *arg);
/* An object of those fields that `keep` keeps, all when it is NULL. */
static void fields_members(Api *api, const ImageField *fields, uint16_t count, bool with_defaults, Keep keep, const void *arg) {
    bool some = false;
    text(api, "type", STR("object"));
    object(api, "properties");
    for (int i = 0; i < count; i++)
        if (!keep || keep(&fields[i], arg)) field_schema(api, &fields[i], with_defaults);
    end(api, '}');
    for (int i = 0; i < count; i++) some = some || ((!keep || keep(&fields[i], arg)) && !may_be_missing(api, &fields[i]));
    if (some) {
        list(api, "required");
        for (int i = 0; i < count; i++)
            if ((!keep || keep(&fields[i], arg)) && !may_be_missing(api, &fields[i])) line(api), json_put_string(api->out, fields[i].name);
        end(api, ']');
    }
    raw(api, "additionalProperties", "false");
}

static void enum_members(Api *api, const ImageType *row) {
    text(api, "type", STR("string"));
    list(api, "enum");
    for (int i = 0; i < row->member_count; i++) line(api), json_put_string(api->out, row->members[i]);
    end(api, ']');
}

static void option_members(Api *api, uint16_t element) {
    list(api, "anyOf");
    item(api);
    schema_members(api, element, false);
    end(api, '}');
    item(api);
    text(api, "type", STR("null"));
    end(api, '}');
    end(api, ']');
}

/* Scalars as value_json.c writes them. */
static void scalar_members(Api *api, TypeKind kind) {
    switch (kind) {
    case KIND_VOID: text(api, "type", STR("null")); break;
    case KIND_BOOL: text(api, "type", STR("boolean")); break;
    case KIND_INT: text(api, "type", STR("integer")), text(api, "format", STR("int64")); break;
    case KIND_FLOAT: text(api, "type", STR("number")), text(api, "format", STR("double")); break;
    case KIND_DECIMAL: raw(api, "type", "[\"number\", \"string\"]"), text(api, "format", STR("decimal")); break;
    case KIND_DATE: text(api, "type", STR("string")), text(api, "format", STR("date")); break;
    case KIND_TIMESTAMP: text(api, "type", STR("string")), text(api, "format", STR("date-time")); break;
    case KIND_DURATION: text(api, "type", STR("string")), raw(api, "examples", "[\"1h30m\"]"); break;
    case KIND_BYTES: text(api, "type", STR("string")), text(api, "contentEncoding", STR("base64")); break;
    case KIND_STRING: text(api, "type", STR("string")); break;
    default: break;                      /* json: anything */
    }
}

/* `whole`: of the component itself, not a reference to it. */
static void schema_members(Api *api, uint16_t type, bool whole) {
    const ImageType *row = &api->image->types[type];
    if (!whole && is_component(row)) {
        key(api, STR("$ref"));
        buf_put_text(api->out, "\"#/components/schemas/");
        put_component(api, type, api->out);
        buf_put_char(api->out, '"');
        return;
    }
    switch (row->kind) {
    case KIND_OPT: option_members(api, row->element); break;
    case KIND_LIST: text(api, "type", STR("array")), schema(api, "items", row->element); break;
    case KIND_MAP: text(api, "type", STR("object")), schema(api, "additionalProperties", row->element); break;
    case KIND_RECORD: fields_members(api, row->fields, row->field_count, true, NULL, NULL); break;
    case KIND_ERROR: text(api, "type", STR("object")); break;
    case KIND_ENUM: enum_members(api, row); break;
    default: scalar_members(api, row->kind);
    }
}

/* ---- what goes in ---- */

typedef struct Segments { RouteSegment items[ROUTE_SEGMENTS_MAX]; int count; } Segments;

static Segments segments_of(Str path) {
    Segments segments;
    const char *why;
    segments.count = route_split(path, segments.items, &why);
    return segments;
}

static bool not_in_path(const ImageField *field, const void *arg) {
    const Segments *segments = arg;
    for (int i = 0; i < segments->count; i++)
        if (segments->items[i].is_param && str_eq(segments->items[i].text, field->name)) return false;
    return true;
}

static void parameter(Api *api, Str name, const char *in, bool required, uint16_t type) {
    item(api);
    text(api, "name", name);
    text(api, "in", str_of(in));
    if (required) raw(api, "required", "true");
    schema(api, "schema", type);
    end(api, '}');
}

static void header_ref(Api *api, const char *name) {
    item(api);
    ref(api, "parameters", name);
    end(api, '}');
}

/* `address`: the path under which the document has it, whose parameters may have other names. */
static void parameters(Api *api, const Place *place, const ImageFlow *flow, Str address) {
    Segments segments = segments_of(place->path), shown = segments_of(address);
    bool body = route_has_body(place->method), get = str_is(place->method, "GET");
    list(api, "parameters");
    for (int i = 0; i < segments.count; i++)
        for (int k = 0; k < flow->param_count && segments.items[i].is_param; k++)
            if (str_eq(flow->params[k].name, segments.items[i].text)) parameter(api, shown.items[i].text, "path", true, flow->params[k].type);
    for (int k = 0; k < flow->param_count && !body; k++)
        if (not_in_path(&flow->params[k], &segments)) parameter(api, flow->params[k].name, "query", !may_be_missing(api, &flow->params[k]), flow->params[k].type);
    header_ref(api, "Prefer");
    if (!get) header_ref(api, "Idempotency-Key");
    end(api, ']');
}

static void json_content(Api *api, const char *media) {
    object(api, "content");
    object(api, media);
}

static void request_body(Api *api, const Place *place, const ImageFlow *flow) {
    Segments segments = segments_of(place->path);
    bool some = false, required = false;
    for (int i = 0; i < flow->param_count; i++) {
        bool inside = not_in_path(&flow->params[i], &segments);
        some = some || inside;
        required = required || (inside && !may_be_missing(api, &flow->params[i]));
    }
    if (!some || !route_has_body(place->method)) return;
    object(api, "requestBody");
    if (required) raw(api, "required", "true");
    json_content(api, "application/json");
    object(api, "schema");
    fields_members(api, flow->params, flow->param_count, false, not_in_path, &segments);
    for (int i = 0; i < 4; i++) end(api, '}');
}

/* ---- what comes out ---- */

static void stream_answer(Api *api, const ImageFlow *flow) {
    text(api, "description", STR("Events as they come: progress, text, question; at last complete with the result as its data, or failed with a problem. "
                                 "Last-Event-ID goes on from there."));
    json_content(api, "text/event-stream");
    object(api, "schema");
    text(api, "type", STR("string"));
    end(api, '}');
    schema(api, "x-result", flow->result);
    end(api, '}');
    end(api, '}');
}

static void json_answer(Api *api, const ImageFlow *flow) {
    text(api, "description", STR("The result"));
    json_content(api, "application/json");
    schema(api, "schema", flow->result);
    end(api, '}');
    end(api, '}');
}

static const Problem route_problems[] = {
    PROBLEM_invalid, PROBLEM_unauthenticated, PROBLEM_denied, PROBLEM_not_found, PROBLEM_conflict, PROBLEM_rejected, PROBLEM_rate_limited, PROBLEM_internal,
    PROBLEM_unavailable, PROBLEM_timeout
};
static const Problem hook_problems[] = { PROBLEM_invalid, PROBLEM_unauthenticated, PROBLEM_rate_limited, PROBLEM_internal, PROBLEM_unavailable };

static void status_ref(Api *api, Problem problem) {
    char status[8];
    snprintf(status, sizeof status, "%d", problem_status(problem));
    object(api, status);
    ref(api, "responses", problem_code(problem));
    end(api, '}');
}

static void responses(Api *api, const Place *place, const ImageFlow *flow) {
    bool open = place->route->flags & ROUTE_PUBLIC, stream = place->route->flags & ROUTE_STREAM;
    object(api, "responses");
    object(api, "200");
    if (stream) stream_answer(api, flow);
    else json_answer(api, flow);
    end(api, '}');
    if (!stream) {
        object(api, "202");
        ref(api, "responses", "accepted");
        end(api, '}');
    }
    for (size_t i = 0; i < sizeof route_problems / sizeof *route_problems; i++)
        if (!open || (route_problems[i] != PROBLEM_unauthenticated && route_problems[i] != PROBLEM_denied)) status_ref(api, route_problems[i]);
    end(api, '}');
}

/* ---- operations ---- */

static const ImageFlow *flow_of(const Place *place) { return &place->unit->image->flows[place->route ? place->route->flow : place->hook->flow]; }

static void operation_id(Api *api, const Place *place) {
    Str name = flow_of(place)->name;
    unsigned nth = 1;
    for (const Place *before = api->places; before < place; before++) nth += str_eq(flow_of(before)->name, name);
    Buf id = { 0 };
    buf_put_str(&id, name);
    if (nth > 1) buf_printf(&id, ".%u", nth);
    text(api, "operationId", buf_str(&id));
    buf_free(&id);
}

/* The first line of the documentation is its title. */
static void about(Api *api, Str doc) {
    const char *nl = doc.len ? memchr(doc.ptr, '\n', doc.len) : NULL;
    if (!doc.len) return;
    text(api, "summary", nl ? (Str){ doc.ptr, (size_t)(nl - doc.ptr) } : doc);
    if (nl) text(api, "description", doc);
}

static void security(Api *api, const ImageRoute *route) {
    list(api, "security");
    if (!(route->flags & ROUTE_PUBLIC)) {
        item(api);
        list(api, "bearer");
        for (int i = 0; i < route->scope_count; i++) line(api), json_put_string(api->out, route->scopes[i]);
        end(api, ']');
        end(api, '}');
    }
    end(api, ']');
}

static void route_operation(Api *api, const Place *place, Str address) {
    const ImageFlow *flow = &api->image->flows[place->route->flow];
    operation_id(api, place);
    about(api, flow->doc);
    security(api, place->route);
    parameters(api, place, flow, address);
    request_body(api, place, flow);
    responses(api, place, flow);
}

static void hook_operation(Api *api, const Place *place) {
    bool stripe = place->hook->scheme == VERIFY_STRIPE;
    static const char *const of_stripe[] = { "Stripe-Signature", NULL }, *const of_standard[] = { "webhook-id", "webhook-timestamp", "webhook-signature", NULL };
    operation_id(api, place);
    about(api, api->image->flows[place->hook->flow].doc);
    list(api, "security");
    end(api, ']');
    list(api, "parameters");
    for (const char *const *name = stripe ? of_stripe : of_standard; *name; name++) parameter(api, str_of(*name), "header", true, TYPE_INDEX_STRING);
    end(api, ']');
    object(api, "requestBody");
    raw(api, "required", "true");
    json_content(api, "application/json");
    schema(api, "schema", TYPE_INDEX_JSON);
    for (int i = 0; i < 3; i++) end(api, '}');
    object(api, "responses");
    object(api, "200");
    text(api, "description", STR("Received; it is worked on behind the answer"));
    end(api, '}');
    for (size_t i = 0; i < sizeof hook_problems / sizeof *hook_problems; i++) status_ref(api, hook_problems[i]);
    end(api, '}');
}

static void operation(Api *api, const Place *place, Str address) {
    char method[16] = "";
    for (size_t i = 0; i < place->method.len && i + 1 < sizeof method; i++) method[i] = (char)(place->method.ptr[i] | 0x20), method[i + 1] = 0;
    object(api, method);
    look_at(api, place->unit);
    if (place->route) route_operation(api, place, address);
    else hook_operation(api, place);
    end(api, '}');
}

static void paths(Api *api) {
    object(api, "paths");
    for (uint32_t i = 0; i < api->place_count; i++) {
        Str address = api->places[i].path;
        bool listed = false;
        for (uint32_t k = 0; k < i && !listed; k++) listed = route_same_shape(api->places[k].path, address);
        if (listed) continue;
        key(api, address);
        begin(api, '{');
        for (uint32_t k = i; k < api->place_count; k++)
            if (route_same_shape(api->places[k].path, address)) operation(api, &api->places[k], address);
        end(api, '}');
    }
    end(api, '}');
}

/* ---- components ---- */

static const char problem_schema[] =
    "{\"type\": \"object\", \"properties\": {\"type\": {\"type\": \"string\"}, \"title\": {\"type\": \"string\"}, \"status\": {\"type\": \"integer\"}, \"detail\": {\"type\": \"string\"}, "
    "\"instance\": {\"type\": \"string\"}, \"code\": {\"type\": \"string\"}, \"run\": {\"type\": \"string\"}, \"errors\": {\"type\": \"array\", \"items\": {\"type\": \"object\", "
    "\"properties\": {\"pointer\": {\"type\": \"string\"}, \"detail\": {\"type\": \"string\"}}, \"required\": [\"pointer\", \"detail\"]}}}, \"required\": [\"type\", \"title\", \"status\", \"code\"]}";
static const char accepted_schema[] =
    "{\"type\": \"object\", \"properties\": {\"run\": {\"type\": \"string\"}, \"status\": {\"type\": \"string\"}, \"url\": {\"type\": \"string\"}, "
    "\"questions\": {\"type\": \"array\", \"items\": {\"type\": \"object\"}}}, \"required\": [\"run\", \"status\", \"url\"]}";

static void component_schema(Api *api, uint16_t type) {
    Buf name = { 0 };
    put_component(api, type, &name);
    object(api, buf_cstr(&name));
    schema_members(api, type, true);
    end(api, '}');
    buf_free(&name);
}

static void schemas(Api *api) {
    object(api, "schemas");
    raw(api, "_problem", problem_schema);
    raw(api, "_accepted", accepted_schema);
    for (const Unit *unit = api->units; unit < api->units + api->unit_count; unit++) {
        look_at(api, unit);
        for (uint16_t i = 0; i < unit->image->type_count; i++)
            if (unit->used[i]) component_schema(api, i);
    }
    end(api, '}');
}

static void component_responses(Api *api) {
    object(api, "responses");
    object(api, "accepted");
    text(api, "description", STR("It goes on: the run is durable, and this is where it is"));
    object(api, "headers");
    raw(api, "Location", "{\"schema\": {\"type\": \"string\"}}");
    end(api, '}');
    json_content(api, "application/json");
    raw(api, "schema", "{\"$ref\": \"#/components/schemas/_accepted\"}");
    for (int i = 0; i < 3; i++) end(api, '}');
    for (size_t i = 0; i < sizeof route_problems / sizeof *route_problems; i++) {
        object(api, problem_code(route_problems[i]));
        text(api, "description", str_of(problem_title(route_problems[i])));
        json_content(api, "application/problem+json");
        raw(api, "schema", "{\"$ref\": \"#/components/schemas/_problem\"}");
        for (int k = 0; k < 3; k++) end(api, '}');
    }
    end(api, '}');
}

static void component_parameters(Api *api) {
    object(api, "parameters");
    raw(api, "Prefer", "{\"name\": \"Prefer\", \"in\": \"header\", \"description\": \"wait=N: seconds to wait for the result; respond-async: not at all\", \"schema\": {\"type\": \"string\"}}");
    raw(api, "Idempotency-Key", "{\"name\": \"Idempotency-Key\", \"in\": \"header\", \"description\": \"the same key within a day gives the same run\", "
                                "\"schema\": {\"type\": \"string\", \"maxLength\": 255}}");
    end(api, '}');
}

static bool scope_before(const Api *api, uint32_t unit, Str name) {
    for (uint32_t u = 0; u < unit; u++)
        for (int i = 0; i < api->units[u].image->scope_count; i++)
            if (str_eq(api->units[u].image->scopes[i].name, name)) return true;
    return false;
}

static void security_schemes(Api *api) {
    object(api, "securitySchemes");
    object(api, "bearer");
    text(api, "type", STR("http"));
    text(api, "scheme", STR("bearer"));
    text(api, "bearerFormat", STR("JWT"));
    object(api, "x-scopes");
    for (uint32_t u = 0; u < api->unit_count; u++)
        for (int i = 0; i < api->units[u].image->scope_count; i++) {
            const ImageScope *scope = &api->units[u].image->scopes[i];
            if (!scope_before(api, u, scope->name)) text_of(api, scope->name, scope->description);
        }
    end(api, '}');
    end(api, '}');
    end(api, '}');
}

/* ---- the whole ---- */

/* Of one program its hash, of several that of their hashes: another version is another document. */
static void info(Api *api, Str title) {
    char hash[SHA256_HEX + 1];
    Buf all = { 0 };
    for (uint32_t i = 0; i < api->unit_count; i++) buf_put(&all, api->units[i].image->hash.bytes, SHA256_BYTES);
    Sha256 version = api->unit_count == 1 ? api->units[0].image->hash : sha256(buf_str(&all));
    buf_free(&all);
    hex_encode(version.bytes, SHA256_BYTES, hash);
    object(api, "info");
    text(api, "title", title);
    text(api, "version", (Str){ hash, HASH_SHOWN });
    end(api, '}');
}

static void collect(Api *api, const Unit *unit) {
    const Image *image = unit->image;
    look_at(api, unit);
    for (int i = 0; i < image->route_count; i++)
        api->places[api->place_count++] = (Place){ .unit = unit, .route = &image->routes[i], .method = image->routes[i].method, .path = image->routes[i].path };
    for (int i = 0; i < image->webhook_count; i++)
        api->places[api->place_count++] = (Place){ .unit = unit, .hook = &image->webhooks[i], .method = image->webhooks[i].method, .path = image->webhooks[i].path };
    for (int i = 0; i < image->route_count; i++) {
        const ImageFlow *flow = &image->flows[image->routes[i].flow];
        for (int k = 0; k < flow->param_count; k++) mark(api, flow->params[k].type);
        mark(api, flow->result);
    }
}

static void collect_all(Api *api, Image *const *images, uint32_t count, Arena *arena) {
    Unit *units = ARENA_ARRAY(arena, Unit, count + 1);
    size_t places = 0;
    for (uint32_t i = 0; i < count; i++) {
        units[i] = (Unit){ images[i], ARENA_ARRAY(arena, bool, images[i]->type_count + 1) };
        places += (size_t)images[i]->route_count + images[i]->webhook_count;
    }
    api->units = units;
    api->unit_count = count;
    api->places = ARENA_ARRAY(arena, Place, places + 1);
    for (uint32_t i = 0; i < count; i++) collect(api, &units[i]);
}

void openapi_put(Image *const *images, uint32_t count, Str title, Str server_url, Buf *out) {
    Arena *arena = arena_new();
    Api api = { .out = out };
    collect_all(&api, images, count, arena);
    begin(&api, '{');
    text(&api, "openapi", STR("3.1.0"));
    info(&api, title);
    if (server_url.len) {
        list(&api, "servers");
        item(&api);
        text(&api, "url", server_url);
        end(&api, '}');
        end(&api, ']');
    }
    paths(&api);
    object(&api, "components");
    schemas(&api);
    component_responses(&api);
    component_parameters(&api);
    security_schemes(&api);
    end(&api, '}');
    end(&api, '}');
    buf_put_char(out, '\n');
    arena_free(arena);
}
