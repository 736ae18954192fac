/* service.c - see service.h. */
#include "interpreter/identity/service.h"

#include <stdlib.h>
#include "interpreter/effect/ids.h"
#include "interpreter/identity/oidc.h"

enum { SERVICE_BODY_MAX = 64 << 10 };

struct ServiceTask {
    Identity *identity;
    ServiceTask *next, **place;
    Arena *arena;
    bool *gone;                          /* told when it is freed while service_call() still looks at it */
    bool in_store, cancelled;            /* the store has it: it is freed when that calls back */
    bool orphan;                         /* the identity was closed: it answers nobody, and waits to be cancelled */
    OidcTask *oidc;
    const Image *image;                  /* while service_call() runs */
    Json *body;
    Str run_id, user, key, code, issuer;
    OidcLogin login;
    Str answer;                          /* of what is being made durable */
    HttpDone done; void *arg;
};

static void task_free(ServiceTask *task) {
    if (task->gone) *task->gone = true;
    if (task->next) task->next->place = task->place;
    *task->place = task->next;
    explicit_bzero(&task->login, sizeof task->login);
    arena_free(task->arena);
    free(task);
}

void service_cancel(ServiceTask *task) {
    if (!task) return;
    if (!task->orphan) oidc_cancel(task->oidc);
    task->oidc = NULL;
    if (task->in_store) task->cancelled = true;
    else task_free(task);
}

/* Whoever asked still has his task, and will cancel it. */
void service_close(Identity *identity) {
    for (ServiceTask *task = identity->services, *next; task; task = next) {
        next = task->next;
        oidc_cancel(task->oidc);
        task->oidc = NULL;
        task->orphan = true;
        task->next = NULL;
        task->place = &task->next;
    }
    identity->services = NULL;
}

/* The store called back. False: nobody wants to hear of it any more. */
static bool back_from_store(ServiceTask *task) {
    task->in_store = false;
    if (task->cancelled) task_free(task);
    else if (!task->orphan) return true;
    return false;
}

static void answer(ServiceTask *task, int status, Str body) {
    HttpResponse response = { .outcome = HTTP_ANSWERED, .status = status, .body = body, .content_type = STR("application/json") };
    task->done(&response, task->arg);
    task_free(task);
}

static void refuse(ServiceTask *task, int status, const char *why) {
    Buf body = { 0 };
    buf_put_text(&body, "{\"message\":");
    json_put_string(&body, str_of(why));
    buf_put_char(&body, '}');
    answer(task, status, arena_str(task->arena, buf_str(&body)));
    buf_free(&body);
}

static void refuse_oidc(ServiceTask *task, OidcOutcome outcome, const char *why) { refuse(task, outcome == OIDC_DENIED ? 401 : 503, why); }

/* ---- store ---------------------------------------------------------------------------------------------------- */

static void stored(const StoreResult *result, void *arg) {
    ServiceTask *task = arg;
    if (!back_from_store(task)) return;
    if (result->err) refuse(task, 503, "the store cannot be reached");
    else answer(task, 200, task->answer);
}

static void submit(ServiceTask *task, StoreBatch *batch, StoreDone done) {
    task->in_store = true;
    store_submit(batch, done, task);
}

/* ---- begin_login ------------------------------------------------------------------------------------------------ */

static void url_made(OidcOutcome outcome, const char *why, Str url, const OidcUser *user, void *arg) {
    ServiceTask *task = arg;
    Identity *identity = task->identity;
    char hash[SHA256_HEX + 1];
    task->oidc = NULL;
    if (outcome) { refuse_oidc(task, outcome, why); return; }
    Buf body = { 0 };
    buf_put_text(&body, "{\"url\":");
    json_put_string(&body, url);
    buf_put_char(&body, '}');
    task->answer = arena_str(task->arena, buf_str(&body));
    buf_free(&body);
    oidc_state_hash(str_of(task->login.state), hash);
    int64_t now = identity_now(identity);
    StoreBatch *batch = store_batch(identity->store, STR(""), STR(""), 0);
    store_put_auth_login(batch, &(AuthLoginRow){ str_of(hash), task->user, str_of(task->login.nonce), str_of(task->login.verifier), now, now + OIDC_LOGIN_US });
    submit(task, batch, stored);
}

static void begin_login(ServiceTask *task) {
    oidc_login_new(&task->login);
    task->oidc = oidc_authorize(task->identity->oidc, &task->login, url_made, task);
}

/* ---- exchange ----------------------------------------------------------------------------------------------------- */

static void put_member(Buf *out, const char *name, Str text) {
    buf_printf(out, ",\"%s\":", name);
    if (text.len) json_put_string(out, text);
    else buf_put_text(out, "null");
}

static void user_known(OidcOutcome outcome, const char *why, Str url, const OidcUser *user, void *arg) {
    ServiceTask *task = arg;
    task->oidc = NULL;
    if (outcome) { refuse_oidc(task, outcome, why); return; }
    Buf body = { 0 };
    buf_printf(&body, "{\"email_verified\":%s", user->email_verified ? "true" : "false");
    put_member(&body, "issuer", user->issuer);
    put_member(&body, "subject", user->subject);
    put_member(&body, "email", user->email);
    put_member(&body, "name", user->name);
    buf_put_char(&body, '}');
    Str text = arena_str(task->arena, buf_str(&body));
    buf_free(&body);
    answer(task, 200, text);
}

static void login_taken(const StoreResult *result, void *arg) {
    ServiceTask *task = arg;
    if (!back_from_store(task)) return;
    if (result->err) { refuse(task, 503, "the store cannot be reached"); return; }
    const AuthLoginRow *row = store_auth_login(result->batch, 0);
    bool same = row && row->visitor.len == task->user.len && digest_equal((const uint8_t *)row->visitor.ptr, (const uint8_t *)task->user.ptr, task->user.len);
    if (!same || identity_now(task->identity) >= row->expires_us) {
        refuse(task, 401, "this login was not begun here, has been used, or is too old; begin again");
        return;
    }
    OidcTask *oidc = NULL;
    bool gone = false, *before = task->gone;
    task->gone = &gone;
    oidc = oidc_exchange(task->identity->oidc, task->code, task->issuer, row->nonce, row->verifier, user_known, task);
    if (gone) { if (before) *before = true; return; }
    task->gone = before;
    task->oidc = oidc;
}

static void exchange(ServiceTask *task) {
    char hash[SHA256_HEX + 1];
    Str state = json_get_text(task->body, "state");
    task->code = json_get_text(task->body, "code");
    task->issuer = json_get_text(task->body, "issuer");
    if (!task->code.len || task->code.len > OIDC_CODE_MAX || !state.len || state.len > OIDC_CODE_MAX) { refuse(task, 400, "code and state are texts of at most OIDC_CODE_MAX (2048) bytes"); return; }
    oidc_state_hash(state, hash);
    StoreBatch *batch = store_batch(task->identity->store, STR(""), STR(""), 0);
    store_take_auth_login(batch, str_of(hash));
    submit(task, batch, login_taken);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------- */

static bool read_list(const Json *list, Arena *arena, Str **out, uint32_t *count) {
    *out = ARENA_ARRAY(arena, Str, PRINCIPAL_LIST_MAX);
    if (!list || list->kind == JSON_NULL) return true;
    if (list->kind != JSON_ARRAY || list->count > PRINCIPAL_LIST_MAX) return false;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != JSON_STRING || !claims_text_ok(list->items[i]->text)) return false;
        (*out)[(*count)++] = list->items[i]->text;
    }
    return true;
}

static bool add_once(Str *list, uint32_t *count, Str text) {
    for (uint32_t i = 0; i < *count; i++)
        if (str_eq(list[i], text)) return true;
    if (*count == PRINCIPAL_LIST_MAX) return false;
    list[(*count)++] = text;
    return true;
}

/* Without roles the program's default ones; the scopes are those that the roles grant, and what was given by name. */
static const char *grant(const Image *image, Principal *who) {
    if (!who->role_count)
        for (uint16_t r = 0; r < image->role_count; r++)
            if (image->roles[r].is_default && !add_once(who->roles, &who->role_count, image->roles[r].name)) return "more roles than PRINCIPAL_LIST_MAX (64)";
    for (uint32_t i = 0; i < who->role_count; i++) {
        const ImageRole *role = NULL;
        for (uint16_t r = 0; r < image->role_count && !role; r++)
            if (str_eq(image->roles[r].name, who->roles[i])) role = &image->roles[r];
        if (!role) return "a role that the program does not declare";
        for (uint16_t s = 0; s < role->scope_count; s++)
            if (!add_once(who->scopes, &who->scope_count, role->scopes[s])) return "more scopes than PRINCIPAL_LIST_MAX (64)";
    }
    return NULL;
}

static void put_list(Buf *out, const char *name, const Str *items, uint32_t count) {
    buf_printf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, items[i]);
    }
    buf_put_char(out, ']');
}

static Str print_session(const Principal *who, Arena *arena) {
    Buf out = { 0 };
    buf_put_text(&out, "{\"session\":");
    json_put_string(&out, str_of(arena_printf(arena, "%.*s/%.*s", STR_ARG(who->tenant), STR_ARG(who->session_id))));
    put_member(&out, "session_id", who->session_id);
    put_member(&out, "user_id", who->user);
    put_member(&out, "tenant_id", who->tenant);
    put_member(&out, "email", who->email);
    put_member(&out, "device_id", who->device_id);
    put_list(&out, "roles", who->roles, who->role_count);
    put_list(&out, "scopes", who->scopes, who->scope_count);
    buf_put_text(&out, ",\"expires_at\":\"");
    timestamp_print(who->expires_us, &out);
    buf_put_text(&out, "\"}");
    Str text = arena_str(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static const char *read_session(ServiceTask *task, Principal *who) {
    char id[IDS_TEXT_MAX];
    const Json *body = task->body;
    ids_derived("S", task->key, STR("session"), id);
    *who = (Principal){ .tenant = json_get_text(body, "tenant_id"), .user = json_get_text(body, "user_id"), .email = json_get_text(body, "email"), .device_id = json_get_text(body, "device_id"),
                        .session_id = arena_str(task->arena, str_of(id)), .expires_us = identity_now(task->identity) + IDENTITY_SESSION_US };
    if (!claims_text_ok(who->tenant) || str_is(who->tenant, IDENTITY_PUBLIC_TENANT) || !claims_text_ok(who->user)) return "tenant_id and user_id are texts that can name a tenant and a user";
    if ((who->email.len && !claims_text_ok(who->email)) || (who->device_id.len && !claims_text_ok(who->device_id))) return "email and device_id are texts without control characters";
    if (!read_list(json_get(body, "roles"), task->arena, &who->roles, &who->role_count) || !read_list(json_get(body, "scopes"), task->arena, &who->scopes, &who->scope_count))
        return "roles and scopes are lists of at most PRINCIPAL_LIST_MAX (64) texts";
    return grant(task->image, who);
}

static void open_session(ServiceTask *task) {
    Principal who;
    const char *why = read_session(task, &who);
    if (why) { refuse(task, 400, why); return; }
    task->answer = print_session(&who, task->arena);
    StoreBatch *batch = store_batch(task->identity->store, who.tenant, STR(""), 0);
    store_put_auth_session(batch, &(AuthSessionRow){ .session_id = who.session_id, .user = who.user, .run_id = task->run_id, .claims_json = task->answer,
                                                     .issued_us = who.expires_us - IDENTITY_SESSION_US, .expires_us = who.expires_us });
    submit(task, batch, stored);
}

static void close_session(ServiceTask *task) {
    Str tenant = json_get_text(task->body, "tenant_id"), session = json_get_text(task->body, "session_id");
    if (!claims_text_ok(tenant) || !claims_text_ok(session)) { refuse(task, 400, "tenant_id and session_id are texts"); return; }
    int64_t now = identity_now(task->identity);
    task->answer = STR("{\"closed\":true}");
    revocation_learn(task->identity, tenant, session, true);
    StoreBatch *batch = store_batch(task->identity->store, tenant, STR(""), 0);
    store_revoke_auth_session(batch, &(AuthSessionRow){ .session_id = session, .issued_us = now, .expires_us = now + REVOCATION_KEPT_US, .revoked_us = now });
    submit(task, batch, stored);
}

/* ---- the call --------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; bool logs_in; void (*run)(ServiceTask *task); } tools[] = {
    { "begin_login", true, begin_login }, { "exchange", true, exchange }, { "open_session", false, open_session }, { "close_session", false, close_session },
};

static void dispatch(ServiceTask *task, Str tool) {
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        if (!str_is(tool, tools[i].name)) continue;
        if (!task->identity->store) refuse(task, 503, "this identity has no store");
        else if (tools[i].logs_in && !task->identity->oidc) refuse(task, 503, "no provider is configured: set FLOW_OIDC_ISSUER, FLOW_OIDC_CLIENT_ID and FLOW_OIDC_REDIRECT");
        else if (tools[i].logs_in && !task->user.len) refuse(task, 401, "nobody's login: the run has no user whose browser could come back");
        else tools[i].run(task);
        return;
    }
    refuse(task, 404, "the engine's identity has no such tool");
}

ServiceTask *service_call(Identity *identity, const ServiceCall *call, HttpDone done, void *arg) {
    ServiceTask *task = mem_alloc(sizeof *task);
    Arena *arena = arena_new();
    bool gone = false;
    *task = (ServiceTask){ .identity = identity, .next = identity->services, .place = &identity->services, .arena = arena, .gone = &gone, .image = call->image, .run_id = arena_str(arena, call->run_id),
                           .user = arena_str(arena, call->user), .key = arena_str(arena, call->key), .done = done, .arg = arg };
    if (task->next) task->next->place = &task->next;
    identity->services = task;
    if (json_parse(arena, call->body, SERVICE_BODY_MAX, &task->body, NULL) != ERR_OK || task->body->kind != JSON_OBJECT) refuse(task, 400, "the parameters are no JSON object");
    else dispatch(task, call->tool);
    if (gone) return NULL;
    task->gone = NULL;
    task->image = NULL;
    return task;
}

/* ---- the token --------------------------------------------------------------------------------------------------------- */

typedef struct Mint { Identity *identity; Arena *arena; Str run_id, tenant, session_id; ServiceToken done; void *arg; } Mint;

static Err read_principal(const Mint *m, const AuthSessionRow *row, Principal *out, Error *error) {
    Json *json = NULL;
    int64_t now = identity_now(m->identity);
    bool fits = row && !row->revoked_us && str_eq(row->run_id, m->run_id) && row->run_id.len && now - row->issued_us < SERVICE_MINT_US && row->expires_us > now;
    if (!fits || json_parse(m->arena, row->claims_json, SERVICE_BODY_MAX, &json, NULL) != ERR_OK) return err_set(error, ERR_NOT_FOUND, "this run gave no such session a moment ago");
    *out = (Principal){ .tenant = m->tenant, .user = row->user, .session_id = m->session_id, .email = json_get_text(json, "email"), .device_id = json_get_text(json, "device_id"), .expires_us = row->expires_us };
    bool read = read_list(json_get(json, "roles"), m->arena, &out->roles, &out->role_count) && read_list(json_get(json, "scopes"), m->arena, &out->scopes, &out->scope_count);
    return read ? ERR_OK : err_set(error, ERR_CORRUPT, "cannot read the session's row");
}

static void session_found(const StoreResult *result, void *arg) {
    Mint *m = arg;
    if (!identity_release(m->identity)) { arena_free(m->arena); return; }
    Principal who;
    Error error = result->error;
    Buf token = { 0 };
    Err err = result->err;
    const AuthSessionRow *row = err ? NULL : store_auth_session(result->batch, 0);
    if (!err) err = read_principal(m, row, &who, &error);
    if (!err) err = identity_mint_at(m->identity, &who, row->issued_us, &token, &error);
    m->done(err, &error, buf_str(&token), err ? 0 : who.expires_us - identity_now(m->identity), m->arg);
    if (token.ptr) explicit_bzero(token.ptr, token.cap);
    buf_free(&token);
    arena_free(m->arena);
}

void service_mint(Identity *identity, Str session, Str run_id, ServiceToken done, void *arg) {
    const char *slash = session.len ? memrchr(session.ptr, '/', session.len) : NULL;
    Error error;
    if (!slash || !identity->store) {
        err_set(&error, ERR_NOT_FOUND, "this run gave no such session a moment ago");
        done(ERR_NOT_FOUND, &error, (Str){ "", 0 }, 0, arg);
        return;
    }
    Arena *arena = arena_new();
    Mint *m = ARENA_NEW(arena, Mint);
    *m = (Mint){ identity, arena, arena_str(arena, run_id), arena_str(arena, (Str){ session.ptr, (size_t)(slash - session.ptr) }),
                 arena_str(arena, (Str){ slash + 1, (size_t)(session.ptr + session.len - slash) - 1 }), done, arg };
    identity->holds++;
    StoreBatch *batch = store_batch(identity->store, m->tenant, STR(""), 0);
    store_get_auth_session(batch, m->session_id);
    store_submit(batch, session_found, m);
}
