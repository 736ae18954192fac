/* llm_wire.h - what the client and its dialects share: a request as JSON, an answer from it, whole or in pieces. */
#ifndef NET_LLM_WIRE_H
#define NET_LLM_WIRE_H
#include "base/json.h"
#include "interpreter/net/llm_client.h"
#include "interpreter/net/sse_reader.h"

enum { LLM_EVENT_MAX = 256 << 10 };                      /* one event or line of a stream */

typedef struct LlmReply {
    Buf text;
    uint64_t prompt_tokens, completion_tokens;           /* 0: not told */
    char model[LLM_MODEL_MAX + 1];                       /* as the provider calls it, printable ASCII; empty: not told */
    bool finished;                                       /* the model has come to its end, or to that of its room */
    bool closed;                                         /* nothing more is to be expected of the stream */
    SseReader sse; Buf line;                             /* what has not come to its end */
    Err err; Error error;                                /* of a handler within a reader */
} LlmReply;

void llm_reply_init(LlmReply *reply);
void llm_reply_free(LlmReply *reply);
/* Appends. ERR_LIMIT: LLM_ANSWER_MAX. NULL and anything that is no text are no text. */
Err  llm_reply_add_text(LlmReply *reply, const Json *text, Error *error);
void llm_reply_set_model(LlmReply *reply, const Json *root);
void llm_reply_count(const Json *usage, const char *key, uint64_t *tokens);
/* ERR_INVALID when the root has an error in it. */
Err  llm_reply_refused(const Json *root, Error *error);

typedef struct LlmWire {
    const char *path;
    const char *stream_type;                             /* content type of a streamed answer */
    /* plain: without what not every server knows (the schema, a temperature, the count of tokens in streams) */
    void (*put_request)(const LlmProvider *provider, const LlmAsk *ask, const LlmMessage *messages, uint32_t count, bool plain, Buf *out);
    Err  (*read_whole)(LlmReply *reply, Str body, Error *error);
    Err  (*read_piece)(LlmReply *reply, Str piece, Error *error);
} LlmWire;
extern const LlmWire llm_openai, llm_ollama;

void llm_put_messages(const LlmMessage *messages, uint32_t count, Buf *out);
#endif
