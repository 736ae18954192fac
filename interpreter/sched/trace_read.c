/* trace_read.c - from journal rows to messages between participants.
 *
 * A span (the call of a tool or flow) is between whoever called and the agent whose tool it is; an effect is between the agent of the
 * innermost span and the part of the engine it went to, if that part has a name, else it is the agent's own doing. After a retry the
 * next attempts come from the part named `retry`, if there is one.
 */
#include "interpreter/sched/trace_internal.h"

#include "base/time.h"

typedef struct Span { uint32_t id; Str participant, caller, agent /* of a command: who saves, else empty */; uint32_t depth; int64_t started_us; Str name; } Span;
typedef struct Retrying { uint32_t fiber; uint32_t attempts; } Retrying;

typedef struct RunReader {
    Trace *trace;
    Engine *engine;
    const Image *image;
    const RunRow *run;
    Str base;                            /* participant of code outside every span */
    Span *spans; uint32_t span_count;
    Retrying retrying[64]; uint32_t retrying_count;
    Message *held; uint32_t held_count;  /* what is told when the open transaction is committed */
    bool in_transaction, stored;         /* stored: the event store has the event that is emitted next */
    Str newest_result, newest_maker;     /* of a tool, when its end is the newest row */
    Str request, client, gateway;        /* "POST /api/v1/chat": it began with this; empty: with no request */
    bool webhook, open_route, streams;
} RunReader;

static Message *add(Trace *trace, MessageKind kind, Str from, Str to, Str text) {
    if (trace->count == trace->cap) {
        uint32_t cap = trace->cap ? trace->cap * 2 : 64;
        Message *items = ARENA_ARRAY(trace->arena, Message, cap);
        if (trace->count) memcpy(items, trace->items, trace->count * sizeof *items);
        trace->items = items;
        trace->cap = cap;
    }
    Message *m = &trace->items[trace->count++];
    *m = (Message){ .kind = kind, .from = from, .to = to, .text = text };
    return m;
}

static Str part_title(const Image *image, const char *part, const char *otherwise) {
    for (uint16_t i = 0; i < image->participant_count; i++)
        if (str_is(image->participants[i].part, part)) return image->participants[i].title;
    return str_of(otherwise);
}

static Str agent_title(const Image *image, uint16_t agent) {
    if (agent == NO_INDEX || agent >= image->agent_count) return part_title(image, "orchestrator", "Orchestrator");
    const ImageAgent *row = &image->agents[agent];
    return row->title.len ? row->title : row->name;
}

static Str shorten(Trace *trace, Str text) {
    if (text.len <= TRACE_TEXT_MAX) return arena_str(trace->arena, text);
    size_t len = TRACE_TEXT_MAX;
    while (len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) len--;
    return str_of(arena_printf(trace->arena, "%.*s…", (int)len, text.ptr));
}

/* The first text in a JSON value: a question, a result's `text`. Empty when there is none. */
static Str first_text(const Json *json) {
    if (json->kind == JSON_STRING) return json->text;
    if (json->kind == JSON_OBJECT && json_get_text(json, "text").len) return json_get_text(json, "text");
    if (json->kind != JSON_ARRAY && json->kind != JSON_OBJECT) return (Str){ 0 };
    for (size_t i = 0; i < json->count; i++)
        if (json->items[i]->kind == JSON_STRING) return json->items[i]->text;
    return (Str){ 0 };
}

static Str text_of_json(Trace *trace, Str json) {
    Json *parsed = NULL;
    if (json_parse(trace->arena, json, 16 << 20, &parsed, NULL) == ERR_OK) {
        Str text = first_text(parsed);
        if (text.len) return shorten(trace, text);
    }
    return shorten(trace, json);
}

static Span *find_span(RunReader *r, uint32_t id) {
    for (uint32_t i = r->span_count; i-- > 0;)
        if (r->spans[i].id == id) return &r->spans[i];
    return NULL;
}

static Str participant_of(RunReader *r, uint32_t span_id) {
    Span *span = find_span(r, span_id);
    return span ? span->participant : r->base;
}

static Retrying *retrying_of(RunReader *r, uint32_t fiber) {
    for (uint32_t i = 0; i < r->retrying_count; i++)
        if (r->retrying[i].fiber == fiber) return &r->retrying[i];
    return NULL;
}

/* Who makes the call: the part `retry` when it is a later attempt and has a name. */
static Str caller_of(RunReader *r, const JournalRow *row, Str caller) {
    Retrying *again = retrying_of(r, row->fiber);
    return again && again->attempts ? part_title(r->image, "retry", "") .len ? part_title(r->image, "retry", "") : caller : caller;
}

static Message *message_of(RunReader *r, const JournalRow *row, MessageKind kind, Str from, Str to, Str text) {
    Message *m = add(r->trace, kind, from, to, text);
    Span *span = find_span(r, row->span);
    m->seq = row->seq;
    m->at_us = kind == MESSAGE_REPLY ? row->ended_us : row->started_us;
    m->run_id = r->run->run_id;
    m->depth = span ? span->depth + 1 : 0;
    return m;
}

static void push_span(RunReader *r, const JournalRow *row, Str participant, Str caller) {
    Span *parent = find_span(r, row->parent_span);
    r->spans[r->span_count++] = (Span){ .id = row->span, .participant = participant, .caller = caller, .depth = parent ? parent->depth + 1 : 0,
                                        .started_us = row->started_us, .name = row->name };
}

/* "travel.search_flights" -> "search_flights" */
static Str short_name(Str name) {
    for (size_t i = name.len; i-- > 0;)
        if (name.ptr[i] == '.') return (Str){ name.ptr + i + 1, name.len - i - 1 };
    return name;
}

static const ImageTool *tool_of(const Image *image, uint16_t target) { return target < image->tool_count ? &image->tools[target] : NULL; }

static bool is_tool_span(const RunReader *r, const JournalRow *row) {
    const ImageTool *tool = tool_of(r->image, row->target);
    if (!tool) return false;
    Str agent = r->image->agents[tool->agent].name;
    return row->name.len == agent.len + 1 + tool->name.len && str_starts(row->name, agent) && str_eq(short_name(row->name), tool->name);
}

/* A command is the agent's own decision, then what the repository does to save it. */
static void read_command(RunReader *r, const JournalRow *row, Str caller, Str agent, Str repository) {
    Arena *arena = r->trace->arena;
    Str name = short_name(row->name), args = shorten(r->trace, row->args_json);
    push_span(r, row, repository, caller);
    r->spans[r->span_count - 1].agent = agent;
    if (!str_eq(caller, agent)) message_of(r, row, MESSAGE_CALL, caller, agent, str_of(arena_printf(arena, "tools/call %.*s %.*s", STR_ARG(name), STR_ARG(args))));
    message_of(r, row, MESSAGE_CALL, agent, agent, str_of(arena_printf(arena, "Execute %.*s", STR_ARG(name))));
    message_of(r, row, MESSAGE_CALL, agent, repository, str_of(arena_printf(arena, "save: %.*s %.*s", STR_ARG(name), STR_ARG(args))));
}

static void read_span_begin(RunReader *r, const JournalRow *row) {
    Str caller = participant_of(r, row->parent_span);
    bool is_tool = is_tool_span(r, row);
    Str repository = part_title(r->image, "repository", "");
    if (is_tool && repository.len && tool_of(r->image, row->target)->flags & TOOL_COMMAND) {
        read_command(r, row, caller_of(r, row, caller), agent_title(r->image, tool_of(r->image, row->target)->agent), repository);
        return;
    }
    Str callee = is_tool ? agent_title(r->image, tool_of(r->image, row->target)->agent) : caller;
    Str from = caller_of(r, row, caller);
    bool root_flow = !is_tool && row->parent_span == 0 && str_eq(row->name, r->run->func_name);
    push_span(r, row, callee, from);
    if (root_flow) return;
    Str text = str_of(arena_printf(r->trace->arena, "%s%.*s %.*s", is_tool && !str_eq(from, callee) ? "tools/call " : "", STR_ARG(short_name(row->name)),
                                   STR_ARG(shorten(r->trace, row->args_json))));
    Message *m = message_of(r, row, MESSAGE_CALL, from, callee, text);
    m->depth = r->spans[r->span_count - 1].depth;
}

static void end_retrying(RunReader *r, const JournalRow *row, Str to, bool ok) {
    Retrying *again = retrying_of(r, row->fiber);
    Str retry = part_title(r->image, "retry", "");
    if (!again || !again->attempts || !ok) return;
    if (retry.len) message_of(r, row, MESSAGE_REPLY, retry, to, str_of(arena_printf(r->trace->arena, "Success after %u attempts", again->attempts + 1)));
    again->attempts = 0;
}

static Str failure_text(RunReader *r, Str json) {
    Json *parsed = NULL;
    if (json_parse(r->trace->arena, json, 16 << 20, &parsed, NULL) != ERR_OK) return shorten(r->trace, json);
    Str message = json_get_text(parsed, "message");
    const Json *status = json_get(parsed, "status");
    long long code = status && status->kind == JSON_INT ? (long long)status->integer : 0;
    return str_of(code ? arena_printf(r->trace->arena, "ERROR %lld: \"%.*s\"", code, STR_ARG(message)) : arena_printf(r->trace->arena, "ERROR: \"%.*s\"", STR_ARG(message)));
}

static void read_span_end(RunReader *r, const JournalRow *row) {
    Span *span = find_span(r, row->span);
    if (!span || (str_eq(span->name, r->run->func_name) && span->depth == 0 && !is_tool_span(r, row))) return;
    Json *parsed = NULL;
    bool failed = json_parse(r->trace->arena, row->detail_json, 16 << 20, &parsed, NULL) == ERR_OK && json_get(parsed, "kind") && json_get(parsed, "message") && json_get(parsed, "undone");
    Str text = failed ? failure_text(r, row->detail_json) : row->detail_json.len ? shorten(r->trace, row->detail_json) : STR("done");
    if (span->agent.len) {
        message_of(r, row, MESSAGE_REPLY, span->participant, span->agent, failed ? text : str_of(arena_printf(r->trace->arena, "saved %.*s", STR_ARG(text))))->failed = failed;
        if (str_eq(span->agent, span->caller)) return;
    }
    if (str_eq(span->participant, span->caller) && !failed) return;         /* nobody answers himself */
    Message *m = message_of(r, row, MESSAGE_REPLY, span->agent.len ? span->agent : span->participant, span->caller, text);
    m->took_us = row->ended_us - span->started_us;
    m->failed = failed;
    m->depth = span->depth;
    end_retrying(r, row, participant_of(r, row->parent_span), !failed);
    if (!failed && is_tool_span(r, row)) r->newest_result = row->detail_json, r->newest_maker = span->participant;
}

static void read_retry(RunReader *r, const JournalRow *row) {
    Retrying *again = retrying_of(r, row->fiber);
    if (!again && r->retrying_count < 64) {
        again = &r->retrying[r->retrying_count++];
        *again = (Retrying){ .fiber = row->fiber };
    }
    Str agent = participant_of(r, row->span), retry = part_title(r->image, "retry", "");
    if (again && again->attempts == 0 && retry.len) message_of(r, row, MESSAGE_CALL, agent, retry, STR("Handle transient error"));
    Str self = retry.len ? retry : agent;
    message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(r->trace->arena, "Retry: %.*s", STR_ARG(shorten(r->trace, row->args_json)))));
    if (again) again->attempts++;
}

static void read_remote(RunReader *r, const JournalRow *row) {
    const ImageTool *tool = tool_of(r->image, row->target);
    Str caller = participant_of(r, row->span), from = caller_of(r, row, caller);
    Str to = tool ? agent_title(r->image, tool->agent) : row->name;
    Str text = tool && tool->method.len
                   ? str_of(arena_printf(r->trace->arena, "%.*s %.*s %.*s", STR_ARG(tool->method), STR_ARG(tool->path), STR_ARG(shorten(r->trace, row->args_json))))
                   : str_of(arena_printf(r->trace->arena, "tools/call %.*s %.*s", STR_ARG(short_name(row->name)), STR_ARG(shorten(r->trace, row->args_json))));
    message_of(r, row, MESSAGE_CALL, from, to, text);
    bool failed = row->entry == JOURNAL_ERROR;
    Message *reply = message_of(r, row, MESSAGE_REPLY, to, from, failed ? failure_text(r, row->detail_json) : shorten(r->trace, row->detail_json));
    reply->took_us = row->ended_us - row->started_us;
    reply->failed = failed;
    end_retrying(r, row, caller, !failed);
}

/* What was asked before the run parked stands before the notes that say so. */
static void move_before_notes(Trace *trace) {
    for (uint32_t i = trace->count - 1; i > 0 && trace->items[i - 1].kind == MESSAGE_NOTE; i--) {
        Message question = trace->items[i];
        trace->items[i] = trace->items[i - 1];
        trace->items[i - 1] = question;
    }
}

static void read_ask(RunReader *r, const JournalRow *row) {
    Str from = participant_of(r, row->span), user = part_title(r->image, "user", "User");
    message_of(r, row, MESSAGE_CALL, from, user, str_of(arena_printf(r->trace->arena, "\"%.*s\"", STR_ARG(text_of_json(r->trace, row->args_json)))));
    move_before_notes(r->trace);
    if (row->entry == JOURNAL_ERROR) return;
    Str text = text_of_json(r->trace, row->detail_json);
    Message *answer = message_of(r, row, MESSAGE_CALL, user, r->base, text);
    answer->at_us = row->ended_us;
    answer->took_us = row->ended_us - row->started_us;
    if (str_eq(from, r->base)) return;
    Message *on = message_of(r, row, MESSAGE_CALL, r->base, from, str_of(arena_printf(r->trace->arena, "tools/call (continue) %.*s", STR_ARG(text))));
    on->at_us = row->ended_us;
}

/* To a part of the engine: when it has a name in this module, a message and its reply; else the agent's own doing. */
static void read_part(RunReader *r, const JournalRow *row, const char *part, const char *verb, bool reply) {
    Str from = participant_of(r, row->span), to = part_title(r->image, part, "");
    Str text = str_of(arena_printf(r->trace->arena, "%s%.*s", verb, STR_ARG(row->name)));
    if (!to.len) to = from;
    message_of(r, row, MESSAGE_CALL, from, to, text);
    if (!reply || str_eq(from, to)) return;
    message_of(r, row, MESSAGE_REPLY, to, from, shorten(r->trace, row->detail_json));
}

/* ---- tables behind a repository and a cache ---- */

static Str first_part(RunReader *r, const char *part, const char *other, Str otherwise) {
    Str title = part_title(r->image, part, "");
    if (!title.len) title = part_title(r->image, other, "");
    return title.len ? title : otherwise;
}

static Str with_args(RunReader *r, const JournalRow *row) {
    return str_of(arena_printf(r->trace->arena, "%.*s %.*s", STR_ARG(row->name), STR_ARG(shorten(r->trace, row->args_json))));
}

/* What perform_cache.c says of a cached read: {"cache": "hit", "ttl": 300, "key": …, "value": …}; NULL when it is none. */
static const Json *cached_of(RunReader *r, const JournalRow *row) {
    Json *told = NULL;
    bool cached = row->entry == JOURNAL_RESULT && row->target < r->image->query_count && r->image->queries[row->target].cached_us;
    if (!cached || json_parse(r->trace->arena, row->detail_json, 16 << 20, &told, NULL) != ERR_OK || !json_get_text(told, "cache").len) return NULL;
    return told;
}

static void put_json(RunReader *r, const Json *json, Buf *out) {
    Value value = value_json(json);
    value_to_json(r->image, TYPE_INDEX_JSON, value, out);
    value_release(value);
}

static Str value_of(RunReader *r, const Json *told) {
    Buf text = { 0 };
    const Json *value = json_get(told, "value");
    if (value) put_json(r, value, &text);
    Str shown = shorten(r->trace, buf_str(&text));
    buf_free(&text);
    return shown;
}

static void read_database(RunReader *r, const JournalRow *row, Str asks, bool behind, Str value) {
    Str database = part_title(r->image, "database", "");
    message_of(r, row, MESSAGE_CALL, asks, database.len ? database : asks, behind ? with_args(r, row) : row->name);
    if (database.len) message_of(r, row, MESSAGE_REPLY, database, asks, value);
    uint8_t kind = row->target < r->image->query_count ? r->image->queries[row->target].kind : QUERY_SELECT;
    if (behind && (kind == QUERY_SELECT || kind == QUERY_SELECT_ONE)) message_of(r, row, MESSAGE_CALL, asks, asks, STR("Hydrate"));
}

static void read_cached(RunReader *r, const JournalRow *row, const Json *told, Str asks, bool behind) {
    Arena *arena = r->trace->arena;
    Str cache = part_title(r->image, "cache", ""), source = json_get_text(told, "cache"), key = json_get_text(told, "key"), value = value_of(r, told);
    bool hit = str_is(source, "hit"), down = str_is(source, "unreachable");
    if (!cache.len) cache = asks;
    message_of(r, row, MESSAGE_CALL, asks, cache, str_of(arena_printf(arena, "GET %.*s", STR_ARG(key))));
    if (!str_eq(cache, asks)) message_of(r, row, MESSAGE_REPLY, cache, asks, hit ? value : down ? STR("unreachable") : STR("null"));
    if (hit) return;
    if (str_is(source, "shared")) { message_of(r, row, MESSAGE_CALL, asks, asks, STR("Take the result of another read of the same")); return; }
    read_database(r, row, asks, behind, value);
    const Json *ttl = json_get(told, "ttl");
    if (!down) message_of(r, row, MESSAGE_CALL, asks, cache, str_of(arena_printf(arena, "SET %.*s TTL %lld seconds", STR_ARG(key), ttl && ttl->kind == JSON_INT ? (long long)ttl->integer : 0LL)));
}

static void read_query(RunReader *r, const JournalRow *row) {
    Str from = participant_of(r, row->span), repository = part_title(r->image, "repository", "");
    const Json *told = cached_of(r, row);
    bool behind = repository.len > 0;
    if (!told && !behind) { read_part(r, row, "database", "", true); return; }
    Str asks = behind ? repository : from;
    bool passed_on = behind && !str_eq(from, repository);
    bool one = row->target < r->image->query_count && r->image->queries[row->target].kind == QUERY_SELECT_ONE;
    if (passed_on) message_of(r, row, MESSAGE_CALL, from, repository, one ? str_of(arena_printf(r->trace->arena, "findById: %.*s", STR_ARG(with_args(r, row)))) : with_args(r, row));
    if (told) read_cached(r, row, told, asks, behind);
    else read_database(r, row, asks, behind, shorten(r->trace, row->detail_json));
    if (passed_on) message_of(r, row, MESSAGE_REPLY, repository, from, told ? value_of(r, told) : shorten(r->trace, row->detail_json));
}

/* ---- writes behind a repository ---- */

/* What is only true once the transaction is committed is told behind its commit. */
static void tell(RunReader *r, const JournalRow *row, Str from, Str to, Str text) {
    if (!r->in_transaction) { message_of(r, row, MESSAGE_CALL, from, to, text); return; }
    Message *grown = ARENA_ARRAY(r->trace->arena, Message, r->held_count + 1);
    if (r->held_count) memcpy(grown, r->held, r->held_count * sizeof *grown);
    r->held = grown;
    Message *m = message_of(r, row, MESSAGE_CALL, from, to, text);
    r->held[r->held_count++] = *m;
    r->trace->count--;
}

static void tell_held(RunReader *r, bool committed) {
    for (uint32_t i = 0; committed && i < r->held_count; i++) {
        Message *m = add(r->trace, MESSAGE_CALL, r->held[i].from, r->held[i].to, r->held[i].text);
        m->seq = r->held[i].seq;
        m->at_us = r->held[i].at_us;
        m->run_id = r->held[i].run_id;
        m->depth = r->held[i].depth;
    }
    r->held_count = 0;
    r->in_transaction = r->stored = false;
}

static bool writes_to(const RunReader *r, const JournalRow *row, const char *table) {
    return row->target < r->image->query_count && str_is(r->image->tables[r->image->queries[row->target].table].name, table);
}

static void ask_database(RunReader *r, const JournalRow *row, Str asks, Str text, Str reply) {
    Str database = part_title(r->image, "database", "");
    message_of(r, row, MESSAGE_CALL, asks, database.len ? database : asks, text);
    if (database.len && reply.len) message_of(r, row, MESSAGE_REPLY, database, asks, reply);
}

static void read_write(RunReader *r, const JournalRow *row) {
    Arena *arena = r->trace->arena;
    Str from = participant_of(r, row->span), repository = part_title(r->image, "repository", ""), audit = part_title(r->image, "audit", "");
    bool failed = row->entry == JOURNAL_ERROR;
    if (audit.len && !failed && writes_to(r, row, "audit_log")) {
        tell(r, row, repository.len ? repository : from, audit, str_of(arena_printf(arena, "Log action %.*s", STR_ARG(shorten(r->trace, row->args_json)))));
        return;
    }
    if (!repository.len) { read_part(r, row, "database", "", false); return; }
    bool passed_on = !str_eq(from, repository);
    Str text = failed ? failure_text(r, row->detail_json) : row->detail_json.len ? shorten(r->trace, row->detail_json) : STR("done");
    r->stored |= writes_to(r, row, "event_store") && !failed;
    if (passed_on) message_of(r, row, MESSAGE_CALL, from, repository, with_args(r, row));
    ask_database(r, row, repository, with_args(r, row), text);
    if (passed_on) message_of(r, row, MESSAGE_REPLY, repository, from, text);
}

static void read_transaction(RunReader *r, const JournalRow *row) {
    Str repository = part_title(r->image, "repository", "");
    bool ends = row->effect != EFFECT_TXN_BEGIN, committed = row->effect == EFFECT_TXN_COMMIT && row->entry == JOURNAL_RESULT;
    if (!repository.len) return;
    ask_database(r, row, repository, committed ? STR("COMMIT TRANSACTION") : ends ? STR("ROLLBACK TRANSACTION") : STR("BEGIN TRANSACTION"), committed ? STR("Success") : STR(""));
    if (ends) tell_held(r, committed);
    else r->in_transaction = true;
}

/* ---- sessions and contexts ---- */

/* The fields of a write, out of [id, bits, {all fields}] or [bits, {all fields}]. */
static Str written_fields(RunReader *r, const Json *args) {
    const Json *mask = args->count > 1 ? args->items[args->count - 2] : NULL, *record = args->count > 1 ? args->items[args->count - 1] : NULL;
    Buf text = { 0 };
    if (mask && mask->kind == JSON_INT && record->kind == JSON_OBJECT) {
        buf_put_char(&text, '{');
        for (size_t i = 0; i < record->count && i < RECORD_FIELDS_MAX; i++) {
            if (!((uint64_t)mask->integer >> i & 1)) continue;
            if (text.len > 1) buf_put_text(&text, ", ");
            json_put_string(&text, record->keys[i]);
            buf_put_text(&text, ": ");
            put_json(r, record->items[i], &text);
        }
        buf_put_char(&text, '}');
    }
    Str shown = shorten(r->trace, buf_str(&text));
    buf_free(&text);
    return shown;
}

static Str ttl_text(RunReader *r, const ImageState *state) {
    Buf text = { 0 };
    duration_print(state->ttl_us, &text);
    Str shown = arena_str(r->trace->arena, buf_str(&text));
    buf_free(&text);
    return shown;
}

static void read_state(RunReader *r, const JournalRow *row) {
    Arena *arena = r->trace->arena;
    Json *args = NULL;
    if (row->target >= r->image->state_count || json_parse(arena, row->args_json, 16 << 20, &args, NULL) != ERR_OK || args->kind != JSON_ARRAY) return;
    const ImageState *state = &r->image->states[row->target];
    bool session = state->kind == STATE_SESSION, reads = row->effect == EFFECT_SESSION_READ || row->effect == EFFECT_CONTEXT_READ;
    Str self = participant_of(r, row->span), store = first_part(r, session ? "session" : "context", "cache", self), text;
    Str id = session && args->count && args->items[0]->kind == JSON_STRING ? args->items[0]->text : STR("");
    switch (row->effect) {
    case EFFECT_SESSION_READ:   text = str_of(arena_printf(arena, "GET session:%.*s:%.*s", STR_ARG(id), STR_ARG(state->name))); break;
    case EFFECT_SESSION_SAVE:   text = str_of(arena_printf(arena, "SAVE session:%.*s:%.*s %.*s TTL %.*s", STR_ARG(id), STR_ARG(state->name), STR_ARG(written_fields(r, args)), STR_ARG(ttl_text(r, state)))); break;
    case EFFECT_SESSION_CHANGE: text = str_of(arena_printf(arena, "CHANGE session:%.*s:%.*s %.*s", STR_ARG(id), STR_ARG(state->name), STR_ARG(shorten(r->trace, row->args_json)))); break;
    case EFFECT_SESSION_DELETE: text = str_of(arena_printf(arena, "DELETE session:%.*s:%.*s", STR_ARG(id), STR_ARG(state->name))); break;
    case EFFECT_CONTEXT_OPEN:
        text = str_of(arena_printf(arena, "Initialize coordination {\"coordination_id\": \"%.*s.%.*s\", \"tenant_id\": \"%.*s\", \"user_id\": \"%.*s\"} TTL %.*s",
                                   STR_ARG(r->run->correlation), STR_ARG(state->name), STR_ARG(r->run->tenant), STR_ARG(r->run->user), STR_ARG(ttl_text(r, state))));
        break;
    case EFFECT_CONTEXT_READ:   text = STR("READ context"); break;
    case EFFECT_CONTEXT_WRITE:  text = str_of(arena_printf(arena, "WRITE context %.*s TTL %.*s", STR_ARG(written_fields(r, args)), STR_ARG(ttl_text(r, state)))); break;
    default:                    text = STR("CLEANUP: delete coordination context"); break;
    }
    message_of(r, row, MESSAGE_CALL, self, store, text);
    bool failed = row->entry == JOURNAL_ERROR;
    if ((!reads && !failed) || str_eq(self, store)) return;
    Message *reply = message_of(r, row, MESSAGE_REPLY, store, self, failed ? failure_text(r, row->detail_json) : row->detail_json.len ? shorten(r->trace, row->detail_json) : STR("null"));
    reply->failed = failed;
}

/* The row of an event is durable when this row is: the bus has kept it before anybody hears of it. */
static void read_emit(RunReader *r, const JournalRow *row) {
    Str from = participant_of(r, row->span), bus = part_title(r->image, "bus", "");
    if (r->in_transaction) {
        from = part_title(r->image, "repository", "");
        if (!r->stored) ask_database(r, row, from, str_of(arena_printf(r->trace->arena, "INSERT INTO events %.*s", STR_ARG(with_args(r, row)))), STR("Event stored"));
        r->stored = false;
    }
    tell(r, row, from, bus.len ? bus : from, str_of(arena_printf(r->trace->arena, "Publish %.*s %.*s", STR_ARG(row->name), STR_ARG(shorten(r->trace, row->args_json)))));
    if (bus.len && row->entry == JOURNAL_RESULT) tell(r, row, bus, bus, str_of(arena_printf(r->trace->arena, "Persist %.*s (at-least-once delivery)", STR_ARG(row->name))));
}

/* What a stream tells while it runs: the agent to whoever called it, and he to the client. */
static void read_progress(RunReader *r, const JournalRow *row, Str self) {
    Arena *arena = r->trace->arena;
    Json *args = NULL;
    const Json *percent = NULL, *text = NULL;
    if (json_parse(arena, row->args_json, 1 << 20, &args, NULL) == ERR_OK && args->kind == JSON_ARRAY) {
        percent = args->count > 0 && args->items[0]->kind == JSON_INT && args->items[0]->integer >= 0 ? args->items[0] : NULL;
        text = args->count > 1 && args->items[1]->kind == JSON_STRING && args->items[1]->text.len ? args->items[1] : NULL;
    }
    Str words = text ? text->text : (Str){ "", 0 };
    const char *number = percent ? arena_printf(arena, "%lld", (long long)percent->integer) : "";
    if (!str_eq(self, r->base)) message_of(r, row, MESSAGE_REPLY, self, r->base, str_of(arena_printf(arena, "STREAM: \"%.*s%s%s%s\"", STR_ARG(words), text && percent ? " " : "", number, percent ? "%" : "")));
    Str event = str_of(arena_printf(arena, "SSE: {type: \"progress\"%s%.*s%s%s%s}", text ? ", text: \"" : "", STR_ARG(words), text ? "\"" : "", percent ? ", percent: " : "", number));
    message_of(r, row, MESSAGE_REPLY, r->base, r->client, event);
}

static void read_note(RunReader *r, const JournalRow *row) {
    Str self = participant_of(r, row->span);
    Arena *arena = r->trace->arena;
    switch (row->effect) {
    case EFFECT_NOTE_SPAN_BEGIN: read_span_begin(r, row); break;
    case EFFECT_NOTE_SPAN_END: read_span_end(r, row); break;
    case EFFECT_NOTE_RETRY: read_retry(r, row); break;
    case EFFECT_NOTE_SAGA_FAILED: message_of(r, row, MESSAGE_CALL, self, self, STR("Saga failed: trigger compensating transactions")); break;
    case EFFECT_NOTE_COMPENSATE: message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "Compensate %.*s", STR_ARG(text_of_json(r->trace, row->args_json))))); break;
    case EFFECT_NOTE_COMPENSATED:
        if (memmem(row->args_json.ptr, row->args_json.len, "false", 5))
            message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "Could not compensate %.*s", STR_ARG(shorten(r->trace, row->args_json)))));
        break;
    case EFFECT_NOTE_PROGRESS:
        if (r->streams) read_progress(r, row, self);
        else message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "Progress %.*s", STR_ARG(shorten(r->trace, row->args_json)))));
        break;
    case EFFECT_NOTE_NOTICE: message_of(r, row, MESSAGE_REPLY, self, part_title(r->image, "user", "User"), text_of_json(r->trace, row->args_json)); break;
    case EFFECT_NOTE_CONDITION:
        message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "Evaluate condition: %.*s ? %s", STR_ARG(text_of_json(r->trace, row->args_json)), str_ends(row->args_json, STR(",true]")) ? "TRUE" : "FALSE")));
        break;
    case EFFECT_NOTE_CHECKED: message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "Check invariants of %.*s", STR_ARG(text_of_json(r->trace, row->args_json))))); break;
    case EFFECT_NOTE_PARALLEL: {
        bool begin = str_starts(row->args_json, STR("[true"));           /* begins, group, race */
        Message *m = add(r->trace, begin ? MESSAGE_PAR_BEGIN : MESSAGE_PAR_END, (Str){ 0 }, (Str){ 0 }, begin ? STR("Parallel Execution") : (Str){ 0 });
        m->run_id = r->run->run_id;
        m->at_us = row->started_us;
        break;
    }
    default: break;
    }
}

/* Who gave the answer that follows: "main: m-7b, 11 + 2 tokens", or who did not: "rules, instead of main (status 503)". */
static void read_model(RunReader *r, const JournalRow *row) {
    Str to = part_title(r->image, "llm", ""), model;
    Json *report = NULL;
    if (json_parse(r->trace->arena, row->detail_json, JOURNAL_ARGS_MAX, &report, NULL) != ERR_OK) return;
    const Json *prompt = json_get(report, "prompt_tokens"), *completion = json_get(report, "completion_tokens"), *failed = json_get(report, "failed");
    Buf text = { 0 };
    if (json_get(report, "refused")) {
        Str said = str_of(arena_printf(r->trace->arena, "plan refused: %.*s at %.*s", STR_ARG(json_get_text(report, "refused")), STR_ARG(json_get_text(report, "pointer"))));
        if (!to.len) to = participant_of(r, row->span);
        message_of(r, row, MESSAGE_NOTE, to, to, said);
        return;
    }
    model = json_get_text(report, "model");
    buf_put_str(&text, json_get_text(report, "provider").len ? json_get_text(report, "provider") : STR("nobody"));
    if (model.len) buf_printf(&text, ": %.*s, %lld + %lld tokens", STR_ARG(model), (long long)(prompt ? prompt->integer : 0), (long long)(completion ? completion->integer : 0));
    if (failed && failed->kind == JSON_ARRAY && failed->count) {
        const Json *first = failed->items[0];
        buf_printf(&text, ", %s %.*s (%.*s)", model.len ? "after" : "instead of", STR_ARG(json_get_text(first, "provider")), STR_ARG(json_get_text(first, "why")));
    }
    if (!to.len) to = participant_of(r, row->span);
    message_of(r, row, MESSAGE_NOTE, to, to, arena_str(r->trace->arena, buf_str(&text)));
    buf_free(&text);
}

static uint32_t count_actions(const Json *json) {
    uint32_t count = json->kind == JSON_OBJECT && json_get(json, "action");
    for (size_t i = 0; (json->kind == JSON_OBJECT || json->kind == JSON_ARRAY) && i < json->count; i++)
        if (json->kind == JSON_ARRAY || !str_is(json->keys[i], "params")) count += count_actions(json->items[i]);
    return count;
}

/* The engine's own doing, with what a model has written: its calls follow as those of any code. */
static void read_plan(RunReader *r, const JournalRow *row, Str self) {
    Arena *arena = r->trace->arena;
    Str audit, text = STR("plan filled in from the request");
    Json *loaded = NULL, *error = NULL;
    if (row->entry == JOURNAL_ERROR) {
        Str code = json_parse(arena, row->detail_json, JOURNAL_ARGS_MAX, &error, NULL) == ERR_OK ? json_get_text(error, "code") : (Str){ "", 0 };
        text = str_of(arena_printf(arena, "plan refused%s%.*s", code.len ? ": " : "", STR_ARG(code)));
    } else if (row->effect == EFFECT_PLAN_CHECK) text = STR("plan checked");
    else if (engine_plan_of(row, &audit) && json_parse(arena, audit, SIZE_MAX, &loaded, NULL) == ERR_OK && json_get(loaded, "plan")) {
        uint32_t steps = count_actions(json_get(loaded, "plan"));
        text = str_of(arena_printf(arena, "plan of %u step%s", steps, steps == 1 ? "" : "s"));
    }
    message_of(r, row, MESSAGE_NOTE, self, self, text);
}

/* A model with a name is told the beginning of what it is asked; without one it is the asker's own thought. */
static void read_llm(RunReader *r, const JournalRow *row, Str self) {
    Arena *arena = r->trace->arena;
    Str to = part_title(r->image, "llm", ""), asked = text_of_json(r->trace, row->args_json), said = shorten(r->trace, row->detail_json);
    if (!to.len) { message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(arena, "%.*s: %.*s", STR_ARG(row->name), STR_ARG(said)))); return; }
    const char *end = memchr(asked.ptr, '\n', asked.len);
    if (end) asked.len = (size_t)(end - asked.ptr);
    message_of(r, row, MESSAGE_CALL, self, to, str_of(arena_printf(arena, "%.*s: %.*s", STR_ARG(row->name), STR_ARG(shorten(r->trace, asked)))));
    if (str_eq(self, to)) return;
    bool failed = row->entry == JOURNAL_ERROR;
    message_of(r, row, MESSAGE_REPLY, to, self, failed ? failure_text(r, row->detail_json) : said)->failed = failed;
}

static void read_effect(RunReader *r, const JournalRow *row) {
    Str self = participant_of(r, row->span);
    switch (row->effect) {
    case EFFECT_REMOTE_CALL: read_remote(r, row); break;
    case EFFECT_ASK: case EFFECT_APPROVE: read_ask(r, row); break;
    case EFFECT_QUERY_READ: read_query(r, row); break;
    case EFFECT_SESSION_READ: case EFFECT_SESSION_SAVE: case EFFECT_SESSION_DELETE: case EFFECT_SESSION_CHANGE: case EFFECT_CONTEXT_OPEN: case EFFECT_CONTEXT_READ: case EFFECT_CONTEXT_WRITE:
    case EFFECT_CONTEXT_CLOSE: read_state(r, row); break;
    case EFFECT_QUERY_WRITE: read_write(r, row); break;
    case EFFECT_TXN_BEGIN: case EFFECT_TXN_COMMIT: case EFFECT_TXN_ROLLBACK: read_transaction(r, row); break;
    case EFFECT_EMIT: read_emit(r, row); break;
    case EFFECT_LLM_CLASSIFY: case EFFECT_LLM_EXTRACT: case EFFECT_LLM_COMPLETE: case EFFECT_LLM_STREAM: case EFFECT_LLM_PLAN: read_llm(r, row, self); break;
    case EFFECT_PLAN_CHECK: case EFFECT_PLAN_FILL: case EFFECT_PLAN_LOAD: read_plan(r, row, self); break;
    case EFFECT_REFRESH: message_of(r, row, MESSAGE_CALL, self, self, STR("Refresh credential")); break;
    case EFFECT_SLEEP_UNTIL: {
        Str retry = part_title(r->image, "retry", "");
        Retrying *again = retrying_of(r, row->fiber);
        Str who = again && again->attempts && retry.len ? retry : self;
        Buf text = { 0 };
        buf_put_text(&text, "Wait ");
        duration_print(row->ended_us - row->started_us - (row->ended_us - row->started_us) % 1000, &text);
        message_of(r, row, MESSAGE_CALL, who, who, arena_str(r->trace->arena, buf_str(&text)));
        buf_free(&text);
        break;
    }
    case EFFECT_AWAIT_EVENT: {
        Str bus = part_title(r->image, "bus", "");
        message_of(r, row, MESSAGE_CALL, bus.len ? bus : self, self, str_of(arena_printf(r->trace->arena, "%.*s %.*s", STR_ARG(row->name), STR_ARG(shorten(r->trace, row->detail_json)))));
        break;
    }
    case EFFECT_AWAIT_SIGNAL: message_of(r, row, MESSAGE_CALL, part_title(r->image, "user", "User"), self, str_of(arena_printf(r->trace->arena, "signal %.*s", STR_ARG(row->name)))); break;
    case EFFECT_START_FLOW: message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(r->trace->arena, "Start %.*s", STR_ARG(row->name)))); break;
    case EFFECT_SEND_SIGNAL: message_of(r, row, MESSAGE_CALL, self, self, str_of(arena_printf(r->trace->arena, "Signal %.*s", STR_ARG(row->name)))); break;
    default: break;
    }
}

static void read_row(RunReader *r, const JournalRow *row) {
    Str self = participant_of(r, row->span);
    bool ends = row->entry == JOURNAL_NOTE && row->effect == EFFECT_NOTE_SPAN_END;
    if (!ends) r->newest_result = (Str){ 0 };
    switch (row->entry) {
    case JOURNAL_NOTE: read_note(r, row); break;
    case JOURNAL_RESULT: case JOURNAL_ERROR: read_effect(r, row); break;
    case JOURNAL_MODEL: read_model(r, row); break;
    case JOURNAL_PARKED: message_of(r, row, MESSAGE_NOTE, r->base, r->base, STR("parked")); break;
    case JOURNAL_RESUMED: message_of(r, row, MESSAGE_NOTE, r->base, r->base, STR("resumed")); break;
    case JOURNAL_EXPIRED: message_of(r, row, MESSAGE_CALL, self, self, STR("Time is up")); break;
    case JOURNAL_CANCEL: message_of(r, row, MESSAGE_CALL, part_title(r->image, "user", "User"), self, STR("Cancel")); break;
    default: break;
    }
}

static Str run_input_text(Trace *trace, const RunRow *run) {
    Json *input = NULL;
    if (json_parse(trace->arena, run->input_json, 16 << 20, &input, NULL) == ERR_OK && input->kind == JSON_OBJECT && input->count && input->items[0]->kind == JSON_STRING)
        return str_of(arena_printf(trace->arena, "\"%.*s\"", STR_ARG(shorten(trace, input->items[0]->text))));
    return str_of(arena_printf(trace->arena, "%.*s %.*s", STR_ARG(run->func_name), STR_ARG(shorten(trace, run->input_json))));
}

static const ImageHandler *handler_of(const Image *image, const RunRow *run) {
    if (run->func >= image->func_count || image->funcs[run->func].kind != FUNC_HANDLER) return NULL;
    uint16_t owner = image->funcs[run->func].owner;
    return owner < image->handler_count ? &image->handlers[owner] : NULL;
}

/* ---- runs that began with a request ---- */

/* The route that was called; NULL: a webhook, or one that the program does not have. */
static const ImageRoute *route_of(const RunReader *r) {
    for (uint16_t i = 0; i < r->image->route_count; i++) {
        const ImageRoute *route = &r->image->routes[i];
        if (r->request.len == route->method.len + 1 + route->path.len && str_starts(r->request, route->method) && str_ends(r->request, route->path)) return route;
    }
    return NULL;
}

/* "POST /api/v1/chat", with " (public)" or " (webhook)" behind it. */
static void read_cause(RunReader *r) {
    Str text = r->run->causation;
    const char *slash = memmem(text.ptr, text.len, " /", 2);
    if (!slash || slash == text.ptr || memchr(text.ptr, '-', (size_t)(slash - text.ptr))) return;
    r->webhook = str_ends(text, STR(" (webhook)"));
    r->open_route = str_ends(text, STR(" (public)"));
    r->request = r->webhook ? (Str){ text.ptr, text.len - 10 } : r->open_route ? (Str){ text.ptr, text.len - 9 } : text;
    const ImageRoute *route = route_of(r);
    r->streams = route && (route->flags & ROUTE_STREAM);
    Str user = part_title(r->image, "user", "User"), client = part_title(r->image, "client", ""), gateway = part_title(r->image, "gateway", "");
    r->client = client.len ? client : user;
    r->gateway = gateway.len ? gateway : r->base;
}

static Message *at_start(RunReader *r, MessageKind kind, Str from, Str to, Str text) {
    Message *m = add(r->trace, kind, from, to, text);
    m->run_id = r->run->run_id;
    m->at_us = r->run->created_us;
    return m;
}

/* Where the program names a part that decides: it was asked, and since there is a run, it allowed. */
static void read_permission(RunReader *r) {
    Str scopes = part_title(r->image, "scopes", "");
    const ImageRoute *route = route_of(r);
    if (!scopes.len || !route) return;
    Buf text = { 0 };
    buf_printf(&text, "Check permission: %.*s has", STR_ARG(r->run->user));
    for (uint16_t i = 0; i < route->scope_count; i++) buf_printf(&text, "%s \"%.*s\"", i ? "," : "", STR_ARG(route->scopes[i]));
    at_start(r, MESSAGE_CALL, r->gateway, scopes, arena_str(r->trace->arena, buf_str(&text)));
    at_start(r, MESSAGE_REPLY, scopes, r->gateway, STR("ALLOW"));
    buf_free(&text);
}

/* The gateway starts nothing before it knows who asks: what it did first follows from the run being there. */
static void read_request(RunReader *r) {
    Arena *arena = r->trace->arena;
    Str user = part_title(r->image, "user", "User"), input = shorten(r->trace, r->run->input_json);
    if (!r->webhook && !str_eq(user, r->client)) at_start(r, MESSAGE_CALL, user, r->client, run_input_text(r->trace, r->run));
    at_start(r, MESSAGE_CALL, r->client, r->gateway, str_of(arena_printf(arena, "%.*s %.*s", STR_ARG(r->request), STR_ARG(input))));
    if (r->webhook) {
        at_start(r, MESSAGE_CALL, r->gateway, r->gateway, STR("Verify signature"));
        at_start(r, MESSAGE_CALL, r->gateway, r->gateway, str_of(arena_printf(arena, "Extract tenant_id %.*s", STR_ARG(r->run->tenant))));
    } else if (!r->open_route) {
        at_start(r, MESSAGE_CALL, r->gateway, r->gateway, str_of(arena_printf(arena, "Validate JWT: tenant_id %.*s", STR_ARG(r->run->tenant))));
        read_permission(r);
    }
    if (!str_eq(r->gateway, r->base))
        at_start(r, MESSAGE_CALL, r->gateway, r->base, str_of(arena_printf(arena, "%s%.*s as %.*s", r->streams ? "SSE connection established: " : "Forward with context: ", STR_ARG(r->run->func_name), STR_ARG(r->run->user))));
}

static Message *at_end(RunReader *r, Str from, Str to, Str text) {
    Message *m = add(r->trace, MESSAGE_REPLY, from, to, text);
    bool ok = r->run->status == RUN_COMPLETED;
    m->run_id = r->run->run_id;
    m->at_us = r->webhook ? r->run->created_us : r->run->ended_us;
    m->took_us = r->webhook ? 0 : r->run->ended_us - r->run->created_us;
    m->failed = !ok && !r->webhook;
    return m;
}

/* A webhook is answered when its run is durable, however it ends. */
static void read_response(RunReader *r, Str text, bool ok) {
    Arena *arena = r->trace->arena;
    Str user = part_title(r->image, "user", "User");
    if (r->webhook) { at_end(r, r->gateway, r->client, STR("HTTP 200 OK")); return; }
    if (r->streams) at_end(r, r->base, r->client, str_of(arena_printf(arena, "SSE: {type: \"%s\", %.*s}", ok ? "complete" : "failed", STR_ARG(text))));
    else {
        if (!str_eq(r->gateway, r->base)) at_end(r, r->base, r->gateway, text);
        at_end(r, r->gateway, r->client, ok ? STR("HTTP 200 + JSON") : str_of(arena_printf(arena, "HTTP problem: %.*s", STR_ARG(text))));
    }
    if (!str_eq(user, r->client)) at_end(r, r->client, user, ok ? str_of(arena_printf(arena, "\"%.*s\"", STR_ARG(text))) : text);
}

/* The arrow that starts a run: from the user, or from the bus to the subscriber. */
static void read_start(RunReader *r) {
    const ImageHandler *handler = handler_of(r->image, r->run);
    Message *m;
    read_cause(r);
    if (r->request.len) { read_request(r); return; }
    if (handler) {
        Str bus = part_title(r->image, "bus", "");
        Str event = r->image->events[handler->event].name;
        m = add(r->trace, MESSAGE_CALL, bus.len ? bus : r->base, r->base, str_of(arena_printf(r->trace->arena, "%.*s event", STR_ARG(event))));
    } else {
        Str from = part_title(r->image, r->run->causation.len && !str_eq(r->run->causation, r->run->run_id) ? "orchestrator" : "user", r->run->causation.len ? "Orchestrator" : "User");
        m = add(r->trace, MESSAGE_CALL, from, r->base, run_input_text(r->trace, r->run));
    }
    m->run_id = r->run->run_id;
    m->at_us = r->run->created_us;
}

/* A run that still waits: the questions that nobody has answered yet. */
static void read_open_questions(RunReader *r) {
    const Json *waits = r->run->status == RUN_PARKED ? engine_waits(r->run, r->trace->arena) : NULL;
    for (size_t i = 0; waits && i < waits->count; i++) {
        if (!engine_wait_asks(waits->items[i])) continue;
        Str text = json_get_text(waits->items[i], "text");
        Message *m = add(r->trace, MESSAGE_CALL, r->base, part_title(r->image, "user", "User"), str_of(arena_printf(r->trace->arena, "\"%.*s\"", STR_ARG(text))));
        m->run_id = r->run->run_id;
        m->at_us = r->run->updated_us;
        move_before_notes(r->trace);
    }
}

static void read_end(RunReader *r) {
    read_open_questions(r);
    if (handler_of(r->image, r->run) || !run_status_ended(r->run->status)) return;
    Str user = part_title(r->image, "user", "User");
    bool ok = r->run->status == RUN_COMPLETED;
    Buf shown = { 0 };
    Error error = { 0 };
    if (engine_shown_result(r->engine, r->run, &shown, &error) != ERR_OK) buf_clear(&shown);
    Str maker = ok && r->newest_result.len && str_eq(r->newest_result, buf_str(&shown)) ? r->newest_maker : r->base;   /* the words of a tool, passed on as they are */
    Str text = ok ? text_of_json(r->trace, buf_str(&shown)) : failure_text(r, r->run->result_json);
    buf_free(&shown);
    if (r->request.len) { read_response(r, text, ok); return; }
    Message *m = add(r->trace, MESSAGE_REPLY, maker, user, ok ? str_of(arena_printf(r->trace->arena, "\"%.*s\"", STR_ARG(text))) : text);
    m->run_id = r->run->run_id;
    m->at_us = r->run->ended_us;
    m->took_us = r->run->ended_us - r->run->created_us;
    m->failed = !ok;
}

static Err read_run(Engine *engine, Trace *trace, const RunRow *run, RunReader *r, Error *error) {
    Image *image = NULL;
    Err err = engine_image(engine, run->module_hash, &image, error);
    if (err) return err;
    *r = (RunReader){ .trace = trace, .engine = engine, .image = image, .run = run };
    const ImageHandler *handler = handler_of(image, run);
    r->base = agent_title(image, handler ? handler->agent : NO_INDEX);
    read_start(r);
    StoreBatch *batch = store_batch(engine_home(engine, run), run->tenant, run->run_id, 0);
    int index = store_get_journal(batch, run->run_id, 0, TRACE_ROWS_MAX);
    err = store_run_batch(batch, error);
    if (!err) {
        uint32_t count;
        const JournalRow *rows = store_journal(batch, index, &count);
        r->spans = ARENA_ARRAY(trace->arena, Span, count ? count : 1);
        for (uint32_t i = 0; i < count; i++) {
            JournalRow row = rows[i];
            row.name = arena_str(trace->arena, row.name);
            row.args_json = arena_str(trace->arena, row.args_json);
            row.detail_json = arena_str(trace->arena, row.detail_json);
            read_row(r, &row);
        }
    }
    store_batch_free(batch);
    return err;
}

static RunRow copy_run(Arena *arena, const RunRow *run) {
    RunRow copy = *run;
    Str *texts[] = { &copy.tenant, &copy.run_id, &copy.module_hash, &copy.func_name, &copy.user, &copy.correlation, &copy.causation, &copy.input_json, &copy.result_json, &copy.waits_json };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_str(arena, *texts[i]);
    return copy;
}

/* All runs of the same correlation, oldest first; the root alone when it has none. */
static Err list_family(Engine *engine, Trace *trace, const RunRow *root, RunRow **out, uint32_t *out_count, Error *error) {
    StoreBatch *batch = store_batch(engine_store(engine), root->tenant, STR(""), 0);
    int index = store_list_runs(batch, &(RunFilter){ .correlation = root->correlation, .status = -1, .limit = TRACE_RUNS_MAX });
    Err err = store_run_batch(batch, error);
    uint32_t count = 0;
    const RunRow *runs = err ? NULL : store_runs(batch, index, &count);
    *out = ARENA_ARRAY(trace->arena, RunRow, count + 1);
    *out_count = 0;
    for (uint32_t i = count; i-- > 0;)
        if (!str_eq(runs[i].run_id, root->run_id)) (*out)[(*out_count)++] = copy_run(trace->arena, &runs[i]);
    store_batch_free(batch);
    return err;
}

Err trace_read(Engine *engine, Str tenant, Str run_id, Trace *trace, Error *error) {
    RunRow root;
    Err err = engine_find_run(engine, tenant, run_id, trace->arena, &root, error);
    if (err) return err;
    trace->root_run = root.run_id;
    trace->root_flow = root.func_name;
    trace->root_status = root.status;

    RunReader reader, caused;
    err = read_run(engine, trace, &root, &reader, error);
    bool is_root = str_eq(root.correlation, root.run_id) || !root.causation.len;
    RunRow *family = NULL;
    uint32_t family_count = 0;
    if (!err && is_root && root.correlation.len) err = list_family(engine, trace, &root, &family, &family_count, error);
    for (uint32_t i = 0; !err && i < family_count; i++) {
        add(trace, MESSAGE_PAR_BEGIN, (Str){ 0 }, (Str){ 0 }, STR("Async Event Processing"))->run_id = root.run_id;
        err = read_run(engine, trace, &family[i], &caused, error);
        if (!err) read_end(&caused);
        if (!err && reader.webhook && handler_of(caused.image, caused.run) && caused.run->status == RUN_COMPLETED)
            at_end(&caused, caused.base, reader.gateway, STR("Acknowledge: handled"))->kind = MESSAGE_CALL;
        add(trace, MESSAGE_PAR_END, (Str){ 0 }, (Str){ 0 }, (Str){ 0 })->run_id = root.run_id;
    }
    if (!err) read_end(&reader);
    return err;
}
