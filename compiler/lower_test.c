/* lower_test.c - statements of tests, fixtures: what is given, what is expected.
 *
 * A test is a function like any other; what it says to the test runner are effects TEST_*. `expect` evaluates under a catch, so that a condition
 * that fails to evaluate is a failed expectation with the reason as its values, not the end of the test.
 */
#include "compiler/lower_internal.h"

static void note(Func *f, EffectKind kind, uint16_t target, Str name, const Arg *args, uint16_t count) { emit_note(f, kind, target, name, args, count); }

static Str effect_word(EffectKind kind) { return str_of(effect_name((uint16_t)kind)); }

static Str tool_text(Lower *lw, Ast *node)
{
    if (node->symbol && node->symbol->kind == SYMBOL_TOOL) return tool_name(lw, node->symbol);
    if (node->kind == AST_FIELD_EXPR) return span_text(lw->program->sources, node->span);
    return node->kind == AST_NAME_EXPR ? as_name_expr(node)->name.text : as_name_ref(node)->name.text;
}

static uint16_t tool_target(Ast *stmt, Ast *tool)
{
    Symbol *symbol = stmt->symbol && stmt->symbol->kind == SYMBOL_TOOL ? stmt->symbol : tool->symbol;
    return symbol->image_index;
}

static Val texts(Func *f, AstList items)
{
    Val out = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < items.count; i++) {
        Val item = val_text(f, tool_text(f->lw, items.items[i]));
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

/* Values of any types as one list. */
static Val value_list(Func *f, AstList items, uint16_t element)
{
    Val out = val_temp(f, row_list(f->lw, element));
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < items.count; i++) {
        Val item = lower_as(f, items.items[i], element);
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

static int kind_ordinal(Str word)
{
    for (int i = 0; i < ERROR_KIND_COUNT; i++)
        if (str_is(word, error_kind_name((ErrorKind)i))) return i;
    return -1;
}

/* ---- given ---- */

/* { status, code, retry_after } as json. */
static Arg details_json(Func *f, Ast *details)
{
    enum { DETAILS_MAX = 8 };
    if (!details || details->kind != AST_RECORD_EXPR) return details ? arg_node(details, TYPE_INDEX_JSON) : arg_null(TYPE_INDEX_JSON);
    AstList given = as_record_expr(details)->fields;
    uint16_t count = (uint16_t)(given.count < DETAILS_MAX ? given.count : DETAILS_MAX);
    ImageField fields[DETAILS_MAX] = { 0 };
    Arg args[DETAILS_MAX];
    for (uint16_t i = 0; i < count; i++) {
        Ast *value = field_value_of(given.items[i]);
        fields[i] = (ImageField){ .name = as_field_value(given.items[i])->name.text, .type = final_type(f->lw, value) };
        args[i] = arg_node(value, fields[i].type);
    }
    Val record = emit_record(f, row_record(f->lw, fields, count), args, count, (Want){ NO_INDEX, NO_REG });
    return arg_val(convert_to(f, record, TYPE_INDEX_JSON, NO_REG));
}

static void given_fails(Func *f, Ast_given_fails *node)
{
    uint16_t target = tool_target(&node->head, node->tool);
    Arg args[4] = { arg_int(TYPE_INDEX_INT, kind_ordinal(node->kind.text)), node->message ? arg_node(node->message, TYPE_INDEX_STRING) : arg_text(STR("")),
                    details_json(f, node->details), node->times ? arg_node(node->times, TYPE_INDEX_INT) : arg_int(TYPE_INDEX_INT, 0) };
    note(f, EFFECT_TEST_GIVEN_FAILS, target, tool_text(f->lw, node->tool), args, 4);
}

static void given_returns(Func *f, Ast_given_returns *node)
{
    if (!node->head.symbol) {                                   /* llm.plan: the checker lets nothing else through */
        Arg answer = arg_node(node->value, TYPE_INDEX_JSON);
        note(f, EFFECT_TEST_GIVEN_PLAN, NO_INDEX, STR("llm.plan"), &answer, 1);
        return;
    }
    uint16_t target = tool_target(&node->head, node->tool), type = f->lw->image->tools[target].result;
    Arg delay = node->delay ? arg_node(node->delay, TYPE_INDEX_DURATION) : arg_int(TYPE_INDEX_DURATION, 0), args[2] = { delay };
    if (type == TYPE_INDEX_VOID) {
        note(f, EFFECT_TEST_GIVEN_RETURNS, target, tool_text(f->lw, node->tool), args, 1);
        return;
    }
    args[0] = arg_node(node->value, type);
    args[1] = delay;
    note(f, EFFECT_TEST_GIVEN_RETURNS, target, tool_text(f->lw, node->tool), args, 2);
}

static void given_rows(Func *f, Symbol *table, AstList rows)
{
    for (uint32_t i = 0; i < rows.count && !f->dead; i++) {
        at(f, rows.items[i]);
        val_free(f, lower_insert_row(f, table, rows.items[i], (Want){ NO_INDEX, NO_REG }));
    }
}

static void given_fixture(Func *f, Ast_given_fixture *node)
{
    Symbol *fixture = lower_global(f->lw, node->name.text);
    val_free(f, emit_call(f, fixture->image_index, TYPE_INDEX_VOID, NULL, 0, (Want){ NO_INDEX, NO_REG }));
}

static void given_list(Func *f, EffectKind kind, uint16_t target, AstList items, uint16_t element)
{
    Arg arg = arg_val(value_list(f, items, element));
    note(f, kind, target, effect_word(kind), &arg, 1);
}

/* ---- the run ---- */

static void run_flow(Func *f, Ast_run_stmt *node)
{
    if (node->user.len || node->tenant.len) {
        Arg who[2] = { arg_text(node->user), arg_text(node->tenant) };
        note(f, EFFECT_TEST_AS, NO_INDEX, STR("as"), who, 2);
    }
    CallInfo *call = node->call->info;
    uint16_t count;
    Arg *args = call_args(f, call, &count);
    note(f, EFFECT_TEST_RUN, call->target->image_index, call->target->name, args, count);
}

Val lower_test_result(Func *f, Ast *node, Want want)
{
    uint16_t type = row_of(f->lw, node->symbol->type);
    return emit_effect(f, EFFECT_TEST_RESULT, NO_INDEX, STR("result"), type, NULL, 0, want);
}

static void one_arg(Func *f, EffectKind kind, Ast *value, uint16_t type)
{
    Arg arg = arg_node(value, type);
    note(f, kind, NO_INDEX, effect_word(kind), &arg, 1);
}

/* ---- requests ---- */

static Arg texts_arg(Func *f, Ast *list)
{
    if (list) return arg_node(list, TYPE_INDEX_LIST_STRING);
    Val none = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, none.reg, 0, 0);
    return arg_val(none);
}

static Val who_asks(Func *f, const Ast_request_stmt *node)
{
    Val who = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, who.reg, 0, 0);
    for (int i = 0; i < 2 && node->has_user; i++) {
        Val text = val_text(f, i ? node->tenant : node->user);
        emit(f, OP_LIST_PUSH, who.reg, text.reg, 0);
        val_free(f, text);
    }
    return who;
}

static void request(Func *f, Ast_request_stmt *node)
{
    uint16_t headers = row_map(f->lw, TYPE_INDEX_STRING);
    Arg args[8] = { arg_text(node->method.text), arg_node(node->target, TYPE_INDEX_STRING), arg_val(who_asks(f, node)), texts_arg(f, node->scopes), texts_arg(f, node->roles) };
    if (node->headers) args[5] = arg_node(node->headers, headers);
    else {
        Val none = val_temp(f, headers);
        emit(f, OP_NEW_MAP, none.reg, 0, 0);
        args[5] = arg_val(none);
    }
    args[6] = node->body ? arg_node(node->body, TYPE_INDEX_JSON) : arg_null(TYPE_INDEX_JSON);
    args[7] = arg_int(TYPE_INDEX_BOOL, node->is_signed);
    note(f, EFFECT_TEST_REQUEST, NO_INDEX, STR("request"), args, 8);
}

/* `body`, `headers`: of the newest answer. */
Val lower_test_answer(Func *f, Ast *node, Want want)
{
    bool body = str_is(node->symbol->name, "body");
    uint16_t type = body ? TYPE_INDEX_JSON : row_map(f->lw, TYPE_INDEX_STRING);
    return emit_effect(f, body ? EFFECT_TEST_RESPONSE_BODY : EFFECT_TEST_RESPONSE_HEADERS, NO_INDEX, node->symbol->name, type, NULL, 0, want);
}

/* [{ text }]: a question's event has the questions that wait. */
static Arg questions_arg(Func *f, Ast *question)
{
    ImageField field = { .name = STR("text"), .type = TYPE_INDEX_STRING };
    Arg given = arg_node(question, TYPE_INDEX_STRING);
    uint16_t record = row_record(f->lw, &field, 1);
    Val list = val_temp(f, row_list(f->lw, record)), item = emit_record(f, record, &given, 1, (Want){ NO_INDEX, NO_REG });
    emit(f, OP_NEW_LIST, list.reg, 0, 0);
    emit(f, OP_LIST_PUSH, list.reg, item.reg, 0);
    val_free(f, item);
    return arg_val(list);
}

/* { type, percent?, text? } as json; of a question { type, questions }. */
static Val stream_event(Func *f, Ast_stream_event *event)
{
    ImageField fields[3] = { { .name = STR("type"), .type = TYPE_INDEX_STRING } };
    Arg args[3] = { arg_text(event->type.text) };
    uint16_t count = 1;
    if (event->percent) {
        fields[count] = (ImageField){ .name = STR("percent"), .type = TYPE_INDEX_INT };
        args[count++] = arg_node(event->percent, TYPE_INDEX_INT);
    }
    if (event->text && str_is(event->type.text, "question")) {
        args[count] = questions_arg(f, event->text);
        fields[count] = (ImageField){ .name = STR("questions"), .type = args[count].type };
        count++;
    } else if (event->text) {
        fields[count] = (ImageField){ .name = STR("text"), .type = TYPE_INDEX_STRING };
        args[count++] = arg_node(event->text, TYPE_INDEX_STRING);
    }
    Val record = emit_record(f, row_record(f->lw, fields, count), args, count, (Want){ NO_INDEX, NO_REG });
    return convert_to(f, record, TYPE_INDEX_JSON, NO_REG);
}

static void expect_stream(Func *f, AstList events)
{
    Val list = val_temp(f, row_list(f->lw, TYPE_INDEX_JSON));
    emit(f, OP_NEW_LIST, list.reg, 0, 0);
    for (uint32_t i = 0; i < events.count; i++) {
        Val item = stream_event(f, as_stream_event(events.items[i]));
        emit(f, OP_LIST_PUSH, list.reg, item.reg, 0);
        val_free(f, item);
    }
    Arg arg = arg_val(list);
    note(f, EFFECT_TEST_EXPECT_STREAM, NO_INDEX, STR("expect stream"), &arg, 1);
}

/* ---- expect ---- */

static bool is_comparison(const Ast *node)
{
    return node->kind == AST_BINARY_EXPR && ((const Ast_binary_expr *)node)->op >= BINARY_EQ && ((const Ast_binary_expr *)node)->op <= BINARY_GE;
}

static Val shown(Func *f, Val v)
{
    if (v.type == TYPE_INDEX_STRING || f->dead) return v;
    Val text = val_temp(f, TYPE_INDEX_STRING);
    emit(f, lower_kind(f->lw, v.type) == KIND_ENUM ? OP_ENUM_NAME : OP_TO_STR, text.reg, v.reg, 0);
    val_free(f, v);
    return text;
}

static void append(Func *f, Val text, Val more)
{
    emit(f, OP_CONCAT, text.reg, text.reg, more.reg);
    val_free(f, more);
}

/* Both sides once more as text. They are evaluated again: what `expect` may use is pure or a read, and a failure has to be explained. */
static void show_sides(Func *f, Ast_binary_expr *node, Val text)
{
    load_text(f, text.reg, STR("left: "));
    append(f, text, shown(f, val_copy(f, lower_any(f, node->left))));
    append(f, text, val_text(f, STR(", right: ")));
    append(f, text, shown(f, val_copy(f, lower_any(f, node->right))));
}

static void expect_condition(Func *f, Ast_expect_stmt *node)
{
    Ctx ctx;
    Label done = label_new(f), good = label_new(f);
    Str source = span_text(f->lw->program->sources, node->condition->span);
    Val values = val_temp(f, TYPE_INDEX_STRING), holds = val_temp(f, TYPE_INDEX_BOOL);
    load_text(f, values.reg, STR(""));
    ctx_push_try(f, &ctx, CTX_TRY, TRY_CATCH);
    lower_cond(f, node->condition, good, true);
    if (is_comparison(node->condition)) show_sides(f, as_binary_expr(node->condition), values);
    load_int(f, holds.reg, 0);
    emit_jump(f, OP_JUMP, 0, 0, done);
    ctx_pop(f, &ctx);
    label_place(f, good);
    load_int(f, holds.reg, 1);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, &ctx)) {
        emit(f, OP_GET_FIELD, values.reg, ctx.error_reg, ERROR_FIELD_MESSAGE);
        load_int(f, holds.reg, 0);
    }
    label_place(f, done);
    Arg args[3] = { arg_val(holds), arg_text(source), arg_val(values) };
    note(f, EFFECT_TEST_EXPECT, NO_INDEX, STR("expect"), args, 3);
    reg_free(f, ctx.error_reg);
}

static int outcome_ordinal(Str word)
{
    static const char *const words[] = { "completed", "parked", "cancelled", "failed" };
    for (int i = 0; i < 4; i++)
        if (str_is(word, words[i])) return i;
    return 3;
}

static void expect_outcome(Func *f, Ast_expect_outcome *node)
{
    Arg args[3] = { arg_int(TYPE_INDEX_INT, outcome_ordinal(node->outcome.text)), arg_int(TYPE_INDEX_INT, node->kind.text.len ? kind_ordinal(node->kind.text) : -1),
                    node->message ? arg_node(node->message, TYPE_INDEX_STRING) : arg_text(STR("")) };
    note(f, EFFECT_TEST_EXPECT_OUTCOME, NO_INDEX, STR("expect outcome"), args, 3);
}

static void expect_calls(Func *f, Ast_expect_calls *node)
{
    Arg args[2] = { arg_val(texts(f, node->tools)), arg_int(TYPE_INDEX_BOOL, node->any_order) };
    note(f, EFFECT_TEST_EXPECT_CALLS, NO_INDEX, STR("expect calls"), args, 2);
}

bool lower_test_stmt(Func *f, Ast *node)
{
    switch (node->kind) {
    case AST_GIVEN_FAILS: given_fails(f, as_given_fails(node)); return true;
    case AST_GIVEN_RETURNS: given_returns(f, as_given_returns(node)); return true;
    case AST_GIVEN_ANSWERS: given_list(f, EFFECT_TEST_GIVEN_ANSWERS, NO_INDEX, as_given_answers(node)->answers, TYPE_INDEX_JSON); return true;
    case AST_GIVEN_ROWS: given_rows(f, node->symbol, as_given_rows(node)->rows); return true;
    case AST_FIXTURE_ROWS: given_rows(f, node->symbol, as_fixture_rows(node)->rows); return true;
    case AST_GIVEN_FIXTURE: given_fixture(f, as_given_fixture(node)); return true;
    case AST_GIVEN_NOW: one_arg(f, EFFECT_TEST_GIVEN_NOW, as_given_now(node)->time, TYPE_INDEX_TIMESTAMP); return true;
    case AST_GIVEN_IDS: given_list(f, EFFECT_TEST_GIVEN_IDS, node->symbol->image_index, as_given_ids(node)->ids, TYPE_INDEX_STRING); return true;
    case AST_RUN_STMT: run_flow(f, as_run_stmt(node)); return true;
    case AST_ADVANCE_STMT: one_arg(f, EFFECT_TEST_ADVANCE, as_advance_stmt(node)->duration, TYPE_INDEX_DURATION); return true;
    case AST_ANSWER_STMT: one_arg(f, EFFECT_TEST_ANSWER, as_answer_stmt(node)->value, TYPE_INDEX_JSON); return true;
    case AST_DELIVER_STMT: note(f, EFFECT_TEST_DELIVER, node->symbol->image_index, node->symbol->name, NULL, 0); return true;
    case AST_CANCEL_STMT: note(f, EFFECT_TEST_CANCEL, NO_INDEX, STR("cancel"), NULL, 0); return true;
    case AST_CRASH_STMT: note(f, EFFECT_TEST_CRASH, NO_INDEX, STR("crash everywhere"), NULL, 0); return true;
    case AST_EXPECT_STMT: expect_condition(f, as_expect_stmt(node)); return true;
    case AST_EXPECT_OUTCOME: expect_outcome(f, as_expect_outcome(node)); return true;
    case AST_EXPECT_CALLS: expect_calls(f, as_expect_calls(node)); return true;
    case AST_EXPECT_ASKED: one_arg(f, EFFECT_TEST_EXPECT_ASKED, as_expect_asked(node)->text, TYPE_INDEX_STRING); return true;
    case AST_REQUEST_STMT: request(f, as_request_stmt(node)); return true;
    case AST_EXPECT_STATUS: one_arg(f, EFFECT_TEST_EXPECT_STATUS, as_expect_status(node)->status, TYPE_INDEX_INT); return true;
    case AST_EXPECT_STREAM: expect_stream(f, as_expect_stream(node)->events); return true;
    case AST_EXPECT_EMITTED: {
        Arg arg = arg_val(texts(f, as_expect_emitted(node)->events));
        note(f, EFFECT_TEST_EXPECT_EMITTED, NO_INDEX, STR("expect emitted"), &arg, 1);
        return true;
    }
    default: return false;
    }
}
