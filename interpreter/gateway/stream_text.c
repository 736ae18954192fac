/* stream_text.c - answers of models, told to a client while they are written.
 *
 * A piece is appended when the client has what is before it, and else all there is of the answer replaces what the client has: after a reconnection, when the
 * model was asked again, when another process went on with the run. When the answer's row comes from the journal, a client that followed to the end has
 * it already. So a client that appends and replaces as it is told has each answer exactly once, and at the end exactly as the program got it. */
#include "interpreter/gateway/gateway_internal.h"

#include <inttypes.h>
#include <stdio.h>

bool stream_text_of(const JournalRow *row, Str *text) {
    Reader in = reader_of(row->payload);
    if (row->entry != JOURNAL_RESULT || row->effect != EFFECT_LLM_STREAM) return false;
    *text = read_bytes(&in, row->payload.len);
    return !in.failed;
}

void stream_text_event(uint64_t request, Str text, bool replace, uint64_t seq, uint64_t end, Arena *arena, StreamEvent *out) {
    Buf data = { 0 };
    buf_printf(&data, "{\"type\":\"text\",\"part\":%" PRIu64 ",\"text\":", request);
    json_put_string(&data, text);
    buf_put_text(&data, replace ? ",\"replace\":true}" : "}");
    *out = (StreamEvent){ .name = STR("text"), .data = arena_str(arena, buf_str(&data)) };
    if (end) snprintf(out->id, sizeof out->id, "%" PRIu64 ".%" PRIu64, seq, end);
    else snprintf(out->id, sizeof out->id, "%" PRIu64, seq);
    buf_free(&data);
}

static uint32_t find_text(const Call *call, uint64_t request) {
    uint32_t i = 0;
    while (i < call->text_count && call->texts[i].request != request) i++;
    return i;
}

static void forget_text(Call *call, uint32_t i) {
    call->text_count--;
    memmove(&call->texts[i], &call->texts[i + 1], (call->text_count - i) * sizeof *call->texts);
}

static void know_text(Call *call, uint64_t request, uint64_t end) {
    uint32_t i = find_text(call, request);
    if (i == call->text_count && i == STREAM_TEXTS_MAX) forget_text(call, 0), i--;
    if (i == call->text_count) call->text_count++;
    call->texts[i].request = request;
    call->texts[i].end = end;
}

bool stream_text_is_known(Call *call, const JournalRow *row) {
    Str text;
    uint32_t i = find_text(call, row->request);
    if (i == call->text_count || !stream_text_of(row, &text)) return false;
    uint64_t end = call->texts[i].end;
    forget_text(call, i);
    return end == text.len;
}

static void send_text(Call *call, uint64_t request, Str text, bool replace, uint64_t end) {
    Arena *arena = arena_new();
    StreamEvent event;
    know_text(call, request, end);
    stream_text_event(request, text, replace, call->sent_seq, end, arena, &event);
    stream_put(call, &event);
    arena_free(arena);
}

static void replace_text(uint64_t request, Str text, void *arg) {
    Call *call = arg;
    uint32_t i = find_text(call, request);
    if (i == call->text_count ? text.len > 0 : call->texts[i].end != text.len) send_text(call, request, text, true, text.len);
}

void stream_texts(Call *call) { engine_texts(call->gateway->options.engine, call->run.tenant, call->run.run_id, replace_text, call); }

void stream_piece(Call *call, const JournalRow *row) {
    Arena *arena = arena_new();
    Json *args = NULL;
    if (!call->reading && row->seq <= call->sent_seq && json_parse(arena, row->args_json, 1 << 20, &args, NULL) == ERR_OK && args->kind == JSON_ARRAY && args->count == 2) {
        uint64_t offset = (uint64_t)args->items[0]->integer;
        Str piece = args->items[1]->text;
        uint32_t i = find_text(call, row->request);
        uint64_t end = i < call->text_count ? call->texts[i].end : 0;
        bool unknown = i == call->text_count && call->resumed;         /* it may have some of it, told by somebody who is gone */
        if (offset == end) send_text(call, row->request, piece, unknown, end + piece.len);
        else {
            know_text(call, row->request, UINT64_MAX);    /* something else than what there is */
            stream_texts(call);
        }
    }
    arena_free(arena);
}
