/* fuzz_sse.c - an event stream from anybody gives the same events, or the same refusal, wherever it is cut; no event is longer than the limit.
 *
 * The first byte says how it is cut. With libFuzzer: clang -fsanitize=fuzzer,address,undefined.
 */
#include <stdlib.h>
#include "base/arena.h"
#include "interpreter/net/sse_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum { FUZZ_EVENT_MAX = 64 };

static bool tell(const SseEvent *event, void *arg)
{
    if (event->data.len > FUZZ_EVENT_MAX || event->id.len > FUZZ_EVENT_MAX || event->event.len > FUZZ_EVENT_MAX) abort();
    if (!utf8_valid(event->data) || !utf8_valid(event->event) || !utf8_valid(event->id) || memchr(event->id.ptr, 0, event->id.len)) abort();
    buf_put_bytes(arg, event->event);
    buf_put_bytes(arg, event->data);
    buf_put_bytes(arg, event->id);
    return true;
}

static Err read_cut(Str stream, size_t step, Buf *out)
{
    SseReader reader;
    Err err = ERR_OK;
    sse_reader_init(&reader, FUZZ_EVENT_MAX);
    for (size_t at = 0; at < stream.len && !err; at += step)
        err = sse_reader_feed(&reader, (Str){ stream.ptr + at, step < stream.len - at ? step : stream.len - at }, tell, out, NULL);
    sse_reader_free(&reader);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    Str stream = { (const char *)data + 1, size - 1 };
    Buf whole = { 0 }, cut = { 0 };
    Err first = read_cut(stream, stream.len, &whole), second = read_cut(stream, 1 + data[0] % 16, &cut);
    if (first != second || !str_eq(buf_str(&whole), buf_str(&cut))) abort();
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
