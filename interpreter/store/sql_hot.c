/* sql_hot.c - hot state as rows: an entry is one row, its fields are encoded in it.
 *
 * A change reads the row under a lock, changes the fields in memory and writes it back, so every operation is atomic on any SQL store:
 * where nothing is there to lock, the insert of the one who comes second does nothing, and he reads again.
 */
#include "interpreter/store/hot_internal.h"
#include "interpreter/store/sql.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Entry {
    bool row, there;                     /* a row exists; the entry has not ended */
    HotField *fields; uint32_t count;    /* sorted by name; room for what a change adds */
} Entry;

/* ---- the row's bytes: the number of fields, then name and value of each, sorted by name ------------------- */

static void encode(const Entry *entry, Buf *out)
{
    buf_put_varint(out, entry->count);
    for (uint32_t i = 0; i < entry->count; i++) {
        buf_put_bytes(out, entry->fields[i].name);
        buf_put_bytes(out, entry->fields[i].value);
    }
}

static Err decode(Arena *arena, Str body, uint32_t room, Entry *entry, Error *error)
{
    Reader r = reader_of(body);
    uint64_t count = read_varint(&r);
    if (r.failed || count > HOT_FIELDS_MAX)
        return err_set(error, ERR_CORRUPT, "cannot read an entry of the hot state");
    entry->fields = ARENA_ARRAY(arena, HotField, count + room);
    entry->count = (uint32_t)count;
    for (uint32_t i = 0; i < entry->count; i++) {
        entry->fields[i].name = read_bytes(&r, HOT_KEY_MAX);
        entry->fields[i].value = read_bytes(&r, HOT_VALUE_MAX);
    }
    return r.failed || reader_left(&r) ? err_set(error, ERR_CORRUPT, "cannot read an entry of the hot state") : ERR_OK;
}

static HotField *find_field(const Entry *entry, Str name)
{
    for (uint32_t i = 0; i < entry->count; i++)
        if (str_eq(entry->fields[i].name, name))
            return &entry->fields[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const HotField *)a)->name, ((const HotField *)b)->name);
}

static Err merge(Entry *entry, const HotField *fields, uint32_t count, Error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        HotField *known = find_field(entry, fields[i].name);
        if (!known && entry->count == HOT_FIELDS_MAX)
            return err_set(error, ERR_LIMIT, "cannot keep more than %d fields in an entry (HOT_FIELDS_MAX)", HOT_FIELDS_MAX);
        if (known)
            known->value = fields[i].value;
        else
            entry->fields[entry->count++] = fields[i];
    }
    qsort(entry->fields, entry->count, sizeof *entry->fields, by_name);
    return ERR_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static Err load(SqlDb *db, StoreBatch *batch, const HotCall *call, bool lock, Entry *entry, Error *error)
{
    uint32_t room = lock ? call->count + 1 : 0;             /* ADD has no field of its own */
    const Cell key[] = { cell_text(call->tenant), cell_text(call->key) };
    SqlRows rows;
    Buf sql = { 0 };
    buf_put_text(&sql, "SELECT body, ends_us FROM flow_hot s0 WHERE tenant = ?1 AND hot_key = ?2");
    if (lock)
        buf_put_text(&sql, db->dialect->lock_rows);
    Err err = db->run(db, buf_str(&sql), key, 2, batch->arena, &rows, error);
    buf_free(&sql);
    if (err)
        return err;
    *entry = (Entry){ .row = rows.set.rows == 1 };
    entry->there = entry->row && rows.set.cells[1].i > call->now_us;
    if (entry->there)
        return decode(batch->arena, rows.set.cells[0].text, room, entry, error);
    entry->fields = ARENA_ARRAY(batch->arena, HotField, room);
    return ERR_OK;
}

/* ---- changing ---------------------------------------------------------------------------------------------- */

static Err add(StoreBatch *batch, const HotCall *call, Entry *entry, int64_t *number, Error *error)
{
    const HotField *known = find_field(entry, (Str){ 0 });
    *number = 0;
    if (known) {
        char *text = (char *)arena_str(batch->arena, known->value).ptr, *end, back[32];
        *number = strtoll(text, &end, 10);
        snprintf(back, sizeof back, "%lld", (long long)*number);
        if (!str_is(known->value, back))                   /* spelled in the one way numbers are written here */
            return err_set(error, ERR_INVALID, "cannot add to `%.*s`: its value is no number", STR_ARG(call->key));
    }
    if (__builtin_add_overflow(*number, call->by, number))
        return err_set(error, ERR_LIMIT, "cannot add to `%.*s`: the number would leave 64 bits", STR_ARG(call->key));
    const HotField field = { .value = str_of(arena_printf(batch->arena, "%lld", (long long)*number)) };
    return merge(entry, &field, 1, error);
}

/* What the call makes of the entry. *write false: nothing, its condition does not hold. */
static Err change(StoreBatch *batch, StoreSlot *slot, const HotCall *call, Entry *entry, bool *write, Error *error)
{
    const HotField *known;
    *write = true;
    switch (call->kind) {
    case HOT_ADD:
        return add(batch, call, entry, &slot->time, error);
    case HOT_PUT_NEW:
        *write = !entry->there;
        break;
    case HOT_CHANGE:
        known = find_field(entry, call->field);
        *write = call->expected.len ? known && str_eq(known->value, call->expected) : !entry->there;
        entry->count = 0;
        break;
    default:
        break;
    }
    slot->found = *write;
    return *write ? merge(entry, call->fields, call->count, error) : ERR_OK;
}

static Err save(SqlDb *db, StoreBatch *batch, const HotCall *call, const Entry *entry, bool *saved, Error *error)
{
    static const Str INSERT = STR("INSERT INTO flow_hot (tenant, hot_key, body, ends_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
    static const Str UPDATE = STR("UPDATE flow_hot SET body = ?3, ends_us = ?4 WHERE tenant = ?1 AND hot_key = ?2");
    Buf body = { 0 };
    SqlRows rows;
    encode(entry, &body);
    const Cell args[] = { cell_text(call->tenant), cell_text(call->key), cell_blob(buf_str(&body)), cell_int(call->ends_us) };
    Err err = db->run(db, entry->row ? UPDATE : INSERT, args, 4, batch->arena, &rows, error);
    *saved = !err && rows.changes > 0;
    buf_free(&body);
    return err;
}

static Err write_entry(SqlDb *db, StoreBatch *batch, StoreOp *op, const HotCall *call, Error *error)
{
    for (bool saved = false; !saved;) {                     /* again when another one inserted it between our select and our insert */
        Entry entry;
        bool write;
        Err err = load(db, batch, call, true, &entry, error);
        if (!err)
            err = change(batch, store_slot(batch, op), call, &entry, &write, error);
        if (err || !write)
            return err;
        if ((err = save(db, batch, call, &entry, &saved, error)))
            return err;
    }
    return ERR_OK;
}

/* ---- erasing ----------------------------------------------------------------------------------------------- */

static Err erase_prefix(SqlDb *db, StoreBatch *batch, const HotCall *call, SqlRows *rows, Error *error)
{
    Buf last = { 0 };                                       /* sorts behind every key that begins with the prefix and before all others */
    buf_put_str(&last, call->key);
    for (size_t i = 0; i <= HOT_KEY_MAX / 4; i++)
        buf_put_text(&last, "\xF4\x8F\xBF\xBF");
    const Cell range[] = { cell_text(call->tenant), cell_text(call->key), cell_text(buf_str(&last)) };
    Err err = SQL_RUN(db, "DELETE FROM flow_hot WHERE tenant = ?1 AND hot_key >= ?2 AND hot_key < ?3", range, batch->arena, rows, error);
    buf_free(&last);
    return err;
}

static Err erase(SqlDb *db, StoreBatch *batch, StoreOp *op, const HotCall *call, Error *error)
{
    const Cell key[] = { cell_text(call->tenant), cell_text(call->key) };
    const Cell ended[] = { cell_int(call->now_us), cell_int(call->by) };
    SqlRows rows;
    Err err;
    if (call->kind == HOT_ERASE)
        err = SQL_RUN(db, "DELETE FROM flow_hot WHERE tenant = ?1 AND hot_key = ?2", key, batch->arena, &rows, error);
    else if (call->kind == HOT_ERASE_PREFIX)
        err = erase_prefix(db, batch, call, &rows, error);
    else
        err = SQL_RUN(db, "DELETE FROM flow_hot WHERE ends_us <= ?1 AND (tenant, hot_key) IN (SELECT tenant, hot_key FROM flow_hot WHERE ends_us <= ?1 ORDER BY ends_us LIMIT ?2)",
                      ended, batch->arena, &rows, error);
    if (!err)
        store_slot(batch, op)->time = rows.changes;
    return err;
}

Err sql_apply_hot(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const HotCall *call = op->row;
    if (op->kind == DO_HOT_WRITE)
        return call->kind >= HOT_ERASE ? erase(db, batch, op, call, error) : write_entry(db, batch, op, call, error);
    Entry entry;
    Err err = load(db, batch, call, false, &entry, error);
    if (err)
        return err;
    StoreSlot *slot = store_slot(batch, op);
    slot->found = entry.there;
    slot->rows = entry.fields;
    slot->count = entry.count;
    return ERR_OK;
}
