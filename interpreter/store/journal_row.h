/* journal_row.h - a journal row as bytes, the same in every store.
 *
 * A store keeps what it looks for (tenant, run, seq, the end) where it can look, and all else as these bytes: in a database of tables a
 * narrow row costs half of one with a column for each field. The format is that of base/buf.h: varints, zigzag, texts behind their length.
 * It begins with a version, so that rows of older programs can be told from newer ones.
 */
#ifndef STORE_JOURNAL_ROW_H
#define STORE_JOURNAL_ROW_H
#include "interpreter/store/store.h"

/* What append must refuse: ERR_LIMIT. */
Err journal_row_check(const JournalRow *row, Error *error);
/* Everything but seq and ended_us. */
void journal_row_put(const JournalRow *row, Buf *out);
/* Fills in all but seq; ended_us must be there already, because started_us is kept as the distance. The texts are borrowed from `bytes`.
   ERR_CORRUPT when the bytes are not those of one row. */
Err journal_row_read(Str bytes, JournalRow *row, Error *error);
#endif
