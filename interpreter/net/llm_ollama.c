/* llm_ollama.c - Ollama's /api/chat: JSON, or a JSON object a line, the last one with `done` and the counts. */
#include "interpreter/net/llm_wire.h"

static void put_request(const LlmProvider *provider, const LlmAsk *ask, const LlmMessage *messages, uint32_t count, bool plain, Buf *out) {
    buf_put_text(out, "{\"model\":");
    json_put_string(out, provider->model);
    llm_put_messages(messages, count, out);
    buf_put_text(out, ask->stream ? ",\"stream\":true" : ",\"stream\":false");
    if (ask->schema.len && !plain) {
        buf_put_text(out, ",\"options\":{\"temperature\":0},\"format\":");
        buf_put_str(out, ask->schema);
    }
    buf_put_char(out, '}');
}

static Err read_line(LlmReply *reply, Str line, Error *error) {
    Arena *arena = arena_new();
    Json *root = NULL;
    Err err = json_parse(arena, line, HTTP_BODY_MAX, &root, error);
    if (!err) err = llm_reply_refused(root, error);
    const Json *message = err ? NULL : json_get(root, "message"), *done = err ? NULL : json_get(root, "done");
    if (!err && !message && !done) err = err_set(error, ERR_INVALID, "the answer holds no message");
    if (!err && message) err = llm_reply_add_text(reply, json_get(message, "content"), error);
    if (!err) {
        llm_reply_set_model(reply, root);
        llm_reply_count(root, "prompt_eval_count", &reply->prompt_tokens);
        llm_reply_count(root, "eval_count", &reply->completion_tokens);
        if (done && done->kind == JSON_BOOL && done->boolean) reply->finished = reply->closed = true;
    }
    arena_free(arena);
    return err;
}

static Err read_whole(LlmReply *reply, Str body, Error *error) {
    Err err = read_line(reply, body, error);
    if (!err && !reply->finished) err = err_set(error, ERR_INVALID, "the answer is not complete");
    return err;
}

static bool is_blank(Str line) {
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] != ' ' && line.ptr[i] != '\r' && line.ptr[i] != '\t') return false;
    return true;
}

static Err read_piece(LlmReply *reply, Str piece, Error *error) {
    Err err = ERR_OK;
    while (piece.len && !err && !reply->closed) {
        const char *end = memchr(piece.ptr, '\n', piece.len);
        size_t len = end ? (size_t)(end - piece.ptr) : piece.len;
        if (reply->line.len + len > LLM_EVENT_MAX) return err_set(error, ERR_LIMIT, "a line of the stream is longer than LLM_EVENT_MAX (%d bytes)", LLM_EVENT_MAX);
        buf_put(&reply->line, piece.ptr, len);
        if (end && !is_blank(buf_str(&reply->line))) err = read_line(reply, buf_str(&reply->line), error);
        if (end) buf_clear(&reply->line), len++;
        piece.ptr += len, piece.len -= len;
    }
    return err;
}

const LlmWire llm_ollama = { "/api/chat", "application/x-ndjson", put_request, read_whole, read_piece };
