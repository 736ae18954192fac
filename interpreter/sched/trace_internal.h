/* trace_internal.h - the messages between participants that trace_read.c finds in journals and the renderers draw. */
#ifndef SCHED_TRACE_INTERNAL_H
#define SCHED_TRACE_INTERNAL_H
#include "interpreter/sched/trace.h"

typedef enum { MESSAGE_CALL, MESSAGE_REPLY, MESSAGE_NOTE /* over `from` */, MESSAGE_PAR_BEGIN, MESSAGE_PAR_END } MessageKind;

typedef struct Message {
    MessageKind kind;
    Str from, to;                        /* participants' titles; equal: a self-message */
    Str text;
    Str run_id;
    uint64_t seq;
    int64_t at_us, took_us;              /* took 0: unknown or nothing */
    bool failed;
    uint32_t depth;                      /* of spans, for the text form */
} Message;

typedef struct Trace {
    Arena *arena;
    Message *items;
    uint32_t count, cap;
    Str root_run, root_flow;
    RunStatus root_status;
} Trace;

/* Reads the run and all it caused; everything in the trace's arena. */
Err trace_read(Engine *engine, Str tenant, Str run_id, Trace *trace, Error *error);
#endif
