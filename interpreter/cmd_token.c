/* cmd_token.c - flowd token: a token of this deployment, for development and scripts. */
#include <stdlib.h>
#include "base/hash.h"
#include "base/time.h"
#include "interpreter/cmd.h"
#include "interpreter/identity/identity.h"

/* "a,b c" and several options alike. */
static bool take_words(const char **values, int count, const char *option, Str *out, uint32_t *found) {
    for (int i = 0; i < count; i++) {
        for (const char *at = values[i]; *at;) {
            size_t len = strcspn(at, ", ");
            if (len && *found == PRINCIPAL_LIST_MAX) return cli_usage("%s: more than PRINCIPAL_LIST_MAX (%d)", option, PRINCIPAL_LIST_MAX), false;
            if (len) out[(*found)++] = (Str){ at, len };
            at += len + (at[len] != '\0');
        }
    }
    return true;
}

static int mint(const IdentityOptions *how, const Principal *who) {
    Identity *identity;
    Error error = { 0 };
    Buf token = { 0 };
    Err err = identity_open(how, NULL, NULL, NULL, &identity, &error);
    if (!err) {
        err = identity_mint(identity, who, &token, &error);
        identity_close(identity);
    }
    if (err) fprintf(stderr, "flowd: %s\n", error.text);
    else printf("%s\n", buf_cstr(&token));
    if (token.ptr) explicit_bzero(token.ptr, token.cap);
    buf_free(&token);
    return err ? EXIT_USAGE : EXIT_DONE;
}

int cmd_token(int argc, char **argv) {
    const char *user = NULL, *tenant = NULL, *email = "", *session = NULL, *device = "", *ttl = NULL, *keys = NULL;
    const char *scope_texts[CLI_REPEAT_MAX], *role_texts[CLI_REPEAT_MAX], **scopes = scope_texts, **roles = role_texts;
    int scope_options = 0, role_options = 0;
    const CliOption options[] = {
        { .name = "--user", .value = &user }, { .name = "--tenant", .value = &tenant }, { .name = "--email", .value = &email }, { .name = "--session", .value = &session },
        { .name = "--device", .value = &device }, { .name = "--ttl", .value = &ttl }, { .name = "--keys", .value = &keys },
        { .name = "--scopes", .values = &scopes, .value_count = &scope_options }, { .name = "--roles", .values = &roles, .value_count = &role_options }, { 0 } };
    int left = cli_options(argc, argv, options);
    if (left < 0) return EXIT_USAGE;
    if (left > 0 || !user || !tenant) return cli_usage("flowd token --user U --tenant T [--scopes S,…] [--roles R,…] [--ttl DURATION]");
    int64_t life = IDENTITY_SESSION_US;
    if (ttl && (duration_parse(str_of(ttl), &life) || life <= 0)) return cli_usage("--ttl wants a duration such as 10m or 24h, not `%s`", ttl);
    Str role_names[PRINCIPAL_LIST_MAX], scope_names[PRINCIPAL_LIST_MAX];
    Principal who = { .tenant = str_of(tenant), .user = str_of(user), .email = str_of(email), .device_id = str_of(device), .roles = role_names, .scopes = scope_names, .expires_us = clock_now() + life };
    if (!take_words(scopes, scope_options, "--scopes", scope_names, &who.scope_count) || !take_words(roles, role_options, "--roles", role_names, &who.role_count)) return EXIT_USAGE;
    char made[40] = "S-";
    uint8_t bytes[16];
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, made + 2);
    who.session_id = str_of(session ? session : made);
    IdentityOptions how;
    identity_options_from_environment(&how);
    how.trust_issuer = NULL;
    if (keys) how.keys_file = keys, how.keys_json = NULL;
    return mint(&how, &who);
}
