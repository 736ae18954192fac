/* llm_rules.c - answers without a model, from the patterns and names that the program itself declares. See llm.h for what each kind gives. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "base/re.h"
#include "base/time.h"
#include "interpreter/effect/llm.h"

typedef struct Mention { size_t position, len; uint16_t member; } Mention;

static bool fail(const LlmQuestion *q, ErrorKind kind, Value *out, const char *text) {
    *out = value_error(q->image, kind, str_of(text));
    return false;
}

/* ---- patterns ---------------------------------------------------------------------------------- */

bool llm_match(Str pattern, Str text, Str *whole, Str *group) {
    const char *slash = pattern.len ? memchr(pattern.ptr, '/', pattern.len) : NULL;
    if (!slash) return false;
    Str flags = { pattern.ptr, (size_t)(slash - pattern.ptr) }, source = { slash + 1, pattern.len - flags.len - 1 };
    Re *re = NULL;
    Str groups[2] = { { 0 }, { 0 } };
    bool matched = false;
    if (re_compile(source, flags, &re, NULL, NULL)) return false;
    if (re_match(re, text, &matched, groups, 2, NULL)) matched = false;      /* a limit was hit: as good as no match */
    re_free(re);
    if (!matched) return false;
    *whole = groups[0];
    *group = groups[1].len ? groups[1] : groups[0];
    return true;
}

static bool same_letter(char a, char b) { return (a == '_' ? ' ' : tolower((unsigned char)a)) == tolower((unsigned char)b); }

/* `name` as whole words of the text, underscores as spaces. */
static bool find_words(Str text, Str name, size_t *position) {
    for (size_t i = 0; name.len && i + name.len <= text.len; i++) {
        size_t k = 0;
        while (k < name.len && same_letter(name.ptr[k], text.ptr[i + k])) k++;
        if (k < name.len || (i > 0 && isalnum((unsigned char)text.ptr[i - 1]))) continue;
        if (i + k < text.len && isalnum((unsigned char)text.ptr[i + k])) continue;
        *position = i;
        return true;
    }
    return false;
}

static int by_position(const void *left, const void *right) {
    const Mention *a = left, *b = right;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    if (a->len != b->len) return a->len > b->len ? -1 : 1;
    return a->member < b->member ? -1 : a->member > b->member;
}

/* Members mentioned, in order of first mention. The caller frees. */
static Mention *mentions(const ImageType *type, Str text, uint32_t *count) {
    Mention *found = mem_alloc(sizeof *found * (type->member_count + 1u));
    *count = 0;
    for (uint16_t m = 0; m < type->member_count; m++) {
        Str pattern = type->member_patterns ? type->member_patterns[m] : (Str){ 0 }, whole, group;
        size_t position;
        if (pattern.len ? llm_match(pattern, text, &whole, &group) : find_words(text, type->members[m], &position)) {
            if (pattern.len) position = (size_t)(whole.ptr - text.ptr);
            found[(*count)++] = (Mention){ position, pattern.len ? whole.len : type->members[m].len, m };
        }
    }
    qsort(found, *count, sizeof *found, by_position);
    return found;
}

/* ---- classify ----------------------------------------------------------------------------------- */

static bool classify(const LlmQuestion *q, Value *out) {
    const ImageType *type = &q->image->types[q->result];
    bool all = type->kind == KIND_LIST;
    const ImageType *members = all ? &q->image->types[type->element] : type;
    if (members->kind != KIND_ENUM) return fail(q, ERROR_KIND_internal, out, "classify needs an enum");
    uint32_t count;
    Mention *found = mentions(members, q->text, &count);
    bool ok = count > 0;
    if (!ok) fail(q, ERROR_KIND_not_found, out, "no intent matches");
    else if (!all) out->i = found[0].member;
    else {
        *out = value_list(count, false);
        for (uint32_t i = 0; i < count; i++) *out = list_push(*out, (Value){ .i = found[i].member });
    }
    free(found);
    return ok;
}

/* ---- extract ------------------------------------------------------------------------------------- */

static Str trim(Str text) {
    while (text.len && isspace((unsigned char)*text.ptr)) text.ptr++, text.len--;
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) text.len--;
    return text;
}

/* The first number: "1,234.50" and "€150" alike. Digits in out without separators. */
static bool find_number(Str text, char out[32]) {
    size_t i = 0, n = 0;
    while (i < text.len && !isdigit((unsigned char)text.ptr[i])) i++;
    if (i == text.len) return false;
    if (i > 0 && text.ptr[i - 1] == '-' && (i == 1 || !isalnum((unsigned char)text.ptr[i - 2]))) out[n++] = '-';
    bool point = false;
    for (; i < text.len && n < 30; i++) {
        char c = text.ptr[i];
        bool more = i + 1 < text.len && isdigit((unsigned char)text.ptr[i + 1]);
        if (isdigit((unsigned char)c)) out[n++] = c;
        else if (c == '.' && more && !point) out[n++] = c, point = true;
        else if (c != ',' || !more) break;
    }
    out[n] = 0;
    return true;
}

static bool find_duration(Str text, int64_t *us) {
    if (duration_parse(trim(text), us) == ERR_OK) return true;
    static const struct { const char *word; int64_t seconds; } units[] = { { "week", 604800 }, { "day", 86400 }, { "hour", 3600 }, { "minute", 60 }, { "min", 60 }, { "second", 1 } };
    char number[32];
    if (!find_number(text, number)) return false;
    double count = strtod(number, NULL);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (size_t i = 0; i + strlen(units[u].word) <= text.len; i++)
            if (strncasecmp(text.ptr + i, units[u].word, strlen(units[u].word)) == 0 && count < 1e6) { *us = (int64_t)(count * (double)units[u].seconds * 1e6); return true; }
    return false;
}

static bool find_bool(Str text, Value *out) {
    static const char *const words[] = { "yes", "true", "no", "false" };
    size_t best = SIZE_MAX, position;
    for (size_t i = 0; i < 4; i++)
        if (find_words(text, str_of(words[i]), &position) && position < best) best = position, out->i = i < 2;
    return best != SIZE_MAX;
}

bool llm_find_value(const LlmQuestion *q, uint16_t type_index, Str place, bool pattern, Value *out) {
    const ImageType *type = &q->image->types[type_index];
    char number[32];
    int64_t time_of_day = 0, days = q->now_us / TIME_DAY;
    Mention *found;
    uint32_t count;
    bool there;
    switch (type->kind) {
    case KIND_OPT:
        if (!llm_find_value(q, type->element, place, pattern, out)) return false;
        *out = value_some(q->image, type_index, *out);
        return true;
    case KIND_STRING:
        place = trim(place);
        if (!pattern || place.len == 0) return false;
        *out = value_string(place);
        return true;
    case KIND_INT:
        if (!find_number(place, number) || strchr(number, '.')) return false;
        errno = 0;
        out->i = strtoll(number, NULL, 10);
        return errno == 0;                               /* what is too large is no number that was meant */
    case KIND_FLOAT:
        if (!find_number(place, number)) return false;
        out->f = strtod(number, NULL);
        return true;
    case KIND_DECIMAL:
        return find_number(place, number) && decimal_from_text(str_of(number), &out->w) == ERR_OK;
    case KIND_DATE:
        return llm_find_date(place, days, &out->i);
    case KIND_TIMESTAMP:
        if (timestamp_parse(trim(place), &out->i) == ERR_OK) return true;
        there = llm_find_date(place, days, &days);
        if (!llm_find_time(place, &time_of_day) && !there) return false;
        out->i = days * TIME_DAY + time_of_day;
        return true;
    case KIND_DURATION:
        return find_duration(place, &out->i);
    case KIND_BOOL:
        return find_bool(place, out);
    case KIND_ENUM:
        found = mentions(type, place, &count);
        if (count) out->i = found[0].member;
        free(found);
        return count > 0;
    default:
        return false;
    }
}

static bool extract(const LlmQuestion *q, Value *out) {
    const ImageType *type = &q->image->types[q->result];
    if (type->kind != KIND_RECORD) return fail(q, ERROR_KIND_internal, out, "extract needs a record");
    Value record = value_record(q->image, q->result);
    for (uint16_t i = 0; i < type->field_count; i++) {
        Str pattern = type->field_patterns ? type->field_patterns[i] : (Str){ 0 }, whole, group = q->text;
        bool looked = pattern.len == 0 || llm_match(pattern, q->text, &whole, &group);
        const ImageField *field = &type->fields[i];
        Value *slot = &((Record *)record.o)->fields[i];
        if (looked && llm_find_value(q, field->type, group, pattern.len > 0, slot)) continue;
        slot->w = 0;
        TypeKind kind = q->image->types[field->type].kind;
        if (kind == KIND_OPT || kind == KIND_JSON) continue;
        Buf text = { 0 };
        buf_printf(&text, "the text does not say `%.*s`", STR_ARG(field->name));
        value_release(record);
        fail(q, ERROR_KIND_invalid, out, buf_cstr(&text));
        buf_free(&text);
        return false;
    }
    *out = record;
    return true;
}

/* ---- complete, plan, fill ----------------------------------------------------------------------------- */

static bool complete(const LlmQuestion *q, Value *out) {
    Str text = trim(q->text);
    for (size_t i = text.len; i >= 2; i--)
        if (text.ptr[i - 1] == '\n' && text.ptr[i - 2] == '\n') { text = trim((Str){ text.ptr + i, text.len - i }); break; }
    *out = value_string(text);
    return true;
}

static bool may_use(const LlmQuestion *q, Str agent) {
    for (uint32_t i = 0; i < q->agent_count; i++)
        if (str_eq(q->agents[i], agent)) return true;
    return q->agent_count == 0;
}

/* How many words (of four letters or more, so that "the" counts for nothing) of the tool's name occur in the request; *first is the earliest.
   "flights" meets "flight": the shorter must begin the longer. */
static uint32_t word_score(Str request, Str words, size_t *first) {
    uint32_t score = 0;
    for (size_t i = 0; i < words.len;) {
        size_t start = i;
        while (i < words.len && isalpha((unsigned char)words.ptr[i])) i++;
        size_t len = i - start;
        if (i == start) i++;
        if (len < 4) continue;
        size_t stem = words.ptr[start + len - 1] == 's' ? len - 1 : len;
        for (size_t r = 0; r + stem <= request.len; r++) {
            if ((r > 0 && isalpha((unsigned char)request.ptr[r - 1])) || strncasecmp(request.ptr + r, words.ptr + start, stem) != 0) continue;
            score++;
            if (r < *first) *first = r;
            break;
        }
    }
    return score;
}

/* Does `better` speak of all that the request and `worse` have in common? "book a hotel" means book_hotel, and not cancel_hotel, too. */
static bool covers(Str request, Str better, Str worse) {
    for (size_t i = 0; i < worse.len;) {
        size_t start = i, first = SIZE_MAX;
        while (i < worse.len && isalpha((unsigned char)worse.ptr[i])) i++;
        Str word = { worse.ptr + start, i - start };
        if (i == start) i++;
        else if (word_score(request, word, &first) && !word_score(better, word, &first)) return false;
    }
    return true;
}

typedef struct Step { uint16_t tool; bool by_name, covered; size_t position; uint32_t score; } Step;

static int by_request_order(const void *left, const void *right) {
    const Step *a = left, *b = right;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->tool < b->tool ? -1 : a->tool > b->tool;
}

static uint32_t without_covered(const LlmQuestion *q, Step *steps, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < count && !steps[i].covered; k++)
            steps[i].covered = steps[k].score > steps[i].score && steps[i].by_name && covers(q->text, q->image->tools[steps[k].tool].name, q->image->tools[steps[i].tool].name);
    for (uint32_t i = 0; i < count; i++)
        if (!steps[i].covered) steps[kept++] = steps[i];
    return kept;
}

/* A plan of ours is a plan like any other: what is too long, say, is refused here and not when it runs. */
static bool checked(const LlmQuestion *q, Str text, Value *out) {
    Arena *arena = arena_new();
    Buf report = { 0 };
    Json *json = NULL;
    bool ok = planner_accepts(q->planner, q->image, text, q->agents, q->agent_count, &report) && json_parse(arena, text, VALUE_SIZE_MAX, &json, NULL) == ERR_OK;
    if (ok) *out = value_json(json);
    else fail(q, ERROR_KIND_rejected, out, buf_cstr(&report));
    buf_free(&report);
    arena_free(arena);
    return ok;
}

static bool plan(const LlmQuestion *q, Value *out) {
    Step *steps = mem_alloc(sizeof *steps * (q->image->tool_count + 1u));
    uint32_t count = 0;
    for (uint16_t t = 0; t < q->image->tool_count; t++) {
        const ImageTool *tool = &q->image->tools[t];
        if (tool->agent == NO_INDEX || !may_use(q, q->image->agents[tool->agent].name)) continue;
        Step step = { .tool = t, .position = SIZE_MAX };
        size_t in_doc = SIZE_MAX;
        step.score = 2 * word_score(q->text, tool->name, &step.position) + word_score(q->text, tool->doc, &in_doc);
        step.by_name = step.position != SIZE_MAX;
        if (!step.by_name) step.position = in_doc;
        if (step.score >= 2) steps[count++] = step;
    }
    count = without_covered(q, steps, count);
    qsort(steps, count, sizeof *steps, by_request_order);
    Buf text = { 0 };
    buf_put_text(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[");
    for (uint32_t i = 0; i < count; i++) {
        const ImageTool *tool = &q->image->tools[steps[i].tool];
        const char *dot = memchr(tool->name.ptr, '.', tool->name.len);
        Str action = dot ? (Str){ dot + 1, tool->name.len - (size_t)(dot + 1 - tool->name.ptr) } : tool->name;
        buf_put_text(&text, i ? ",{\"agent\":" : "{\"agent\":");
        json_put_string(&text, q->image->agents[tool->agent].name);
        buf_put_text(&text, ",\"action\":");
        json_put_string(&text, action);
        buf_put_text(&text, ",\"params\":{}}");
    }
    buf_put_text(&text, "]}");
    bool ok = count > 0 ? checked(q, buf_str(&text), out) : fail(q, ERROR_KIND_not_found, out, "no tool matches the request");
    buf_free(&text);
    free(steps);
    return ok;
}

static bool fill(const LlmQuestion *q, Value *out) {
    Buf answers = { 0 };
    llm_fill_by_rules(q, &answers);
    *out = llm_filled(q, buf_str(&answers));
    buf_free(&answers);
    return true;
}

bool llm_rules_answer(const LlmQuestion *question, Value *out) {
    out->w = 0;
    if (question->text.len > LLM_TEXT_MAX) {
        fail(question, ERROR_KIND_rejected, out, "the text is longer than LLM_TEXT_MAX (65536 bytes)");
        *out = error_with(*out, 0, STR("LLM_TEXT_MAX"), -1);
        return false;
    }
    switch (question->kind) {
    case EFFECT_LLM_CLASSIFY: return classify(question, out);
    case EFFECT_LLM_EXTRACT:  return extract(question, out);
    case EFFECT_LLM_COMPLETE: case EFFECT_LLM_STREAM: return complete(question, out);
    case EFFECT_LLM_PLAN:     return plan(question, out);
    case EFFECT_PLAN_FILL:    return fill(question, out);
    default:                  return fail(question, ERROR_KIND_internal, out, "not a question to a model");
    }
}
