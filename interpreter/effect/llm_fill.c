/* llm_fill.c - what a request says about the parameters that a plan leaves out, without a model.
 *
 * A parameter is looked for by its own pattern; else an enum by its members, a day or an hour by its type, and what types do not tell apart by its name: places
 * stand behind "in" and "to", origins behind "from", people behind "with", texts in quotes, numbers beside the word that the parameter is called.
 * The first place that fits wins, and nothing is guessed: where two numbers could be meant, none is. */
#include <ctype.h>
#include <stdio.h>
#include "interpreter/effect/llm.h"

/* Names as people write them: words that begin with a capital letter, and no months or weekdays. Group 1 is the name. */
#define NOT_A_DAY "(?!(?:January|February|March|April|May|June|July|August|September|October|November|December|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\\b)"
#define WORD_OF_NAME "\\p{Lu}[\\p{L}'\xE2\x80\x99-]*"
#define NAME_AFTER(words) "/\\b(?:" words ")\\s+" NOT_A_DAY "(" WORD_OF_NAME "(?:\\s+" NOT_A_DAY WORD_OF_NAME ")*)"
#define QUOTED "/[\"\xE2\x80\x9C\xE2\x80\x9E\xC2\xAB]([^\"\xE2\x80\x9C\xE2\x80\x9D\xC2\xBB]{1,1000})[\"\xE2\x80\x9C\xE2\x80\x9D\xC2\xBB]"
#define MONEY "i/(?|[\xE2\x82\xAC$\xC2\xA3]\\s*(\\d[\\d.,]*)|(\\d[\\d.,]*)\\s*(?:[\xE2\x82\xAC$\xC2\xA3]|(?:EUR|USD|GBP|CHF|euros?|dollars?)\\b))"

/* What a parameter's name says about where its value stands; the name, or its last words. */
static const struct { const char *name, *pattern; } named[] = {
    { "from_city", NAME_AFTER("[Ff]rom") }, { "departure_city", NAME_AFTER("[Ff]rom") }, { "origin", NAME_AFTER("[Ff]rom") },
    { "city", NAME_AFTER("[Ii]n|[Tt]o|[Nn]ear|[Vv]isit") }, { "destination", NAME_AFTER("[Tt]o|[Ii]n|[Vv]isit") }, { "location", NAME_AFTER("[Ii]n|[Tt]o|[Aa]t|[Nn]ear") },
    { "place", NAME_AFTER("[Ii]n|[Tt]o|[Aa]t|[Nn]ear") }, { "country", NAME_AFTER("[Ii]n|[Tt]o|[Vv]isit") },
    { "participant", NAME_AFTER("[Ww]ith|[Ff]or|[Ii]nvite") }, { "person", NAME_AFTER("[Ww]ith|[Ff]or|[Tt]ell|[Aa]sk") }, { "guest", NAME_AFTER("[Ww]ith|[Ff]or|[Ii]nvite") },
    { "title", QUOTED }, { "subject", QUOTED }, { "text", QUOTED }, { "message", QUOTED }, { "description", QUOTED }, { "note", QUOTED }, { "query", QUOTED },
    { "amount", MONEY }, { "price", MONEY }, { "cost", MONEY }, { "budget", MONEY },
    { "until", "i/\\b(?:until|till|through)\\s+(.+)" }, { "return", "i/\\b(?:back|return|returning)\\s+(?:on\\s+)?(.+)" }, { "return_date", "i/\\b(?:back|return|returning)\\s+(?:on\\s+)?(.+)" },
    { "end_date", "i/\\b(?:until|till|through)\\s+(.+)" }, { "check_out", "i/\\b(?:until|till|through)\\s+(.+)" },
};

static const char *pattern_by_name(Str param) {
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        Str name = str_of(named[i].name);
        if (str_eq(param, name) || (str_ends(param, name) && param.ptr[param.len - name.len - 1] == '_')) return named[i].pattern;
    }
    return NULL;
}

static TypeKind kind_of(const LlmQuestion *q, uint16_t type) {
    const ImageType *row = &q->image->types[type];
    return row->kind == KIND_OPT ? q->image->types[row->element].kind : row->kind;
}

static bool is_number(TypeKind kind) { return kind == KIND_INT || kind == KIND_FLOAT || kind == KIND_DECIMAL; }

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* "3 nights", "nights: 3" for `nights`; "2 guests" for `guest_count` is its author's to say with a pattern. */
static bool beside_word(Str text, Str param, Str *place) {
    Str word = param, whole;
    char pattern[256];
    for (size_t i = 0; i < param.len; i++)
        if (param.ptr[i] == '_') word = (Str){ param.ptr + i + 1, param.len - i - 1 };
    if (word.len > 3 && word.ptr[word.len - 1] == 's') word.len--;
    if (word.len < 3 || word.len > 40) return false;
    for (size_t i = 0; i < word.len; i++)
        if (!isalnum((unsigned char)word.ptr[i])) return false;
    snprintf(pattern, sizeof pattern, "i/(?|(?<![\\d.,:\\/-])(-?\\d[\\d.,]*)\\s*%.*ss?\\b|\\b%.*ss?\\b\\s*(?:of|is|:|=)?\\s*(-?\\d[\\d.,]*)(?![\\d:\\/-]))", STR_ARG(word), STR_ARG(word));
    return llm_match(str_of(pattern), text, &whole, place);
}

/* Where there is one number and one parameter that wants one, they belong together. A date is no number. */
static bool only_number(const LlmQuestion *q, Str *place) {
    uint32_t wanted = 0;
    Str whole, rest = q->text, first;
    for (uint32_t i = 0; i < q->blanks->count; i++) wanted += is_number(kind_of(q, q->blanks->rows[i].type));
    if (wanted != 1 || !llm_match(STR("/(?<![\\w.:\\/-])(\\d[\\d,]*(?:\\.\\d+)?)(?![\\w:\\/-])"), rest, &whole, &first)) return false;
    rest = (Str){ whole.ptr + whole.len, (size_t)(q->text.ptr + q->text.len - whole.ptr) - whole.len };
    for (size_t i = 0; i < rest.len; i++)
        if (isdigit((unsigned char)rest.ptr[i])) return false;
    for (const char *c = q->text.ptr; c < first.ptr; c++)
        if (isdigit((unsigned char)*c)) return false;
    *place = first;
    return true;
}

/* ---- one blank ------------------------------------------------------------------------------------------------------ */

/* Where to look, and whether that place is all of it. */
static bool find_place(const LlmQuestion *q, const PlanBlank *blank, Str *place, bool *exact) {
    TypeKind kind = kind_of(q, blank->type);
    const char *by_name = pattern_by_name(blank->param);
    Str whole;
    *place = q->text;
    *exact = true;
    if (blank->pattern.len) return llm_match(blank->pattern, q->text, &whole, place);
    if (by_name && (kind == KIND_STRING || is_number(kind) || kind == KIND_DATE || kind == KIND_TIMESTAMP) && llm_match(str_of(by_name), q->text, &whole, place)) return true;
    if (is_number(kind)) return beside_word(q->text, blank->param, place) || only_number(q, place);
    *exact = false;
    if (kind == KIND_DURATION) return llm_match(STR("i/(\\d[\\d.]*\\s*(?:weeks?|days?|hours?|minutes?|mins?|seconds?)\\b)"), q->text, &whole, place);
    if (by_name && (kind == KIND_DATE || kind == KIND_TIMESTAMP)) return false;          /* the end of something is not its first date */
    return kind == KIND_DATE || kind == KIND_TIMESTAMP || kind == KIND_ENUM;
}

/* A title begins with a capital letter, wherever in the request it was found. */
static void capitalize(const PlanBlank *blank, Buf *json) {
    if ((str_ends(blank->param, STR("title")) || str_ends(blank->param, STR("subject"))) && json->len > 2 && json->ptr[0] == '"') json->ptr[1] = (char)toupper((unsigned char)json->ptr[1]);
}

static void put_blank(const LlmQuestion *q, const PlanBlank *blank, Buf *answers) {
    Str place;
    bool exact;
    Value value = { 0 };
    if (!find_place(q, blank, &place, &exact) || !llm_find_value(q, blank->type, place, exact, &value)) return;
    Buf json = { 0 };
    value_to_json(q->image, blank->type, value, &json);
    capitalize(blank, &json);
    if (answers->len > 1) buf_put_char(answers, ',');
    json_put_string(answers, blank->name);
    buf_put_char(answers, ':');
    buf_put_str(answers, buf_str(&json));
    buf_free(&json);
    if (kind_is_counted(q->image->types[blank->type].kind)) value_release(value);
}

void llm_fill_by_rules(const LlmQuestion *question, Buf *answers) {
    buf_put_char(answers, '{');
    for (uint32_t i = 0; i < question->blanks->count; i++) put_blank(question, &question->blanks->rows[i], answers);
    buf_put_char(answers, '}');
}

Value llm_filled(const LlmQuestion *question, Str answers) {
    Arena *arena = arena_new();
    Json *said = NULL, *plan = NULL;
    Err err = json_parse(arena, answers, VALUE_SIZE_MAX, &said, NULL);
    Str filled = err ? question->plan : planner_fill(arena, question->plan, question->blanks, said);
    err = json_parse(arena, filled, VALUE_SIZE_MAX, &plan, NULL);
    Value value = { 0 };
    if (!err) value = value_json(plan);
    arena_free(arena);
    return value;
}
