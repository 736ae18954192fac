/* store_contract_auth.h - part of store_contract.h: logins that were begun, sessions that were given and revoked. */
#ifndef TESTS_STORE_CONTRACT_AUTH_H
#define TESTS_STORE_CONTRACT_AUTH_H

static void put_login(const char *state, int64_t now, int64_t expires)
{
    StoreBatch *batch = store_batch(contract_store, STR(""), STR(""), 0);
    store_put_auth_login(batch, &(AuthLoginRow){ str_of(state), STR("visitor-1"), STR("nonce"), STR("verifier"), now, expires });
    must_go(batch);
}

static bool takes_login(const char *state)
{
    StoreBatch *batch = store_batch(contract_store, STR(""), STR(""), 0);
    int index = store_take_auth_login(batch, str_of(state));
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    const AuthLoginRow *row = store_auth_login(batch, index);
    bool found = row != NULL;
    if (found) {
        assert_true(str_is(row->visitor, "visitor-1") && str_is(row->nonce, "nonce") && str_is(row->verifier, "verifier") && str_is(row->state_hash, state));
        assert_int_equal(row->expires_us, 600);
    }
    store_batch_free(batch);
    return found;
}

static void a_login_is_taken_once(void **state)
{
    put_login("h1", 0, 600);
    put_login("h2", 0, 600);
    assert_false(takes_login("h3"));
    assert_true(takes_login("h1"));
    assert_false(takes_login("h1"));
    store_close(contract_store);
    assert_int_equal(store_open(contract_url, NULL, &contract_store, NULL), ERR_OK);
    assert_false(takes_login("h1"));
    put_login("h4", 601, 1200);                              /* sweeps what is over */
    assert_false(takes_login("h2"));
    StoreBatch *batch = store_batch(contract_store, STR(""), STR(""), 0);
    store_put_auth_login(batch, &(AuthLoginRow){ STR("h4"), STR("v"), STR("n"), STR("v"), 601, 1200 });
    assert_int_equal(store_run_batch(batch, NULL), ERR_CONFLICT);
    store_batch_free(batch);
}

static int64_t revoked_at(const char *tenant, const char *session)
{
    StoreBatch *batch = store_batch(contract_store, str_of(tenant), STR(""), 0);
    int index = store_get_auth_session(batch, str_of(session));
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    const AuthSessionRow *row = store_auth_session(batch, index);
    int64_t at = row ? row->revoked_us : -1;
    if (row && row->claims_json.len) assert_true(str_is(row->claims_json, "{}") && str_is(row->user, "anna") && str_is(row->run_id, "r1") && row->issued_us == 5 && row->expires_us == 100);
    store_batch_free(batch);
    return at;
}

static void put_session(const char *tenant, const char *session, const char *user)
{
    StoreBatch *batch = store_batch(contract_store, str_of(tenant), STR(""), 0);
    store_put_auth_session(batch, &(AuthSessionRow){ .session_id = str_of(session), .user = str_of(user), .run_id = STR("r1"), .claims_json = STR("{}"), .issued_us = 5, .expires_us = 100 });
    must_go(batch);
}

static void revoke_session(const char *tenant, const char *session, int64_t at)
{
    StoreBatch *batch = store_batch(contract_store, str_of(tenant), STR(""), 0);
    store_revoke_auth_session(batch, &(AuthSessionRow){ .session_id = str_of(session), .issued_us = at, .expires_us = 50, .revoked_us = at });
    must_go(batch);
}

static void a_session_is_revoked_for_good(void **state)
{
    assert_int_equal(revoked_at("acme", "S1"), -1);
    put_session("acme", "S1", "anna");
    put_session("acme", "S1", "bob");                        /* the first one stays */
    assert_int_equal(revoked_at("acme", "S1"), 0);
    assert_int_equal(revoked_at("other", "S1"), -1);
    revoke_session("acme", "S1", 20);
    revoke_session("acme", "S1", 30);
    assert_int_equal(revoked_at("acme", "S1"), 20);
    put_session("acme", "S1", "anna");
    assert_int_equal(revoked_at("acme", "S1"), 20);
    revoke_session("acme", "S2", 40);                                /* one that has no row */
    assert_int_equal(revoked_at("acme", "S2"), 40);
    put_session("acme", "S2", "anna");
    assert_int_equal(revoked_at("acme", "S2"), 40);
}

#define CONTRACT_AUTH_TESTS CONTRACT_TEST(a_login_is_taken_once), CONTRACT_TEST(a_session_is_revoked_for_good),
#endif
