/* disasm_route.c - routes, webhooks, scopes and roles as readable text. */
#include "interpreter/bytecode/disasm_internal.h"

enum { TEXT_SHOWN = 80 };

static Str flow_name(const Image *m, uint32_t i) { return m->flows[i].name; }

static void names_print(const char *word, const Str *names, uint16_t count, Buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_put_text(out, i ? ", " : word);
        disasm_quoted(names[i], TEXT_SHOWN, out);
    }
}

static void routes_print(const Image *image, Buf *out)
{
    if (image->route_count) buf_put_text(out, "\nroutes\n");
    for (uint32_t i = 0; i < image->route_count; i++) {
        const ImageRoute *route = &image->routes[i];
        buf_printf(out, "  %.*s %.*s do ", STR_ARG(route->method), STR_ARG(route->path));
        disasm_name(flow_name, image, route->flow, image->flow_count, out);
        buf_printf(out, "%s%s%s", route->flags & ROUTE_STREAM ? " stream" : "", route->flags & ROUTE_CANCEL_ON_DISCONNECT ? " cancel on disconnect" : "",
                   route->flags & ROUTE_PUBLIC ? " public" : "");
        names_print(" requires ", route->scopes, route->scope_count, out);
        buf_put_char(out, '\n');
    }
}

static void webhooks_print(const Image *image, Buf *out)
{
    if (image->webhook_count) buf_put_text(out, "\nwebhooks\n");
    for (uint32_t i = 0; i < image->webhook_count; i++) {
        const ImageWebhook *webhook = &image->webhooks[i];
        buf_printf(out, "  %.*s %.*s %.*s do ", STR_ARG(webhook->name), STR_ARG(webhook->method), STR_ARG(webhook->path));
        disasm_name(flow_name, image, webhook->flow, image->flow_count, out);
        buf_printf(out, " verify %s env.%.*s tolerance %lld us", webhook->scheme == VERIFY_STRIPE ? "stripe" : webhook->scheme == VERIFY_STANDARD ? "standard" : "?",
                   STR_ARG(webhook->secret_env), (long long)webhook->tolerance_us);
        if (webhook->dedupe_func != NO_INDEX) buf_printf(out, " dedupe f%u ttl %lld us", webhook->dedupe_func, (long long)webhook->dedupe_ttl_us);
        if (webhook->tenant_func != NO_INDEX) buf_printf(out, " tenant f%u", webhook->tenant_func);
        buf_put_char(out, '\n');
    }
}

void disasm_routes(const Image *image, Buf *out)
{
    routes_print(image, out);
    webhooks_print(image, out);
    if (image->scope_count) buf_put_text(out, "\nscopes\n");
    for (uint32_t i = 0; i < image->scope_count; i++) {
        const ImageScope *scope = &image->scopes[i];
        buf_printf(out, "  %.*s on %.*s %.*s ", STR_ARG(scope->name), STR_ARG(scope->resource), STR_ARG(scope->action));
        disasm_quoted(scope->description, TEXT_SHOWN, out);
        buf_put_char(out, '\n');
    }
    if (image->role_count) buf_put_text(out, "\nroles\n");
    for (uint32_t i = 0; i < image->role_count; i++) {
        buf_printf(out, "  %.*s%s", STR_ARG(image->roles[i].name), image->roles[i].is_default ? " default" : "");
        names_print(" grants ", image->roles[i].scopes, image->roles[i].scope_count, out);
        buf_put_char(out, '\n');
    }
}
