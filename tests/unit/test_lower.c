/* test_lower.c - what programs do once they are lowered: values, control, and what they ask of the outside in which order. */
#include "tests/unit/lower_run.h"

typedef struct Case { const char *text, *result; } Case;

static void run_cases(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) assert_result(cases[i].text, cases[i].result);
}
#define RUN(cases) run_cases(cases, sizeof cases / sizeof *cases)

/* ---- values ---- */

static void arithmetic_keeps_types_apart(void **state)
{
    static const Case cases[] = {
        { "fn main() -> int { return 7 / 2 + 7 % 4 - -3 }", "= 9" },
        { "fn main() -> decimal { let x = 1\n return x + 0.5 }", "= 1.5" },
        { "fn main() -> decimal { var s = 1.10\n s += 2\n s = s * 2\n return s }", "= 6.20" },
        { "fn main() -> float { let f: float = 3\n return f / 2 }", "= 1.5" },
        { "fn main() -> int { var x = 9223372036854775807\n x += 1\n return x }", "! invalid integer overflow" },
        { "fn main() -> int { let big = 4294967296\n return big * 2 + 1 }", "= 8589934593" },
        { "fn main() -> duration { return @2025-01-02T00:00:00Z - @2025-01-01T12:00:00Z + 30m }", "= \"750m\"" },
        { "fn main() -> date { return @2025-01-31 + 1d }", "= \"2025-02-01\"" },
        { "fn main() -> date { return @2025-02-01 - 1d }", "= \"2025-01-31\"" },
        { "fn main() -> int { let d = @2025-02-01 - @2025-01-01\n return d.days() }", "= 31" },
        { "fn main() -> string { return \"a${1 + 1}b${true}\" + \"c\" + \"${1.50}\" }", "= \"a2btruec1.50\"" },
        { "fn main() -> string { let at = @2025-11-10T10:05:00Z\n let n = 2.5\n return \"${at:time} ${n:0.00}\" }", "= \"10:05 2.50\"" },
        { "fn main() -> int? { let m = { \"a\": 1 }\n return m[\"b\"] }", "= null" },
        { "fn main() -> bool { return 2 in [1, 2] and not (3 in [1]) and not \"abc\".contains(\"x\") }", "= true" },
        { "fn main() -> bool { return \"Flight\" =~ /flight/i and \"bus\" !~ /flight/ }", "= true" },
        { "fn main() -> json { let x: json = { a: 1, b: [true] }\n return x }", "= {\"a\":1,\"b\":[true]}" },
        { "type P { x: int, y: int? }\nfn main() -> P { let j: json = { x: 3 }\n return j as P }", "= {\"x\":3,\"y\":null}" },
        { "fn main() -> int { let j: json = { a: [10, 20] }\n return (j.a[1]) as int }", "= 20" },
    };
    RUN(cases);
}

static void decimals_compare_as_jumps(void **state)
{
    /* each operator as written, negated, with the constant left; scales that differ; a constant that fits no word */
    static const Case cases[] = {
        { "fn c(x: decimal) -> int { var n = 0\n if x < 200 { n += 1 }\n if x <= 200.0 { n += 10 }\n if x > 200 { n += 100 }\n if x >= 200.00 { n += 1000 }\n if x == 200 { n += 10000 }\n"
          " if x != 200 { n += 100000 }\n return n }\nfn main() -> list<int> { return [c(199.99), c(200.0), c(200.001), c(-200)] }", "= [100011,11010,101100,100011]" },
        { "fn c(x: decimal) -> int { var n = 0\n if not (x < 1.5) { n += 1 }\n if not (x == 1.5) { n += 10 }\n if -1.5 < x { n += 100 }\n if not (1.50 >= x) { n += 1000 }\n return n }\n"
          "fn main() -> list<int> { return [c(1.5), c(1.4), c(-2), c(2)] }", "= [101,110,10,1111]" },
        { "fn c(x: decimal, y: decimal) -> int { var n = 0\n if x < y { n += 1 }\n if x <= y { n += 10 }\n if x > y { n += 100 }\n if x >= y { n += 1000 }\n if x == y { n += 10000 }\n if x != y { n += 100000 }\n"
          " return n }\nfn main() -> list<int> { return [c(1.50, 1.5), c(1, 1.0000000001), c(3, -3.25)] }", "= [11010,100011,101100]" },
        { "fn c(x: decimal) -> bool { return x >= 123456789012345678901234567890.5 and x < 99999999999999999999999999999999.0 }\n"
          "fn main() -> list<bool> { return [c(1), c(123456789012345678901234567890.50), c(0.00000000000000000000000000000001), c(200000000000000000000000000000000.0)] }", "= [false,true,false,false]" },
    };
    RUN(cases);
}

static void control_goes_where_it_says(void **state)
{
    static const Case cases[] = {
        { "fn f(n: int) -> int { if n < 2 { return n }\n return f(n - 1) + f(n - 2) }\nfn main() -> int { return f(15) }", "= 610" },
        { "fn main() -> int { var s = 0\n for i in 0..10 { if i == 3 { continue }\n if i == 6 { break }\n s += i }\n return s }", "= 12" },
        { "fn main() -> int { var s = 0\n for x, i in [10, 20, 30] { s += x * i }\n return s }", "= 80" },
        { "fn main() -> int { var i = 0\n while i < 100 at most 7 times { i += 1 }\n return i }", "= 7" },
        { "fn main() -> int { var i = 0\n while true { i += 1\n if i > 4 { break } }\n return i }", "= 5" },
        { "fn main() -> int { var xs = [1, 2, 3]\n var s = 0\n for x in xs { xs = xs.append(x)\n s += x }\n return s * 100 + xs.length() }", "= 606" },
        { "fn main() -> string { let x = 3\n return if x > 5 { \"big\" } else if x == 3 { \"three\" } else { \"small\" } }", "= \"three\"" },
        { "fn k(n: int) -> string { return match n {\n 1, 2 => \"low\"\n 3 if n > 5 => \"never\"\n 3 => \"three\"\n _ => \"many\"\n } }\n"
          "fn main() -> string { return k(1) + k(2) + k(3) + k(9) }", "= \"lowlowthreemany\"" },
        { "enum W { SUN, RAIN }\nfn k(w: W?) -> string { return match w {\n null => \"none\"\n SUN => \"sun\"\n let x => \"other ${x}\"\n } }\n"
          "fn main() -> string { return k(null) + k(SUN) + k(RAIN) }", "= \"nonesunother RAIN\"" },
        { "fn main() -> bool { let a = 1\n let b = 2\n return (a == 1 or b == 1) and not (a > b) and (a >= 1 and b <= 2 and a != b) }", "= true" },
        { "fn main() -> string { let x: string? = null\n return x ?? \"none\" }", "= \"none\"" },
        { "fn main() -> int { let x: int? = 4\n if x != null { return x + 1 }\n return 0 }", "= 5" },
        { "fn main() -> int { let xs = [3]\n let first = xs.first() else { return -1 }\n return first }", "= 3" },
    };
    RUN(cases);
}

static void parts_are_changed_in_copies(void **state)
{
    static const Case cases[] = {
        { "fn main() -> list<int> { var xs = [1, 2]\n let ys = xs\n xs[0] = 9\n xs = xs.append(3)\n return xs.concat(ys) }", "= [9,2,3,1,2]" },
        { "fn main() -> string { var s = \"a\"\n let t = s\n s += \"b\"\n s = s + \"c\" + t\n return s + t }", "= \"abcaa\"" },
        { "type P { x: int, y: int }\nfn main() -> list<P> { let p: P = { y: 2, x: 1 }\n var q = p with { x: 7 }\n q = q with { y: q.x }\n return [p, q] }",
          "= [{\"x\":1,\"y\":2},{\"x\":7,\"y\":7}]" },
        { "type P { x: int = 4, y: int? }\nfn main() -> P { return {} }", "= {\"x\":4,\"y\":null}" },
        { "fn main() -> int { var x = 1\n let y = x + if true { x = 10\n x } else { 0 }\n return y }", "= 11" },
    };
    RUN(cases);
}

static void nested_places_keep_the_rest(void **state)
{
    assert_result("type P { x: int, tags: list<string> }\ntype Q { p: P, m: map<int>, ps: list<P> }\n"
                  "fn main() -> list<Q> {\n var q: Q = { p: { x: 1, tags: [\"a\"] }, m: { \"k\": 2 }, ps: [{ x: 8, tags: [] }] }\n let old = q\n q.p.x = 5\n q.p.tags[0] = \"b\"\n"
                  " q.m[\"k\"] = 3\n q.p.tags = q.p.tags.append(\"c\")\n q.ps[0].x += 1\n return [old, q] }",
                  "= [{\"p\":{\"x\":1,\"tags\":[\"a\"]},\"m\":{\"k\":2},\"ps\":[{\"x\":8,\"tags\":[]}]},"
                  "{\"p\":{\"x\":5,\"tags\":[\"b\",\"c\"]},\"m\":{\"k\":3},\"ps\":[{\"x\":9,\"tags\":[]}]}]");
}

static void list_methods_are_loops(void **state)
{
    static const Case cases[] = {
        { "fn main() -> list<int> { return [1, 2, 3, 4].filter(x => x % 2 == 0).map(x => x * 10) }", "= [20,40]" },
        { "fn main() -> int { return [1, 2, 3].reduce(10, (s, x) => s + x) + [5, 6].count(x => x > 5) + [1, 2].sum_by(x => x * x) }", "= 22" },
        { "fn main() -> bool { return [1, 2].any(x => x == 2) and [1, 2].all(x => x > 0) and not [1].any(x => x > 1) }", "= true" },
        { "fn main() -> list<int?> { let xs = [3, 1, 2]\n return [xs.find(x => x < 3), xs.find(x => x > 9), xs.min_by(x => x), xs.max_by(x => x)] }", "= [1,null,1,3]" },
        { "type P { n: string, k: int }\nfn main() -> list<string> { let ps: list<P> = [{ n: \"b\", k: 2 }, { n: \"a\", k: 1 }, { n: \"c\", k: 1 }]\n return ps.sort_by(p => p.k).map(p => p.n) }",
          "= [\"a\",\"c\",\"b\"]" },
        { "fn main() -> map<list<int>> { return [1, 2, 3].group_by(x => if x > 1 { \"big\" } else { \"small\" }) }", "= {\"small\":[1],\"big\":[2,3]}" },
        { "fn main() -> list<int> { return [1, 2].flat_map(x => [x, x]) }", "= [1,1,2,2]" },
        { "fn main() -> list<int> { let xs = [5, 3, 8, 3]\n return from x in xs where x < 8 order by x desc limit 2 select x * 2 }", "= [10,6]" },
        { "type P { a: int, b: int }\nfn main() -> list<P> { let xs: list<P> = [{ a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 2 }]\n return from p in xs order by p.b desc, p.a }",
          "= [{\"a\":1,\"b\":2},{\"a\":1,\"b\":1},{\"a\":2,\"b\":1}]" },
        { "fn main() -> list<int> { return [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18] }", "= [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]" },
    };
    RUN(cases);
}

static void failures_are_caught_by_kind(void **state)
{
    static const Case cases[] = {
        { "fn main() -> int { fail conflict \"no\" with { status: 409 } }", "! conflict no" },
        { "fn main() -> string { try { fail timeout \"late\" } catch conflict as e { return \"c\" } catch timeout, unavailable as e { return e.message + \" ${e.kind}\" } }", "= \"late timeout\"" },
        { "fn main() -> string { var s = \"\"\n try { try { fail invalid \"x\" } catch timeout as e { s += \"t\" } finally { s += \"f\" } } catch as e { s += \"e\" }\n return s }", "= \"fe\"" },
        { "fn main() -> string { var s = \"\"\n for i in 0..4 { try { if i == 1 { continue }\n if i == 3 { break }\n s += \"${i}\" } finally { s += \"f\" } }\n return s }", "= \"0ff2ff\"" },
        { "fn g() -> int { var n = 1\n try { return n } finally { n = 2 } }\nfn main() -> int { return g() }", "= 1" },
        { "fn main() -> int { try { return 1 / 0 } catch as e { fail e } }", "! invalid division by zero" },
    };
    RUN(cases);
}

/* ---- what is asked of the outside ---- */

#define AGENTS "policy slow { attempts 3\n backoff 2s to 30s factor 2\n on 503\n refresh on 401 }\n" \
    "agent far \"Far\" at http(env.X) {\n tool get(n: int) -> int\n idempotent\n via GET \"/get\"\n tool undo(n: int) -> int\n idempotent\n via POST \"/undo\"\n }\n"

static void retry_waits_longer_each_time(void **state)
{
    const Answer answers[] = { { "far.get", "!unavailable 503 busy" }, { "far.get", "!denied 401 old" }, { "far.get", "!unavailable 503 busy" }, { "far.get", "7" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return far.get(1) retry slow }", "main", answers,
                 "far.get(1); slow(1, \"2s\", busy); backoff(\"1970-01-01T00:00:03Z\"); far.get(1); refresh(); far.get(1); slow(2, \"4s\", busy); "
                 "backoff(\"1970-01-01T00:00:07Z\"); far.get(1); = 7");
}

static void retry_gives_up(void **state)
{
    const Answer three[] = { { "far.get", "!unavailable 503 a" }, { "far.get", "!unavailable 503 b" }, { "far.get", "!unavailable 503 c" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return far.get(1) retry slow }", "main", three,
                 "far.get(1); slow(1, \"2s\", a); backoff(\"1970-01-01T00:00:03Z\"); far.get(1); slow(2, \"4s\", b); backoff(\"1970-01-01T00:00:07Z\"); far.get(1); ! unavailable c");
    const Answer other[] = { { "far.get", "!rejected 400 no" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return far.get(1) retry slow }", "main", other, "far.get(1); ! rejected no");
}

static void a_deadline_becomes_a_timeout_or_the_other_value(void **state)
{
    const Answer late[] = { { "far.get", "@expire" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return far.get(1) within 5s }", "main", late, "far.get(1); ! timeout the deadline has passed");
    assert_trace(AGENTS "flow main() -> int { return far.get(1) within 5s else 3 }", "main", late, "far.get(1); = 3");
    assert_trace(AGENTS "flow main() -> int within 5s { try { return far.get(1) } catch as e { return 2 } finally { progress 5 \"out\" } }", "main", late,
                 "far.get(1); progress(5, \"out\"); ! timeout the deadline has passed");
    const Answer asked[] = { { "ask", "@expire" }, { 0 } };
    assert_trace("flow main() -> bool { return ask \"sure?\" as bool within 1h else false }", "main", asked, "ask(\"sure?\"); = false");
}

static void a_saga_undoes_the_newest_first(void **state)
{
    const char *text = AGENTS
        "flow main() -> int { saga {\n step a = far.get(1) compensate far.undo(a)\n step b = far.get(2) compensate far.undo(b)\n step far.get(3)\n }\n return a + b }";
    const Answer good[] = { { "far.get", "10" }, { "far.get", "20" }, { "far.get", "30" }, { 0 } };
    assert_trace(text, "main", good, "far.get(1); far.get(2); far.get(3); = 30");
    const Answer bad[] = { { "far.get", "10" }, { "far.get", "20" }, { "far.get", "!rejected 0 full" }, { "far.undo", "1" }, { "far.undo", "!denied 0 stuck" }, { 0 } };
    assert_trace(text, "main", bad,
                 "far.get(1); far.get(2); far.get(3); saga(full); b(\"b\"); far.undo(20); b(\"b\", true, null); a(\"a\"); far.undo(10); a(\"a\", false, error); "
                 "! rejected full -b +a");
}

static void a_return_commits_what_it_leaves(void **state)
{
    const Answer answers[] = { { "far.get", "10" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { try { saga { step a = far.get(1) compensate far.undo(a)\n if a > 5 { return a } } } finally { progress 1 \"f\" }\n fail internal \"not here\" }", "main",
                 answers, "far.get(1); progress(1, \"f\"); = 10");
    assert_trace("table t { id: id \"T\"\n n: int }\nflow main() -> int { transaction { insert t { n: 3 }\n return 4 } }", "main",
                 (const Answer[]){ { "insert t", "{\"id\":\"T-1\",\"n\":3}" }, { 0 } }, "transaction(); t(); insert t(3, \"ID-1\"); commit(); = 4");
    assert_trace("table t { id: id \"T\"\n n: int }\nflow main() -> int { transaction { insert t { n: 3 }\n fail conflict \"no\" }\n return 1 }", "main",
                 (const Answer[]){ { "insert t", "{\"id\":\"T-1\",\"n\":3}" }, { 0 } }, "transaction(); t(); insert t(3, \"ID-1\"); rollback(); ! conflict no");
}

static void branches_run_beside_each_other(void **state)
{
    const Answer answers[] = { { "far.get", "10" }, { "far.get", "!rejected 0 no" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { let k = 4\n parallel { critical a = far.get(k)\n b = far.get(2) }\n return a + (b ?? 1) }", "main", answers, "far.get(4); far.get(2); = 11");
    assert_trace(AGENTS "flow main() -> int { parallel { a = far.get(1)\n critical b = far.get(2) }\n return b }", "main", answers, "far.get(1); far.get(2); ! rejected no");
    const Answer three[] = { { "far.get", "1" }, { "far.get", "2" }, { "far.get", "3" }, { 0 } };
    assert_trace(AGENTS "flow main() -> list<int> { let k = 10\n let xs = [1, 2, 3]\n let ys = parallel for x in xs limit 2 { let y = far.get(x)\n y * k }\n return ys }", "main", three,
                 "far.get(1); far.get(2); far.get(3); = [10,20,30]");
    const Answer race[] = { { "far.get", "!rejected 0 no" }, { "far.get", "5" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return parallel race { a = far.get(1)\n b = far.get(2) } }", "main", race, "far.get(1); far.get(2); = 5");
    const Answer late[] = { { "far.get", "1" }, { "far.get", "@expire" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { parallel within 5s { critical a = far.get(1)\n b = far.get(2) }\n return a + (b ?? 7) }", "main", late, "far.get(1); far.get(2); = 8");
}

#define TABLES "enum S { NEW, DONE }\ntable t { id: id \"T\"\n n: int\n note: string?\n s: S = NEW\n made: timestamp = @2025-01-01T00:00:00Z }\n"

static void queries_carry_their_parameters(void **state)
{
    const Answer rows[] = { { "select t", "[]" }, { "get t", "null" }, { "count t", "2" }, { "sum t", "6" }, { "update t", "1" }, { "delete t", "0" }, { 0 } };
    assert_trace(TABLES "flow main() -> int { let k = 3\n let xs = from r in t where r.n > k + 1 and r.note == null and r.s in [NEW] order by r.n desc limit 5\n let one = t[\"T-1\"]\n"
                 " let c = count(t where n == k)\n let s = sum(t.n)\n let u = update t set n = n + k, s = DONE where id == \"x\"\n let d = delete from t where n < 0\n"
                 " return xs.length() + c + s + u + d }", "main", rows,
                 "select t(4, [\"NEW\"], 5); get t(\"T-1\"); count t(3); sum t(); update t(3, \"DONE\", \"x\"); delete t(0); = 9");
    assert_trace(TABLES "flow main() -> list<int> { return from r in t where r.n > 1 select r.n }", "main", (const Answer[]){ { "select t", "[{\"value\":4},{\"value\":5}]" }, { 0 } }, "select t(1); = [4,5]");
    assert_trace(TABLES "flow main() -> string { let r = insert t { n: 1 }\n return r.id }", "main",
                 (const Answer[]){ { "insert t", "{\"id\":\"ID-1\",\"n\":1,\"note\":null,\"s\":\"NEW\",\"made\":\"2025-01-01T00:00:00Z\"}" }, { 0 } }, "t(); insert t(1, \"ID-1\"); = \"ID-1\"");
}

static void a_wait_carries_its_condition_and_what_that_captures(void **state)
{
    const Answer events[] = { { "Done", "{\"n\":2}" }, { 0 } };
    assert_trace("event Done { n: int }\nflow main() -> int { let e = await Done\n return e.n }", "main", events, "Done(); = 2");
    assert_trace("event Done { n: int }\nflow main() -> int { let e = await Done as d where d.n == 2\n return e.n }", "main", events, "Done(1, 2); = 2");      /* the key, the condition */
    assert_trace("event Done { n: int }\nflow main() -> int { let k = 1\n let s = \"x\"\n let e = await Done as d where d.n > k and s == \"x\"\n return e.n + k }", "main", events, "Done(1, 1, \"x\"); = 3");
    assert_trace("event Done { n: int }\nflow main() -> int { let k = 1\n let e = await Done as d where d.n > 0 and k + 1 == d.n\n return e.n }", "main", events, "Done(1, 2, 1); = 2");
    assert_trace("event Done { n: int }\nflow main() -> int { let e = await Done as d where d.n == d.n\n return e.n }", "main", events, "Done(1); = 2");         /* not known before */
    assert_trace("event Done { n: int }\nflow main() -> int { let e = await Done as d where d.n == 2 or d.n == 3\n return e.n }", "main", events, "Done(1); = 2");
    assert_trace("event Done { n: int }\nflow main() { emit Done { n: 4 }\n sleep 2s\n wait until @2025-01-01T00:00:00Z\n }", "main", NULL,
                 "Done({\"n\":4}); sleep(\"1970-01-01T00:00:03Z\"); sleep(\"2025-01-01T00:00:00Z\"); = ");
    assert_trace("signal note { text: string }\nflow other(x: int = 3) -> int { return x }\nflow main() -> int { let r = start other()\n signal r note { text: \"hi\" }\n return other() + other(4) }", "main", NULL,
                 "other(3); note(\"ID-1\", {\"text\":\"hi\"}); = 7");
}

/* ---- where values could be lost or mixed up ---- */

static void values_survive_what_comes_after_them(void **state)
{
    static const Case cases[] = {
        { "fn main() -> list<int> { var out: list<int> = []\n for i in 0..3 { let row = [1, 2].map(x => x * i)\n for r in row { out = out.append(r) } }\n return out }", "= [0,0,1,2,2,4]" },
        { "fn main() -> list<list<int>> { return [1, 2].map(x => [3, 4].filter(y => y > x + 1).map(y => y * x)) }", "= [[3,4],[8]]" },
        { "fn main() -> int { var x = 2\n let f = x * (if x == 2 { x = 50\n 3 } else { 4 }) + x\n return f }", "= 56" },
        { "fn main() -> list<int> { var xs = [1]\n xs = xs.map(x => x + xs.length())\n xs = xs.append(xs.length() + xs[0])\n return xs }", "= [2,3]" },
        { "fn main() -> string { var s = \"a\"\n s = s + s + s\n s += s\n return s }", "= \"aaaaaa\"" },
        { "fn main() -> string { var s = \"a\"\n s = \"b\" + s + \"c${s}\"\n return s }", "= \"baca\"" },
        { "fn f(a: int, b: int, c: int) -> int { return a * 100 + b * 10 + c }\nfn main() -> int { return f(f(0, 0, 1), f(0, 0, 2), f(0, 0, f(0, 0, 3))) }", "= 123" },
        { "fn f(a: int, b: int = 7, c: string = \"z\") -> string { return \"${a}${b}${c}\" }\nfn main() -> string { return f(1) + f(2, c: \"y\") + f(b: 1, a: 3) }", "= \"17z27y31z\"" },
        { "type P { a: string, b: string }\nfn t(s: string) -> string { return s }\nfn main() -> P { return { b: t(\"1\"), a: t(\"2\") } }", "= {\"a\":\"2\",\"b\":\"1\"}" },
        { "fn main() -> int { var n = 0\n for i in 0..3 { for j in 0..3 { if j == 1 { continue }\n if i == 2 { break }\n n += 10 * i + j } }\n return n }", "= 24" },
        { "fn g(x: int?) -> int? { return x }\nfn main() -> int { var total = 0\n for i in 0..3 { let v = g(if i == 1 { null } else { i }) else { continue }\n total += v + 1 }\n return total }", "= 4" },
        { "type P { q: Q? }\ntype Q { n: int }\nfn main() -> list<int?> { let a: P = { q: { n: 1 } }\n let b: P = { q: null }\n return [a.q?.n, b.q?.n] }", "= [1,null]" },
        { "type P { q: int? }\nfn main() -> int { let p: P = { q: 4 }\n if p.q != null and p.q > 3 { return p.q }\n return 0 }", "= 4" },
        { "fn main() -> string { var x: string? = null\n x = \"a\"\n x = null\n return x ?? \"n\" }", "= \"n\"" },
        { "fn main() -> list<decimal> { let xs: list<decimal> = [1, 2.5]\n return xs.concat([3]) }", "= [1,2.5,3]" },
        { "fn main() -> map<decimal> { var m: map<decimal> = { \"a\": 1 }\n m[\"b\"] = 2\n return m }", "= {\"a\":1,\"b\":2}" },
        { "fn main() -> int { let xs: list<int> = []\n return xs.sum_by(x => x) + (xs.max_by(x => x) ?? 5) }", "= 5" },
        { "enum S { A, B }\nfn f(s: S) -> int { match s {\n A => { return 1 }\n B => { }\n }\n return 2 }\nfn main() -> int { return f(A) * 10 + f(B) }", "= 12" },
        { "fn f(n: int) -> string { return match n % 3 {\n 0 => if n > 5 { \"big\" } else { \"small\" }\n _ => \"${n}\"\n } }\nfn main() -> string { return f(3) + f(6) + f(7) }", "= \"smallbig7\"" },
        { "fn main() -> bool { var i = 0\n let ok = i == 0 or 1 / i == 1\n return ok and not (i != 0 and 1 / i == 1) }", "= true" },
    };
    RUN(cases);
}

static void cleanups_run_once_and_inside_out(void **state)
{
    static const Case cases[] = {
        { "flow main() -> string { var s = \"\"\n try { try { s += \"1\"\n return s } finally { progress 1 \"a\" } } finally { progress 2 \"b\" } }", "progress(1, \"a\"); progress(2, \"b\"); = \"1\"" },
        { "flow main() -> int { for i in 0..3 { try { try { if i == 1 { fail invalid \"x\" }\n if i == 2 { return i } } finally { progress i \"in\" } } catch invalid as e { continue } finally { progress i \"out\" } }\n return 9 }",
          "progress(0, \"in\"); progress(0, \"out\"); progress(1, \"in\"); progress(1, \"out\"); progress(2, \"in\"); progress(2, \"out\"); = 2" },
        { "flow main() -> int { try { fail conflict \"a\" } catch conflict as e { fail invalid \"b\" } finally { progress 1 \"f\" } }", "progress(1, \"f\"); ! invalid b" },
        { "flow main() -> int { try { return 1 } finally { fail invalid \"late\" } }", "! invalid late" },
        { "flow main() -> int\n within 5s\n{ for i in 0..3 { try { if i == 1 { return i } } finally { for k in 0..9 { if k == 1 { break }\n progress k \"k\" } } }\n return 7 }", "progress(0, \"k\"); progress(0, \"k\"); = 1" },
        { "event E { n: int }\nflow main() -> int { let e = await E as x within 1h else { return 4 }\n return e.n }", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].result) assert_result(cases[i].text, cases[i].result);
    assert_trace(cases[5].text, "main", (const Answer[]){ { "E", "@expire" }, { 0 } }, "E(); = 4");
    assert_trace(cases[5].text, "main", (const Answer[]){ { "E", "{\"n\":6}" }, { 0 } }, "E(); = 6");
}

static void clauses_nest(void **state)
{
    const Answer inner[] = { { "far.get", "!unavailable 503 a" }, { "far.get", "@expire" }, { "far.get", "!unavailable 503 b" }, { "far.get", "9" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { return far.get(1) retry slow within 3s else 5 }", "main", inner, "far.get(1); slow(1, \"2s\", a); backoff(\"1970-01-01T00:00:03Z\"); far.get(1); = 5");
    const Answer each[] = { { "far.get", "@expire" }, { "far.get", "4" }, { 0 } };
    assert_trace("policy late { attempts 2\n backoff 1s\n on 408 }\n" AGENTS "flow main() -> int { return far.get(1) within 3s retry late }", "main", each,
                 "far.get(1); late(1, \"1s\", the deadline has passed); backoff(\"1970-01-01T00:00:05Z\"); far.get(1); = 4");
    const Answer saga[] = { { "far.get", "1" }, { "far.get", "2" }, { "far.get", "!rejected 0 no" }, { "far.undo", "0" }, { "far.undo", "0" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { saga {\n step a = far.get(1) compensate far.undo(a)\n saga {\n step b = far.get(2) compensate far.undo(b + a)\n }\n step far.get(3)\n }\n return 0 }", "main", saga,
                 "far.get(1); far.get(2); far.get(3); saga(no); b(\"b\"); far.undo(3); b(\"b\", true, null); a(\"a\"); far.undo(1); a(\"a\", true, null); ! rejected no -b -a");
    const Answer loop[] = { { "far.get", "1" }, { "far.get", "2" }, { "far.get", "3" }, { 0 } };
    assert_trace(AGENTS "flow main() -> int { var n = 0\n for i in 0..3 { saga { step a = far.get(i) compensate far.undo(a)\n if a != 2 { n += a } } }\n return n }", "main", loop,
                 "far.get(0); far.get(1); far.get(2); = 4");
}

static void declared_compensations_find_their_arguments(void **state)
{
    const char *text = "agent a \"A\" {\n tool book(city: string, n: int) -> { id: string }\n compensated by cancel\n idempotent\n { return { id: city } }\n"
                       " tool cancel(id: string, n: int) -> bool\n idempotent\n { return true }\n tool bad() -> int\n idempotent\n { return 1 }\n}\n"
                       "flow main() -> int { let k = 3\n saga {\n step a.book(\"x\", k + 0)\n step b = a.book(\"Rome\", n: k)\n step a.bad()\n }\n return 1 }";
    const Answer answers[] = { { "a.book", "{\"id\":\"B1\"}" }, { "a.book", "{\"id\":\"B2\"}" }, { "a.bad", "!rejected 0 no" }, { "a.cancel", "true" }, { "a.cancel", "true" }, { 0 } };
    assert_trace(text, "main", answers, "a.book(\"x\", 3); a.book(\"Rome\", 3); a.bad(); saga(no); b(\"b\"); a.cancel(\"B2\", 3); b(\"b\", true, null); "
                 "a.book(\"a.book\"); a.cancel(\"B1\", 3); a.book(\"a.book\", true, null); ! rejected no -b -a.book");
}

/* ---- rows of the image ---- */

static void equal_types_are_one_row(void **state)
{
    Image *image = compile_text("type A { x: int, y: list<int> }\ntype B { x: int, y: list<int> }\nfn f(a: A) -> B { return a }\nfn g() -> list<B> { return [{ x: 1, y: [] }] }");
    int records = 0;
    for (int i = 0; i < image->type_count; i++) records += image->types[i].kind == KIND_RECORD;
    assert_int_equal(records, 1);
    assert_int_equal(image->funcs[func_named(image, "f")].result, image->funcs[func_named(image, "f")].reg_types[0]);
    image_free(image);
}

static void flows_carry_their_clauses(void **state)
{
    Image *image = compile_text("flow main(a: string, b: int = 3)\n requires \"x:read\", \"y\"\n within 10m\n durability session\n one per user\n limit 10 per tenant\n rate 100/m per \"${a}\"\n{ }");
    const ImageFlow *flow = &image->flows[0];
    assert_int_equal(flow->scope_count, 2);
    assert_int_equal(flow->within_us, INT64_C(600000000));
    assert_int_equal(flow->durability, DURABILITY_SESSION);
    assert_int_equal(flow->one_per, KEY_USER);
    assert_int_equal(flow->limit_per, KEY_TENANT);
    assert_int_equal(flow->limit_count, 10);
    assert_int_equal(flow->rate_per, KEY_FUNC);
    assert_int_equal(image->funcs[flow->rate_func].result, TYPE_INDEX_STRING);
    assert_int_equal(flow->rate_unit_us, INT64_C(60000000));
    assert_int_equal(image->funcs[flow->init_func].param_count, 2);
    image_free(image);
}

static void events_start_handlers_and_flows(void **state)
{
    Image *image = compile_text("event E { n: int }\nagent a \"A\" {\n on E as e where e.n > 1 { progress 1 \"x\" }\n on E as e { progress 2 \"y\" }\n}\nflow main(k: int = 2)\n on E as e\n{ progress e.n + k \"z\" }");
    assert_int_equal(image->handler_count, 3);
    int conditions = 0, starts = 0;
    for (int i = 0; i < 3; i++) {
        conditions += image->handlers[i].where_func != NO_INDEX;
        starts += image->handlers[i].starts_flow;
        for (int k = 0; k < i; k++) assert_false(str_eq(image->handlers[i].name, image->handlers[k].name));
    }
    assert_int_equal(conditions, 1);
    assert_int_equal(starts, 1);
    image_free(image);
}

/* A body of more instructions than a short jump reaches. */
static void far_jumps_are_widened(void **state)
{
    enum { STATEMENTS = 12000 };
    Buf text = { 0 };
    buf_put_text(&text, "fn main() -> int { var s = 0\n for i in 0..2 {\n if i == 1 { s += 5 }\n if i < 1 {\n");
    for (int i = 0; i < STATEMENTS; i++) buf_put_text(&text, "s = s * 1 + i + 1\n");
    buf_put_text(&text, "} }\n return s }");
    char expected[32];
    snprintf(expected, sizeof expected, "= %d", STATEMENTS + 5);
    assert_result(buf_cstr(&text), expected);
    buf_free(&text);
}

static void too_many_values_at_once_are_reported(void **state)
{
    Buf text = { 0 };
    buf_put_text(&text, "fn main() -> int {\n");
    for (int i = 0; i <= FUNC_REGS_MAX; i++) buf_printf(&text, "let v%d = %d\n", i, i);
    buf_put_text(&text, "return v0 }");
    Program *program = program_of_text("test.flow", buf_str(&text), NULL, 0);
    assert_true(resolve_program(program) && check_program(program));
    assert_null(lower_program(program, false));
    assert_int_equal(program->diags->error_count, 1);
    assert_string_equal(program->diags->items[program->diags->count - 1]->code, "E0434");
    program_free(program);
    buf_free(&text);
}

static void lowering_twice_gives_the_same_bytes(void **state)
{
    const char *text = TABLES AGENTS "flow main() -> int { let xs = from r in t where r.n > 2\n return xs.length() + far.get(1) }";
    Program *program = program_of_text("test.flow", str_of(text), NULL, 0);
    assert_true(resolve_program(program) && check_program(program));
    Image *first = lower_program(program, true), *second = lower_program(program, true);
    Buf a = { 0 }, b = { 0 };
    image_encode(first, &a);
    image_encode(second, &b);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
    image_free(first);
    image_free(second);
    program_free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_keeps_types_apart), cmocka_unit_test(decimals_compare_as_jumps), cmocka_unit_test(control_goes_where_it_says), cmocka_unit_test(parts_are_changed_in_copies),
        cmocka_unit_test(nested_places_keep_the_rest), cmocka_unit_test(list_methods_are_loops), cmocka_unit_test(failures_are_caught_by_kind),
        cmocka_unit_test(retry_waits_longer_each_time), cmocka_unit_test(retry_gives_up), cmocka_unit_test(a_deadline_becomes_a_timeout_or_the_other_value),
        cmocka_unit_test(a_saga_undoes_the_newest_first), cmocka_unit_test(a_return_commits_what_it_leaves), cmocka_unit_test(branches_run_beside_each_other),
        cmocka_unit_test(queries_carry_their_parameters), cmocka_unit_test(values_survive_what_comes_after_them), cmocka_unit_test(cleanups_run_once_and_inside_out),
        cmocka_unit_test(clauses_nest), cmocka_unit_test(declared_compensations_find_their_arguments), cmocka_unit_test(a_wait_carries_its_condition_and_what_that_captures), cmocka_unit_test(equal_types_are_one_row),
        cmocka_unit_test(flows_carry_their_clauses), cmocka_unit_test(events_start_handlers_and_flows), cmocka_unit_test(far_jumps_are_widened),
        cmocka_unit_test(too_many_values_at_once_are_reported), cmocka_unit_test(lowering_twice_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
