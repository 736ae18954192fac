/* http_stream.h - events as text/event-stream writes them (WHATWG HTML, "Server-sent events"). */
#ifndef NET_HTTP_STREAM_H
#define NET_HTTP_STREAM_H
#include "base/buf.h"

/* Appends one event. CR LF, LF and CR in `data` each end a line of it, so it arrives with LF. Empty id and event are left out. False, and nothing
 * appended: a line end or NUL in `id` or `event` (they would be fields of their own). */
bool http_stream_put(Buf *out, Str id, Str event, Str data);
#endif
