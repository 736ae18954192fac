/* stream_text.c - answers of models, told to a client while they are written.
 *
 * Of every answer the gateway knows how many bytes the client has, and their hash. What begins with these bytes is gone on with, whoever has it now: the
 * model's next piece, the text so far after a pause in which pieces were missed, the answer's row of the journal. Anything else replaces what the client has:
 * the model was asked again and says something else, the client comes from another connection of which nothing is known. So a client that appends and
 * replaces as it is told has each answer exactly once, and at the end exactly as the program got it. */
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

static uint64_t hash_on(uint64_t hash, Str text) {      /* FNV-1a: draft-eastlake-fnv */
    for (size_t i = 0; i < text.len; i++) hash = (hash ^ (uint8_t)text.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static const ToldText nothing_told = { .hash = UINT64_C(0xcbf29ce484222325) };

static uint32_t find_text(const Call *call, uint64_t request) {
    uint32_t i = 0;
    while (i < call->text_count && call->texts[i].request != request) i++;
    return i;
}

static void forget_text(Call *call, uint32_t i) {
    call->text_count--;
    memmove(&call->texts[i], &call->texts[i + 1], (call->text_count - i) * sizeof *call->texts);
}

static ToldText *know_text(Call *call, uint64_t request) {
    uint32_t i = find_text(call, request);
    if (i < call->text_count) return &call->texts[i];
    if (i == STREAM_TEXTS_MAX) forget_text(call, 0), i--, call->unsure = true;
    call->texts[i] = nothing_told;
    call->texts[i].request = request;
    call->text_count++;
    return &call->texts[i];
}

/* `told` as far as the client has it, `text` behind that. */
static void send_on(Call *call, ToldText *told, Str text, bool replace, uint64_t seq, bool whole) {
    Arena *arena = arena_new();
    StreamEvent event;
    told->end += text.len;
    told->hash = hash_on(told->hash, text);
    stream_text_event(told->request, text, replace, seq, whole ? 0 : told->end, arena, &event);
    stream_put(call, &event);
    arena_free(arena);
}

/* The answer as far as it goes, or the whole of it: what the client lacks is sent. */
static void tell_text(Call *call, uint64_t request, Str text, uint64_t seq, bool whole) {
    bool unknown = find_text(call, request) == call->text_count;
    if (unknown && text.len == 0 && !whole) return;
    ToldText *told = know_text(call, request);
    bool goes_on = told->end <= text.len && hash_on(nothing_told.hash, (Str){ text.ptr, told->end }) == told->hash;
    bool replace = !goes_on || (unknown && call->unsure);
    if (!replace && told->end == text.len) return;
    if (replace) told->end = 0, told->hash = nothing_told.hash;
    send_on(call, told, (Str){ text.ptr + told->end, text.len - told->end }, replace, seq, whole);
}

static void tell_so_far(uint64_t request, Str text, void *arg) {
    Call *call = arg;
    tell_text(call, request, text, call->sent_seq, false);
}

void stream_texts(Call *call) { engine_texts(call->gateway->options.engine, call->run.tenant, call->run.run_id, tell_so_far, call); }

bool stream_text_row(Call *call, const JournalRow *row) {
    Str text;
    if (!stream_text_of(row, &text)) return false;
    tell_text(call, row->request, text, row->seq, true);
    uint32_t i = find_text(call, row->request);
    if (i < call->text_count) forget_text(call, i);
    return true;
}

void stream_piece(Call *call, const JournalRow *row) {
    Arena *arena = arena_new();
    Json *args = NULL;
    if (!call->reading && row->seq <= call->sent_seq && json_parse(arena, row->args_json, 1 << 20, &args, NULL) == ERR_OK && args->kind == JSON_ARRAY && args->count == 2) {
        uint32_t i = find_text(call, row->request);
        uint64_t offset = (uint64_t)args->items[0]->integer, end = i < call->text_count ? call->texts[i].end : 0;
        bool unsure = i == call->text_count && call->unsure;
        if (offset == end && !unsure) send_on(call, know_text(call, row->request), args->items[1]->text, false, call->sent_seq, false);
        else stream_texts(call);
    }
    arena_free(arena);
}
