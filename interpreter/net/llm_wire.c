/* llm_wire.c - what both dialects do with JSON of a provider. */
#include "interpreter/net/llm_wire.h"

void llm_reply_init(LlmReply *reply) {
    *reply = (LlmReply){ 0 };
    sse_reader_init(&reply->sse, LLM_EVENT_MAX);
}

void llm_reply_free(LlmReply *reply) {
    buf_free(&reply->text);
    buf_free(&reply->line);
    sse_reader_free(&reply->sse);
}

Err llm_reply_add_text(LlmReply *reply, const Json *text, Error *error) {
    if (!text || text->kind != JSON_STRING) return ERR_OK;
    if (reply->text.len + text->text.len > LLM_ANSWER_MAX) return err_set(error, ERR_LIMIT, "the answer is longer than LLM_ANSWER_MAX (%d bytes)", LLM_ANSWER_MAX);
    buf_put_str(&reply->text, text->text);
    return ERR_OK;
}

void llm_reply_set_model(LlmReply *reply, const Json *root) {
    Str name = json_get_text(root, "model");
    if (name.len == 0 || name.len > LLM_MODEL_MAX) return;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= 0x20 || name.ptr[i] > 0x7E) return;
    memcpy(reply->model, name.ptr, name.len);
    reply->model[name.len] = 0;
}

void llm_reply_count(const Json *usage, const char *key, uint64_t *tokens) {
    const Json *count = usage ? json_get(usage, key) : NULL;
    if (count && count->kind == JSON_INT && count->integer >= 0) *tokens = (uint64_t)count->integer;
}

Err llm_reply_refused(const Json *root, Error *error) {
    if (root->kind != JSON_OBJECT) return err_set(error, ERR_INVALID, "the answer is no JSON object");
    const Json *refused = json_get(root, "error");
    if (!refused || refused->kind == JSON_NULL) return ERR_OK;
    return err_set(error, ERR_INVALID, "the provider reports an error");
}

void llm_put_messages(const LlmMessage *messages, uint32_t count, Buf *out) {
    buf_put_text(out, ",\"messages\":[");
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", messages[i].role);
        json_put_string(out, messages[i].text);
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
}
