/* llm_settings.c - which language models are asked, from the environment.
 *
 *   FLOW_LLM_PROVIDER, _URL, _MODEL, _KEY, _TIMEOUT            the first provider, "main"
 *   FLOW_LLM_FALLBACK=local,spare                              more of them, in this order; `none` at its end: no rules behind them
 *   FLOW_LLM_LOCAL_PROVIDER, FLOW_LLM_LOCAL_URL …              the provider "local" */
#include <ctype.h>
#include <stdio.h>
#include "base/time.h"
#include "interpreter/net/llm_client.h"

typedef struct Variables { const char *(*get)(const char *name); Arena *arena; const char *prefix; Error *error; } Variables;

static const char *name_of(const Variables *v, const char *what) { return arena_printf(v->arena, "%s%s", v->prefix, what); }

static Str value_of(const Variables *v, const char *what) {
    const char *value = v->get(name_of(v, what));
    return value ? arena_str(v->arena, str_of(value)) : (Str){ "", 0 };
}

static bool is_plain(Str text, size_t max) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7F) return false;
    return text.len <= max;
}

static Err read_url(const Variables *v, LlmProvider *provider) {
    Str url = value_of(v, "URL");
    if (url.len == 0 && provider->dialect == LLM_OLLAMA) url = STR("http://127.0.0.1:11434");
    while (url.len && url.ptr[url.len - 1] == '/') url.len--;
    if (url.len == 0) return err_set(v->error, ERR_INVALID, "set %s to the address of the language model, for example http://127.0.0.1:8000/v1", name_of(v, "URL"));
    bool web = str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    if (!web || !is_plain(url, LLM_URL_MAX) || memchr(url.ptr, '?', url.len) || memchr(url.ptr, '#', url.len))
        return err_set(v->error, ERR_INVALID, "%s is no http or https address without query (at most %d characters)", name_of(v, "URL"), LLM_URL_MAX);
    if (memchr(url.ptr, '@', url.len)) return err_set(v->error, ERR_INVALID, "%s holds a user or password: a key belongs into %s", name_of(v, "URL"), name_of(v, "KEY"));
    provider->url = url;
    return ERR_OK;
}

static Err read_timeout(const Variables *v, LlmProvider *provider) {
    Str text = value_of(v, "TIMEOUT");
    if (text.len == 0) text = str_of(v->get("FLOW_LLM_TIMEOUT"));
    provider->timeout_us = LLM_TIMEOUT_DEFAULT;
    if (text.len == 0) return ERR_OK;
    if (duration_parse(text, &provider->timeout_us) == ERR_OK && provider->timeout_us >= 100000 && provider->timeout_us <= HTTP_STREAM_TIMEOUT) return ERR_OK;
    return err_set(v->error, ERR_INVALID, "%s wants a duration from 100ms to 10m, not `%.*s`", name_of(v, "TIMEOUT"), (int)(text.len < 40 ? text.len : 40), text.ptr);
}

static Err read_provider(const Variables *v, Str name, LlmProvider *provider) {
    Str dialect = value_of(v, "PROVIDER");
    *provider = (LlmProvider){ .name = name, .dialect = str_is(dialect, "ollama") ? LLM_OLLAMA : LLM_OPENAI };
    if (dialect.len && !str_is(dialect, "openai") && !str_is(dialect, "ollama"))
        return err_set(v->error, ERR_INVALID, "%s is `openai` (any server that is compatible with it) or `ollama`, not `%.*s`", name_of(v, "PROVIDER"), (int)(dialect.len < 40 ? dialect.len : 40), dialect.ptr);
    Err err = read_url(v, provider);
    if (err) return err;
    provider->model = value_of(v, "MODEL");
    if (provider->model.len == 0 || !is_plain(provider->model, LLM_MODEL_MAX))
        return err_set(v->error, ERR_INVALID, "set %s to the name of a model (at most %d characters without spaces)", name_of(v, "MODEL"), LLM_MODEL_MAX);
    provider->key = value_of(v, "KEY");
    if (!is_plain(provider->key, LLM_KEY_MAX)) return err_set(v->error, ERR_INVALID, "%s holds spaces or control characters, or is longer than %d", name_of(v, "KEY"), LLM_KEY_MAX);
    return read_timeout(v, provider);
}

static bool is_name(Str name) {
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_') return false;
    return name.len > 0 && name.len <= LLM_NAME_MAX && !isdigit((unsigned char)name.ptr[0]);
}

static Err add_named(Variables *v, Str name, LlmSettings *out) {
    if (!is_name(name)) return err_set(v->error, ERR_INVALID, "FLOW_LLM_FALLBACK is a list of names (letters, digits, _; at most %d of them) with commas between", LLM_NAME_MAX);
    if (out->provider_count == LLM_PROVIDERS_MAX) return err_set(v->error, ERR_LIMIT, "FLOW_LLM_FALLBACK names more providers than LLM_PROVIDERS_MAX (%d)", LLM_PROVIDERS_MAX);
    char *prefix = arena_printf(v->arena, "FLOW_LLM_%.*s_", STR_ARG(name));
    for (char *c = prefix; *c; c++) *c = (char)toupper((unsigned char)*c);
    v->prefix = prefix;
    return read_provider(v, arena_str(v->arena, name), &out->providers[out->provider_count++]);
}

static Err read_fallback(Variables *v, LlmSettings *out) {
    Str list = str_of(v->get("FLOW_LLM_FALLBACK"));
    Err err = ERR_OK;
    while (list.len && !err) {
        const char *comma = memchr(list.ptr, ',', list.len);
        Str name = { list.ptr, comma ? (size_t)(comma - list.ptr) : list.len };
        list.ptr += name.len + (comma != NULL), list.len -= name.len + (comma != NULL);
        while (name.len && name.ptr[0] == ' ') name.ptr++, name.len--;
        while (name.len && name.ptr[name.len - 1] == ' ') name.len--;
        bool last = str_is(name, "none") || str_is(name, "rules");
        if (last && list.len) return err_set(v->error, ERR_INVALID, "FLOW_LLM_FALLBACK: nothing can stand behind `%.*s`", STR_ARG(name));
        if (last) out->no_rules = str_is(name, "none");
        else err = add_named(v, name, out);
    }
    return err;
}

Err llm_settings_read(const char *(*get)(const char *name), Arena *arena, LlmSettings *out, Error *error) {
    Variables v = { get, arena, "FLOW_LLM_", error };
    *out = (LlmSettings){ 0 };
    if (value_of(&v, "URL").len || value_of(&v, "PROVIDER").len) {
        Err err = read_provider(&v, STR("main"), &out->providers[out->provider_count++]);
        if (err) return err;
    } else if (value_of(&v, "MODEL").len || value_of(&v, "KEY").len)
        return err_set(error, ERR_INVALID, "FLOW_LLM_MODEL and FLOW_LLM_KEY mean nothing without FLOW_LLM_URL");
    return read_fallback(&v, out);
}
