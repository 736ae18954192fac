/* ui.c - the files of the page, and the headers that fence it in: see ui.h. */
#include "interpreter/gateway/ui.h"

#include "interpreter/gateway/ui_files.h"                /* made of interpreter/gateway/ui by scripts/embed.sh */

/* No script but the page's own files, none inside the page, and no text ever parsed as HTML (trusted types without a policy refuse innerHTML). */
#define UI_POLICY "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

static const char *const FIRST_PAGE = "index.html";

static const struct { const char *name; const unsigned char *bytes; size_t size; } files[] = {
#define F(name, array) { name, array, sizeof array },
    EMBEDDED_FILES(F)
#undef F
};

static const struct { const char *ending, *type; } types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".svg", "image/svg+xml" },
};

static const struct { const char *name, *value; } headers[] = {
    { "Content-Security-Policy", UI_POLICY },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Permissions-Policy", "camera=(), geolocation=(), microphone=()" },
    { "Cache-Control", "no-cache" },
};

bool ui_is(Str path) { return str_is(path, "/ui") || str_starts(path, STR("/ui/")); }

static Str type_of(Str name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i].ending);
        if (name.len > length && memcmp(name.ptr + name.len - length, types[i].ending, length) == 0) return str_of(types[i].type);
    }
    return STR("application/octet-stream");
}

bool ui_reply(Str path, Reply *reply) {
    Str name = str_of(FIRST_PAGE);
    if (path.len > sizeof "/ui/" - 1) name = (Str){ path.ptr + sizeof "/ui/" - 1, path.len - (sizeof "/ui/" - 1) };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!str_is(name, files[i].name)) continue;
        reply->status = 200;
        reply->content_type = type_of(name);
        reply->body = (Str){ (const char *)files[i].bytes, files[i].size };
        for (size_t k = 0; k < sizeof headers / sizeof *headers; k++) reply_header(reply, str_of(headers[k].name), str_of(headers[k].value));
        return true;
    }
    return false;
}
