/* sql_auth.c - logins that were begun and sessions that were given, for interpreter/identity: filled into batches, done, and read. */
#include "interpreter/store/sql.h"

#include <assert.h>

enum { SWEEP_LOGINS = 20, SWEEP_SESSIONS = 20 };                /* what is over goes a few rows at a time, with each new one */
#define KEPT_SESSIONS_US (INT64_C(86400) * 1000000)             /* a session's row outlives its token by the skew of any clock */

void store_put_auth_login(StoreBatch *batch, const AuthLoginRow *row)
{
    AuthLoginRow *r = ARENA_NEW(batch->arena, AuthLoginRow);
    *r = (AuthLoginRow){ arena_str(batch->arena, row->state_hash), arena_str(batch->arena, row->visitor), arena_str(batch->arena, row->nonce),
                         arena_str(batch->arena, row->verifier), row->created_us, row->expires_us };
    store_add_op(batch, DO_PUT_AUTH_LOGIN, false)->row = r;
}

int store_take_auth_login(StoreBatch *batch, Str state_hash)
{
    StoreOp *op = store_add_op(batch, DO_TAKE_AUTH_LOGIN, true);
    op->text = arena_str(batch->arena, state_hash);
    return op->result;
}

static AuthSessionRow *copy_session(StoreBatch *batch, const AuthSessionRow *row)
{
    AuthSessionRow *r = ARENA_NEW(batch->arena, AuthSessionRow);
    *r = *row;
    r->session_id = arena_str(batch->arena, row->session_id);
    r->user = arena_str(batch->arena, row->user);
    r->run_id = arena_str(batch->arena, row->run_id);
    r->claims_json = arena_str(batch->arena, row->claims_json);
    return r;
}

void store_put_auth_session(StoreBatch *batch, const AuthSessionRow *row)
{
    store_add_op(batch, DO_PUT_AUTH_SESSION, false)->row = copy_session(batch, row);
}

void store_revoke_auth_session(StoreBatch *batch, const AuthSessionRow *row)
{
    store_add_op(batch, DO_REVOKE_AUTH_SESSION, false)->row = copy_session(batch, row);
}

int store_get_auth_session(StoreBatch *batch, Str session_id)
{
    StoreOp *op = store_add_op(batch, DO_GET_AUTH_SESSION, true);
    op->text = arena_str(batch->arena, session_id);
    return op->result;
}

static const void *found_row(const StoreBatch *batch, int index, StoreDo kind)
{
    assert(index >= 0 && index < batch->slot_count && batch->slots[index].kind == kind);
    return batch->slots[index].found ? batch->slots[index].rows : NULL;
}

const AuthLoginRow *store_auth_login(const StoreBatch *batch, int index) { return found_row(batch, index, DO_TAKE_AUTH_LOGIN); }
const AuthSessionRow *store_auth_session(const StoreBatch *batch, int index) { return found_row(batch, index, DO_GET_AUTH_SESSION); }

/* ---- in SQL ------------------------------------------------------------------------------------------------ */

static Err sweep(SqlDb *db, StoreBatch *batch, const char *statement, int64_t before_us, int limit, Error *error)
{
    const Cell args[] = { cell_int(before_us), cell_int(limit) };
    Str sql = str_of(arena_printf(batch->arena, statement, db->dialect->skip_locked ? db->dialect->skip_locked : ""));
    return db->run(db, sql, args, 2, batch->arena, NULL, error);
}

static Err put_login(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    const AuthLoginRow *r = op->row;
    const Cell args[] = { cell_text(r->state_hash), cell_text(r->visitor), cell_text(r->nonce), cell_text(r->verifier), cell_int(r->created_us), cell_int(r->expires_us) };
    Err err = SQL_RUN(db, "INSERT INTO flow_auth_logins (state_hash, visitor, nonce, verifier, created_us, expires_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", args, batch->arena, NULL, error);
    return err ? err : sweep(db, batch, "DELETE FROM flow_auth_logins WHERE state_hash IN (SELECT state_hash FROM flow_auth_logins WHERE expires_us < ?1 ORDER BY expires_us LIMIT ?2%s)",
                             r->created_us, SWEEP_LOGINS, error);
}

static Err take_login(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->text) };
    Err err = SQL_RUN(db, "DELETE FROM flow_auth_logins WHERE state_hash = ?1 RETURNING visitor, nonce, verifier, created_us, expires_us", args, batch->arena, &rows, error);
    if (err || rows.set.rows == 0)
        return err;
    AuthLoginRow *row = ARENA_NEW(batch->arena, AuthLoginRow);
    const Cell *c = rows.set.cells;
    *row = (AuthLoginRow){ op->text, c[0].text, c[1].text, c[2].text, c[3].i, c[4].i };
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = row;
    slot->found = true;
    return ERR_OK;
}

static Err put_session(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    const AuthSessionRow *r = op->row;
    const Cell args[] = { cell_text(batch->tenant), cell_text(r->session_id), cell_text(r->user), cell_text(r->run_id), cell_text(r->claims_json), cell_int(r->issued_us), cell_int(r->expires_us),
                          cell_int(r->revoked_us) };
    Err err = SQL_RUN(db, "INSERT INTO flow_auth_sessions (tenant, session_id, user_id, run_id, claims_json, issued_us, expires_us, revoked_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                          "ON CONFLICT (tenant, session_id) DO NOTHING", args, batch->arena, NULL, error);
    return err ? err : sweep(db, batch, "DELETE FROM flow_auth_sessions WHERE (tenant, session_id) IN (SELECT tenant, session_id FROM flow_auth_sessions WHERE expires_us < ?1 "
                             "ORDER BY expires_us LIMIT ?2%s)", r->issued_us - KEPT_SESSIONS_US, SWEEP_SESSIONS, error);
}

/* Also of a session that has no row, since tokens can be made without a store; the first time counts. */
static Err revoke_session(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    const AuthSessionRow *r = op->row;
    const Cell args[] = { cell_text(batch->tenant), cell_text(r->session_id), cell_text(r->user), cell_int(r->issued_us), cell_int(r->expires_us), cell_int(r->revoked_us) };
    return SQL_RUN(db, "INSERT INTO flow_auth_sessions (tenant, session_id, user_id, run_id, claims_json, issued_us, expires_us, revoked_us) VALUES (?1, ?2, ?3, '', '', ?4, ?5, ?6) "
                       "ON CONFLICT (tenant, session_id) DO UPDATE SET revoked_us = CASE WHEN flow_auth_sessions.revoked_us = 0 THEN excluded.revoked_us ELSE flow_auth_sessions.revoked_us END, "
                       "expires_us = CASE WHEN excluded.expires_us > flow_auth_sessions.expires_us THEN excluded.expires_us ELSE flow_auth_sessions.expires_us END", args, batch->arena, NULL, error);
}

static Err get_session(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT user_id, run_id, claims_json, issued_us, expires_us, revoked_us FROM flow_auth_sessions WHERE tenant = ?1 AND session_id = ?2", args, batch->arena, &rows, error);
    if (err || rows.set.rows == 0)
        return err;
    AuthSessionRow *row = ARENA_NEW(batch->arena, AuthSessionRow);
    const Cell *c = rows.set.cells;
    *row = (AuthSessionRow){ .session_id = op->text, .user = c[0].text, .run_id = c[1].text, .claims_json = c[2].text, .issued_us = c[3].i, .expires_us = c[4].i, .revoked_us = c[5].i };
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = row;
    slot->found = true;
    return ERR_OK;
}

Err sql_apply_auth_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    switch (op->kind) {
    case DO_PUT_AUTH_LOGIN:      return put_login(db, batch, op, error);
    case DO_TAKE_AUTH_LOGIN:     return take_login(db, batch, op, error);
    case DO_PUT_AUTH_SESSION:    return put_session(db, batch, op, error);
    case DO_REVOKE_AUTH_SESSION: return revoke_session(db, batch, op, error);
    default:                     return get_session(db, batch, op, error);
    }
}
