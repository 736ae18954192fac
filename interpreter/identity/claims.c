/* claims.c - see claims.h. */
#include "interpreter/identity/claims.h"

#include <inttypes.h>
#include <strings.h>

#define SECONDS_MAX INT64_C(253402300799)                     /* the year 9999 */

bool claims_time(const Json *payload, const char *name, int64_t *us) {
    const Json *value = json_get(payload, name);
    if (!value || (value->kind != JSON_INT && value->kind != JSON_NUMBER)) return false;
    if (!(value->number >= 0 && value->number <= (double)SECONDS_MAX)) return false;
    *us = value->kind == JSON_INT ? value->integer * TIME_SECOND : (int64_t)(value->number * (double)TIME_SECOND);
    return true;
}

bool claims_text_ok(Str text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return false;
    return text.len > 0 && text.len <= PRINCIPAL_TEXT_MAX && utf8_valid(text);
}

static bool typ_fits(Str typ, Str wanted) {
    static const char media[] = "application/";
    if (typ.len > sizeof media - 1 && strncasecmp(typ.ptr, media, sizeof media - 1) == 0) typ.ptr += sizeof media - 1, typ.len -= sizeof media - 1;
    if (!wanted.len) return typ.len != 6 || strncasecmp(typ.ptr, "at+jwt", 6) != 0;
    return typ.len == wanted.len && strncasecmp(typ.ptr, wanted.ptr, typ.len) == 0;
}

/* How many audiences there are, 0: none, or the claim has another type; *ours: one of them is this. */
static size_t audiences(const Json *payload, Str audience, bool *ours) {
    const Json *aud = json_get(payload, "aud");
    *ours = false;
    if (!aud) return 0;
    if (aud->kind == JSON_STRING) return *ours = str_eq(aud->text, audience), 1;
    if (aud->kind != JSON_ARRAY || aud->count > PRINCIPAL_LIST_MAX) return 0;
    for (size_t i = 0; i < aud->count; i++) {
        if (aud->items[i]->kind != JSON_STRING) return *ours = false, 0;
        *ours |= str_eq(aud->items[i]->text, audience);
    }
    return aud->count;
}

static AuthOutcome refuse(AuthOutcome outcome, const char **why, const char *text) { return *why = text, outcome; }

static AuthOutcome check_audience(const Json *payload, const ClaimRules *rules, const char **why) {
    bool ours;
    const Json *azp = json_get(payload, "azp");
    size_t count = audiences(payload, rules->audience, &ours);
    if (!count || !rules->audience.len) return refuse(AUTH_BAD, why, "no aud");
    if (!ours) return refuse(AUTH_WRONG_AUDIENCE, why, "aud names others");
    if (!rules->sole_audience || (count == 1 && !azp)) return AUTH_OK;
    if (azp && azp->kind == JSON_STRING && str_eq(azp->text, rules->audience)) return AUTH_OK;
    return refuse(AUTH_WRONG_AUDIENCE, why, "azp does not name us");
}

AuthOutcome claims_check(const JwsToken *token, const ClaimRules *rules, int64_t *expires_us, const char **why) {
    const Json *payload = token->payload;
    int64_t issued, not_before;
    *why = "";
    if (!typ_fits(token->typ, rules->typ)) return refuse(AUTH_BAD, why, "typ is of another kind of token");
    if (!rules->issuer.len || !str_eq(json_get_text(payload, "iss"), rules->issuer)) return refuse(AUTH_BAD, why, "iss is another issuer");
    if (!claims_time(payload, "exp", expires_us)) return refuse(AUTH_BAD, why, "no exp");
    if (!claims_time(payload, "iat", &issued)) return refuse(AUTH_BAD, why, "no iat");
    if (json_get(payload, "nbf") && !claims_time(payload, "nbf", &not_before)) return refuse(AUTH_BAD, why, "nbf is no date");
    AuthOutcome outcome = check_audience(payload, rules, why);
    if (outcome) return outcome;
    if (rules->now_us >= *expires_us + rules->skew_us) return refuse(AUTH_EXPIRED, why, "expired");
    if (issued > rules->now_us + rules->skew_us) return refuse(AUTH_BAD, why, "iat is in the future");
    if (json_get(payload, "nbf") && not_before > rules->now_us + rules->skew_us) return refuse(AUTH_BAD, why, "nbf is in the future");
    return AUTH_OK;
}

static bool read_text(const Json *payload, const char *name, bool needed, Str *out) {
    const Json *value = json_get(payload, name);
    *out = json_get_text(payload, name);
    if (!value) return !needed;
    return value->kind == JSON_STRING && claims_text_ok(*out);
}

static bool read_list(const Json *payload, const char *name, Arena *arena, Str **out, uint32_t *count) {
    const Json *list = json_get(payload, name);
    if (!list) return true;
    if (list->kind != JSON_ARRAY || list->count > PRINCIPAL_LIST_MAX) return false;
    *out = ARENA_ARRAY(arena, Str, list->count);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != JSON_STRING || !claims_text_ok(list->items[i]->text)) return false;
        (*out)[(*count)++] = list->items[i]->text;
    }
    return true;
}

/* "calendar:read finance:write", as RFC 8693 has it. */
static bool read_words(Str text, Arena *arena, Str **out, uint32_t *count) {
    *out = ARENA_ARRAY(arena, Str, PRINCIPAL_LIST_MAX);
    while (text.len) {
        const char *space = memchr(text.ptr, ' ', text.len);
        Str word = { text.ptr, space ? (size_t)(space - text.ptr) : text.len };
        if (!claims_text_ok(word) || *count == PRINCIPAL_LIST_MAX) return false;
        (*out)[(*count)++] = word;
        text.ptr += word.len + (space != NULL), text.len -= word.len + (space != NULL);
    }
    return true;
}

static bool read_scopes(const Json *payload, Arena *arena, Principal *out) {
    const Json *words = json_get(payload, "scope");
    if (json_get(payload, "scopes") || !words) return read_list(payload, "scopes", arena, &out->scopes, &out->scope_count);
    return words->kind == JSON_STRING && read_words(words->text, arena, &out->scopes, &out->scope_count);
}

AuthOutcome claims_principal(const Json *payload, bool session, Arena *arena, Principal *out, const char **why) {
    Str subject;
    *out = (Principal){ 0 };
    *why = "";
    if (!read_text(payload, "tenant_id", true, &out->tenant) || str_is(out->tenant, IDENTITY_PUBLIC_TENANT)) return refuse(AUTH_BAD, why, "tenant_id is no text that can name a tenant");
    if (!read_text(payload, "user_id", false, &out->user) || !read_text(payload, "sub", true, &subject)) return refuse(AUTH_BAD, why, "sub or user_id is no text that can name a user");
    if (out->user.len && !str_eq(out->user, subject)) return refuse(AUTH_BAD, why, "sub and user_id name two users");
    out->user = subject;
    if (!read_text(payload, "session_id", session, &out->session_id)) return refuse(AUTH_BAD, why, "session_id is no text");
    if (!read_text(payload, "email", false, &out->email) || !read_text(payload, "device_id", false, &out->device_id)) return refuse(AUTH_BAD, why, "email or device_id is no text");
    if (!read_list(payload, "roles", arena, &out->roles, &out->role_count) || !read_scopes(payload, arena, out)) return refuse(AUTH_BAD, why, "roles or scopes are no list of texts");
    return AUTH_OK;
}

static void put_text(Buf *out, const char *name, Str text) {
    if (!text.len) return;
    buf_printf(out, ",\"%s\":", name);
    json_put_string(out, text);
}

static void put_list(Buf *out, const char *name, const Str *items, uint32_t count) {
    buf_printf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, items[i]);
    }
    buf_put_char(out, ']');
}

void claims_print(const Principal *p, Str issuer, Str audience, int64_t now_us, Buf *out) {
    buf_put_text(out, "{\"iss\":");
    json_put_string(out, issuer);
    put_text(out, "sub", p->user);
    put_text(out, "aud", audience);
    buf_printf(out, ",\"exp\":%" PRId64 ",\"iat\":%" PRId64, p->expires_us / TIME_SECOND, now_us / TIME_SECOND);
    put_text(out, "tenant_id", p->tenant);
    put_text(out, "user_id", p->user);
    put_text(out, "email", p->email);
    put_list(out, "roles", p->roles, p->role_count);
    put_list(out, "scopes", p->scopes, p->scope_count);
    put_text(out, "session_id", p->session_id);
    put_text(out, "device_id", p->device_id);
    buf_put_char(out, '}');
}
