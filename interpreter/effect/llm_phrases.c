/* llm_phrases.c - dates and times of day in text as people write them.
 *
 * The text becomes a row of words and numbers (PHRASE_WORDS_MAX of them; the rest is not looked at), and each place is tried against each
 * form in turn. The first place that fits wins. */
#include <ctype.h>
#include <stdlib.h>
#include "base/time.h"
#include "interpreter/effect/llm.h"

enum { PHRASE_WORDS_MAX = 2000, WORD_MAX = 16 };
typedef struct Word { char text[WORD_MAX]; bool number; int value; int digits; Str source; char after; } Word;
typedef struct Words { Word list[PHRASE_WORDS_MAX]; int count; } Words;

/* "2pm" is a number and a word; "10th" too. */
static void split(Str text, Words *words) {
    size_t i = 0;
    words->count = 0;
    while (i < text.len && words->count < PHRASE_WORDS_MAX) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!isalnum(c)) { i++; continue; }
        Word *w = &words->list[words->count++];
        *w = (Word){ .number = isdigit(c) != 0, .source = { text.ptr + i, 0 } };
        size_t start = i;
        while (i < text.len && (w->number ? isdigit((unsigned char)text.ptr[i]) : isalpha((unsigned char)text.ptr[i]))) {
            size_t at = i - start;
            if (at < WORD_MAX - 1) w->text[at] = (char)tolower((unsigned char)text.ptr[i]);
            if (w->number && at < 8) w->value = w->value * 10 + (text.ptr[i] - '0');
            i++;
        }
        w->digits = (int)(i - start);
        w->source.len = i - start;
        w->after = i < text.len ? text.ptr[i] : 0;
    }
}

static const Word *at(const Words *words, int i) {
    static const Word none;
    return i >= 0 && i < words->count ? &words->list[i] : &none;
}
static bool is(const Words *words, int i, const char *text) { return strcmp(at(words, i)->text, text) == 0; }

/* Full names and three-letter short ones; "may" and "march" are months only beside a number, which the callers see to. */
static int name_index(const char *word, const char *const *names, int count) {
    size_t len = strlen(word);
    for (int i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0 || (len == 3 && strncmp(word, names[i], 3) == 0)) return i;
    return -1;
}
static int weekday_of(const char *word) {
    static const char *const names[] = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" };
    return *word ? name_index(word, names, 7) : -1;
}
static int month_of(const char *word) {
    static const char *const names[] = { "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december" };
    return *word ? name_index(word, names, 12) : -1;
}

static bool civil(int year, int month, int day, int64_t *days) {
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31) return false;
    int64_t made = date_from_civil(year, month, day);
    int y, m, d;
    date_to_civil(made, &y, &m, &d);
    if (y != year || m != month || d != day) return false;           /* 30 February */
    *days = made;
    return true;
}

/* A day and month without a year: this year's, or next year's when that is past. */
static bool day_of_month(int64_t today, int month, int day, const Word *year, int64_t *days) {
    int y, m, d;
    date_to_civil(today, &y, &m, &d);
    if (year->number && year->digits == 4) return civil(year->value, month, day, days);
    if (!civil(y, month, day, days)) return civil(y + 1, month, day, days);
    return *days >= today || civil(y + 1, month, day, days);
}

static bool ordinal_suffix(const Words *words, int i) { return is(words, i, "st") || is(words, i, "nd") || is(words, i, "rd") || is(words, i, "th"); }

static bool numeric_date(const Words *words, int i, int64_t *days) {
    const Word *a = at(words, i), *b = at(words, i + 1), *c = at(words, i + 2);
    if (!a->number || !b->number || !c->number) return false;
    if (a->digits == 4 && a->after == '-' && b->after == '-') return civil(a->value, b->value, c->value, days);
    if (c->digits == 4 && a->after == '.' && b->after == '.') return civil(c->value, b->value, a->value, days);          /* 10.11.2025 */
    return false;
}

static bool named_date(const Words *words, int i, int64_t today, int64_t *days) {
    if (month_of(at(words, i)->text) >= 0 && at(words, i + 1)->number && at(words, i + 1)->digits <= 2) {                  /* November 10th, 2025 */
        int next = i + 2 + ordinal_suffix(words, i + 2);
        return day_of_month(today, month_of(at(words, i)->text) + 1, at(words, i + 1)->value, at(words, next), days);
    }
    if (!at(words, i)->number || at(words, i)->digits > 2) return false;                                                  /* 10th of November 2025 */
    int next = i + 1 + ordinal_suffix(words, i + 1);
    next += is(words, next, "of");
    if (month_of(at(words, next)->text) < 0) return false;
    return day_of_month(today, month_of(at(words, next)->text) + 1, at(words, i)->value, at(words, next + 1), days);
}

static bool relative_date(const Words *words, int i, int64_t today, int64_t *days) {
    if (is(words, i, "today") || is(words, i, "tonight")) return *days = today, true;
    if (is(words, i, "yesterday")) return *days = today - 1, true;
    if (is(words, i, "day") && is(words, i + 1, "after") && is(words, i + 2, "tomorrow")) return *days = today + 2, true;
    if (is(words, i, "tomorrow")) return *days = today + 1, true;
    if (is(words, i, "next") && is(words, i + 1, "week")) return *days = today + 7, true;
    if (is(words, i, "in") && at(words, i + 1)->number && at(words, i + 1)->value <= 3660) {
        if (is(words, i + 2, "day") || is(words, i + 2, "days")) return *days = today + at(words, i + 1)->value, true;
        if (is(words, i + 2, "week") || is(words, i + 2, "weeks")) return *days = today + 7 * at(words, i + 1)->value, true;
    }
    int weekday = weekday_of(at(words, i)->text);
    bool short_name = strlen(at(words, i)->text) == 3;               /* "sat", "sun", "wed" are words too: only after a preposition */
    bool introduced = is(words, i - 1, "on") || is(words, i - 1, "next") || is(words, i - 1, "this") || is(words, i - 1, "by") || is(words, i - 1, "until");
    if (weekday < 0 || (short_name && !introduced)) return false;
    *days = today + (weekday - date_weekday(today) + 6) % 7 + 1;     /* the next one, never today */
    return true;
}

bool llm_find_date(Str text, int64_t today, int64_t *days) {
    Words *words = mem_alloc(sizeof *words);
    bool found = false;
    split(text, words);
    for (int i = 0; i < words->count && !found; i++)
        found = numeric_date(words, i, days) || named_date(words, i, today, days) || relative_date(words, i, today, days);
    free(words);
    return found;
}

static bool time_at(const Words *words, int i, int64_t *us_of_day) {
    if (is(words, i, "noon")) return *us_of_day = 12 * 3600 * TIME_SECOND, true;
    if (is(words, i, "midnight")) return *us_of_day = 0, true;
    const Word *hour = at(words, i), *minute = at(words, i + 1);
    if (!hour->number || hour->digits > 2) return false;
    bool has_minute = hour->after == ':' && minute->number && minute->digits == 2 && minute->value < 60;
    int next = i + 1 + has_minute, h = hour->value;
    bool am = is(words, next, "am"), pm = is(words, next, "pm");
    if (!has_minute && !am && !pm) return false;
    if (am || pm) {
        if (h < 1 || h > 12) return false;
        h = h % 12 + (pm ? 12 : 0);
    }
    if (h > 23) return false;
    *us_of_day = (h * 3600 + (has_minute ? minute->value : 0) * 60) * TIME_SECOND;
    return true;
}

bool llm_find_time(Str text, int64_t *us_of_day) {
    Words *words = mem_alloc(sizeof *words);
    bool found = false;
    split(text, words);
    for (int i = 0; i < words->count && !found; i++) found = time_at(words, i, us_of_day);
    free(words);
    return found;
}
