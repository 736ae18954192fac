/* journal_row.h - journal rows as bytes, the same in every store.
 *
 * A store keeps what it looks for (tenant, run, seq, the end) where it can look, and all else as these bytes: in a database of tables a
 * narrow row costs half of one with a column for each field. The format is that of base/buf.h: varints, zigzag, texts behind their length.
 * It begins with a version, so that rows of older programs can be told from newer ones.
 *
 * Rows of one run whose seqs follow each other may lie together, as a chunk: what a database does for a row of its own it then does once for many of ours.
 * A chunk is kept where its first row would be and says in a column which its last one is. One of a single row is the bytes of that row.
 */
#ifndef STORE_JOURNAL_ROW_H
#define STORE_JOURNAL_ROW_H
#include "base/arena.h"
#include "interpreter/store/store.h"

enum { JOURNAL_CHUNK_ROWS = 64 };       /* the most rows of one chunk: what holds row n begins less than that before it */

/* Whatever chunk holds row `seq` begins behind this row. */
static inline int64_t journal_chunk_behind(uint64_t seq) { return seq < JOURNAL_CHUNK_ROWS ? 0 : (int64_t)(seq - JOURNAL_CHUNK_ROWS); }

/* What append must refuse: ERR_LIMIT. */
Err journal_row_check(const JournalRow *row, Error *error);
/* Everything but seq and ended_us. */
void journal_row_put(const JournalRow *row, Buf *out);
/* Fills in all but seq; ended_us must be there already, because started_us is kept as the distance. The texts are borrowed from `bytes`.
   ERR_CORRUPT when the bytes are not those of one row. */
Err journal_row_read(Str bytes, JournalRow *row, Error *error);

/* An entry: a row with its ended_us, without its seq. Entries one behind the other are what chunks are made of. */
void journal_entry_put(const JournalRow *row, Buf *out);
/* `count` (1 to JOURNAL_CHUNK_ROWS) entries as a chunk: the older ones, if any, and behind them the newer ones, if any. */
Str journal_chunk(Arena *arena, Str older, Str newer, uint32_t count);
/* The rows of a chunk, their texts borrowed from `bytes`. `first` is the seq of the first, `count` how many the store says there are, `ended_us` that of the last.
   `rows` has room for `count`. ERR_CORRUPT when the bytes hold other rows than that. */
Err journal_chunk_read(Str bytes, uint64_t first, uint64_t count, int64_t ended_us, JournalRow *rows, Error *error);
/* The rows of `count` entries, the first of them number `first`, their texts borrowed. ERR_CORRUPT. */
Err journal_entries_expand(Str entries, uint64_t first, uint64_t count, JournalRow *rows, Error *error);
/* Passes over `count` entries: what they are, as bytes. Sets the reader's `failed`. */
Str journal_entries_read(Reader *r, uint64_t count);
#endif
