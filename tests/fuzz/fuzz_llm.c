/* fuzz_llm.c - what a provider sends is read as an answer or refused, wherever a stream is cut, and what a model says is a value of the type or a complaint.
 *
 * The first byte chooses. With libFuzzer: clang -fsanitize=fuzzer,address,undefined.
 */
#include "interpreter/effect/llm_model.h"
#include "interpreter/net/llm_wire.h"
#include "interpreter/vm/value_internal.h"
#include "tests/unit/vm_asm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Image *make_image(uint16_t types[4])
{
    Asm *m = asm_new();
    types[0] = asm_enum(m, "Intent", 2, (const char *[]){ "BOOK", "CANCEL" });
    types[1] = asm_type(m, KIND_LIST, types[0]);
    uint16_t when = asm_type(m, KIND_OPT, TYPE_INDEX_DATE), tags = asm_type(m, KIND_MAP, TYPE_INDEX_STRING);
    types[2] = asm_record(m, "Wish", 4, (const char *[]){ "city", "when", "price", "tags" }, (uint16_t[]){ TYPE_INDEX_STRING, when, TYPE_INDEX_DECIMAL, tags });
    types[3] = TYPE_INDEX_JSON;
    uint16_t a = IMAGE_ADD(m->image, agent), t = IMAGE_ADD(m->image, tool);
    m->image->agents[a] = (ImageAgent){ .name = STR("travel"), .title = STR("x"), .location = AGENT_HTTP, .location_text = STR("http://x") };
    m->image->tools[t] = (ImageTool){ .name = STR("book"), .agent = a, .func = NO_INDEX, .flags = TOOL_REMOTE | TOOL_READS, .compensated_by = NO_INDEX, .method = STR("GET"), .path = STR("/x"), .result = TYPE_INDEX_STRING, .key_param = NO_INDEX };
    asm_func(m, "main", FUNC_FN, TYPE_INDEX_VOID, 0, NULL);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    return asm_done(m);
}

static void read_said(Image *image, Planner *planner, const uint16_t types[4], unsigned which, Str text)
{
    static const EffectKind kinds[] = { EFFECT_LLM_CLASSIFY, EFFECT_LLM_CLASSIFY, EFFECT_LLM_EXTRACT, EFFECT_LLM_PLAN };
    LlmQuestion question = { .image = image, .kind = kinds[which], .result = types[which], .planner = planner };
    Buf complaint = { 0 }, json = { 0 };
    Value value;
    bool ok = false;
    if (!llm_read_answer(&question, text, &ok, &value, &complaint)) {
        if (complaint.len == 0) abort();
    } else {
        uint16_t type = ok ? types[which] : TYPE_INDEX_ERROR;
        value_to_json(image, type, value, &json);
        if (type_counted(image, type)) value_release(value);
    }
    buf_free(&complaint);
    buf_free(&json);
}

static Err read_stream(const LlmWire *wire, Str stream, size_t step, LlmReply *reply)
{
    Error error;
    Err err = ERR_OK;
    llm_reply_init(reply);
    for (size_t at = 0; at < stream.len && !err && !reply->closed; at += step)
        err = wire->read_piece(reply, (Str){ stream.ptr + at, step < stream.len - at ? step : stream.len - at }, &error);
    return err;
}

static void read_wire(const LlmWire *wire, size_t step, Str bytes)
{
    LlmReply whole, cut, single;
    Error error;
    Err first = read_stream(wire, bytes, bytes.len, &whole), second = read_stream(wire, bytes, step, &cut);
    if (first != second || !str_eq(buf_str(&whole.text), buf_str(&cut.text)) || whole.finished != cut.finished || !utf8_valid(buf_str(&whole.text))) abort();
    llm_reply_init(&single);
    if (wire->read_whole(&single, bytes, &error) == ERR_OK && !single.finished) abort();
    if (single.text.len > LLM_ANSWER_MAX || strlen(single.model) > LLM_MODEL_MAX) abort();
    llm_reply_free(&whole);
    llm_reply_free(&cut);
    llm_reply_free(&single);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Image *image;
    static Planner *planner;
    static uint16_t types[4];
    if (!image) image = make_image(types), planner = planner_new();
    if (size < 2) return 0;
    Str rest = { (const char *)data + 1, size - 1 };
    if (data[0] < 64) read_said(image, planner, types, data[0] % 4, rest);
    else read_wire(data[0] % 2 ? &llm_openai : &llm_ollama, 1 + data[0] % 16, rest);
    return 0;
}
