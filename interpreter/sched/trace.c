/* trace.c - draws what trace_read.c found. Mermaid text is escaped: a semicolon or a hash would end or start something there. */
#include "interpreter/sched/trace_internal.h"

#include "base/mermaid.h"
#include "base/plain.h"
#include "base/time.h"

static bool seen_before(const Trace *trace, Str title, uint32_t message, bool as_to) {
    for (uint32_t i = 0; i < message; i++)
        if (str_eq(trace->items[i].from, title) || str_eq(trace->items[i].to, title)) return true;
    return as_to && str_eq(trace->items[message].from, title);
}

static void render_mermaid(const Trace *trace, Buf *out) {
    buf_put_text(out, "sequenceDiagram\n");
    for (uint32_t i = 0; i < trace->count; i++) {
        const Message *m = &trace->items[i];
        if (m->from.len && !seen_before(trace, m->from, i, false)) mermaid_put_participant(out, m->from);
        if (m->to.len && !seen_before(trace, m->to, i, true)) mermaid_put_participant(out, m->to);
    }
    uint32_t open = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        const Message *m = &trace->items[i];
        if (m->kind == MESSAGE_PAR_BEGIN) {
            open++;
            buf_put_text(out, "    par ");
            mermaid_put_text(out, m->text);
            buf_put_char(out, '\n');
            continue;
        }
        if (m->kind == MESSAGE_PAR_END) {
            if (open) buf_put_text(out, "    end\n"), open--;
            continue;
        }
        buf_put_text(out, m->kind == MESSAGE_NOTE ? "    Note over " : "    ");
        mermaid_put_alias(out, m->from);
        if (m->kind == MESSAGE_NOTE) {
            buf_put_text(out, ": ");
            mermaid_put_text(out, m->text);
            buf_put_char(out, '\n');
            continue;
        }
        buf_put_text(out, m->kind == MESSAGE_REPLY ? "-->>" : "->>");
        mermaid_put_alias(out, m->to);
        buf_put_text(out, ": ");
        mermaid_put_text(out, m->text);
        buf_put_char(out, '\n');
    }
    while (open--) buf_put_text(out, "    end\n");
}

static void render_text(const Trace *trace, Buf *out) {
    buf_printf(out, "run %.*s  %.*s  %s\n", STR_ARG(trace->root_run), STR_ARG(trace->root_flow), run_status_name(trace->root_status));
    int64_t start = trace->count ? trace->items[0].at_us : 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        const Message *m = &trace->items[i];
        if (m->kind == MESSAGE_PAR_BEGIN || m->kind == MESSAGE_PAR_END) {
            buf_printf(out, "%18s%*s%s\n", "", (int)(m->depth * 2), "", m->kind == MESSAGE_PAR_BEGIN ? "in parallel:" : "joined");
            continue;
        }
        if (m->seq) buf_printf(out, "%5llu", (unsigned long long)m->seq);
        else buf_put_text(out, "     ");
        buf_printf(out, " %+10.3fs  %*s", (double)(m->at_us - start) / 1e6, (int)(m->depth * 2), "");
        if (m->kind == MESSAGE_NOTE) {
            buf_put_text(out, "-- "), plain_put(out, m->text), buf_put_text(out, " --\n");
            continue;
        }
        bool self = str_eq(m->from, m->to);
        buf_put_str(out, m->from);
        if (!self) buf_printf(out, " %s %.*s", m->kind == MESSAGE_REPLY ? "-->" : "->", STR_ARG(m->to));
        buf_put_text(out, ": "), plain_put(out, m->text);
        if (m->took_us) {
            buf_put_text(out, "  (");
            duration_print(m->took_us - m->took_us % 1000 ? m->took_us - m->took_us % 1000 : m->took_us, out);
            buf_put_char(out, ')');
        }
        if (!str_eq(m->run_id, trace->root_run)) buf_printf(out, "  [%.*s]", STR_ARG(m->run_id));
        buf_put_char(out, '\n');
    }
}

Err trace_render(Engine *engine, Str tenant, const Str *run_ids, uint32_t run_count, TraceFormat format, Buf *out, Error *error) {
    Trace trace = { .arena = arena_new() };
    Err err = ERR_OK;
    for (uint32_t i = 0; i < run_count && !err; i++) err = trace_read(engine, tenant, run_ids[i], &trace, error);
    if (!err && format == TRACE_MERMAID) render_mermaid(&trace, out);
    else if (!err) render_text(&trace, out);
    arena_free(trace.arena);
    return err;
}
