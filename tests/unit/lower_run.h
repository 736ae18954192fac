/* lower_run.h - source text through the compiler and the machine, the outside answered from a list: what the tests of the lowering share. */
#ifndef TESTS_LOWER_RUN_H
#define TESTS_LOWER_RUN_H
#include "compiler/typed.h"
#include "interpreter/vm/vm.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

/* What the outside says to the first request of this name that has not been answered: JSON, "!kind status message", or "@expire". */
typedef struct Answer { const char *name, *reply; } Answer;
enum { ANSWERS_MAX = 16, WAITING_MAX = 64, START_US = 1000000 };
typedef struct Waiting { uint64_t id; const ImageEffect *effect; } Waiting;
typedef struct Outside {
    Image *image;
    VmRun *run;
    const Answer *answers;
    bool used[ANSWERS_MAX];
    Waiting waiting[WAITING_MAX]; uint32_t count;
    int64_t now_us;
    uint32_t ids;
    Buf log;
} Outside;

static inline Image *compile_text(const char *text)
{
    Program *program = program_of_text("test.flow", str_of(text), NULL, 0);
    if (!program->diags->error_count && resolve_program(program)) check_program(program);
    Buf out = { 0 };
    if (program->diags->error_count) {
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
        print_message("%s\n%s\n", text, buf_cstr(&out));
    }
    assert_int_equal(program->diags->error_count, 0);
    Image *image = lower_program(program, true);
    assert_non_null(image);
    Error error = { 0 };
    if (image_verify(image, &error)) {
        image_disasm(image, &out);
        print_message("%s\n%s\n%s\n", text, buf_cstr(&out), error.text);
    }
    assert_int_equal(error.code, ERR_OK);
    buf_free(&out);
    program_free(program);
    return image;
}

static inline uint16_t func_named(const Image *image, const char *name)
{
    for (uint16_t i = 0; i < image->func_count; i++)
        if (str_is(image->funcs[i].name, name)) return i;
    fail_msg("no function %s", name);
    return 0;
}

/* ---- the outside ---- */

static inline bool is_silent(uint16_t kind)
{
    return kind == EFFECT_NOTE_SPAN_BEGIN || kind == EFFECT_NOTE_SPAN_END || kind == EFFECT_NOTE_PARALLEL || kind == EFFECT_NOTE_CONDITION || kind == EFFECT_NOW || kind == EFFECT_RANDOM;
}

static inline void log_request(Outside *o, const VmRequest *r)
{
    if (is_silent(r->effect->kind)) return;
    buf_printf(&o->log, "%s%.*s(", o->log.len ? "; " : "", STR_ARG(r->effect->name));
    for (int i = 0; i < r->arg_count; i++) {
        if (i) buf_put_text(&o->log, ", ");
        if (r->effect->params[i] == TYPE_INDEX_ERROR) buf_put_str(&o->log, value_str(((Record *)r->args[i].o)->fields[ERROR_FIELD_MESSAGE]));
        else if (r->effect->params[i] == TYPE_INDEX_OPT_ERROR) buf_put_text(&o->log, r->args[i].w ? "error" : "null");
        else value_to_json(o->image, r->effect->params[i], r->args[i], &o->log);
    }
    buf_put_char(&o->log, ')');
}

static inline void take_requests(Outside *o)
{
    VmRequest r;
    while (vm_next_request(o->run, &r)) {
        log_request(o, &r);
        if (r.is_note) continue;
        if (r.effect->kind == EFFECT_SLEEP_UNTIL) o->now_us = r.args[0].i;
        assert_true(o->count < WAITING_MAX);
        o->waiting[o->count++] = (Waiting){ r.id, r.effect };
    }
}

static inline const char *reply_to(Outside *o, Str name)
{
    for (int i = 0; o->answers && o->answers[i].name; i++) {
        if (o->used[i] || !str_is(name, o->answers[i].name)) continue;
        o->used[i] = true;
        return o->answers[i].reply;
    }
    return NULL;
}

static inline void reply_fails(Outside *o, uint64_t id, const char *reply)
{
    char kind[32] = "", message[64] = "";
    int status = 0;
    sscanf(reply, "!%31s %d %63[^\n]", kind, &status, message);
    for (int i = 0; i < ERROR_KIND_COUNT; i++)
        if (!strcmp(kind, error_kind_name((ErrorKind)i))) vm_raise(o->run, id, error_with(value_error(o->image, (ErrorKind)i, str_of(message)), status, STR(""), -1));
}

static inline void reply_value(Outside *o, Waiting one, const char *reply)
{
    Value value = { .i = 0 };
    Error error = { 0 };
    if (reply) {
        Arena *arena = arena_new();
        Json *json;
        assert_int_equal(json_parse(arena, str_of(reply), 1 << 16, &json, &error), ERR_OK);
        Err err = value_from_json(o->image, one.effect->result, json, &value, &error);
        if (err) print_message("%.*s: %s\n", STR_ARG(one.effect->name), error.text);
        assert_int_equal(err, ERR_OK);
        arena_free(arena);
    } else if (one.effect->kind == EFFECT_NOW) value.i = o->now_us;
    else if (one.effect->kind == EFFECT_RANDOM) value.f = 0.5;
    else if (one.effect->kind == EFFECT_NEW_ID || one.effect->kind == EFFECT_EMIT || one.effect->kind == EFFECT_START_FLOW) {
        char id[32];
        snprintf(id, sizeof id, "ID-%u", ++o->ids);
        value = value_string(str_of(id));
    } else if (one.effect->result != TYPE_INDEX_VOID) fail_msg("nobody answers %.*s", STR_ARG(one.effect->name));
    vm_resume(o->run, one.id, value);
}

static inline void expire(Outside *o)
{
    uint32_t scope;
    assert_true(vm_next_deadline(o->run, &scope) != INT64_MAX);
    o->now_us = vm_next_deadline(o->run, &scope);
    assert_true(vm_expire(o->run, scope));
}

/* Answers the oldest request; one that is to time out is forgotten by the machine. */
static inline void answer_one(Outside *o)
{
    if (!o->count) fail_msg("blocked with nothing asked: %s", buf_cstr(&o->log));
    Waiting one = o->waiting[0];
    memmove(o->waiting, o->waiting + 1, --o->count * sizeof *o->waiting);
    const char *reply = reply_to(o, one.effect->name);
    if (reply && reply[0] == '!') reply_fails(o, one.id, reply);
    else if (reply && !strcmp(reply, "@expire")) expire(o);
    else reply_value(o, one, reply);
}

static inline void log_end(Outside *o, VmStatus status)
{
    if (o->log.len) buf_put_text(&o->log, "; ");
    if (status == VM_DONE) {
        buf_put_text(&o->log, "= ");
        uint16_t type = o->image->funcs[vm_func(o->run)].result;
        if (type != TYPE_INDEX_VOID) value_to_json(o->image, type, vm_result(o->run), &o->log);
    } else {
        Record *error = (Record *)vm_error(o->run).o;
        buf_printf(&o->log, "! %s %.*s", error_kind_name((ErrorKind)error->fields[ERROR_FIELD_KIND].i), STR_ARG(value_str(error->fields[ERROR_FIELD_MESSAGE])));
        const List *undone = (List *)error->fields[ERROR_FIELD_UNDONE].o, *left = (List *)error->fields[ERROR_FIELD_NOT_UNDONE].o;
        for (uint32_t i = 0; undone && i < undone->count; i++) buf_printf(&o->log, " -%.*s", STR_ARG(value_str(undone->items[i])));
        for (uint32_t i = 0; left && i < left->count; i++) buf_printf(&o->log, " +%.*s", STR_ARG(value_str(left->items[i])));
    }
}

/* Everything that was asked and how it ended, as one line: "ask("?"); = 3". The caller frees it. Local tools answer by name too when `intercept`. */
static inline char *trace_of(const char *text, const char *entry, const Answer *answers, bool intercept)
{
    static const VmInfo info = { .run_id = { "run", 3 }, .tenant = { "family", 6 }, .user = { "anna", 4 }, .flow = { "main", 4 }, .correlation = { "c", 1 }, .user_name = { "Anna", 4 }, .causation = { "e-1", 3 } };
    Outside o = { .image = compile_text(text), .answers = answers, .now_us = START_US };
    o.run = vm_new(o.image, func_named(o.image, entry), NULL, &info, NULL);
    for (uint16_t i = 0; intercept && i < o.image->tool_count; i++)
        if (o.image->tools[i].func != NO_INDEX) vm_intercept_tool(o.run, i);
    VmStatus status;
    while ((status = vm_run(o.run)) == VM_BLOCKED || status == VM_SLICE_ENDED) {
        take_requests(&o);
        if (status == VM_BLOCKED) answer_one(&o);
    }
    take_requests(&o);
    log_end(&o, status);
    vm_free(o.run);
    image_free(o.image);
    buf_put_char(&o.log, '\0');
    return o.log.ptr;
}

static inline void assert_trace(const char *text, const char *entry, const Answer *answers, const char *expected)
{
    char *found = trace_of(text, entry, answers, true);
    assert_string_equal(found, expected);
    free(found);
}

/* A pure function main() and its result as JSON. */
static inline void assert_result(const char *text, const char *expected)
{
    char *found = trace_of(text, "main", NULL, false);
    if (strcmp(found, expected)) print_message("%s\n", text);
    assert_string_equal(found, expected);
    free(found);
}
#endif
