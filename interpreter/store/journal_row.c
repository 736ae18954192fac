/* journal_row.c - a journal row as bytes. */
#include "interpreter/store/journal_row.h"

enum { JOURNAL_ROW_VERSION = 1 };

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
