/* sample_program.h - random programs that parse, for tests of the syntax rooms: every construct of the language, with spacing,
 * line ends and comments that no person would write. The same seed gives the same program. They need not type-check. */
#ifndef TESTS_SAMPLE_PROGRAM_H
#define TESTS_SAMPLE_PROGRAM_H
#include "base/buf.h"

enum { SAMPLE_DEPTH_MAX = 4, SAMPLE_DECLARATIONS_MAX = 7 };

typedef struct Sample {
    Buf *out;
    uint64_t state;
    int depth;                   /* of expressions */
    int blocks;
    int brackets;                /* open ( [ or record { : line ends mean nothing there */
    int comments;
} Sample;

static uint64_t sample_next(Sample *s)
{
    s->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = s->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int sample_below(Sample *s, int limit) { return (int)(sample_next(s) % (uint64_t)limit); }
static bool sample_chance(Sample *s, int percent) { return sample_below(s, 100) < percent; }
static void put(Sample *s, const char *text) { buf_put_text(s->out, text); }

#define PICK(s, ...) ((const char *const[]){ __VA_ARGS__ }[sample_below((s), (int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))])

static void sample_expr(Sample *s);
static void sample_value(Sample *s);
static void sample_block(Sample *s);
static void sample_type(Sample *s);
static void sample_record(Sample *s);

/* ---- spacing ---- */

static void sample_comment(Sample *s)
{
    buf_printf(s->out, "%s comment %d%s", PICK(s, "//", "//", "// é", "//!"), ++s->comments, PICK(s, "", "", " // twice", "  ", " { [ ("));
}

static void sample_line_end(Sample *s)
{
    if (sample_chance(s, 6)) {
        put(s, " ");
        sample_comment(s);
    }
    put(s, PICK(s, "\n", "\n", "\n", "\n\n", "\n  \n\n\n", "\r\n"));
    while (sample_chance(s, 6)) {
        put(s, PICK(s, "", "  ", "\t"));
        sample_comment(s);
        put(s, PICK(s, "\n", "\n\n"));
    }
    put(s, PICK(s, "", "    ", "  ", "\t", "         "));
}

/* Space between two tokens, where a line end would change nothing. */
static void gap(Sample *s)
{
    if (s->brackets && sample_chance(s, 8)) sample_line_end(s);
    else put(s, PICK(s, " ", " ", " ", "  ", "   "));
}

static void maybe(Sample *s)
{
    if (sample_chance(s, 25)) gap(s);
}

/* Where the next token lets the line go on even outside of brackets. */
static void fold(Sample *s)
{
    if (sample_chance(s, 12)) sample_line_end(s);
    else put(s, " ");
}

static void comma(Sample *s)
{
    maybe(s);
    put(s, ",");
    gap(s);
}

/* ---- names, types ---- */

static const char *sample_name(Sample *s)
{
    return PICK(s, "a", "b", "x", "total", "best", "options", "flight_id", "user", "result", "a_rather_long_name_of_a_value", "n1");
}

static const char *sample_field(Sample *s)
{
    return PICK(s, "id", "price", "start", "type", "from", "limit", "key", "status", "name", "where", "a_field_with_a_long_name");
}

static const char *sample_kind(Sample *s)
{
    return PICK(s, "invalid", "not_found", "timeout", "unavailable", "rejected", "conflict");
}

static const char *sample_table(Sample *s)
{
    return PICK(s, "bookings", "flights", "expenses");
}

static const char *sample_event(Sample *s)
{
    return PICK(s, "TripBooked", "Recorded", "Cancelled");
}

static void sample_fields(Sample *s, const char *close, bool lines)
{
    int count = sample_below(s, 4) + 1;
    for (int i = 0; i < count; i++) {
        if (i && lines && sample_chance(s, 50)) sample_line_end(s);
        else if (i) comma(s);
        buf_printf(s->out, "%s%d: ", PICK(s, "id", "price", "text", "depart"), i);
        sample_type(s);
        if (!strcmp(close, ")") && sample_chance(s, 20)) put(s, " = 3");
    }
}

static void sample_type(Sample *s)
{
    s->depth++;
    int choice = sample_below(s, s->depth > 2 ? 6 : 11);
    if (choice < 6) put(s, PICK(s, "int", "string", "decimal", "Flight", "timestamp", "bool"));
    else if (choice == 6) {
        put(s, PICK(s, "list<", "map<"));
        sample_type(s);
        put(s, ">");
    } else if (choice == 7) {
        put(s, "{");
        s->brackets++;
        gap(s);
        sample_fields(s, "}", false);
        gap(s);
        s->brackets--;
        put(s, "}");
    } else if (choice == 8) put(s, "id<bookings>");
    else if (choice == 9) put(s, PICK(s, "pii string", "secret int", "pii string?", "secret list<string>"));
    else put(s, PICK(s, "int?", "Flight?", "list<int?>?", "map<list<string>>"));
    s->depth--;
}

/* ---- expressions ---- */

static void sample_string(Sample *s)
{
    put(s, "\"");
    int parts = sample_below(s, 3);
    for (int i = 0; i <= parts; i++) {
        put(s, PICK(s, "text", "a // b", "{ } [ ] ( )", "\\\"quoted\\\"", "é 日本", "", "\\n\\t\\\\", "$5", "\\${no}", "a sentence that has some length to it"));
        if (sample_chance(s, 30) && s->depth < SAMPLE_DEPTH_MAX) {
            int brackets = s->brackets;
            s->brackets = 0;
            put(s, "${");
            put(s, PICK(s, "", " "));
            switch (sample_below(s, 4)) {
            case 0: put(s, "x"); break;
            case 1: buf_printf(s->out, "%s.%s", sample_name(s), sample_field(s)); break;
            case 2: put(s, "a  +  b*2"); break;
            default: put(s, "xs.join(\", \")"); break;
            }
            put(s, PICK(s, "", " ", ":time", ":0.00"));
            put(s, "}");
            s->brackets = brackets;
        }
    }
    put(s, "\"");
}

static void sample_literal(Sample *s)
{
    switch (sample_below(s, 8)) {
    case 0: case 1: put(s, PICK(s, "0", "7", "42", "1_000_000")); break;
    case 2: put(s, PICK(s, "49.99", "0.0", "1_000.50")); break;
    case 3: put(s, PICK(s, "true", "false", "null")); break;
    case 4: put(s, PICK(s, "5s", "15m", "30d", "100ms", "1h30m")); break;
    case 5: put(s, PICK(s, "@2025-11-10", "@2025-11-10T10:00:00Z")); break;
    default: sample_string(s); break;
    }
}

static void sample_args(Sample *s)
{
    put(s, "(");
    s->brackets++;
    int count = sample_below(s, 4);
    bool named = false;
    for (int i = 0; i < count; i++) {
        if (i) comma(s);
        else maybe(s);
        if (named || sample_chance(s, 25)) {
            buf_printf(s->out, "%s%d:", PICK(s, "start", "limit", "name", "destination"), i);
            gap(s);
            named = true;
        }
        if (!named && sample_chance(s, 12)) {
            put(s, PICK(s, "o => ", "(a, b) => ", "(o) => "));
            sample_expr(s);
        } else sample_value(s);
    }
    maybe(s);
    s->brackets--;
    put(s, ")");
}

static void sample_paren(Sample *s)
{
    put(s, "(");
    s->brackets++;
    maybe(s);
    sample_value(s);
    maybe(s);
    s->brackets--;
    put(s, ")");
}

static void sample_list(Sample *s)
{
    put(s, "[");
    s->brackets++;
    int count = sample_below(s, 5);
    for (int i = 0; i < count; i++) {
        if (i) comma(s);
        else maybe(s);
        sample_expr(s);
    }
    maybe(s);
    s->brackets--;
    put(s, "]");
}

static void sample_record(Sample *s)
{
    put(s, "{");
    s->brackets++;
    int count = sample_below(s, 4) + 1;
    for (int i = 0; i < count; i++) {
        if (i) comma(s);
        else gap(s);
        if (i && sample_chance(s, 20)) put(s, sample_name(s));
        else {
            if (sample_chance(s, 15)) put(s, PICK(s, "\"Content-Type\"", "\"a\\\"b\"", "\"é\""));
            else buf_printf(s->out, "%s%d", sample_field(s), i);
            put(s, ":");
            gap(s);
            sample_value(s);
        }
    }
    gap(s);
    s->brackets--;
    put(s, "}");
}

static void sample_primary(Sample *s)
{
    s->depth++;
    int choice = sample_below(s, s->depth > SAMPLE_DEPTH_MAX ? 5 : 12);
    switch (choice) {
    case 0: case 1: sample_literal(s); break;
    case 2: case 3: case 4: put(s, sample_name(s)); break;
    case 5:
        buf_printf(s->out, "%s%s%s", sample_name(s), PICK(s, ".", ".", "?."), sample_field(s));
        break;
    case 6:
        buf_printf(s->out, "%s[", sample_name(s));
        s->brackets++;
        sample_expr(s);
        s->brackets--;
        put(s, "]");
        break;
    case 7:
        put(s, PICK(s, "first", "travel.search_flights", "f", "llm.extract"));
        sample_args(s);
        break;
    case 8:
        buf_printf(s->out, "%s.%s", sample_name(s), PICK(s, "filter", "map", "contains"));
        sample_args(s);
        if (sample_chance(s, 40)) {
            put(s, ".first");
            sample_args(s);
        }
        break;
    case 9: sample_paren(s); break;
    case 10: sample_list(s); break;
    default:
        buf_printf(s->out, "%s(%s where ", PICK(s, "count", "sum", "exists", "max"), PICK(s, "bookings", "expenses.amount"));
        s->brackets++;
        sample_expr(s);
        s->brackets--;
        put(s, ")");
        break;
    }
    s->depth--;
}

static void sample_operand(Sample *s)
{
    if (sample_chance(s, 5)) put(s, "-");
    sample_primary(s);
    if (sample_chance(s, 3)) put(s, " as Flight");
}

static void sample_sum(Sample *s)
{
    sample_operand(s);
    while (sample_chance(s, 18)) {
        bool minus = sample_chance(s, 15);                      /* at the start of a line it may begin a pattern */
        if (minus) put(s, " - ");
        else {
            fold(s);
            put(s, PICK(s, "+", "*", "/", "%", "??", "+"));
            gap(s);
        }
        sample_operand(s);
    }
}

static void sample_condition(Sample *s)
{
    if (sample_chance(s, 8)) put(s, "not ");
    sample_sum(s);
    if (sample_chance(s, 30)) {
        if (sample_chance(s, 15)) {
            buf_printf(s->out, " %s /fl(i|o)ght[/ ]\\/x/i", PICK(s, "=~", "!~"));
            return;
        }
        fold(s);
        put(s, PICK(s, "==", "!=", "<", "<=", ">", ">=", "in"));
        gap(s);
        sample_sum(s);
    }
}

/* Anything that operators make; no record or block, so that it may stand before `{`. */
static void sample_expr(Sample *s)
{
    if (++s->depth > SAMPLE_DEPTH_MAX) {
        sample_primary(s);
        s->depth--;
        return;
    }
    sample_condition(s);
    while (sample_chance(s, 12)) {
        fold(s);
        put(s, PICK(s, "and", "or"));
        gap(s);
        sample_condition(s);
    }
    s->depth--;
}

static void sample_query(Sample *s)
{
    s->depth++;
    buf_printf(s->out, "from r in %s", sample_table(s));
    if (sample_chance(s, 20)) {
        fold(s);
        put(s, "join t in flights on r.id == t.id");
    }
    if (sample_chance(s, 60)) {
        fold(s);
        put(s, "where ");
        sample_expr(s);
    }
    if (sample_chance(s, 20)) {
        fold(s);
        put(s, "group by r.city");
    }
    if (sample_chance(s, 40)) {
        fold(s);
        buf_printf(s->out, "order by r.price%s", PICK(s, "", " desc", ", r.id", " desc,  r.id desc"));
    }
    if (sample_chance(s, 30)) {
        fold(s);
        put(s, "limit 10");
    }
    if (sample_chance(s, 20)) {
        fold(s);
        put(s, "select ");
        sample_record(s);
    }
    s->depth--;
}

static void sample_update(Sample *s)
{
    buf_printf(s->out, "update %s%s", PICK(s, "", "u in "), sample_table(s));
    fold(s);
    put(s, "set price = 3, seats = seats - 1");
    if (sample_chance(s, 70)) {
        fold(s);
        put(s, "where ");
        sample_expr(s);
    }
}

/* A comma behind sort keys or assignments would bring another one: between brackets they stand in parentheses. */
static void sample_in_parens(Sample *s, void (*inner)(Sample *))
{
    bool needed = s->brackets > 0 || sample_chance(s, 10);
    if (needed) put(s, "(");
    s->brackets += needed;
    inner(s);
    s->brackets -= needed;
    if (needed) put(s, ")");
}

static void sample_clauses(Sample *s)
{
    if (sample_chance(s, 20)) {
        fold(s);
        put(s, "retry transient");
    }
    if (sample_chance(s, 20)) {
        fold(s);
        buf_printf(s->out, "within %s", PICK(s, "5s", "24h", "x"));
    }
    if (sample_chance(s, 25)) {
        fold(s);
        put(s, "else ");
        switch (sample_below(s, 4)) {
        case 0: buf_printf(s->out, "fail %s \"no ${x}\"", sample_kind(s)); break;
        case 1: put(s, "return null"); break;
        case 2: put(s, "false"); break;
        default: sample_primary(s); break;
        }
    }
}

static void sample_match(Sample *s)
{
    put(s, "match ");
    sample_primary(s);
    put(s, " {");
    int brackets = s->brackets;
    s->brackets = 0;
    sample_line_end(s);
    put(s, "null => ");
    sample_expr(s);
    sample_line_end(s);
    buf_printf(s->out, "SUNNY, CLEAR%s => ", PICK(s, "", " if x > 2"));
    sample_expr(s);
    sample_line_end(s);
    put(s, PICK(s, "let k => \"kind ${k}\"", "_ => 3", "7 => {\n let q = 1\n q\n }"));
    sample_line_end(s);
    s->brackets = brackets;
    put(s, "}");
}

/* What may stand behind `=`, in brackets, behind return. */
static void sample_value(Sample *s)
{
    if (s->depth >= SAMPLE_DEPTH_MAX - 1) {
        sample_expr(s);
        return;
    }
    s->depth++;
    switch (sample_below(s, 24)) {
    case 0: sample_in_parens(s, sample_query); break;
    case 1: sample_record(s); break;
    case 2:
        put(s, "if ");
        sample_expr(s);
        put(s, " ");
        sample_block(s);
        put(s, " else ");
        sample_block(s);
        break;
    case 3: sample_match(s); break;
    case 4:
        put(s, "ask ");
        sample_string(s);
        put(s, PICK(s, "", " as bool", " as one of options"));
        break;
    case 5: buf_printf(s->out, "await %s as t where t.id == 3", sample_event(s)); break;
    case 6: buf_printf(s->out, "insert %s ", sample_table(s)); sample_record(s); break;
    case 7: sample_in_parens(s, sample_update); break;
    case 8:
        buf_printf(s->out, "delete from %s%s", PICK(s, "", "u in "), sample_table(s));
        if (sample_chance(s, 70)) {
            fold(s);
            put(s, "where ");
            sample_expr(s);
        }
        break;
    case 9: put(s, "start other_flow"); sample_args(s); break;
    case 10: buf_printf(s->out, "%s with ", sample_name(s)); sample_record(s); break;
    case 11: put(s, "travel.book_flight"); sample_args(s); sample_clauses(s); break;
    case 12:
        buf_printf(s->out, "parallel for u in %s%s%s ", sample_name(s), PICK(s, "", " limit 10"), PICK(s, "", " within 5s"));
        sample_block(s);
        break;
    default: sample_expr(s); break;
    }
    s->depth--;
}

/* ---- statements ---- */

static void sample_statement(Sample *s);

static void sample_lines(Sample *s, int count)
{
    for (int i = 0; i < count; i++) {
        sample_statement(s);
        sample_line_end(s);
    }
}

static void sample_block(Sample *s)
{
    int brackets = s->brackets, depth = s->depth;
    s->brackets = 0;
    s->depth = s->blocks;
    s->blocks++;
    put(s, "{");
    if (sample_chance(s, 40) || s->blocks > 3) {
        put(s, PICK(s, " ", "", "\n"));
        if (s->blocks > 3) put(s, "let q = 1");
        else sample_statement(s);
        put(s, PICK(s, " ", "", "\n"));
    } else {
        sample_line_end(s);
        sample_lines(s, sample_below(s, 3) + 1);
    }
    put(s, "}");
    s->blocks--;
    s->depth = depth;
    s->brackets = brackets;
}

static void sample_saga(Sample *s)
{
    put(s, "saga {");
    sample_line_end(s);
    for (int i = sample_below(s, 3); i >= 0; i--) {
        buf_printf(s->out, "step %s", PICK(s, "", "flight = ", "entry = "));
        put(s, "travel.book_flight");
        sample_args(s);
        if (sample_chance(s, 70)) {
            fold(s);
            put(s, "compensate travel.cancel_booking");
            sample_args(s);
        }
        sample_line_end(s);
    }
    put(s, "}");
}

static void sample_parallel(Sample *s)
{
    buf_printf(s->out, "parallel%s%s {", PICK(s, "", " race"), PICK(s, "", " within 5s", " limit 3"));
    put(s, PICK(s, "\n", " "));
    for (int i = sample_below(s, 3); i >= 0; i--) {
        buf_printf(s->out, "%s%s%d = ", PICK(s, "", "critical "), sample_name(s), i);
        put(s, "weather.forecast");
        sample_args(s);
        put(s, PICK(s, "\n", "  ", "\n\n  // branch\n"));
    }
    put(s, "}");
}

static void sample_try(Sample *s)
{
    put(s, "try ");
    sample_block(s);
    put(s, PICK(s, " ", "\n"));
    put(s, PICK(s, "catch timeout, unavailable as e ", "catch as e ", "catch rejected "));
    sample_block(s);
    if (sample_chance(s, 30)) {
        put(s, " finally ");
        sample_block(s);
    }
}

static void sample_if(Sample *s)
{
    put(s, "if ");
    sample_expr(s);
    put(s, " ");
    sample_block(s);
    if (sample_chance(s, 30)) {
        put(s, " else if x > 1 ");
        sample_block(s);
    }
    if (sample_chance(s, 40)) {
        put(s, " else ");
        sample_block(s);
    }
}

static void sample_loop(Sample *s)
{
    if (sample_chance(s, 40)) {
        put(s, "while ");
        sample_expr(s);
        put(s, PICK(s, " at most 100 times ", " at most 3 times "));
    } else buf_printf(s->out, "for %s in %s ", PICK(s, "o", "o, i"), PICK(s, "options", "0..n", "f(x).list", "1..10 + 2"));
    sample_block(s);
}

static void sample_test_statement(Sample *s)
{
    switch (sample_below(s, 18)) {
    case 0: buf_printf(s->out, "given travel.book_hotel fails %s \"no\"%s%s", sample_kind(s), PICK(s, "", " with { status: 503 }"), PICK(s, "", " 3 times")); break;
    case 1: put(s, "given weather.forecast returns "); sample_record(s); put(s, PICK(s, "", " after 6s")); break;
    case 2: put(s, PICK(s, "given user answers nothing", "given user answers true, \"LH123\"", "given user answers  false")); break;
    case 3: put(s, "given flights ["); s->brackets++; sample_record(s); comma(s); sample_record(s); s->brackets--; put(s, "]"); break;
    case 4: put(s, "given fixture berlin"); break;
    case 5: put(s, "given now @2025-11-03T08:00:00Z"); break;
    case 6: put(s, "given ids bookings \"TRV-789\", \"TRV-790\""); break;
    case 7: put(s, "run book"); sample_args(s); put(s, PICK(s, "", " as \"anna\" of \"family\"", " as \"anna\"")); break;
    case 8: put(s, "advance 30d"); break;
    case 9: put(s, "answer true"); break;
    case 10: buf_printf(s->out, "deliver %s again", sample_event(s)); break;
    case 11: put(s, "cancel"); break;
    case 12: put(s, "crash everywhere"); break;
    case 13: put(s, "expect "); sample_expr(s); break;
    case 14: put(s, PICK(s, "expect completed", "expect parked", "expect failed rejected", "expect failed rejected \"no\"", "expect cancelled")); break;
    case 15: put(s, "expect calls ["); put(s, PICK(s, "", "\n")); put(s, "travel.a, weather.b"); put(s, PICK(s, "]", "\n]", "] in any order")); break;
    case 16: put(s, "expect asked \"Book ${x}?\""); break;
    default: put(s, "expect emitted [TripBooked,Recorded]"); break;
    }
}

static void sample_statement(Sample *s)
{
    bool deep = s->blocks >= 3;
    switch (sample_below(s, deep ? 12 : 24)) {
    case 0: case 1: case 2:
        buf_printf(s->out, "%s %s%d", PICK(s, "let", "var"), sample_name(s), sample_below(s, 9));
        if (sample_chance(s, 15)) {
            put(s, ": ");
            sample_type(s);
        }
        put(s, " =");
        gap(s);
        sample_value(s);
        break;
    case 3: buf_printf(s->out, "%s %s ", PICK(s, "x", "x.price", "xs[0]"), PICK(s, "=", "+=", "-=", "*=")); sample_value(s); break;
    case 4: put(s, "travel.book_flight"); sample_args(s); sample_clauses(s); break;
    case 5: put(s, "return"); if (sample_chance(s, 70)) { put(s, " "); sample_value(s); } break;
    case 6: buf_printf(s->out, "fail %s \"why\"%s", sample_kind(s), PICK(s, "", " with { status: 404, code: \"X\" }")); break;
    case 7: buf_printf(s->out, "emit %s ", sample_event(s)); sample_record(s); break;
    case 8: put(s, PICK(s, "sleep 30d", "wait until @2025-11-10T10:00:00Z", "progress 20 \"done\"", "fail e", "progress 30")); break;
    case 9: put(s, "signal child add_note "); sample_record(s); break;
    case 10: put(s, "(-x)"); break;
    case 11: sample_paren(s); break;
    case 12: sample_saga(s); break;
    case 13: sample_parallel(s); break;
    case 14: sample_try(s); break;
    case 15: case 16: sample_if(s); break;
    case 17: sample_loop(s); break;
    case 18: put(s, "transaction "); sample_block(s); break;
    case 19: sample_match(s); break;
    default: put(s, "let v = "); sample_value(s); break;
    }
}

/* ---- declarations ---- */

static void sample_body(Sample *s, bool tests)
{
    put(s, "{");
    sample_line_end(s);
    for (int i = sample_below(s, 5) + 1; i > 0; i--) {
        if (tests && sample_chance(s, 80)) sample_test_statement(s);
        else sample_statement(s);
        sample_line_end(s);
    }
    put(s, "}");
}

static void sample_params(Sample *s)
{
    put(s, "(");
    s->brackets++;
    maybe(s);
    if (sample_chance(s, 70)) sample_fields(s, ")", false);
    maybe(s);
    s->brackets--;
    put(s, ")");
}

static void sample_result(Sample *s)
{
    put(s, " -> ");
    sample_type(s);
}

static void sample_tool(Sample *s, bool remote)
{
    buf_printf(s->out, "tool %s", PICK(s, "book", "search", "undo"));
    sample_params(s);
    if (sample_chance(s, 70)) sample_result(s);
    if (sample_chance(s, 60)) {
        fold(s);
        put(s, PICK(s, "requires \"travel:read\"", "requires \"a\", \"b\""));
    }
    if (sample_chance(s, 40)) {
        fold(s);
        put(s, PICK(s, "reads", "idempotent", "compensated by undo", "irreversible"));
    }
    if (remote) {
        fold(s);
        put(s, "via GET \"/forecast\"");
    } else {
        fold(s);
        sample_body(s, false);
    }
}

static void sample_agent(Sample *s)
{
    bool remote = sample_chance(s, 30);
    buf_printf(s->out, "agent travel \"Travel {Agent}\" %s{", remote ? "at http(env.URL) auth credential(\"x\") " : "");
    sample_line_end(s);
    for (int i = sample_below(s, 3); i >= 0; i--) {
        if (sample_chance(s, 30)) put(s, "/// What it does.\n");
        if (remote || sample_chance(s, 70)) sample_tool(s, remote);
        else if (sample_chance(s, 50)) {
            buf_printf(s->out, "on %s as e%s ", sample_event(s), PICK(s, "", " where e.price > 0"));
            sample_body(s, false);
        } else {
            put(s, "resource \"travel://all\" -> list<Flight> ");
            sample_body(s, false);
        }
        sample_line_end(s);
    }
    put(s, "}");
}

static void sample_flow(Sample *s)
{
    buf_printf(s->out, "flow book%d", sample_below(s, 9));
    sample_params(s);
    if (sample_chance(s, 60)) sample_result(s);
    static const char *const clauses[] = { "requires \"travel:write\"", "within 10m", "durability strict", "one per user", "limit 10 per tenant",
                                           "rate 100/m per tenant", "on TripBooked as e" };
    for (size_t i = 0; i < sizeof clauses / sizeof *clauses; i++) {
        if (!sample_chance(s, 20)) continue;
        fold(s);
        put(s, clauses[i]);
    }
    fold(s);
    sample_body(s, false);
}

static void sample_table_decl(Sample *s)
{
    static const char *const lines[] = { "id: id \"TRV\"", "price: decimal = 3", "note: pii string?", "version", "index (price, id)", "unique (note)",
                                         "on erase delete", "on erase retain 7y \"tax law\"", "export as \"rows\"", "at: timestamp" };
    buf_printf(s->out, "table rows of travel%s {", PICK(s, "", " shared"));
    sample_line_end(s);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (sample_chance(s, 40)) continue;
        put(s, lines[i]);
        sample_line_end(s);
    }
    put(s, "}");
}

static void sample_small(Sample *s)
{
    switch (sample_below(s, 7)) {
    case 0: buf_printf(s->out, "use %s", PICK(s, "policies", "agents.travel", "a.b.c")); break;
    case 1:
        buf_printf(s->out, "%s %s {", PICK(s, "event", "type", "signal"), PICK(s, "Thing", "Other"));
        put(s, PICK(s, " ", "\n", "\n   // fields\n"));
        sample_fields(s, "}", true);
        put(s, PICK(s, " }", "\n}", "\n// more\n}"));
        break;
    case 2: put(s, PICK(s, "enum Color { RED, GREEN }", "enum Color {\n    RED like /red|rot/i // r\n    GREEN\n}", "enum Color {\n RED,\n\n GREEN }")); break;
    case 3: put(s, PICK(s, "machine M {\n A -> B, C\n\n B -> C\n final C\n}", "machine M {\n  final B // end\n  // start\n  A -> B }")); break;
    case 4: put(s, PICK(s, "policy p {\n attempts 5\n backoff 1s to 30s factor 2 jitter 20%\n on 408, 429, \"ECONNRESET\" // codes\n refresh on 401\n}", "policy p {\n on 503\n attempts 2\n}")); break;
    case 5: put(s, PICK(s, "participants { user \"User\", bus \"Event Bus\" }", "participants {\n user \"User\",\n bus \"Event Bus\"\n}")); break;
    default:
        put(s, "fixture berlin {\n flights [");
        s->brackets++;
        sample_record(s);
        comma(s);
        sample_record(s);
        s->brackets--;
        put(s, "]\n budgets [{ id: 1 }]\n}");
        break;
    }
}

static void sample_declaration(Sample *s)
{
    if (sample_chance(s, 15)) put(s, "/// Documentation of it,\n/// in two lines.\n");
    switch (sample_below(s, 9)) {
    case 0: sample_agent(s); break;
    case 1: case 2: sample_flow(s); break;
    case 3: sample_table_decl(s); break;
    case 4:
        put(s, "fn pure");
        sample_params(s);
        sample_result(s);
        put(s, " ");
        sample_body(s, false);
        break;
    case 5:
        put(s, PICK(s, "test \"a title\" ", "test documented \"a \\\"title\\\"\" "));
        sample_body(s, true);
        break;
    default: sample_small(s); break;
    }
}

static void sample_program(uint64_t seed, Buf *out)
{
    Sample s = { .out = out, .state = seed * UINT64_C(0x2545f4914f6cdd1d) };
    sample_line_end(&s);
    for (int i = sample_below(&s, SAMPLE_DECLARATIONS_MAX) + 2; i > 0; i--) {
        sample_declaration(&s);
        sample_line_end(&s);
    }
}
#endif
