/* test_llm_client.c - the chain of providers against models on the loopback: both dialects, whole and streamed, and all that goes wrong on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/time.h"
#include "interpreter/net/llm_client.h"
#include "tests/unit/llm_server.h"

#define KEY "sk-secret-of-the-test"
#define HELLO "{\"model\":\"m-7b\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}"
#define DELTA(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"model\":\"m-7b\",\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":4}}\n\n"
#define DONE "data: [DONE]\n\n"

static struct event_base *loop;
static LlmServer *first, *second;
static HttpClient *http;
static LlmClient *client;
static char said[64 * 1024], changes[256];               /* what a listener would have now; "main down status 503;" */
static size_t said_len, pieces;

typedef struct Outcome { bool came, ok; char text[LLM_ANSWER_MAX + 8]; char report[2048]; int status; char code[32]; int64_t retry_after_us; } Outcome;
static Outcome outcome;

static void came(const LlmAnswer *answer, void *arg)
{
    outcome.came = true;
    outcome.ok = answer->ok;
    snprintf(outcome.text, sizeof outcome.text, "%.*s", STR_ARG(answer->text));
    snprintf(outcome.report, sizeof outcome.report, "%.*s", STR_ARG(answer->report));
    snprintf(outcome.code, sizeof outcome.code, "%s", answer->code ? answer->code : "");
    outcome.status = answer->status;
    outcome.retry_after_us = answer->retry_after_us;
}

static void heard(uint64_t offset, Str piece, void *arg)
{
    assert_true(offset <= said_len && offset + piece.len < sizeof said);
    assert_true(utf8_valid(piece));
    memcpy(said + offset, piece.ptr, piece.len);
    said_len = offset + piece.len;
    said[said_len] = 0;
    pieces++;
}

static void changed(Str provider, bool down, const char *why, void *arg)
{
    size_t len = strlen(changes);
    snprintf(changes + len, sizeof changes - len, "%.*s %s%s;", STR_ARG(provider), down ? "down " : "up", why);
}

static int open_all(void **state)
{
    loop = event_base_new();
    first = llm_server_new(loop);
    second = llm_server_new(loop);
    http = http_client_new(loop);
    return 0;
}

static int close_all(void **state)
{
    http_client_free(http);
    llm_server_free(first);
    llm_server_free(second);
    event_base_free(loop);
    return 0;
}

static void open_client(LlmDialect dialect, uint32_t providers, int64_t timeout_us)
{
    LlmSettings settings = { .provider_count = providers, .pause_us = 1000, .down_us = LLM_DOWN_MAX };
    settings.providers[0] = (LlmProvider){ STR("main"), dialect, str_of(first->url), STR("m"), STR(KEY), timeout_us };
    settings.providers[1] = (LlmProvider){ STR("spare"), LLM_OLLAMA, str_of(second->url), STR("small"), STR(""), timeout_us };
    llm_client_free(client);
    client = llm_client_new(loop, http, &settings);
    llm_client_watch(client, changed, NULL);
}

static int fresh(void **state)
{
    llm_server_forget(first);
    llm_server_forget(second);
    memset(&outcome, 0, sizeof outcome);
    said_len = pieces = 0;
    said[0] = changes[0] = 0;
    open_client(LLM_OPENAI, 1, 0);
    return 0;
}

static int leave(void **state)
{
    llm_client_free(client);
    client = NULL;
    return 0;
}

static const LlmMessage question = { "user", { "Say \"hello\"", 11 } };

static void ask_with(LlmAsk ask)
{
    ask.messages = &question, ask.message_count = 1, ask.done = came, ask.on_text = heard;
    outcome.came = false;
    llm_ask(client, &ask);
    assert_false(outcome.came);                          /* never from inside */
    while (!outcome.came) event_base_loop(loop, EVLOOP_ONCE);
}

static void ask_text(void) { ask_with((LlmAsk){ 0 }); }
static void ask_stream(void) { ask_with((LlmAsk){ .stream = true }); }

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }
#define SAYS(text, part) do { if (!has(text, part)) fail_msg("no `%s` in: %s", part, text); } while (0)

/* ---- one answer -------------------------------------------------------------------------------------------- */

static void a_completion_by_the_dialect_of_openai(void **state)
{
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    ask_text();
    assert_true(outcome.ok);
    assert_string_equal(outcome.text, "Hello");
    assert_string_equal(outcome.report, "{\"provider\":\"main\",\"model\":\"m-7b\",\"prompt_tokens\":11,\"completion_tokens\":2,\"requests\":1}");
    SAYS(first->seen[0], "POST /chat/completions HTTP/1.1");
    SAYS(first->seen[0], "Authorization: Bearer " KEY);
    SAYS(first->seen[0], "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Say \\\"hello\\\"\"}]}");
}

static void a_completion_by_the_dialect_of_ollama(void **state)
{
    open_client(LLM_OLLAMA, 1, 0);
    llm_server_say(first, (LlmServerLine){ .body = "{\"model\":\"llama\",\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"done\":true,\"prompt_eval_count\":5,\"eval_count\":3}" });
    ask_with((LlmAsk){ .schema = STR("{\"type\":\"object\"}") });
    assert_string_equal(outcome.text, "Hello");
    SAYS(outcome.report, "\"model\":\"llama\",\"prompt_tokens\":5,\"completion_tokens\":3");
    SAYS(first->seen[0], "POST /api/chat HTTP/1.1");
    SAYS(first->seen[0], "\"stream\":false,\"options\":{\"temperature\":0},\"format\":{\"type\":\"object\"}}");
}

static void a_schema_is_sent_and_left_out_when_it_is_not_known(void **state)
{
    llm_server_say(first, (LlmServerLine){ .status = 400, .body = "{\"error\":{\"message\":\"response_format is not supported\"}}" });
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    ask_with((LlmAsk){ .schema = STR("{\"type\":\"object\"}"), .strict = true });
    assert_true(outcome.ok);
    SAYS(first->seen[0], "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":true,\"schema\":{\"type\":\"object\"}}}");
    assert_false(has(first->seen[1], "response_format"));
    ask_with((LlmAsk){ .schema = STR("{\"type\":\"object\"}") });
    assert_int_equal(first->seen_count, 3);              /* it is remembered */
    assert_false(has(first->seen[2], "response_format"));
}

static void calls_of_tools_in_an_answer_are_ignored(void **state)
{
    llm_server_say(first, (LlmServerLine){ .body = "{\"choices\":[{\"message\":{\"content\":\"Text\",\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"rm\",\"arguments\":\"{}\"}}]}}]}" });
    ask_text();
    assert_string_equal(outcome.text, "Text");
    llm_server_forget(first);
    llm_server_say(first, (LlmServerLine){ .body = "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"rm\",\"arguments\":\"{}\"}}]}}]}" });
    ask_text();
    assert_false(outcome.ok);
    SAYS(outcome.report, "\"why\":\"empty\"");
}

/* ---- streams -------------------------------------------------------------------------------------------------- */

#define STREAM ": hello\n\n" DELTA("Gr") "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"tool_calls\":[]}}]}\r\n\r\n" DELTA("üß") "id: 7\rdata: {\"choices\":[{\"delta\":\rdata: {\"content\":\" €😀\"}}]}\r\r" STOP USAGE DONE

static void a_stream_cut_at_every_size(void **state)
{
    for (size_t step = 1; step <= 64; step = step < 16 ? step + 1 : step * 2) {
        llm_server_forget(first);
        llm_server_say(first, (LlmServerLine){ .type = "text/event-stream; charset=utf-8", .body = STREAM, .step = step });
        said_len = 0;
        ask_stream();
        assert_true(outcome.ok);
        assert_string_equal(outcome.text, "Grüß €😀");
        assert_string_equal(said, "Grüß €😀");
        SAYS(outcome.report, "\"prompt_tokens\":30,\"completion_tokens\":4,\"requests\":1");
    }
    SAYS(first->seen[0], "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    SAYS(first->seen[0], "Accept: text/event-stream");
}

static void lines_of_ollama_cut_at_every_size(void **state)
{
    open_client(LLM_OLLAMA, 1, 0);
    for (size_t step = 1; step <= 64; step = step < 16 ? step + 1 : step * 2) {
        llm_server_forget(first);
        llm_server_say(first, (LlmServerLine){ .type = step % 2 ? "application/x-ndjson" : "application/json", .step = step, .body = "{\"message\":{\"content\":\"Grü\"},\"done\":false}\n\r\n{\"message\":{\"content\":\"ß\",\"thinking\":\"x\"},\"done\":false}\r\n{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":9,\"eval_count\":2}" });
        ask_stream();
        assert_string_equal(outcome.text, "Grüß");
        assert_string_equal(said, "Grüß");
        SAYS(outcome.report, "\"prompt_tokens\":9,\"completion_tokens\":2");
    }
}

static void a_stream_may_come_as_a_whole_and_need_not_say_done(void **state)
{
    llm_server_say(first, (LlmServerLine){ .body = HELLO, .step = 7 });
    ask_stream();
    assert_string_equal(outcome.text, "Hello");
    assert_string_equal(said, "Hello");
    llm_server_forget(first);
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("Bye") STOP });
    ask_stream();
    assert_string_equal(outcome.text, "Bye");
    assert_string_equal(said, "Bye");
    llm_server_forget(first);
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("Open") STOP DONE, .hang = true });
    ask_stream();                                        /* nobody waits for the end of the connection */
    assert_string_equal(outcome.text, "Open");
}

static void what_breaks_off_is_asked_again_and_told_from_where_it_differs(void **state)
{
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("The quick br") DELTA("ö"), .reset = true });
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("The quick ") });
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("The ") DELTA("quick brüte") STOP DONE });
    ask_stream();
    assert_true(outcome.ok);
    assert_string_equal(outcome.text, "The quick brüte");
    assert_string_equal(said, "The quick brüte");
    assert_int_equal(first->seen_count, 3);
    SAYS(outcome.report, "\"failed\":[{\"provider\":\"main\",\"why\":\"ECONNRESET\"},{\"provider\":\"main\",\"why\":\"broke_off\"}]");
}

static void a_shorter_second_try_takes_back_what_was_told(void **state)
{
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("One two three"), .reset = true });
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("One two") STOP DONE });
    ask_stream();
    assert_string_equal(outcome.text, "One two");
    assert_string_equal(said, "One two");
}

static void an_error_in_the_middle_of_a_stream_goes_on_with_the_next(void **state)
{
    open_client(LLM_OPENAI, 2, 0);
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("Half") "data: {\"error\":{\"message\":\"" KEY " overloaded\"}}\n\n" });
    llm_server_say(second, (LlmServerLine){ .type = "application/x-ndjson", .body = "{\"message\":{\"content\":\"Half and half\"},\"done\":false}\n{\"done\":true}\n" });
    ask_stream();
    assert_string_equal(said, "Half and half");
    SAYS(outcome.report, "\"provider\":\"spare\"");
    SAYS(outcome.report, "\"fallback\":1");
    assert_false(has(outcome.report, KEY));
    assert_int_equal(first->seen_count, LLM_TRIES_MAX);
}

static void silence_ends_a_stream(void **state)
{
    open_client(LLM_OPENAI, 1, 200000);
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("Wait"), .hang = true });
    ask_stream();
    assert_false(outcome.ok);
    assert_string_equal(outcome.code, "ETIMEDOUT");
    assert_string_equal(said, "Wait");
    assert_int_equal(first->seen_count, 1);              /* who is slow is not asked again */
}

/* ---- what goes wrong ------------------------------------------------------------------------------------------------ */

static void what_passes_is_tried_again(void **state)
{
    llm_server_say(first, (LlmServerLine){ .status = 500 });
    llm_server_say(first, (LlmServerLine){ .unsent = true });
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    ask_text();
    assert_true(outcome.ok);
    SAYS(outcome.report, "\"requests\":3,\"failed\":[{\"provider\":\"main\",\"why\":\"status 500\"},{\"provider\":\"main\",\"why\":\"ECONNRESET\"}]");
    assert_string_equal(changes, "");
}

static void a_wish_to_wait_is_granted(void **state)
{
    int64_t before = clock_monotonic();
    llm_server_say(first, (LlmServerLine){ .status = 429, .headers = "Retry-After: 1\r\n" });
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    ask_text();
    assert_true(outcome.ok);
    assert_true(clock_monotonic() - before >= 1000000);
}

static void a_long_wish_to_wait_goes_to_the_next_and_keeps_away(void **state)
{
    open_client(LLM_OPENAI, 2, 0);
    llm_server_say(first, (LlmServerLine){ .status = 429, .headers = "Retry-After: 3600\r\n" });
    llm_server_say(second, (LlmServerLine){ .body = "{\"message\":{\"content\":\"Spare\"},\"done\":true}" });
    ask_text();
    assert_string_equal(outcome.text, "Spare");
    assert_int_equal(first->seen_count, 1);
    assert_string_equal(changes, "main down status 429;");
    ask_text();
    assert_int_equal(first->seen_count, 1);              /* it is not asked while it is down */
    SAYS(outcome.report, "\"failed\":[{\"provider\":\"main\",\"why\":\"down\"}]");
}

static void a_refusal_is_not_repeated(void **state)
{
    static const int statuses[] = { 401, 403, 404, 302 };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        fresh(state);
        llm_server_say(first, (LlmServerLine){ .status = statuses[i], .body = "{\"error\":{\"message\":\"Incorrect API key provided: " KEY "\"}}" });
        ask_text();
        assert_false(outcome.ok);
        assert_int_equal(outcome.status, statuses[i]);
        assert_int_equal(first->seen_count, 1);
        assert_false(has(outcome.report, KEY));
        assert_true(strncmp(changes, "main down", 9) == 0);
    }
}

static void who_was_down_answers_again(void **state)
{
    LlmSettings settings = { .provider_count = 1, .pause_us = 1000, .down_us = 1 };
    settings.providers[0] = (LlmProvider){ STR("main"), LLM_OPENAI, str_of(first->url), STR("m"), STR(""), 0 };
    llm_client_free(client);
    client = llm_client_new(loop, http, &settings);
    llm_client_watch(client, changed, NULL);
    for (int i = 0; i < 4; i++) llm_server_say(first, (LlmServerLine){ .status = 503 });
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    ask_text();
    assert_false(outcome.ok);
    assert_int_equal(outcome.status, 503);
    assert_int_equal(first->seen_count, LLM_TRIES_MAX);
    ask_text();
    assert_false(outcome.ok);
    assert_int_equal(first->seen_count, LLM_TRIES_MAX + 1);            /* one careful try */
    ask_text();
    assert_true(outcome.ok);
    assert_string_equal(changes, "main down status 503;main up;");
    assert_false(has(first->seen[0], "Authorization"));
}

static int answers_left;

static void counted(const LlmAnswer *answer, void *arg)
{
    came(answer, arg);
    answers_left--;
}

static void one_question_finds_out_for_all(void **state)
{
    LlmSettings settings = { .provider_count = 1, .pause_us = 1000, .down_us = 1 };
    settings.providers[0] = (LlmProvider){ STR("main"), LLM_OPENAI, str_of(first->url), STR("m"), STR(""), 0 };
    llm_client_free(client);
    client = llm_client_new(loop, http, &settings);
    llm_server_say(first, (LlmServerLine){ .status = 503 });
    ask_text();
    size_t before = first->seen_count;
    LlmAsk ask = { .messages = &question, .message_count = 1, .done = counted };
    for (answers_left = 0; answers_left < 8; answers_left++) llm_ask(client, &ask);
    while (answers_left) event_base_loop(loop, EVLOOP_ONCE);
    assert_int_equal(first->seen_count - before, 1);
    LlmCall *probe = llm_ask(client, &ask);              /* one that is cancelled leaves the task to the next */
    llm_server_forget(first);
    llm_server_say(first, (LlmServerLine){ .body = HELLO });
    while (!first->seen_count) event_base_loop(loop, EVLOOP_ONCE);
    llm_cancel(probe);
    ask_text();
    assert_true(outcome.ok);
}

static void what_is_no_answer(void **state)
{
    static const struct { LlmServerLine line; const char *why; size_t tries; } cases[] = {
        { { .body = "<html>" }, "not_an_answer", 3 }, { { .body = "[]" }, "not_an_answer", 3 }, { { .body = "" }, "not_an_answer", 3 }, { { .body = "{\"choices\":[]}" }, "not_an_answer", 3 },
        { { .body = "{\"choices\":[{\"message\":{\"content\":7}}]}" }, "empty", 1 }, { { .type = "text/html", .body = HELLO }, "content_type", 1 },
        { { .body = "{\"choices\":[{\"message\":{\"content\":\"\xFF\"}}]}" }, "not_an_answer", 3 }, { { .body = "{\"choices\":[{\"message\":{\"content\":\"\\u0000\"}}]}" }, "not_an_answer", 3 },
        { { .body = "{\"choices\":[{\"message\":{\"content\":\"\\ud83d\"}}]}" }, "not_an_answer", 3 }, { { .body = "{\"error\":{\"message\":\"x\"},\"choices\":[{\"message\":{\"content\":\"x\"}}]}" }, "not_an_answer", 3 },
        { { .status = 413 }, "status 413", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh(state);
        llm_server_say(first, cases[i].line);
        ask_text();
        assert_false(outcome.ok);
        SAYS(outcome.report, cases[i].why);
        if (first->seen_count != cases[i].tries) fail_msg("case %zu: %zu tries", i, first->seen_count);
    }
}

static void what_is_no_stream(void **state)
{
    static const struct { const char *type, *body, *why; } cases[] = {
        { "text/event-stream", "data: {\n\n", "not_an_answer" }, { "text/event-stream", "data: \xC3\n\n", "not_an_answer" }, { "text/event-stream", DELTA("x"), "broke_off" },
        { "text/event-stream", "", "broke_off" }, { "text/plain", DELTA("x") DONE, "content_type" }, { "text/event-stream", DONE, "empty" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh(state);
        llm_server_say(first, (LlmServerLine){ .type = cases[i].type, .body = cases[i].body });
        ask_stream();
        assert_false(outcome.ok);
        SAYS(outcome.report, cases[i].why);
    }
}

static void an_answer_has_a_limit(void **state)
{
    Buf body = { 0 };
    buf_put_text(&body, "{\"choices\":[{\"message\":{\"content\":\"");
    while (body.len < LLM_ANSWER_MAX + 100) buf_put_text(&body, "xxxxxxxxxxxxxxxx");
    buf_put_text(&body, "\"}}]}");
    llm_server_say(first, (LlmServerLine){ .body = buf_cstr(&body) });
    ask_text();
    assert_false(outcome.ok);
    SAYS(outcome.report, "too_large");
    assert_string_equal(outcome.code, "EMSGSIZE");
    fresh(state);
    buf_clear(&body);
    while (body.len < 2 * LLM_ANSWER_MAX) buf_put_text(&body, DELTA("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = buf_cstr(&body) });
    LlmAsk ask = { .messages = &question, .message_count = 1, .stream = true, .done = came };
    llm_ask(client, &ask);
    while (!outcome.came) event_base_loop(loop, EVLOOP_ONCE);
    assert_false(outcome.ok);
    SAYS(outcome.report, "too_large");
    fresh(state);
    buf_clear(&body);
    buf_put_text(&body, "data: ");
    while (body.len < LLM_ANSWER_MAX + 100) buf_put_text(&body, "xxxxxxxxxxxxxxxx");
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = buf_cstr(&body) });
    ask_stream();
    SAYS(outcome.report, "too_large");
    buf_free(&body);
}

static bool is_fine(Str text, Buf *complaint, void *arg)
{
    if (str_is(text, "Hello")) return true;
    buf_printf(complaint, "not Hello");
    return false;
}

#define SAY(text) "{\"choices\":[{\"message\":{\"content\":\"" text "\"}}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1}}"

static void what_does_not_fit_is_repaired_once(void **state)
{
    llm_server_say(first, (LlmServerLine){ .body = SAY("Hi") });
    llm_server_say(first, (LlmServerLine){ .body = SAY("Hello") });
    ask_with((LlmAsk){ .accept = is_fine });
    assert_true(outcome.ok);
    assert_string_equal(outcome.text, "Hello");
    SAYS(first->seen[1], "{\"role\":\"assistant\",\"content\":\"Hi\"},{\"role\":\"user\",\"content\":\"not Hello\"}]");
    SAYS(outcome.report, "\"prompt_tokens\":20,\"completion_tokens\":2,\"requests\":2,\"repaired\":true");
}

static void what_cannot_be_repaired_goes_to_the_next(void **state)
{
    open_client(LLM_OPENAI, 2, 0);
    llm_server_say(first, (LlmServerLine){ .body = SAY("Hi") });
    llm_server_say(second, (LlmServerLine){ .body = "{\"message\":{\"content\":\"Hello\"},\"done\":true}" });
    ask_with((LlmAsk){ .accept = is_fine });
    assert_true(outcome.ok);
    assert_int_equal(first->seen_count, 2);
    assert_false(has(second->seen[0], "Hi"));            /* a new conversation */
    SAYS(outcome.report, "{\"provider\":\"main\",\"why\":\"unfit\"}");
    assert_string_equal(changes, "");                    /* it is not down for that */
}

static void nobody_answers(void **state)
{
    open_client(LLM_OPENAI, 2, 0);
    llm_server_say(first, (LlmServerLine){ .status = 503 });
    llm_server_say(second, (LlmServerLine){ .status = 500 });
    ask_text();
    assert_false(outcome.ok);
    assert_int_equal(outcome.status, 500);
    SAYS(outcome.report, "{\"provider\":\"rules\",\"prompt_tokens\":0,\"completion_tokens\":0,\"requests\":6,\"failed\":[");
    ask_text();
    SAYS(outcome.report, "\"requests\":0,\"failed\":[{\"provider\":\"main\",\"why\":\"down\"},{\"provider\":\"spare\",\"why\":\"down\"}]");
    assert_true(outcome.retry_after_us > 0);
    assert_int_equal(first->seen_count + second->seen_count, 6);
}

static void a_deadline_bounds_all_tries(void **state)
{
    llm_server_say(first, (LlmServerLine){ .hang = true });
    ask_with((LlmAsk){ .time_us = 100000 });
    assert_false(outcome.ok);
    assert_string_equal(outcome.code, "ETIMEDOUT");
    assert_string_equal(changes, "");                    /* the haste was ours */
}

static void a_cancelled_question_answers_nobody(void **state)
{
    llm_server_say(first, (LlmServerLine){ .type = "text/event-stream", .body = DELTA("x"), .hang = true });
    LlmAsk ask = { .messages = &question, .message_count = 1, .stream = true, .done = came, .on_text = heard };
    LlmCall *call = llm_ask(client, &ask);
    while (!pieces) event_base_loop(loop, EVLOOP_ONCE);
    assert_true(str_is(llm_text_so_far(call), "x"));
    llm_cancel(call);
    while (first->clients) event_base_loop(loop, EVLOOP_ONCE);         /* the model hears of it */
    llm_ask(client, &ask);
    llm_client_free(client);                             /* the same for all of them */
    client = NULL;
    event_base_loop(loop, EVLOOP_NONBLOCK);
    assert_false(outcome.came);
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

static const char *const *variables;

static const char *look_up(const char *name)
{
    for (const char *const *v = variables; *v; v += 2)
        if (strcmp(*v, name) == 0) return v[1];
    return NULL;
}

static Err read_settings(const char *const *list, LlmSettings *out, Arena *arena, Error *error)
{
    variables = list;
    return llm_settings_read(look_up, arena, out, error);
}

static void settings_come_from_the_environment(void **state)
{
    Arena *arena = arena_new();
    Error error;
    LlmSettings s;
    assert_int_equal(read_settings((const char *const[]){ NULL }, &s, arena, &error), ERR_OK);
    assert_int_equal(s.provider_count, 0);
    assert_int_equal(read_settings((const char *const[]){ "FLOW_LLM_URL", "https://models.test/v1/", "FLOW_LLM_MODEL", "big", "FLOW_LLM_KEY", KEY, "FLOW_LLM_TIMEOUT", "20s", "FLOW_LLM_FALLBACK", "near, far ,none",
        "FLOW_LLM_NEAR_PROVIDER", "ollama", "FLOW_LLM_NEAR_MODEL", "llama3.2:3b", "FLOW_LLM_FAR_URL", "http://10.0.0.7:8000/v1", "FLOW_LLM_FAR_MODEL", "q", "FLOW_LLM_FAR_TIMEOUT", "5s", NULL }, &s, arena, &error), ERR_OK);
    assert_int_equal(s.provider_count, 3);
    assert_true(s.no_rules);
    assert_true(str_is(s.providers[0].url, "https://models.test/v1") && str_is(s.providers[0].key, KEY) && str_is(s.providers[0].name, "main"));
    assert_int_equal(s.providers[0].timeout_us, 20000000);
    assert_int_equal(s.providers[1].dialect, LLM_OLLAMA);
    assert_true(str_is(s.providers[1].url, "http://127.0.0.1:11434") && str_is(s.providers[1].name, "near") && s.providers[1].key.len == 0);
    assert_int_equal(s.providers[1].timeout_us, 20000000);
    assert_int_equal(s.providers[2].timeout_us, 5000000);
    arena_free(arena);
}

static void wrong_settings_name_the_variable_and_no_key(void **state)
{
    static const struct { const char *const list[9]; const char *says; } cases[] = {
        { { "FLOW_LLM_URL", "http://x" }, "FLOW_LLM_MODEL" }, { { "FLOW_LLM_URL", "ftp://x", "FLOW_LLM_MODEL", "m" }, "FLOW_LLM_URL" }, { { "FLOW_LLM_PROVIDER", "openai", "FLOW_LLM_MODEL", "m" }, "set FLOW_LLM_URL" },
        { { "FLOW_LLM_URL", "http://me:" KEY "@x", "FLOW_LLM_MODEL", "m" }, "FLOW_LLM_KEY" }, { { "FLOW_LLM_URL", "http://x?key=" KEY, "FLOW_LLM_MODEL", "m" }, "FLOW_LLM_URL" },
        { { "FLOW_LLM_URL", "http://x", "FLOW_LLM_MODEL", "m", "FLOW_LLM_KEY", KEY "\r\nX: y" }, "FLOW_LLM_KEY" }, { { "FLOW_LLM_URL", "http://x", "FLOW_LLM_MODEL", "a b" }, "FLOW_LLM_MODEL" },
        { { "FLOW_LLM_URL", "http://x", "FLOW_LLM_MODEL", "m", "FLOW_LLM_PROVIDER", "llama" }, "`openai`" }, { { "FLOW_LLM_URL", "http://x", "FLOW_LLM_MODEL", "m", "FLOW_LLM_TIMEOUT", "soon" }, "FLOW_LLM_TIMEOUT" },
        { { "FLOW_LLM_URL", "http://x", "FLOW_LLM_MODEL", "m", "FLOW_LLM_FALLBACK", "local" }, "FLOW_LLM_LOCAL_URL" }, { { "FLOW_LLM_FALLBACK", "a-b" }, "FLOW_LLM_FALLBACK" },
        { { "FLOW_LLM_FALLBACK", "none,x" }, "behind" }, { { "FLOW_LLM_KEY", KEY }, "FLOW_LLM_URL" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Arena *arena = arena_new();
        Error error = { 0 };
        LlmSettings s;
        if (read_settings(cases[i].list, &s, arena, &error) == ERR_OK) fail_msg("case %zu is taken", i);
        SAYS(error.text, cases[i].says);
        assert_false(has(error.text, KEY));
        arena_free(arena);
    }
}

static void a_chain_has_a_limit(void **state)
{
    Arena *arena = arena_new();
    Error error;
    LlmSettings s;
    const char *list[4 * (LLM_PROVIDERS_MAX + 1) + 3] = { "FLOW_LLM_FALLBACK", "a,b,c,d,e,f,g,h,i" };
    for (int i = 0; i <= LLM_PROVIDERS_MAX; i++) {
        list[2 + 4 * i] = arena_printf(arena, "FLOW_LLM_%c_URL", 'A' + i), list[3 + 4 * i] = "http://x";
        list[4 + 4 * i] = arena_printf(arena, "FLOW_LLM_%c_MODEL", 'A' + i), list[5 + 4 * i] = "m";
    }
    assert_int_equal(read_settings(list, &s, arena, &error), ERR_LIMIT);
    SAYS(error.text, "LLM_PROVIDERS_MAX");
    arena_free(arena);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fresh, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_completion_by_the_dialect_of_openai), WITH(a_completion_by_the_dialect_of_ollama), WITH(a_schema_is_sent_and_left_out_when_it_is_not_known), WITH(calls_of_tools_in_an_answer_are_ignored),
        WITH(a_stream_cut_at_every_size), WITH(lines_of_ollama_cut_at_every_size), WITH(a_stream_may_come_as_a_whole_and_need_not_say_done), WITH(what_breaks_off_is_asked_again_and_told_from_where_it_differs),
        WITH(a_shorter_second_try_takes_back_what_was_told), WITH(an_error_in_the_middle_of_a_stream_goes_on_with_the_next), WITH(silence_ends_a_stream), WITH(what_passes_is_tried_again), WITH(a_wish_to_wait_is_granted),
        WITH(a_long_wish_to_wait_goes_to_the_next_and_keeps_away), WITH(a_refusal_is_not_repeated), WITH(who_was_down_answers_again), WITH(one_question_finds_out_for_all), WITH(what_is_no_answer), WITH(what_is_no_stream), WITH(an_answer_has_a_limit),
        WITH(what_does_not_fit_is_repaired_once), WITH(what_cannot_be_repaired_goes_to_the_next), WITH(nobody_answers), WITH(a_deadline_bounds_all_tries), WITH(a_cancelled_question_answers_nobody),
        cmocka_unit_test(settings_come_from_the_environment), cmocka_unit_test(wrong_settings_name_the_variable_and_no_key), cmocka_unit_test(a_chain_has_a_limit),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
