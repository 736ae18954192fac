/* llm_client.h - chat completions of language models, by whoever answers first of a chain of providers.
 *
 * Two dialects: servers that are compatible with OpenAI's API (POST URL/chat/completions) and Ollama (POST URL/api/chat). A provider that fails in a way
 * that passes (408, 429, 5xx, the network) is asked again, LLM_TRIES_MAX times in all, with growing pauses or as its Retry-After asks, when that is not
 * longer than LLM_PAUSE_MAX; then, and at once after anything else (401, 403, an answer that is none), the next one is asked. A provider that was given up
 * is not asked at all for LLM_DOWN_FIRST, doubled each time up to LLM_DOWN_MAX; then one call finds out whether it is well. Nobody left: the call fails, and its caller has the rules to fall back to.
 *
 * What a model says is untrusted: it must be UTF-8, at most LLM_ANSWER_MAX bytes, and is handed on as text; calls of tools in it are ignored. An answer
 * that `accept` refuses is given back to the same provider with the complaint, once or as often as the question says; then the next one is asked.
 *
 * A text that is streamed is told as it comes. When a try breaks off and another begins, only what differs is told again: each piece has the byte offset
 * where it belongs, and what a listener had from there on is void. At the end the pieces are exactly the answer's text.
 *
 * Keys are never printed, neither are the words of a provider's error, which may hold keys or prompts: statuses and codes are.
 * Times are microseconds. All callbacks come from the loop, never from inside llm_ask.
 */
#ifndef NET_LLM_CLIENT_H
#define NET_LLM_CLIENT_H
#include "base/arena.h"
#include "interpreter/net/http_client.h"

typedef struct LlmClient LlmClient;
typedef struct LlmCall LlmCall;

enum { LLM_PROVIDERS_MAX = 8, LLM_TRIES_MAX = 3, LLM_ANSWER_MAX = 256 << 10, LLM_MESSAGES_MAX = 4, LLM_NAME_MAX = 32, LLM_MODEL_MAX = 100, LLM_KEY_MAX = 4096, LLM_URL_MAX = 1024 };
#define LLM_TIMEOUT_DEFAULT INT64_C(60000000)            /* of a whole answer; of the silence between two pieces when it is streamed */
#define LLM_PAUSE_FIRST     INT64_C(500000)              /* before the second try, doubled before the third */
#define LLM_PAUSE_MAX       INT64_C(10000000)
#define LLM_DOWN_FIRST      INT64_C(5000000)
#define LLM_DOWN_MAX        INT64_C(60000000)

typedef enum { LLM_OPENAI, LLM_OLLAMA } LlmDialect;
typedef struct LlmProvider { Str name; LlmDialect dialect; Str url /* without a slash at its end */, model, key /* empty: none */; int64_t timeout_us; } LlmProvider;
typedef struct LlmSettings {
    LlmProvider providers[LLM_PROVIDERS_MAX]; uint32_t provider_count;             /* in the order in which they are asked; 0: rules only */
    bool no_rules;                                       /* the chain ends with `none`: a question that nobody answers fails */
    int64_t pause_us, down_us;                           /* 0: LLM_PAUSE_FIRST, LLM_DOWN_FIRST */
} LlmSettings;

/* From variables FLOW_LLM_* (docs/operations.md), which `get` looks up; texts in the arena. ERR_INVALID names the variable, never its value when that is a key. */
Err llm_settings_read(const char *(*get)(const char *name), Arena *arena, LlmSettings *out, Error *error);

typedef struct LlmMessage { const char *role /* system user assistant */; Str text; } LlmMessage;

typedef struct LlmAnswer {
    bool ok;
    Str text;                                            /* of the model; empty when !ok */
    Str report;                                          /* JSON: who answered, how many tokens, who failed before; without anything of the prompt or the answer */
    int status; const char *code;                        /* !ok: of the last failure: an HTTP status or 0, "ECONNREFUSED" and its kin or NULL */
    int64_t retry_after_us;                              /* !ok: when a provider may be asked again; -1: not known */
} LlmAnswer;

typedef struct LlmAsk {
    const LlmMessage *messages; uint32_t message_count;  /* copied, as the schema is */
    Str schema; bool strict;                             /* JSON Schema of the answer, empty: text; strict: it keeps to what strict modes of providers can do */
    bool stream;
    int64_t time_us;                                     /* no try lasts beyond it; 0: only the provider's own limit */
    bool (*accept)(Str text, Buf *complaint, void *arg); /* may be NULL */
    uint32_t repairs;                                    /* how often a provider may try again after a complaint; 0: once */
    void (*on_text)(uint64_t offset, Str piece, void *arg);        /* of a stream; may be NULL; must not cancel */
    void (*done)(const LlmAnswer *answer, void *arg);
    void *arg;
} LlmAsk;

/* `settings` are copied; the HTTP client is borrowed. */
LlmClient *llm_client_new(struct event_base *loop, HttpClient *http, const LlmSettings *settings);
void       llm_client_free(LlmClient *client);           /* cancels what is under way */
bool       llm_client_has_rules(const LlmClient *client);
/* Told when a provider is given up for a while, and when it answers again. */
void       llm_client_watch(LlmClient *client, void (*on_change)(Str provider, bool down, const char *why, void *arg), void *arg);
LlmCall   *llm_ask(LlmClient *client, const LlmAsk *ask);
void       llm_cancel(LlmCall *call);                    /* NULL is fine; calls nobody */
/* What listeners of a stream have been told so far. */
Str        llm_text_so_far(const LlmCall *call);
#endif
