/* verify_route.c - routes and webhooks lead to flows that take what they bring; scopes and roles name each other. */
#include "interpreter/bytecode/verify_internal.h"
#include "interpreter/bytecode/route.h"

static const char *const actions[] = { "read", "write", "delete", "admin" };

static const ImageField *flow_param(const ImageFlow *flow, Str name)
{
    for (int i = 0; i < flow->param_count; i++)
        if (str_eq(flow->params[i].name, name)) return &flow->params[i];
    return NULL;
}

static Err verify_scopes(Verifier *v, const Str *scopes, uint16_t count)
{
    for (int i = 0; i < count; i++) {
        if (!scopes[i].len) return verify_fail(v, "scope %d has no name", i);
        for (int j = 0; j < i; j++)
            if (str_eq(scopes[i], scopes[j])) return verify_fail(v, "names `%.*s` twice", STR_ARG(scopes[i]));
    }
    return ERR_OK;
}

/* ---- where requests go ---- */

static Err verify_path(Verifier *v, Str method, Str path, const ImageFlow *flow)
{
    RouteSegment segments[ROUTE_SEGMENTS_MAX];
    const char *why;
    if (!route_method_known(method)) return verify_fail(v, "unknown method `%.*s`", STR_ARG(method));
    int count = route_split(path, segments, &why);
    if (count < 0) return verify_fail(v, "its path is none: %s", why);
    if (route_reserved(path).len) return verify_fail(v, "its path is the server's own");
    for (int i = 0; i < count; i++) {
        if (!segments[i].is_param) continue;
        if (!flow || !flow_param(flow, segments[i].text)) return verify_fail(v, "`%.*s` is no parameter", STR_ARG(segments[i].text));
        for (int j = 0; j < i; j++)
            if (segments[j].is_param && str_eq(segments[i].text, segments[j].text)) return verify_fail(v, "two segments are `%.*s`", STR_ARG(segments[i].text));
    }
    return ERR_OK;
}

static Err verify_route(Verifier *v, uint32_t index, const ImageRoute *route)
{
    const Image *m = v->image;
    if (route->flow >= m->flow_count) return verify_fail(v, "flow %u does not exist", route->flow);
    if (route->flags & ~(ROUTE_PUBLIC | ROUTE_STREAM | ROUTE_CANCEL_ON_DISCONNECT)) return verify_fail(v, "unknown flags 0x%x", route->flags);
    Err err = verify_path(v, route->method, route->path, &m->flows[route->flow]);
    if (!err) err = verify_scopes(v, route->scopes, route->scope_count);
    for (uint32_t i = 0; i < index && !err; i++)
        if (str_eq(m->routes[i].method, route->method) && route_same_shape(m->routes[i].path, route->path)) err = verify_fail(v, "is of the shape of route %u", i);
    return err;
}

static Err verify_body_func(Verifier *v, uint16_t index, const char *what)
{
    if (index == NO_INDEX) return ERR_OK;
    const ImageFunc *func = index < v->image->func_count ? &v->image->funcs[index] : NULL;
    bool fits = func && func->kind == FUNC_KEY && func->param_count == 1 && func->reg_types[0] == TYPE_INDEX_JSON && type_kind(v, func->result) == KIND_OPT
        && type_row(v, func->result)->element == TYPE_INDEX_STRING;
    return fits ? ERR_OK : verify_fail(v, "function %u of `%s` does not go from json to string?", index, what);
}

static Err verify_webhook(Verifier *v, uint32_t index, const ImageWebhook *webhook)
{
    const Image *m = v->image;
    if (webhook->flow >= m->flow_count) return verify_fail(v, "flow %u does not exist", webhook->flow);
    const ImageFlow *flow = &m->flows[webhook->flow];
    if (flow->param_count != 1 || flow->params[0].type != TYPE_INDEX_JSON) return verify_fail(v, "its flow does not take one json");
    if (webhook->scheme > VERIFY_STANDARD) return verify_fail(v, "unknown scheme %u", webhook->scheme);
    if (!webhook->secret_env.len) return verify_fail(v, "names no secret");
    if (webhook->tolerance_us <= 0) return verify_fail(v, "its tolerance is no time");
    if ((webhook->dedupe_func == NO_INDEX) != (webhook->dedupe_ttl_us == 0) || webhook->dedupe_ttl_us < 0) return verify_fail(v, "a dedupe has a key and a time, or none of both");
    Err err = verify_path(v, webhook->method, webhook->path, NULL);
    if (!err) err = verify_body_func(v, webhook->dedupe_func, "dedupe");
    if (!err) err = verify_body_func(v, webhook->tenant_func, "tenant");
    for (uint32_t i = 0; i < m->route_count && !err; i++)
        if (str_eq(m->routes[i].method, webhook->method) && route_same_shape(m->routes[i].path, webhook->path)) err = verify_fail(v, "is of the shape of route %u", i);
    for (uint32_t i = 0; i < index && !err; i++)
        if (str_eq(m->webhooks[i].method, webhook->method) && str_eq(m->webhooks[i].path, webhook->path)) err = verify_fail(v, "has the path of webhook %u", i);
    return err;
}

/* ---- who may what ---- */

static Err verify_scope_row(Verifier *v, const ImageScope *scope)
{
    if (!scope->resource.len) return verify_fail(v, "is on nothing");
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (str_is(scope->action, actions[i])) return ERR_OK;
    return verify_fail(v, "unknown action `%.*s`", STR_ARG(scope->action));
}

static Str webhook_name(const Image *m, uint32_t i) { return m->webhooks[i].name; }
static Str scope_name(const Image *m, uint32_t i) { return m->scopes[i].name; }
static Str role_name(const Image *m, uint32_t i) { return m->roles[i].name; }

Err verify_routes(Verifier *v)
{
    const Image *m = v->image;
    Err err = verify_unique(v, "webhook", webhook_name, m->webhook_count);
    if (!err) err = verify_unique(v, "scope", scope_name, m->scope_count);
    if (!err) err = verify_unique(v, "role", role_name, m->role_count);
    for (uint32_t i = 0; i < m->route_count && !err; i++) {
        verify_at(v, "route", i, m->routes[i].path);
        err = verify_route(v, i, &m->routes[i]);
    }
    for (uint32_t i = 0; i < m->webhook_count && !err; i++) {
        verify_at(v, "webhook", i, m->webhooks[i].name);
        err = verify_webhook(v, i, &m->webhooks[i]);
    }
    for (uint32_t i = 0; i < m->scope_count && !err; i++) {
        verify_at(v, "scope", i, m->scopes[i].name);
        err = verify_scope_row(v, &m->scopes[i]);
    }
    for (uint32_t i = 0; i < m->role_count && !err; i++) {
        verify_at(v, "role", i, m->roles[i].name);
        err = verify_scopes(v, m->roles[i].scopes, m->roles[i].scope_count);
    }
    return err;
}
