/* parse_cases.h - every construct with the tree it becomes. For test_parse.c. */
#ifndef PARSE_CASES_H
#define PARSE_CASES_H
#include <stddef.h>

typedef struct Case {
    const char *text, *tree;    /* a table ends with text NULL */
} Case;

/* ---- statements, in the body of a flow --------------------------------------------------------------------- */
static const Case let_and_var[] = {
    { "let x = 1",
      "(let_stmt name=x value=(int_expr value=1))" },
    { "var x: int? = null",
      "(let_stmt mutable=1 name=x type=(optional_type inner=(name_type name=int)) value=(null_expr))" },
    { "let xs: list<int>= []",
      "(let_stmt name=xs type=(list_type element=(name_type name=int)) value=(list_expr))" },
    { NULL, NULL }
};

static const Case assignments[] = {
    { "x = 1",
      "(assign_stmt target=(name_expr name=x) value=(int_expr value=1))" },
    { "x.a[0] += 2",
      "(assign_stmt target=(index_expr object=(field_expr object=(name_expr name=x) name=a) index=(int_expr value=0)) op=13 value=(int_expr value=2))" },
    { "limit -= 1",
      "(assign_stmt target=(name_expr name=limit) op=14 value=(int_expr value=1))" },
    { "x *= 3",
      "(assign_stmt target=(name_expr name=x) op=15 value=(int_expr value=3))" },
    { NULL, NULL }
};

static const Case literals[] = {
    { "1_000",
      "(expr_stmt value=(int_expr value=1000))" },
    { "49.90",
      "(expr_stmt value=(decimal_expr digits=\"49.90\"))" },
    { "true",
      "(expr_stmt value=(bool_expr value=1))" },
    { "1h30m",
      "(expr_stmt value=(duration_expr us=5400000000 text=\"1h30m\"))" },
    { "7y",
      "(expr_stmt value=(duration_expr us=220752000000000 text=\"7y\"))" },
    { "@2025-11-10",
      "(expr_stmt value=(date_expr days=20402))" },
    { "@2025-11-10T10:00:00Z",
      "(expr_stmt value=(timestamp_expr us=1762768800000000 text=\"2025-11-10T10:00:00Z\"))" },
    { "[1, 2,]",
      "(expr_stmt value=(list_expr items=[(int_expr value=1) (int_expr value=2)]))" },
    { "x =~ /a[/]b\\/c/im",
      "(expr_stmt value=(binary_expr op=10 left=(name_expr name=x) right=(regex_expr pattern=\"a[/]b\\\\/c\" flags=\"im\")))" },
    { "x / 2 / y",
      "(expr_stmt value=(binary_expr op=16 left=(binary_expr op=16 left=(name_expr name=x) right=(int_expr value=2)) right=(name_expr name=y)))" },
    { NULL, NULL }
};

static const Case strings[] = {
    { "\"plain\"",
      "(expr_stmt value=(string_expr parts=[(text_part text=\"plain\")]))" },
    { "\"\"",
      "(expr_stmt value=(string_expr))" },
    { "\"a\\n\\t\\\"\\\\\\$\\u{20AC}\"",
      "(expr_stmt value=(string_expr parts=[(text_part text=\"a\\n\\x09\\\"\\\\$€\")]))" },
    { "\"${a} and ${b:0.00}\"",
      "(expr_stmt value=(string_expr parts=[(interp_part value=(name_expr name=a)) (text_part text=\" and \") (interp_part value=(name_expr name=b) format=\""
      "0.00\")]))" },
    { "\"x ${f(\"y ${m[\"k\"]}\")} z\"",
      "(expr_stmt value=(string_expr parts=[(text_part text=\"x \") (interp_part value=(call_expr callee=(name_expr name=f) args=[(arg value=(string_expr par"
      "ts=[(text_part text=\"y \") (interp_part value=(index_expr object=(name_expr name=m) index=(string_expr parts=[(text_part text=\"k\")])))]))])) (text_"
      "part text=\" z\")]))" },
    { "\"${ {a: 1}.a }\"",
      "(expr_stmt value=(string_expr parts=[(interp_part value=(field_expr object=(record_expr fields=[(field_value name=a value=(int_expr value=1))]) name=a"
      "))]))" },
    { "\"cost $5\"",
      "(expr_stmt value=(string_expr parts=[(text_part text=\"cost $5\")]))" },
    { NULL, NULL }
};

static const Case block_strings[] = {
    { "\"\"\"one\"\"\"",
      "(expr_stmt value=(string_expr block=1 parts=[(text_part text=\"one\")]))" },
    { "\"\"\"\n    one\n      two\n\n    three\n    \"\"\"",
      "(expr_stmt value=(string_expr block=1 parts=[(text_part text=\"one\\n  two\\n\\nthree\")]))" },
    { "\"\"\"\n  a ${b}\n    c\n\"\"\"",
      "(expr_stmt value=(string_expr block=1 parts=[(text_part text=\"  a \") (interp_part value=(name_expr name=b)) (text_part text=\"\\n    c\")]))" },
    { "\"\"\"\n    ${a}\n    b\"\"\"",
      "(expr_stmt value=(string_expr block=1 parts=[(interp_part value=(name_expr name=a)) (text_part text=\"\\nb\")]))" },
    { "\"\"\"say \"hi\" now\"\"\"",
      "(expr_stmt value=(string_expr block=1 parts=[(text_part text=\"say \\\"hi\\\" now\")]))" },
    { NULL, NULL }
};

static const Case precedence[] = {
    { "a or b and not c == d + e * -f",
      "(expr_stmt value=(binary_expr op=1 left=(name_expr name=a) right=(binary_expr op=2 left=(name_expr name=b) right=(unary_expr operand=(binary_expr op=3"
      " left=(name_expr name=c) right=(binary_expr op=13 left=(name_expr name=d) right=(binary_expr op=15 left=(name_expr name=e) right=(unary_expr op=1 oper"
      "and=(name_expr name=f)))))))))" },
    { "a ?\? b ?\? c",
      "(expr_stmt value=(binary_expr op=12 left=(name_expr name=a) right=(binary_expr op=12 left=(name_expr name=b) right=(name_expr name=c))))" },
    { "a - b - c",
      "(expr_stmt value=(binary_expr op=14 left=(binary_expr op=14 left=(name_expr name=a) right=(name_expr name=b)) right=(name_expr name=c)))" },
    { "not a in b",
      "(expr_stmt value=(unary_expr operand=(binary_expr op=9 left=(name_expr name=a) right=(name_expr name=b))))" },
    { "a.b == c ?\? d + 1",
      "(expr_stmt value=(binary_expr op=3 left=(field_expr object=(name_expr name=a) name=b) right=(binary_expr op=12 left=(name_expr name=c) right=(binary_e"
      "xpr op=13 left=(name_expr name=d) right=(int_expr value=1)))))" },
    { "x as int + 1",
      "(expr_stmt value=(binary_expr op=13 left=(as_expr value=(name_expr name=x) type=(name_type name=int)) right=(int_expr value=1)))" },
    { "-a as int",
      "(expr_stmt value=(unary_expr op=1 operand=(as_expr value=(name_expr name=a) type=(name_type name=int))))" },
    { "a with { b: 1 } == c",
      "(expr_stmt value=(binary_expr op=3 left=(with_expr value=(name_expr name=a) fields=(record_expr fields=[(field_value name=b value=(int_expr value=1))]"
      ")) right=(name_expr name=c)))" },
    { NULL, NULL }
};

static const Case postfix[] = {
    { "a.b?.c[0].d(1, x: 2)",
      "(expr_stmt value=(call_expr callee=(field_expr object=(index_expr object=(field_expr object=(field_expr object=(name_expr name=a) name=b) name=c optio"
      "nal=1) index=(int_expr value=0)) name=d) args=[(arg value=(int_expr value=1)) (arg name=x value=(int_expr value=2))]))" },
    { "f(x => x.a)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(lambda_expr params=[(name_ref name=x)] body=(field_expr object=(name_expr name"
      "=x) name=a)))]))" },
    { "f((a, b) => a + b)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(lambda_expr params=[(name_ref name=a) (name_ref name=b)] body=(binary_expr op="
      "13 left=(name_expr name=a) right=(name_expr name=b))))]))" },
    { "f(() => 1)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(lambda_expr body=(int_expr value=1)))]))" },
    { "f(x => { a: x })",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(lambda_expr params=[(name_ref name=x)] body=(record_expr fields=[(field_value "
      "name=a value=(name_expr name=x))])))]))" },
    { NULL, NULL }
};

static const Case aggregates[] = {
    { "count(t)",
      "(expr_stmt value=(aggregate_expr function=count source=(name_expr name=t)))" },
    { "sum(t.amount where a == b)",
      "(expr_stmt value=(aggregate_expr function=sum source=(field_expr object=(name_expr name=t) name=amount) where=(binary_expr op=3 left=(name_expr name=a"
      ") right=(name_expr name=b))))" },
    { "max(a, b)",
      "(expr_stmt value=(call_expr callee=(name_expr name=max) args=[(arg value=(name_expr name=a)) (arg value=(name_expr name=b))]))" },
    { "min(f(x))",
      "(expr_stmt value=(call_expr callee=(name_expr name=min) args=[(arg value=(call_expr callee=(name_expr name=f) args=[(arg value=(name_expr name=x))]))]"
      "))" },
    { "exists(t where a)",
      "(expr_stmt value=(aggregate_expr function=exists source=(name_expr name=t) where=(name_expr name=a)))" },
    { NULL, NULL }
};

static const Case clauses[] = {
    { "f() retry transient within 5s else null",
      "(expr_stmt value=(else_expr value=(within_expr value=(retry_expr value=(call_expr callee=(name_expr name=f)) policy=transient) duration=(duration_expr"
      " us=5000000 text=\"5s\")) otherwise=(null_expr)))" },
    { "f() else fail not_found \"no ${x}\" with { status: 404 }",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(fail_stmt kind=not_found message=(string_expr parts=[(text_part tex"
      "t=\"no \") (interp_part value=(name_expr name=x))]) details=(record_expr fields=[(field_value name=status value=(int_expr value=404))]))))" },
    { "f() else return",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(return_stmt)))" },
    { "f() else return 1",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(return_stmt value=(int_expr value=1))))" },
    { "f() else { g() }",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=g))"
      ")])))" },
    { "f() else { a: 1 }",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(record_expr fields=[(field_value name=a value=(int_expr value=1))])"
      "))" },
    { "f() else break",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(break_stmt)))" },
    { "f() else if a { 1 } else { 2 }",
      "(expr_stmt value=(else_expr value=(call_expr callee=(name_expr name=f)) otherwise=(if_stmt condition=(name_expr name=a) then_block=(block items=[(expr"
      "_stmt value=(int_expr value=1))]) else_block=(block items=[(expr_stmt value=(int_expr value=2))]))))" },
    { NULL, NULL }
};

static const Case questions[] = {
    { "ask \"ok?\" as bool within 24h else false",
      "(expr_stmt value=(else_expr value=(within_expr value=(ask_expr question=(string_expr parts=[(text_part text=\"ok?\")]) type=(name_type name=bool)) dur"
      "ation=(duration_expr us=86400000000 text=\"24h\")) otherwise=(bool_expr)))" },
    { "ask \"which?\" as one of xs.map(x => x.id)",
      "(expr_stmt value=(ask_expr question=(string_expr parts=[(text_part text=\"which?\")]) choices=(call_expr callee=(field_expr object=(name_expr name=xs)"
      " name=map) args=[(arg value=(lambda_expr params=[(name_ref name=x)] body=(field_expr object=(name_expr name=x) name=id)))])))" },
    { "ask question",
      "(expr_stmt value=(ask_expr question=(name_expr name=question)))" },
    { "await E as e where e.id == x and y within 1h else null",
      "(expr_stmt value=(else_expr value=(within_expr value=(await_expr event=E name=e where=(binary_expr op=2 left=(binary_expr op=3 left=(field_expr object"
      "=(name_expr name=e) name=id) right=(name_expr name=x)) right=(name_expr name=y))) duration=(duration_expr us=3600000000 text=\"1h\")) otherwise=(null_"
      "expr)))" },
    { "await note",
      "(expr_stmt value=(await_expr event=note))" },
    { "start other(1)",
      "(expr_stmt value=(start_expr call=(call_expr callee=(name_expr name=other) args=[(arg value=(int_expr value=1))])))" },
    { NULL, NULL }
};

static const Case plans[] = {
    { "run plan p allow [a.x, b.*]",
      "(expr_stmt value=(plan_expr plan=(name_expr name=p) allow=[(plan_tool agent=a tool=x) (plan_tool agent=b tool=*)]))" },
    { "let o = run plan f(x).y ask usd 0.5 calls 3 for \"a\" + b allow [a.*,] within 30s",
      "(let_stmt name=o value=(plan_expr plan=(field_expr object=(call_expr callee=(name_expr name=f) args=[(arg value=(name_expr name=x))]) name=y) request="
      "(binary_expr op=13 left=(string_expr parts=[(text_part text=\"a\")]) right=(name_expr name=b)) allow=[(plan_tool agent=a tool=*)] within=(duration_expr"
      " us=30000000 text=\"30s\") calls=(int_expr value=3) usd=(decimal_expr digits=\"0.5\") ask=ask))" },
    { "run plan plan\n  for request\n  allow [a.*]\n  steps 1 fuel 2\n  memory 3\n  tokens 4\n  ask\n  within 1s\nfor x in xs { }",
      "(expr_stmt value=(plan_expr plan=(name_expr name=plan) request=(name_expr name=request) allow=[(plan_tool agent=a tool=*)] within=(duration_expr us=10"
      "00000 text=\"1s\") steps=(int_expr value=1) fuel=(int_expr value=2) memory=(int_expr value=3) tokens=(int_expr value=4) ask=ask)) (for_stmt name=x sour"
      "ce=(name_expr name=xs) body=(block))" },
    { "run plan p allow [a.*]\nask \"x\"\ntokens = steps\nfuel(1)",
      "(expr_stmt value=(plan_expr plan=(name_expr name=p) allow=[(plan_tool agent=a tool=*)])) (expr_stmt value=(ask_expr question=(string_expr parts=[(text_"
      "part text=\"x\")]))) (assign_stmt target=(name_expr name=tokens) value=(name_expr name=steps)) (expr_stmt value=(call_expr callee=(name_expr name=fuel)"
      " args=[(arg value=(int_expr value=1))]))" },
    { "f(run plan p allow [a.*], calls, { run: run plan { a: 1 } allow [a.*]\n memory: 1 })",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(plan_expr plan=(name_expr name=p) allow=[(plan_tool agent=a tool=*)])) (arg val"
      "ue=(name_expr name=calls)) (arg value=(record_expr fields=[(field_value name=run value=(plan_expr plan=(record_expr fields=[(field_value name=a value=("
      "int_expr value=1))]) allow=[(plan_tool agent=a tool=*)])) (field_value name=memory value=(int_expr value=1))]))]))" },
    { "run plan(\"x\")",
      "(run_stmt call=(call_expr callee=(name_expr name=plan) args=[(arg value=(string_expr parts=[(text_part text=\"x\")]))]))" },
    { "let run = plan + allow",
      "(let_stmt name=run value=(binary_expr op=13 left=(name_expr name=plan) right=(name_expr name=allow)))" },
    { NULL, NULL }
};

static const Case queries[] = {
    { "from x in t",
      "(expr_stmt value=(from_expr name=x source=(name_expr name=t)))" },
    { "from x in t join y in u on x.a == y.b where x.c in [A, B] group by x.d order by x.e desc, x.f asc, x.g limit 3 select { n: count(x) }",
      "(expr_stmt value=(from_expr name=x source=(name_expr name=t) joins=[(join_clause name=y source=(name_expr name=u) condition=(binary_expr op=3 left=(fi"
      "eld_expr object=(name_expr name=x) name=a) right=(field_expr object=(name_expr name=y) name=b)))] where=(binary_expr op=9 left=(field_expr object=(nam"
      "e_expr name=x) name=c) right=(list_expr items=[(name_expr name=A) (name_expr name=B)])) group=(field_expr object=(name_expr name=x) name=d) order=[(or"
      "der_key value=(field_expr object=(name_expr name=x) name=e) descending=1) (order_key value=(field_expr object=(name_expr name=x) name=f)) (order_key v"
      "alue=(field_expr object=(name_expr name=x) name=g))] limit=(int_expr value=3) select=(record_expr fields=[(field_value name=n value=(aggregate_expr fu"
      "nction=count source=(name_expr name=x)))])))" },
    { "f(from x in t order by x.a, 1, y: 2)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(from_expr name=x source=(name_expr name=t) order=[(order_key value=(field_expr"
      " object=(name_expr name=x) name=a)) (order_key value=(int_expr value=1))])) (arg name=y value=(int_expr value=2))]))" },
    { "[from x in t order by x.a, x.b]",
      "(expr_stmt value=(list_expr items=[(from_expr name=x source=(name_expr name=t) order=[(order_key value=(field_expr object=(name_expr name=x) name=a)) "
      "(order_key value=(field_expr object=(name_expr name=x) name=b))])]))" },
    { "{ a: from x in t order by x.a, b: 1 }",
      "(expr_stmt value=(record_expr fields=[(field_value name=a value=(from_expr name=x source=(name_expr name=t) order=[(order_key value=(field_expr object"
      "=(name_expr name=x) name=a))])) (field_value name=b value=(int_expr value=1))]))" },
    { "update t set a = 1, b = a + 1 where c",
      "(expr_stmt value=(update_expr table=t sets=[(set_clause column=a value=(int_expr value=1)) (set_clause column=b value=(binary_expr op=13 left=(name_ex"
      "pr name=a) right=(int_expr value=1)))] where=(name_expr name=c)))" },
    { "update x in t set a = 1",
      "(expr_stmt value=(update_expr name=x table=t sets=[(set_clause column=a value=(int_expr value=1))]))" },
    { "delete from t where a < 0",
      "(expr_stmt value=(delete_expr table=t where=(binary_expr op=5 left=(name_expr name=a) right=(int_expr value=0))))" },
    { "delete from x in t",
      "(expr_stmt value=(delete_expr name=x table=t))" },
    { "insert t { a, b: 1 }",
      "(expr_stmt value=(insert_expr table=t value=(record_expr fields=[(field_value name=a) (field_value name=b value=(int_expr value=1))])))" },
    { NULL, NULL }
};

static const Case conditions[] = {
    { "if a { b }",
      "(if_stmt condition=(name_expr name=a) then_block=(block items=[(expr_stmt value=(name_expr name=b))]))" },
    { "if a { b } else if c { d } else { e }",
      "(if_stmt condition=(name_expr name=a) then_block=(block items=[(expr_stmt value=(name_expr name=b))]) else_block=(if_stmt condition=(name_expr name=c)"
      " then_block=(block items=[(expr_stmt value=(name_expr name=d))]) else_block=(block items=[(expr_stmt value=(name_expr name=e))])))" },
    { "let x = if a { 1 } else if b { 2 } else { 3 }",
      "(let_stmt name=x value=(if_stmt condition=(name_expr name=a) then_block=(block items=[(expr_stmt value=(int_expr value=1))]) else_block=(if_stmt condi"
      "tion=(name_expr name=b) then_block=(block items=[(expr_stmt value=(int_expr value=2))]) else_block=(block items=[(expr_stmt value=(int_expr value=3))]"
      "))))" },
    { "let x = if a == { b: 1 } { 1 } else { 2 }",
      "(let_stmt name=x value=(if_stmt condition=(binary_expr op=3 left=(name_expr name=a) right=(record_expr fields=[(field_value name=b value=(int_expr val"
      "ue=1))])) then_block=(block items=[(expr_stmt value=(int_expr value=1))]) else_block=(block items=[(expr_stmt value=(int_expr value=2))])))" },
    { NULL, NULL }
};

static const Case matches[] = {
    { "match x {\n1, -2, \"s\" => a\nNULLISH if b > 1 => { c() }\nnull => { d: 1 }\nlet k => fail internal \"x\"\n_ => return\n}",
      "(match_stmt subject=(name_expr name=x) arms=[(match_arm patterns=[(int_expr value=1) (unary_expr op=1 operand=(int_expr value=2)) (string_expr parts=["
      "(text_part text=\"s\")])] body=(name_expr name=a)) (match_arm patterns=[(name_expr name=NULLISH)] guard=(binary_expr op=7 left=(name_expr name=b) righ"
      "t=(int_expr value=1)) body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=c)))])) (match_arm patterns=[(null_expr)] body=(record_exp"
      "r fields=[(field_value name=d value=(int_expr value=1))])) (match_arm patterns=[(bind_pattern name=k)] body=(fail_stmt kind=internal message=(string_e"
      "xpr parts=[(text_part text=\"x\")]))) (match_arm patterns=[(wildcard_pattern)] body=(return_stmt))])" },
    { "let x = match a.b { true => 1 }",
      "(let_stmt name=x value=(match_stmt subject=(field_expr object=(name_expr name=a) name=b) arms=[(match_arm patterns=[(bool_expr value=1)] body=(int_exp"
      "r value=1))]))" },
    { NULL, NULL }
};

static const Case loops[] = {
    { "for x in xs { a() }",
      "(for_stmt name=x source=(name_expr name=xs) body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=a)))]))" },
    { "for x, i in 0..n + 1 { break }",
      "(for_stmt name=x index=(name_ref name=i) source=(range_expr from=(int_expr value=0) to=(binary_expr op=13 left=(name_expr name=n) right=(int_expr valu"
      "e=1))) body=(block items=[(break_stmt)]))" },
    { "while a at most 100 times { continue }",
      "(while_stmt condition=(name_expr name=a) bound=(int_expr value=100) body=(block items=[(continue_stmt)]))" },
    { "while a { b() }",
      "(while_stmt condition=(name_expr name=a) body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=b)))]))" },
    { "parallel for u in users limit 10 within 5s { f(u) }",
      "(expr_stmt value=(parallel_for name=u source=(name_expr name=users) limit=(int_expr value=10) within=(duration_expr us=5000000 text=\"5s\") body=(bloc"
      "k items=[(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(name_expr name=u))]))])))" },
    { "let xs = parallel for u in users { { id: u } }",
      "(let_stmt name=xs value=(parallel_for name=u source=(name_expr name=users) body=(block items=[(expr_stmt value=(record_expr fields=[(field_value name="
      "id value=(name_expr name=u))]))])))" },
    { NULL, NULL }
};

static const Case parallels[] = {
    { "parallel within 5s limit 2 {\ncritical a = f()\nb = { let x = 1\nx }\n}",
      "(parallel_stmt within=(duration_expr us=5000000 text=\"5s\") limit=(int_expr value=2) branches=[(branch critical=1 name=a value=(call_expr callee=(nam"
      "e_expr name=f))) (branch name=b value=(block items=[(let_stmt name=x value=(int_expr value=1)) (expr_stmt value=(name_expr name=x))]))])" },
    { "let w = parallel race { a = f(1)  b = f(2) }",
      "(let_stmt name=w value=(parallel_stmt race=1 branches=[(branch name=a value=(call_expr callee=(name_expr name=f) args=[(arg value=(int_expr value=1))]"
      ")) (branch name=b value=(call_expr callee=(name_expr name=f) args=[(arg value=(int_expr value=2))]))]))" },
    { NULL, NULL }
};

static const Case failures[] = {
    { "try { a() } catch timeout, denied as e { b() } catch as e { fail e } finally { c() }",
      "(try_stmt body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=a)))]) catches=[(catch_clause kinds=[(name_ref name=timeout) (name_ref"
      " name=denied)] name=e body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=b)))])) (catch_clause name=e body=(block items=[(fail_stmt"
      " message=(name_expr name=e))]))] finally_block=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=c)))]))" },
    { "try { a() } catch { b() }",
      "(try_stmt body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=a)))]) catches=[(catch_clause body=(block items=[(expr_stmt value=(cal"
      "l_expr callee=(name_expr name=b)))]))])" },
    { "fail rejected \"x\" with { status: 400 }",
      "(fail_stmt kind=rejected message=(string_expr parts=[(text_part text=\"x\")]) details=(record_expr fields=[(field_value name=status value=(int_expr va"
      "lue=400))]))" },
    { "fail e.cause",
      "(fail_stmt message=(field_expr object=(name_expr name=e) name=cause))" },
    { "fail invalid why",
      "(fail_stmt kind=invalid message=(name_expr name=why))" },
    { NULL, NULL }
};

static const Case effects[] = {
    { "transaction { a() }",
      "(transaction_stmt body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=a)))]))" },
    { "saga {\nstep a = f()\ncompensate g(a)\nstep h()\n}",
      "(saga_stmt body=(block items=[(step_stmt name=a value=(call_expr callee=(name_expr name=f)) compensate=(call_expr callee=(name_expr name=g) args=[(arg"
      " value=(name_expr name=a))])) (step_stmt value=(call_expr callee=(name_expr name=h)))]))" },
    { "emit E { a: 1, b }",
      "(emit_stmt event=E value=(record_expr fields=[(field_value name=a value=(int_expr value=1)) (field_value name=b)]))" },
    { "sleep 2 * d",
      "(sleep_stmt duration=(binary_expr op=15 left=(int_expr value=2) right=(name_expr name=d)))" },
    { "wait until t",
      "(wait_stmt until=(name_expr name=t))" },
    { "progress 20 \"half ${x}\"",
      "(progress_stmt percent=(int_expr value=20) message=(string_expr parts=[(text_part text=\"half \") (interp_part value=(name_expr name=x))]))" },
    { "progress n",
      "(progress_stmt percent=(name_expr name=n))" },
    { "signal child note { text: \"x\" }",
      "(signal_stmt run=(name_expr name=child) name=note value=(record_expr fields=[(field_value name=text value=(string_expr parts=[(text_part text=\"x\")])"
      ")]))" },
    { NULL, NULL }
};

static const Case tests_given[] = {
    { "given a.b fails rejected \"x\" with { status: 503 } 3 times",
      "(given_fails tool=(field_expr object=(name_expr name=a) name=b) kind=rejected message=(string_expr parts=[(text_part text=\"x\")]) details=(record_exp"
      "r fields=[(field_value name=status value=(int_expr value=503))]) times=(int_expr value=3))" },
    { "given a.b fails timeout",
      "(given_fails tool=(field_expr object=(name_expr name=a) name=b) kind=timeout)" },
    { "given a.b returns { x: 1 } after 6s",
      "(given_returns tool=(field_expr object=(name_expr name=a) name=b) value=(record_expr fields=[(field_value name=x value=(int_expr value=1))]) delay=(du"
      "ration_expr us=6000000 text=\"6s\"))" },
    { "given user answers true, \"x\"",
      "(given_answers answers=[(bool_expr value=1) (string_expr parts=[(text_part text=\"x\")])])" },
    { "given user answers nothing",
      "(given_answers)" },
    { "given flights [{ id: \"a\" }, { id: \"b\" }]",
      "(given_rows table=flights rows=[(record_expr fields=[(field_value name=id value=(string_expr parts=[(text_part text=\"a\")]))]) (record_expr fields=[("
      "field_value name=id value=(string_expr parts=[(text_part text=\"b\")]))])])" },
    { "given fixture berlin",
      "(given_fixture name=berlin)" },
    { "given now @2025-11-03T08:00:00Z",
      "(given_now time=(timestamp_expr us=1762156800000000 text=\"2025-11-03T08:00:00Z\"))" },
    { "given ids bookings \"A\", \"B\"",
      "(given_ids table=bookings ids=[(string_expr parts=[(text_part text=\"A\")]) (string_expr parts=[(text_part text=\"B\")])])" },
    { NULL, NULL }
};

static const Case tests_run[] = {
    { "run f(a: 1) as \"anna\" of \"family\"",
      "(run_stmt call=(call_expr callee=(name_expr name=f) args=[(arg name=a value=(int_expr value=1))]) user=\"anna\" tenant=\"family\")" },
    { "run f()",
      "(run_stmt call=(call_expr callee=(name_expr name=f)))" },
    { "advance 30d",
      "(advance_stmt duration=(duration_expr us=2592000000000 text=\"30d\"))" },
    { "answer true",
      "(answer_stmt value=(bool_expr value=1))" },
    { "deliver E again",
      "(deliver_stmt event=E)" },
    { "cancel",
      "(cancel_stmt)" },
    { "crash everywhere",
      "(crash_stmt)" },
    { NULL, NULL }
};

static const Case tests_expect[] = {
    { "expect completed",
      "(expect_outcome outcome=completed)" },
    { "expect parked",
      "(expect_outcome outcome=parked)" },
    { "expect failed",
      "(expect_outcome outcome=failed)" },
    { "expect failed timeout",
      "(expect_outcome outcome=failed kind=timeout)" },
    { "expect failed rejected \"x\"",
      "(expect_outcome outcome=failed kind=rejected message=(string_expr parts=[(text_part text=\"x\")]))" },
    { "expect calls [a.b, c.d] in any order",
      "(expect_calls any_order=1 tools=[(field_expr object=(name_expr name=a) name=b) (field_expr object=(name_expr name=c) name=d)])" },
    { "expect calls []",
      "(expect_calls)" },
    { "expect asked \"x\"",
      "(expect_asked text=(string_expr parts=[(text_part text=\"x\")]))" },
    { "expect emitted [A, B]",
      "(expect_emitted events=[(name_ref name=A) (name_ref name=B)])" },
    { "expect count(t where a) == 0",
      "(expect_stmt condition=(binary_expr op=3 left=(aggregate_expr function=count source=(name_expr name=t) where=(name_expr name=a)) right=(int_expr value"
      "=0)))" },
    { "expect not result.ok",
      "(expect_stmt condition=(unary_expr operand=(field_expr object=(name_expr name=result) name=ok)))" },
    { "expect completed == 1",
      "(expect_stmt condition=(binary_expr op=3 left=(name_expr name=completed) right=(int_expr value=1)))" },
    { NULL, NULL }
};

static const Case words_as_names[] = {
    { "let limit = kind",
      "(let_stmt name=limit value=(name_expr name=kind))" },
    { "state.text.type = from",
      "(assign_stmt target=(field_expr object=(field_expr object=(name_expr name=state) name=text) name=type) value=(name_expr name=from))" },
    { "f(start: 1, where: select)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg name=start value=(int_expr value=1)) (arg name=where value=(name_expr name=select))])"
      ")" },
    { "{ kind, limit, state, match: 1, if: 2 }",
      "(expr_stmt value=(record_expr fields=[(field_value name=kind) (field_value name=limit) (field_value name=state) (field_value name=match value=(int_exp"
      "r value=1)) (field_value name=if value=(int_expr value=2))]))" },
    { "step = run + cancel",
      "(assign_stmt target=(name_expr name=step) value=(binary_expr op=13 left=(name_expr name=run) right=(name_expr name=cancel)))" },
    { "order.by(group)",
      "(expr_stmt value=(call_expr callee=(field_expr object=(name_expr name=order) name=by) args=[(arg value=(name_expr name=group))]))" },
    { "answer(x)",
      "(answer_stmt value=(name_expr name=x))" },
    { "x.match(y).if",
      "(expr_stmt value=(field_expr object=(call_expr callee=(field_expr object=(name_expr name=x) name=match) args=[(arg value=(name_expr name=y))]) name=if"
      "))" },
    { "let e = expect",
      "(let_stmt name=e value=(name_expr name=expect))" },
    { "signal.x = 1",
      "(assign_stmt target=(field_expr object=(name_expr name=signal) name=x) value=(int_expr value=1))" },
    { "{ from }",
      "(expr_stmt value=(record_expr fields=[(field_value name=from)]))" },
    { "(where)",
      "(expr_stmt value=(name_expr name=where))" },
    { "start.x()",
      "(expr_stmt value=(call_expr callee=(field_expr object=(name_expr name=start) name=x)))" },
    { NULL, NULL }
};

static const Case continued[] = {
    { "let x = a\n    .b\n    ?\? c\n    + d",
      "(let_stmt name=x value=(binary_expr op=12 left=(field_expr object=(name_expr name=a) name=b) right=(binary_expr op=13 left=(name_expr name=c) right=(n"
      "ame_expr name=d))))" },
    { "let x = a +\n  b",
      "(let_stmt name=x value=(binary_expr op=13 left=(name_expr name=a) right=(name_expr name=b)))" },
    { "f(\n  a,\n  b\n)\ng()",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(name_expr name=a)) (arg value=(name_expr name=b))])) (expr_stmt value=(call_ex"
      "pr callee=(name_expr name=g)))" },
    { "a\n(b)",
      "(expr_stmt value=(name_expr name=a)) (expr_stmt value=(name_expr name=b))" },
    { "a\n[b]",
      "(expr_stmt value=(name_expr name=a)) (expr_stmt value=(list_expr items=[(name_expr name=b)]))" },
    { "let x = f()\n  retry p\n  within 5s\n  else null",
      "(let_stmt name=x value=(else_expr value=(within_expr value=(retry_expr value=(call_expr callee=(name_expr name=f)) policy=p) duration=(duration_expr u"
      "s=5000000 text=\"5s\")) otherwise=(null_expr)))" },
    { "let q = from x in t\n where x.a\n order by x.b,\n x.c\n limit 3\n select x",
      "(let_stmt name=q value=(from_expr name=x source=(name_expr name=t) where=(field_expr object=(name_expr name=x) name=a) order=[(order_key value=(field_"
      "expr object=(name_expr name=x) name=b)) (order_key value=(field_expr object=(name_expr name=x) name=c))] limit=(int_expr value=3) select=(name_expr na"
      "me=x)))" },
    { "x = { a: 1\n b: 2 }",
      "(assign_stmt target=(name_expr name=x) value=(record_expr fields=[(field_value name=a value=(int_expr value=1)) (field_value name=b value=(int_expr va"
      "lue=2))]))" },
    { "if a\n{\nb\n}\nelse\n{\nc\n}",
      "(if_stmt condition=(name_expr name=a) then_block=(block items=[(expr_stmt value=(name_expr name=b))]) else_block=(block items=[(expr_stmt value=(name_"
      "expr name=c))]))" },
    { "let x = a\nwithin = 3",
      "(let_stmt name=x value=(name_expr name=a)) (assign_stmt target=(name_expr name=within) value=(int_expr value=3))" },
    { "limit\nwhere",
      "(expr_stmt value=(name_expr name=limit)) (expr_stmt value=(name_expr name=where))" },
    { "f(a // c\n)",
      "(expr_stmt value=(call_expr callee=(name_expr name=f) args=[(arg value=(name_expr name=a))]))" },
    { "return\nx",
      "(return_stmt) (expr_stmt value=(name_expr name=x))" },
    { NULL, NULL }
};

/* ---- declarations --------------------------------------------------------------------------------------- */
static const Case declare_use[] = {
    { "use agents.travel",
      "(use_decl path=\"agents.travel\")" },
    { NULL, NULL }
};

static const Case declare_agent[] = {
    { "agent a \"A\" at http(env.X) auth credential(\"x\") {\ntool t(a: int, b: pii string? = null) -> { x: int }\nreads\nvia GET \"/x\"\nresource \"a://b\" "
      "-> list<T> { return [] }\non E as e where e.a { b() }\n}",
      "(agent_decl name=a title=\"A\" location=(call_expr callee=(name_expr name=http) args=[(arg value=(field_expr object=(name_expr name=env) name=X))]) au"
      "th=(call_expr callee=(name_expr name=credential) args=[(arg value=(string_expr parts=[(text_part text=\"x\")]))]) members=[(tool_decl name=t params=[("
      "param name=a type=(name_type name=int)) (param name=b type=(label_type label=pii inner=(optional_type inner=(name_type name=string))) value=(null_expr"
      "))] result=(record_type fields=[(field name=x type=(name_type name=int))]) clauses=[(effect_clause effect=reads) (via_clause method=GET path=\"/x\")])"
      " (resource_decl uri=\"a://b\" result=(list_type element=(name_type name=T)) body=(block items=[(return_stmt value=(list_expr))])) (handler_decl event="
      "E name=e where=(field_expr object=(name_expr name=e) name=a) body=(block items=[(expr_stmt value=(call_expr callee=(name_expr name=b)))]))])" },
    { "agent a \"A\" {}",
      "(agent_decl name=a title=\"A\")" },
    { NULL, NULL }
};

static const Case declare_clauses[] = {
    { "flow f() -> int\non E as e\nrequires \"a\", \"b\"\nwithin 10m\ndurability none\none per user\nlimit 10 per tenant\nrate 100/m per tenant\n{ 1 }",
      "(flow_decl name=f result=(name_type name=int) clauses=[(trigger_clause event=E name=e) (requires_clause scopes=[(string_expr parts=[(text_part text=\""
      "a\")]) (string_expr parts=[(text_part text=\"b\")])]) (within_clause duration=(duration_expr us=600000000 text=\"10m\")) (durability_clause level=none"
      ") (one_per_clause key=(name_expr name=user)) (limit_clause count=(int_expr value=10) key=(name_expr name=tenant)) (rate_clause count=(int_expr value=1"
      "00) unit=m key=(name_expr name=tenant))] body=(block items=[(expr_stmt value=(int_expr value=1))]))" },
    { "flow priority(priority: int) within 1m\npriority 7\n{ priority }",
      "(flow_decl name=priority params=[(param name=priority type=(name_type name=int))] clauses=[(within_clause duration=(duration_expr us=60000000 text=\"1m\")) "
      "(priority_clause value=(int_expr value=7))] body=(block items=[(expr_stmt value=(name_expr name=priority))]))" },
    { "flow f() requires \"a\" { 1 }",
      "(flow_decl name=f clauses=[(requires_clause scopes=[(string_expr parts=[(text_part text=\"a\")])])] body=(block items=[(expr_stmt value=(int_expr valu"
      "e=1))]))" },
    { "agent a \"A\" {\ntool t() compensated by u key k irreversible idempotent { 1 }\n}",
      "(agent_decl name=a title=\"A\" members=[(tool_decl name=t clauses=[(compensated_clause tool=u) (key_clause key=(name_expr name=k)) (effect_clause effe"
      "ct=irreversible) (effect_clause effect=idempotent)] body=(block items=[(expr_stmt value=(int_expr value=1))]))])" },
    { "agent a \"A\" {\ntool t(x: trusted pii string like /(a)/i, trusted: int = 1 like /b/) reads\ncosts tokens 5\nusd 0.02 { tokens }\n}",
      "(agent_decl name=a title=\"A\" members=[(tool_decl name=t params=[(param name=x type=(label_type label=trusted inner=(label_type label=pii inner=(name_typ"
      "e name=string))) pattern=(regex_expr pattern=\"(a)\" flags=\"i\")) (param name=trusted type=(name_type name=int) value=(int_expr value=1) pattern=(reg"
      "ex_expr pattern=\"b\"))] clauses=[(effect_clause effect=reads) (costs_clause tokens=(int_expr value=5) usd=(decimal_expr digits=\"0.02\"))] body=(block items=[(expr_stmt value=(name_expr name=tokens))]))])" },
    { "flow plan(plan: json, costs: int) { run(plan) }",
      "(flow_decl name=plan params=[(param name=plan type=(name_type name=json)) (param name=costs type=(name_type name=int))] body=(block items=[(expr_stmt v"
      "alue=(call_expr callee=(name_expr name=run) args=[(arg value=(name_expr name=plan))]))]))" },
    { NULL, NULL }
};

static const Case declare_records[] = {
    { "event E { a: string like /x/i, b: id<t> }",
      "(event_decl name=E fields=[(field name=a type=(name_type name=string) pattern=(regex_expr pattern=\"x\" flags=\"i\")) (field name=b type=(id_type tabl"
      "e=t))])" },
    { "signal s { a: map<list<int>> }",
      "(signal_decl name=s fields=[(field name=a type=(map_type element=(list_type element=(name_type name=int))))])" },
    { "type T {\na: { b: int, c: int? }?\nb: secret int = 1\n}",
      "(record_decl name=T fields=[(field name=a type=(optional_type inner=(record_type fields=[(field name=b type=(name_type name=int)) (field name=c type=("
      "optional_type inner=(name_type name=int)))]))) (field name=b type=(label_type label=secret inner=(name_type name=int)) value=(int_expr value=1))])" },
    { "enum E { A like /a/, B\nC }",
      "(enum_decl name=E members=[(enum_member name=A pattern=(regex_expr pattern=\"a\")) (enum_member name=B) (enum_member name=C)])" },
    { NULL, NULL }
};

static const Case declare_machine[] = {
    { "machine M {\nA -> B, C\nB -> C\nfinal C, D\n}",
      "(machine_decl name=M transitions=[(transition from=A targets=[(name_ref name=B) (name_ref name=C)]) (transition from=B targets=[(name_ref name=C)])] f"
      "inals=[(name_ref name=C) (name_ref name=D)])" },
    { "machine M { A -> B final B }",
      "(machine_decl name=M transitions=[(transition from=A targets=[(name_ref name=B)])] finals=[(name_ref name=B)])" },
    { NULL, NULL }
};

static const Case declare_table[] = {
    { "table t of a shared {\nid: id \"X\"\nlimit: int = 1 + 2\nversion\nindex (a, b)\nunique (a)\non erase retain 7y \"why\"\non erase anonymize (a, b)\nexp"
      "ort as \"x\"\n}",
      "(table_decl name=t agent=(name_ref name=a) shared=1 columns=[(column name=id type=(id_type prefix=\"X\")) (column name=limit type=(name_type name=int)"
      " value=(binary_expr op=13 left=(int_expr value=1) right=(int_expr value=2)))] clauses=[(version_clause) (index_clause columns=[(name_ref name=a) (name"
      "_ref name=b)]) (index_clause unique=1 columns=[(name_ref name=a)]) (erase_clause action=retain period=(duration_expr us=220752000000000 text=\"7y\") r"
      "eason=\"why\") (erase_clause action=anonymize columns=[(name_ref name=a) (name_ref name=b)]) (export_clause name=\"x\")])" },
    { "table t { on: int, version: int, version }",
      "(table_decl name=t columns=[(column name=on type=(name_type name=int)) (column name=version type=(name_type name=int))] clauses=[(version_clause)])" },
    { NULL, NULL }
};

static const Case declare_policy[] = {
    { "policy p { attempts 5, backoff 1s to 30s factor 2 jitter 2.5%, on 408, \"X\", refresh on 401 }",
      "(policy_decl name=p attempts=(int_expr value=5) backoff=(duration_expr us=1000000 text=\"1s\") backoff_max=(duration_expr us=30000000 text=\"30s\") fa"
      "ctor=(int_expr value=2) jitter=(decimal_expr digits=\"0.025\") retry_on=[(int_expr value=408) (string_expr parts=[(text_part text=\"X\")])] refresh_on"
      "=[(int_expr value=401)])" },
    { "policy p { attempts 1 backoff 1s jitter 120% }",
      "(policy_decl name=p attempts=(int_expr value=1) backoff=(duration_expr us=1000000 text=\"1s\") jitter=(decimal_expr digits=\"1.20\"))" },
    { NULL, NULL }
};

static const Case declare_rest[] = {
    { "participants { user \"U\", llm \"L\"\nbus \"B\" }",
      "(participants_decl entries=[(participant part=user title=\"U\") (participant part=llm title=\"L\") (participant part=bus title=\"B\")])" },
    { "fixture x { a [{ b: 1 }] c [] }",
      "(fixture_decl name=x entries=[(fixture_rows table=a rows=[(record_expr fields=[(field_value name=b value=(int_expr value=1))])]) (fixture_rows table=c"
      ")])" },
    { "test documented \"t\" { cancel }",
      "(test_decl documented=1 title=\"t\" body=(block items=[(cancel_stmt)]))" },
    { "test \"t\" { }",
      "(test_decl title=\"t\" body=(block))" },
    { "fn f(a: date,) -> bool { return a }",
      "(fn_decl name=f params=[(param name=a type=(name_type name=date))] result=(name_type name=bool) body=(block items=[(return_stmt value=(name_expr name="
      "a))]))" },
    { NULL, NULL }
};

static const Case declare_documentation[] = {
    { "/// one\n/// two\nfn f() -> int { return 1 }",
      "(fn_decl doc=\"one\\ntwo\" name=f result=(name_type name=int) body=(block items=[(return_stmt value=(int_expr value=1))]))" },
    { "type T {\n/// field\na: int\n}",
      "(record_decl name=T fields=[(field doc=\"field\" name=a type=(name_type name=int))])" },
    { "enum E {\n/// member\nA, /// not\nB }",
      "(enum_decl name=E members=[(enum_member doc=\"member\" name=A) (enum_member name=B)])" },
    { NULL, NULL }
};
#endif
