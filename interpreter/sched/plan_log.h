/* plan_log.h - what a run's journal says of its plans: what models wrote, what was refused and why, what was filled in, checked, loaded, approved.
 *
 * For audits: whole texts, where traces show beginnings. What a personal or secret request made of it is masked, as everywhere in the journal's texts. */
#ifndef SCHED_PLAN_LOG_H
#define SCHED_PLAN_LOG_H
#include "interpreter/sched/engine.h"

/* A line of JSON for each entry, in order: {"seq", "at", "what", …}. A run without plans has none. */
Err plan_log(Engine *engine, const RunRow *run, Buf *out, Error *error);
/* For people, the steps of each plan that the run has loaded, with their numbers: "plan  SEQUENTIAL", then a line each. */
Err plan_steps(Engine *engine, const RunRow *run, Buf *out, Error *error);
#endif
