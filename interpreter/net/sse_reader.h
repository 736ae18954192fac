/* sse_reader.h - text/event-stream as the HTML standard reads it, from bytes that come in any pieces.
 *
 * A byte order mark at the start is skipped; lines end with LF, CR or CRLF; comments are dropped, also endless ones; several `data` lines are one text with
 * LF between; an `id` that holds NUL is ignored; an event is complete at its blank line only, so what a broken connection leaves behind is discarded.
 * Stricter than the standard in two ways, since the other side is not trusted: text that is not UTF-8 is refused and not repaired, and a line or an
 * event above the reader's limit ends the reading. After an error the reader takes nothing more. Strings of an event live until the handler returns.
 */
#ifndef NET_SSE_READER_H
#define NET_SSE_READER_H
#include "base/buf.h"
#include "base/err.h"

typedef struct SseEvent { Str event /* "message" when the stream names none */, data, id; } SseEvent;
/* False: the caller has what it wants; the rest of the piece is not read. */
typedef bool (*SseHandler)(const SseEvent *event, void *arg);

typedef struct SseReader {
    size_t size_max;
    Buf line, event, data, id;                           /* id stays from event to event */
    uint8_t mark;                                        /* bytes of a byte order mark that were seen; SSE_BEGUN: no longer looked for */
    bool has_data, after_cr, comment, failed;
    int64_t retry_ms;                                    /* what the stream asked for; -1: nothing */
} SseReader;

void sse_reader_init(SseReader *reader, size_t size_max /* bytes of a line, and of an event's data */);
void sse_reader_free(SseReader *reader);
/* ERR_LIMIT: a line or event is longer than size_max. ERR_INVALID: not UTF-8. */
Err  sse_reader_feed(SseReader *reader, Str bytes, SseHandler handler, void *arg, Error *error);
#endif
