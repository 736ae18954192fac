/* sse_reader.c - see sse_reader.h. A byte at a time is fast enough: a model writes slower than that, and no other way has fewer cases. */
#include "interpreter/net/sse_reader.h"

enum { SSE_BEGUN = 3 };
static const unsigned char byte_order_mark[3] = { 0xEF, 0xBB, 0xBF };

void sse_reader_init(SseReader *reader, size_t size_max) { *reader = (SseReader){ .size_max = size_max, .retry_ms = -1 }; }

void sse_reader_free(SseReader *reader) {
    buf_free(&reader->line), buf_free(&reader->event), buf_free(&reader->data), buf_free(&reader->id);
}

static Err refuse(SseReader *reader, Err err, Error *error) {
    reader->failed = true;
    if (err == ERR_LIMIT) return err_set(error, err, "an event of the stream is longer than %zu bytes", reader->size_max);
    return err_set(error, err, "the stream is not UTF-8");
}

static void read_retry(SseReader *reader, Str digits) {
    int64_t ms = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || ms > INT32_MAX) return;
        ms = ms * 10 + (digits.ptr[i] - '0');
    }
    if (digits.len) reader->retry_ms = ms;
}

static Err read_field(SseReader *reader, Error *error) {
    Str line = buf_str(&reader->line), name = line, value = { "", 0 };
    if (!utf8_valid(line)) return refuse(reader, ERR_INVALID, error);
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon) {
        name.len = (size_t)(colon - line.ptr);
        value = (Str){ colon + 1, line.len - name.len - 1 };
        if (value.len && value.ptr[0] == ' ') value.ptr++, value.len--;
    }
    if (str_is(name, "data")) {
        if (reader->data.len + value.len + 1 > reader->size_max) return refuse(reader, ERR_LIMIT, error);
        if (reader->has_data) buf_put_char(&reader->data, '\n');
        buf_put_str(&reader->data, value);
        reader->has_data = true;
    } else if (str_is(name, "event")) {
        buf_clear(&reader->event);
        buf_put_str(&reader->event, value);
    } else if (str_is(name, "id") && !memchr(value.ptr, 0, value.len)) {
        buf_clear(&reader->id);
        buf_put_str(&reader->id, value);
    } else if (str_is(name, "retry")) read_retry(reader, value);
    return ERR_OK;
}

/* The blank line: true when reading goes on. An event without data is none. */
static bool dispatch(SseReader *reader, SseHandler handler, void *arg) {
    bool goes_on = true;
    if (reader->has_data) {
        SseEvent event = { reader->event.len ? buf_str(&reader->event) : STR("message"), buf_str(&reader->data), buf_str(&reader->id) };
        goes_on = handler(&event, arg);
    }
    reader->has_data = false;
    buf_clear(&reader->event);
    buf_clear(&reader->data);
    return goes_on;
}

static Err end_line(SseReader *reader, bool *goes_on, SseHandler handler, void *arg, Error *error) {
    Err err = ERR_OK;
    if (!reader->comment && reader->line.len == 0) *goes_on = dispatch(reader, handler, arg);
    else if (!reader->comment) err = read_field(reader, error);
    reader->comment = false;
    buf_clear(&reader->line);
    return err;
}

static Err put_char(SseReader *reader, char c, Error *error) {
    if (reader->line.len == 0 && c == ':') reader->comment = true;
    if (reader->comment) return ERR_OK;
    if (reader->line.len >= reader->size_max) return refuse(reader, ERR_LIMIT, error);
    buf_put_char(&reader->line, c);
    return ERR_OK;
}

/* True while `c` may belong to a mark at the very start; what turns out to be none is text like any other. */
static bool skip_mark(SseReader *reader, char c, Error *error, Err *err) {
    if (reader->mark == SSE_BEGUN) return false;
    if ((unsigned char)c == byte_order_mark[reader->mark]) return reader->mark++, true;
    for (uint8_t i = 0; i < reader->mark && !*err; i++) *err = put_char(reader, (char)byte_order_mark[i], error);
    reader->mark = SSE_BEGUN;
    return false;
}

Err sse_reader_feed(SseReader *reader, Str bytes, SseHandler handler, void *arg, Error *error) {
    Err err = reader->failed ? err_set(error, ERR_INVALID, "the stream failed before") : ERR_OK;
    bool goes_on = true;
    for (size_t i = 0; i < bytes.len && goes_on && !err; i++) {
        char c = bytes.ptr[i];
        if (skip_mark(reader, c, error, &err) || err) continue;
        bool second = c == '\n' && reader->after_cr;     /* of a CRLF */
        reader->after_cr = c == '\r';
        if (second) continue;
        err = c == '\n' || c == '\r' ? end_line(reader, &goes_on, handler, arg, error) : put_char(reader, c, error);
    }
    return err;
}
