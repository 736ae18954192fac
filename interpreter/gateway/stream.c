/* stream.c - a run as an event-stream: what its journal says, in its order, each row once.
 *
 * The id of an event is the number of the journal row it tells of; the end has the number behind the last row. Rows that live notes bring are taken only
 * when they follow directly on what was sent; whenever something may be missing the journal is read from there on. So a client that comes back with
 * Last-Event-ID, to whichever process, goes on exactly where it was, and one that stays misses nothing when its run moves to another worker. */
#include "interpreter/gateway/gateway_internal.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"

enum { STREAM_PAGE = 500 };

/* ---- rows as events ------------------------------------------------------------------------------------------------ */

static void put_progress(const Json *args, Buf *out) {
    const Json *percent = args->count > 0 ? args->items[0] : NULL, *text = args->count > 1 ? args->items[1] : NULL;
    buf_put_text(out, "{\"type\":\"progress\"");
    if (text && text->kind == JSON_STRING && text->text.len) buf_put_text(out, ",\"text\":"), json_put_string(out, text->text);
    if (percent && percent->kind == JSON_INT && percent->integer >= 0) buf_printf(out, ",\"percent\":%" PRId64, percent->integer);
    buf_put_char(out, '}');
}

static void put_notice(const Json *args, Buf *out) {
    buf_put_text(out, "{\"type\":\"notice\",\"text\":");
    json_put_string(out, args->count > 0 ? args->items[0]->text : (Str){ "", 0 });
    buf_put_char(out, '}');
}

bool stream_event_of(const JournalRow *row, Arena *arena, StreamEvent *out) {
    Json *args = NULL;
    Str text;
    if (stream_text_of(row, &text)) { stream_text_event(row->request, text, true, row->seq, 0, arena, out); return true; }
    if (row->entry != JOURNAL_NOTE || (row->effect != EFFECT_NOTE_PROGRESS && row->effect != EFFECT_NOTE_NOTICE)) return false;
    if (json_parse(arena, row->args_json, 16 << 20, &args, NULL) != ERR_OK || args->kind != JSON_ARRAY) return false;
    Buf data = { 0 };
    bool notice = row->effect == EFFECT_NOTE_NOTICE;
    if (notice) put_notice(args, &data);
    else put_progress(args, &data);
    *out = (StreamEvent){ .name = notice ? STR("notice") : STR("progress"), .data = arena_str(arena, buf_str(&data)) };
    snprintf(out->id, sizeof out->id, "%" PRIu64, row->seq);
    buf_free(&data);
    return true;
}

bool stream_end_of(const RunRow *run, Str request_id, Arena *arena, StreamEvent *out) {
    Buf data = { 0 };
    *out = (StreamEvent){ 0 };
    if (run->status == RUN_COMPLETED) {
        out->name = STR("complete");
        buf_printf(&data, "{\"type\":\"complete\",\"data\":%.*s}", STR_ARG(run->result_json));
    } else if (run_status_ended(run->status)) {
        out->name = STR("failed");
        buf_put_text(&data, "{\"type\":\"failed\",\"error\":");
        outcome_put_failure(run, request_id, &data);
        buf_put_char(&data, '}');
    } else if (outcome_asks(run)) {
        out->name = STR("question");
        buf_printf(&data, "{\"type\":\"question\",\"run\":\"%.*s\",\"questions\":", STR_ARG(run->run_id));
        outcome_put_questions(run, &data);
        buf_put_char(&data, '}');
    }
    out->data = arena_str(arena, buf_str(&data));
    snprintf(out->id, sizeof out->id, "%" PRIu64, run->last_seq + run_status_ended(run->status));
    buf_free(&data);
    return out->name.len > 0;
}

/* ---- one client --------------------------------------------------------------------------------------------------------- */

static void on_gone(HttpExchange *exchange, void *arg) {
    Call *call = arg;
    Gateway *gateway = call->gateway;
    if (call->plan.cancel_on_gone && !call->over && !gateway->closed) leave_begin(call);
    call_finish(call);
}

bool stream_put(Call *call, const StreamEvent *event) {
    call->events++;
    call->beat_us = clock_monotonic();
    return http_stream_send(call->http, str_of(event->id), event->name, event->data);
}

static void take_row(Call *call, const JournalRow *row) {
    Arena *arena = arena_new();
    StreamEvent event;
    call->sent_seq = row->seq;
    if (!stream_text_row(call, row) && stream_event_of(row, arena, &event)) stream_put(call, &event);
    arena_free(arena);
}

void stream_close(Call *call) {
    HttpExchange *http = call->http;
    call->over = true;
    http_exchange_on_gone(http, NULL, NULL);
    http_stream_end(http);
    call_finish(call);
}

/* Everything before it was sent. True: that was the end. */
static bool take_state(Call *call, const RunRow *run) {
    Arena *arena = arena_new();
    StreamEvent event;
    bool ended = run_status_ended(run->status), asked = call->asked_seq == run->last_seq;
    if (!(asked && !ended) && stream_end_of(run, call_request_id(call), arena, &event)) {
        stream_put(call, &event);
        if (!ended) call->asked_seq = run->last_seq;
    }
    arena_free(arena);
    if (ended) stream_close(call);
    return ended;
}

/* ---- catching up ------------------------------------------------------------------------------------------------------------ */

static void read_on(Call *call);

static void read_done(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0, found = 0;
    call->reading = false;
    if (!call_release(call)) return;
    if (result->err) {                                   /* the client comes back by itself, and goes on where it was */
        stream_close(call);
        return;
    }
    const JournalRow *rows = store_journal(result->batch, 0, &count);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].seq > call->sent_seq) take_row(call, &rows[i]);
    const RunRow *run = store_runs(result->batch, 1, &found);
    bool more = count == STREAM_PAGE || call->behind || (found && run->last_seq > call->sent_seq && run_status_ended(run->status));
    if (!more && found && run->last_seq <= call->sent_seq && take_state(call, run)) return;
    if (more) read_on(call);
    else stream_texts(call);
}

static void read_on(Call *call) {
    if (call->reading) { call->behind = true; return; }
    call->reading = true;
    call->behind = false;
    StoreBatch *batch = store_batch(engine_home(call->gateway->options.engine, &call->run), call->run_tenant, str_of(call->run_id), 0);
    store_get_journal(batch, str_of(call->run_id), call->sent_seq, STREAM_PAGE);
    store_get_run(batch, str_of(call->run_id));
    call_hold(call);
    store_submit(batch, read_done, call);
}

static void noted(Call *call, const RunRow *run, const JournalRow *row) {
    if (row->effect == EFFECT_NOTE_TEXT) stream_piece(call, row);
    else if (call->reading) call->behind |= row->seq > call->sent_seq;
    else if (row->seq == call->sent_seq + 1) take_row(call, row);
    else if (row->seq > call->sent_seq) read_on(call);
}

static void moved(Call *call, const RunRow *run) {
    if (!run) { stream_close(call); return; }
    if (call->reading) call->behind = true;
    else if (run->last_seq > call->sent_seq) read_on(call);
    else take_state(call, run);
}

/* ---- begin, heartbeats ------------------------------------------------------------------------------------------------------- */

/* "41", or "41.2" from whoever sent pieces of a row. Anything else is from the beginning. */
static uint64_t last_event_id(Str text) {
    uint64_t seq = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] != '.'; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i == 18) return 0;
        seq = seq * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return seq;
}

bool stream_has_all(const Call *call, const RunRow *run) { return run_status_ended(run->status) && last_event_id(http_header(call->request, "Last-Event-ID")) > run->last_seq; }

void stream_begin(Call *call, Str tenant, Str run_id) {
    if (call->gateway->draining) { call_problem(call, PROBLEM_unavailable, "this process ends; ask again"); return; }
    Str url = str_of(arena_printf(call->arena, "/runs/%.*s/events", STR_ARG(run_id)));
    const HttpHeader headers[] = { { STR("Content-Location"), url }, { STR("Flow-Run"), run_id }, { STR("X-Accel-Buffering"), STR("no") } };
    call->streaming = true;
    call->run_tenant = arena_str(call->arena, tenant);
    call->run.tenant = call->run_tenant;
    call->run.run_id = arena_str(call->arena, run_id);
    if (call->plan.image) call->run.durability = call->plan.image->flows[call->plan.flow].durability;
    call->sent_seq = call->asked_seq = last_event_id(http_header(call->request, "Last-Event-ID"));
    call->unsure = call->sent_seq > 0;
    call->beat_us = clock_monotonic();
    if (leave_came_back(call)) call->plan.cancel_on_gone = true;
    http_stream_begin(call->http, headers, sizeof headers / sizeof *headers);
    http_exchange_on_gone(call->http, on_gone, call);
    call->moved = moved;
    call->noted = noted;
    watch_run(call, call->run.tenant, call->run.run_id);
    read_on(call);
}

void stream_beats(Gateway *gateway) {
    int64_t now = clock_monotonic();
    for (Call *call = gateway->calls, *next; call; call = next) {
        next = call->next;
        if (!call->streaming || !call->http || now - call->beat_us < GATEWAY_BEAT) continue;
        call->beat_us = now;
        http_stream_beat(call->http);
    }
}
