/* trace.h - what a run did, drawn from its journal and the runs it caused: as text, or as a Mermaid sequence diagram.
 *
 * Nothing here is written for the purpose: every line comes from a journal row. Participants carry the names that the module's
 * `participants` block and its agents declare; a part of the engine that is not named is folded into its caller (a self-message).
 * Runs that ran detached (event handlers, started flows) stand before the last reply of the run that caused them.
 */
#ifndef SCHED_TRACE_H
#define SCHED_TRACE_H
#include "interpreter/sched/engine.h"

enum { TRACE_ROWS_MAX = 100000, TRACE_RUNS_MAX = 1000, TRACE_TEXT_MAX = 160 };
typedef enum { TRACE_TEXT, TRACE_MERMAID } TraceFormat;

/* Appends to out: the runs one after the other, in one diagram. A run may be in any state. */
Err trace_render(Engine *engine, Str tenant, const Str *run_ids, uint32_t run_count, TraceFormat format, Buf *out, Error *error);
#endif
