/* journal_row.c - journal rows as bytes. */
#include "interpreter/store/journal_row.h"

enum { JOURNAL_ROW_VERSION = 1, JOURNAL_CHUNK_VERSION = 2 };

Err journal_row_check(const JournalRow *row, Error *error)
{
    if (row->args_json.len > JOURNAL_ARGS_MAX || row->detail_json.len > JOURNAL_ARGS_MAX)
        return err_set(error, ERR_LIMIT, "cannot journal more than %d bytes of arguments or detail (JOURNAL_ARGS_MAX)", JOURNAL_ARGS_MAX);
    return ERR_OK;
}

void journal_row_put(const JournalRow *row, Buf *out)
{
    const uint64_t numbers[] = { row->request, row->fiber, row->span, row->parent_span, row->entry, row->effect, row->target, row->agent };
    buf_put_u8(out, JOURNAL_ROW_VERSION);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buf_put_varint(out, numbers[i]);
    buf_put_zigzag(out, (int64_t)((uint64_t)row->ended_us - (uint64_t)row->started_us));
    buf_put_bytes(out, row->name);
    buf_put_bytes(out, row->args_json);
    buf_put_bytes(out, row->payload);
    buf_put_bytes(out, row->detail_json);
}

Err journal_row_read(Str bytes, JournalRow *row, Error *error)
{
    Reader r = reader_of(bytes);
    bool known = read_u8(&r) == JOURNAL_ROW_VERSION;
    row->request = read_varint(&r);
    row->fiber = (uint32_t)read_varint(&r);
    row->span = (uint32_t)read_varint(&r);
    row->parent_span = (uint32_t)read_varint(&r);
    row->entry = (uint8_t)read_varint(&r);
    row->effect = (uint8_t)read_varint(&r);
    row->target = (uint16_t)read_varint(&r);
    row->agent = (uint16_t)read_varint(&r);
    row->started_us = (int64_t)((uint64_t)row->ended_us - (uint64_t)read_zigzag(&r));
    row->name = read_bytes(&r, SIZE_MAX);
    row->args_json = read_bytes(&r, JOURNAL_ARGS_MAX);
    row->payload = read_bytes(&r, SIZE_MAX);
    row->detail_json = read_bytes(&r, JOURNAL_ARGS_MAX);
    if (!known || r.failed || reader_left(&r))
        return err_set(error, ERR_CORRUPT, "journal row %llu is damaged", (unsigned long long)row->seq);
    return ERR_OK;
}

/* ---- chunks --------------------------------------------------------------------------------------------- */

/* The length stands before the bytes and is known behind them, so it is of a fixed size. */
void journal_entry_put(const JournalRow *row, Buf *out)
{
    buf_put_zigzag(out, row->ended_us);
    size_t at = out->len;
    buf_put_u32(out, 0);
    journal_row_put(row, out);
    uint32_t len = (uint32_t)(out->len - at - sizeof len);
    for (size_t i = 0; i < sizeof len; i++)
        out->ptr[at + i] = (char)(len >> 8 * i);
}

static Str read_body(Reader *r)
{
    return read_raw(r, read_u32(r));
}

Str journal_entries_read(Reader *r, uint64_t count)
{
    const char *from = (const char *)r->ptr;
    for (uint64_t i = 0; i < count && !r->failed; i++) {
        read_zigzag(r);
        read_body(r);
    }
    return r->failed ? (Str){ 0 } : (Str){ from, (size_t)((const char *)r->ptr - from) };
}

static char *put_at(char *at, Str bytes)
{
    if (bytes.len)                                          /* else it may be NULL */
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

Str journal_chunk(Arena *arena, Str older, Str newer, uint32_t count)
{
    if (count == 1) {
        Reader r = reader_of(older.len ? older : newer);
        read_zigzag(&r);
        return arena_str(arena, read_body(&r));
    }
    size_t len = 1 + older.len + newer.len;
    char *bytes = arena_take(arena, len);
    bytes[0] = JOURNAL_CHUNK_VERSION;
    put_at(put_at(bytes + 1, older), newer);
    return (Str){ bytes, len };
}

Err journal_entries_expand(Str entries, uint64_t first, uint64_t count, JournalRow *rows, Error *error)
{
    Reader r = reader_of(entries);
    for (uint64_t i = 0; i < count && !r.failed; i++) {
        rows[i] = (JournalRow){ .seq = first + i, .ended_us = read_zigzag(&r) };
        Err err = journal_row_read(read_body(&r), &rows[i], error);
        if (err)
            return err;
    }
    if (r.failed || reader_left(&r))
        return err_set(error, ERR_CORRUPT, "journal rows %llu to %llu are damaged", (unsigned long long)first, (unsigned long long)(first + count - 1));
    return ERR_OK;
}

Err journal_chunk_read(Str bytes, uint64_t first, uint64_t count, int64_t ended_us, JournalRow *rows, Error *error)
{
    if (count == 1) {
        rows[0] = (JournalRow){ .seq = first, .ended_us = ended_us };
        return journal_row_read(bytes, rows, error);
    }
    bool known = bytes.len && bytes.ptr[0] == JOURNAL_CHUNK_VERSION && count <= JOURNAL_CHUNK_ROWS;
    return journal_entries_expand(known ? (Str){ bytes.ptr + 1, bytes.len - 1 } : (Str){ 0 }, first, count, rows, error);
}
