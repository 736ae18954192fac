/* llm_openai.c - the chat completions of OpenAI's API, which many servers speak: JSON, or an event stream that ends with [DONE].
 *
 * A delta may hold anything besides `content` (a role, a tool call, the thoughts of a model): that is not the answer and is skipped. */
#include "interpreter/net/llm_wire.h"

static void put_request(const LlmProvider *provider, const LlmAsk *ask, const LlmMessage *messages, uint32_t count, bool plain, Buf *out) {
    buf_put_text(out, "{\"model\":");
    json_put_string(out, provider->model);
    llm_put_messages(messages, count, out);
    if (ask->stream) buf_put_text(out, ",\"stream\":true");
    if (ask->stream && !plain) buf_put_text(out, ",\"stream_options\":{\"include_usage\":true}");
    if (ask->schema.len && !plain) {
        buf_printf(out, ",\"temperature\":0,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":%s,\"schema\":", ask->strict ? "true" : "false");
        buf_put_str(out, ask->schema);
        buf_put_text(out, "}}");
    }
    buf_put_char(out, '}');
}

static const Json *first_choice(const Json *root) {
    const Json *choices = json_get(root, "choices");
    return choices && choices->kind == JSON_ARRAY && choices->count ? choices->items[0] : NULL;
}

static Err read_root(LlmReply *reply, const Json *root, const char *part, Error *error) {
    const Json *choice = first_choice(root), *said = choice ? json_get(choice, part) : NULL, *reason = choice ? json_get(choice, "finish_reason") : NULL;
    Err err = llm_reply_refused(root, error);
    if (err) return err;
    llm_reply_set_model(reply, root);
    llm_reply_count(json_get(root, "usage"), "prompt_tokens", &reply->prompt_tokens);
    llm_reply_count(json_get(root, "usage"), "completion_tokens", &reply->completion_tokens);
    if (reason && reason->kind == JSON_STRING) reply->finished = true;
    return said ? llm_reply_add_text(reply, json_get(said, "content"), error) : ERR_OK;
}

static Err read_whole(LlmReply *reply, Str body, Error *error) {
    Arena *arena = arena_new();
    Json *root = NULL;
    Err err = json_parse(arena, body, HTTP_BODY_MAX, &root, error);
    if (!err) err = read_root(reply, root, "message", error);
    if (!err && !first_choice(root)) err = err_set(error, ERR_INVALID, "the answer holds no choice");
    reply->finished = reply->closed = !err;
    arena_free(arena);
    return err;
}

static bool on_event(const SseEvent *event, void *arg) {
    LlmReply *reply = arg;
    if (str_is(event->data, "[DONE]")) return reply->finished = reply->closed = true, false;
    Arena *arena = arena_new();
    Json *root = NULL;
    reply->err = json_parse(arena, event->data, LLM_EVENT_MAX, &root, &reply->error);
    if (!reply->err) reply->err = read_root(reply, root, "delta", &reply->error);
    arena_free(arena);
    return reply->err == ERR_OK;
}

static Err read_piece(LlmReply *reply, Str piece, Error *error) {
    Err err = sse_reader_feed(&reply->sse, piece, on_event, reply, error);
    if (err || !reply->err) return err;
    *error = reply->error;
    return reply->err;
}

const LlmWire llm_openai = { "/chat/completions", "text/event-stream", put_request, read_whole, read_piece };
