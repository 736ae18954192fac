/* sql_waits.c - runs that await an event, as statements: what a new wait finds, and which waits an event wakes.
 *
 * A wait may name a field of the event and the value that it compares it with. Field and value become the wait's key, a hash of both: an event wakes the waits
 * without a key and those with the key of one of its fields, so of a thousand runs that await one event each by its number each event wakes one.
 * A key only saves work. The condition is asked of every event that comes, and two keys that happen to be the same wake a run for nothing.
 */
#include "base/json.h"
#include "interpreter/store/sql.h"

enum { WAIT_KEYS_MAX = 64, WAIT_KEY_BYTES = 16, BACKLOG_PAGE = 500 };      /* fields of an event that count: one with more wakes every wait for its name; events of a backlog at a time */

/* ---- keys ----------------------------------------------------------------------------------------------- */

static Str key_of(Arena *arena, Str field, Str value)
{
    uint64_t hash = hash64(value, hash64(field, 0));
    return str_of(arena_printf(arena, "%0*llx", WAIT_KEY_BYTES, (unsigned long long)hash));
}

/* The text of a field as a program writes it into a text; lists, records and null have none. */
static bool text_of(const Json *value, Str *out)
{
    switch (value->kind) {
    case JSON_STRING: *out = value->text; return true;
    case JSON_INT: case JSON_NUMBER: *out = value->number_text; return true;
    case JSON_BOOL: *out = value->boolean ? STR("true") : STR("false"); return true;
    default: return false;
    }
}

/* The keys of an event's fields; WAIT_KEYS_MAX + 1 when there are too many, or it cannot be read. */
static uint32_t event_keys(Arena *arena, Str payload, Str *keys)
{
    Json *event = NULL;
    uint32_t count = 0;
    Str value;
    if (json_parse(arena, payload, payload.len, &event, NULL) || event->kind != JSON_OBJECT)
        return WAIT_KEYS_MAX + 1;
    for (size_t i = 0; i < event->count; i++) {
        if (!text_of(event->items[i], &value))
            continue;
        if (count == WAIT_KEYS_MAX)
            return WAIT_KEYS_MAX + 1;
        keys[count++] = key_of(arena, event->keys[i], value);
    }
    return count;
}

static bool has_key(Arena *arena, Str payload, Str wanted)
{
    Str keys[WAIT_KEYS_MAX];
    uint32_t count = event_keys(arena, payload, keys);
    for (uint32_t i = 0; i < count && count <= WAIT_KEYS_MAX; i++)
        if (str_eq(keys[i], wanted))
            return true;
    return count > WAIT_KEYS_MAX;
}

/* ---- what a new wait finds ------------------------------------------------------------------------------ */

/* What happened between the start of the run and its wait, from the run's cursor for that name (and key) on. In the very microsecond of the start only events
   of its own correlation count, and never the one that started it. */
#define BACKLOG \
    "FROM flow_runs r JOIN flow_events e ON e.tenant = r.tenant " \
    "WHERE r.tenant = ?1 AND r.run_id = ?3 AND e.name = ?2 AND e.event_id <> r.causation AND e.created_us >= r.created_us AND " \
    "e.created_us >= COALESCE((SELECT c.created_us FROM flow_mail c WHERE c.tenant = ?1 AND c.run_id = ?3 AND c.mail_id = ?4), 0) AND " \
    "(e.created_us > r.created_us OR (e.created_us = r.created_us AND e.correlation = COALESCE(r.correlation, r.run_id))) AND " \
    "NOT EXISTS (SELECT 1 FROM flow_mail m WHERE m.tenant = e.tenant AND m.run_id = r.run_id AND m.mail_id = e.event_id) "
#define MAIL_COLUMNS "INSERT INTO flow_mail (tenant, run_id, mail_id, kind, request, name, payload, created_us, taken, fresh) "

/* The cursor: before it the run has had every event of that name (and key), so that a wait of an old run looks at no more than one of a young run. It stands at
   the oldest event that the run has not taken, and STORE_EVENT_LAG_US behind the newest: what was emitted before, by another clock or in a transaction that
   is still open, is not passed over. 2 is MAIL_EVENT, 4 is MAIL_CURSOR. */
#define MOVE_CURSOR \
    MAIL_COLUMNS \
    "SELECT r.tenant, r.run_id, ?4, 4, 0, '', '', x.since, 1, 0 FROM flow_runs r, (SELECT CASE WHEN u.oldest < n.newest THEN u.oldest ELSE n.newest END AS since FROM " \
    "(SELECT MIN(created_us) AS oldest FROM flow_mail WHERE tenant = ?1 AND run_id = ?3 AND taken = 0 AND kind = 2 AND name = ?2) u, " \
    "(SELECT MAX(created_us) - ?5 AS newest FROM flow_events WHERE tenant = ?1 AND name = ?2) n) x " \
    "WHERE r.tenant = ?1 AND r.run_id = ?3 AND x.since > r.created_us " \
    "ON CONFLICT (tenant, run_id, mail_id) DO UPDATE SET created_us = excluded.created_us WHERE excluded.created_us > flow_mail.created_us"

static Err bring_all(SqlDb *db, StoreBatch *batch, const WaitRow *r, Cell cursor, Error *error)
{
    const Cell args[] = { cell_text(r->tenant), cell_text(r->event), cell_text(r->run_id), cursor, cell_u64(r->request) };
    return SQL_RUN(db, MAIL_COLUMNS "SELECT e.tenant, r.run_id, e.event_id, 2, ?5, e.name, e.payload, e.created_us, 0, 1 " BACKLOG "ORDER BY e.position", args, batch->arena, NULL, error);
}

/* The few that have the key, page by page: a store has no words of its own for what a payload says. */
static Err bring_keyed(SqlDb *db, StoreBatch *batch, const WaitRow *r, Str key, Cell cursor, Error *error)
{
    enum { COLUMNS = 4 };
    int64_t behind = 0;
    SqlRows rows = { .set.rows = BACKLOG_PAGE };
    Err err = ERR_OK;
    while (!err && rows.set.rows == BACKLOG_PAGE) {
        const Cell args[] = { cell_text(r->tenant), cell_text(r->event), cell_text(r->run_id), cursor, cell_int(behind), cell_int(BACKLOG_PAGE) };
        err = SQL_RUN(db, "SELECT e.position, e.event_id, e.payload, e.created_us " BACKLOG "AND e.position > ?5 ORDER BY e.position LIMIT ?6", args, batch->arena, &rows, error);
        for (uint32_t i = 0; !err && i < rows.set.rows; i++) {
            const Cell *c = &rows.set.cells[i * COLUMNS];
            behind = c[0].i;
            if (!has_key(batch->arena, c[2].text, key))
                continue;
            const Cell mail[] = { args[0], args[2], c[1], cell_u64(r->request), args[1], c[2], c[3] };
            err = SQL_RUN(db, MAIL_COLUMNS "VALUES (?1, ?2, ?3, 2, ?4, ?5, ?6, ?7, 0, 1) ON CONFLICT DO NOTHING", mail, batch->arena, NULL, error);
        }
    }
    return err;
}

/* What names the events of a tenant for locks between waits and the dispatcher. */
static Str wait_name(StoreBatch *batch, Str tenant, Str event)
{
    return str_of(arena_printf(batch->arena, "%.*s/%.*s", STR_ARG(tenant), STR_ARG(event)));
}

/* Where writers do not exclude each other, an event and a wait that commit at the same time must not miss each other: the dispatcher lets every wait that is
   being written end before it reads them (pass_waits), and a wait that comes later finds the event in the backlog. */
static Err put_wait(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const WaitRow *r = op->row;
    Str key = r->field.len ? key_of(batch->arena, r->field, r->value) : (Str){ "", 0 };
    const Cell name[] = { cell_text(wait_name(batch, r->tenant, r->event)) };
    const Cell cursor = cell_text(str_of(arena_printf(batch->arena, "cursor:%.*s%s%.*s", STR_ARG(r->event), key.len ? ":" : "", STR_ARG(key))));
    const Cell args[] = { cell_text(r->tenant), cell_text(r->event), cell_text(r->run_id), cell_u64(r->request), cell_text(key) };
    const Cell move[] = { args[0], args[1], args[2], cursor, cell_int(STORE_EVENT_LAG_US) };
    SqlRows rows;
    Err err = sql_check_tenant(batch, r->tenant, error);
    if (!err && db->dialect->share_name)
        err = db->run(db, str_of(db->dialect->share_name), name, 1, batch->arena, &rows, error);
    if (!err)
        err = SQL_RUN(db, "INSERT INTO flow_waits (tenant, event, run_id, request, wait_key) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING", args, batch->arena, &rows, error);
    if (err || rows.changes == 0)
        return err;
    err = key.len ? bring_keyed(db, batch, r, key, cursor, error) : bring_all(db, batch, r, cursor, error);
    return err ? err : SQL_RUN(db, MOVE_CURSOR, move, batch->arena, NULL, error);
}

static Err pass_waits(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell name[] = { cell_text(wait_name(batch, op->more, op->text)) };
    return db->dialect->pass_name ? db->run(db, str_of(db->dialect->pass_name), name, 1, batch->arena, &rows, error) : ERR_OK;
}

static Err clear_wait(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(op->number) };
    return SQL_RUN(db, "DELETE FROM flow_waits WHERE tenant = ?1 AND run_id = ?2 AND request = ?3", args, batch->arena, NULL, error);
}

/* ---- which waits an event wakes ------------------------------------------------------------------------- */

static Err get_waits(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    Str keys[WAIT_KEYS_MAX];
    Cell args[2 + WAIT_KEYS_MAX] = { cell_text(op->more), cell_text(op->text) };
    uint32_t count = op->bytes.len ? event_keys(batch->arena, op->bytes, keys) : WAIT_KEYS_MAX + 1;
    Buf sql = { 0 };
    buf_put_text(&sql, "SELECT run_id, request FROM flow_waits WHERE tenant = ?1 AND event = ?2");
    if (count <= WAIT_KEYS_MAX) {
        buf_put_text(&sql, " AND wait_key IN (''");
        for (uint32_t i = 0; i < count; i++) {
            args[2 + i] = cell_text(keys[i]);
            buf_printf(&sql, ", ?%u", 3 + i);
        }
        buf_put_char(&sql, ')');
    } else
        count = 0;
    buf_put_text(&sql, " ORDER BY run_id, request");
    Err err = db->run(db, buf_str(&sql), args, 2 + count, batch->arena, &rows, error);
    buf_free(&sql);
    if (err)
        return err;
    WaitRow *out = ARENA_ARRAY(batch->arena, WaitRow, rows.set.rows);
    for (uint32_t i = 0; i < rows.set.rows; i++) {
        const Cell *c = &rows.set.cells[i * rows.set.columns];
        out[i] = (WaitRow){ .tenant = op->more, .event = op->text, .run_id = c[0].text, .request = (uint64_t)c[1].i };
    }
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = out;
    slot->count = rows.set.rows;
    return ERR_OK;
}

Err sql_apply_wait_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    switch (op->kind) {
    case DO_PUT_WAIT:   return put_wait(db, batch, op, error);
    case DO_PASS_WAITS: return pass_waits(db, batch, op, error);
    case DO_CLEAR_WAIT: return clear_wait(db, batch, op, error);
    default:            return get_waits(db, batch, op, error);
    }
}
