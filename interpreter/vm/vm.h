/* vm.h - runs verified bytecode: pure, deterministic, no clock, no random, no I/O.
 *
 * The life of a run:
 *     VmRun *run = vm_new(image, func, args, info, limits);
 *     for (;;) {
 *         VmStatus s = vm_run(run);            // until every fiber waits, or the end
 *         while ((request = vm_next_request(run))) …start it…       // in order; notes among them
 *         …one result comes: vm_resume(run, id, value) or vm_raise(run, id, error), then vm_run again
 *     }
 * Determinism: after each single delivery vm_run runs to quiescence; same deliveries in the same order give the same state, the
 * same request ids and the same notes. The engine may encode a snapshot whenever vm_run has returned (vm/snapshot.h).
 * No C frame of the VM ever lies below a suspension.
 * Limits of a run are raised in it as errors of kind `rejected` whose code is the limit's name: VM_MEMORY_LIMIT, VM_FUEL_LIMIT,
 * VM_DEPTH_LIMIT, VM_FIBERS_LIMIT, VM_OUTPUT_LIMIT, VM_GROUPS_MAX, VM_NOTES_MAX (undelivered), VALUE_SIZE_MAX, VALUE_ITEMS_MAX, VALUE_DEPTH_MAX,
 * VALUE_WEIGHT_MAX, DECIMAL_DIGITS_MAX, RE_MATCH_LIMIT. After the first memory or fuel error the run has a reserve (an eighth; 200,000)
 * to undo what it did; fuel that runs out once more ends the run.
 * While a plan runs it has limits of its own (ImagePlan): PLAN_FUEL_MAX, PLAN_MEMORY_MAX, PLAN_CALLS_MAX, PLAN_TOOL_CALLS_MAX, PLAN_TOKENS_MAX, PLAN_MONEY_MAX, raised
 * in the plan. That ends it: nothing of it or its tools catches them, what was done is undone on the last fifth of its fuel and eighth of its memory, and its caller
 * gets the error. An effect that it asks for counts as 10 of its fuel. PLAN_NESTED: one plan at a time, asked of PLAN_LOAD and of CALL_PLAN. VM_PLANS_MAX: that many PLAN_LOADs a run.
 */
#ifndef VM_VM_H
#define VM_VM_H
#include "interpreter/vm/value.h"

typedef struct VmRun VmRun;

typedef struct VmLimits {
    uint64_t fuel;                       /* instructions-ish; 0: VM_FUEL_DEFAULT. Per vm_run turn a slice of VM_SLICE is used */
    size_t memory_bytes;                 /* 0: VM_MEMORY_DEFAULT */
    uint32_t depth;                      /* call depth, 0: VM_DEPTH_DEFAULT */
    uint32_t fibers;                     /* live at once, 0: VM_FIBERS_DEFAULT */
    uint64_t output_bytes;               /* arguments of effects and notes over its life, about; 0: VM_OUTPUT_DEFAULT. Not counted while it undoes things */
} VmLimits;
#define VM_FUEL_DEFAULT   UINT64_C(10000000000)
#define VM_MEMORY_DEFAULT ((size_t)64 << 20)
#define VM_OUTPUT_DEFAULT (UINT64_C(4) << 30)
enum { VM_DEPTH_DEFAULT = 1000, VM_FIBERS_DEFAULT = 10000 };

typedef struct VmInfo { Str run_id, tenant, user, flow, correlation, user_name, causation; } VmInfo;     /* copied */

typedef enum {
    VM_BLOCKED,      /* every fiber waits for a result */
    VM_DONE,         /* vm_result */
    VM_FAILED,       /* vm_error */
    VM_SLICE_ENDED   /* a fuel slice is used up, or many notes wait: fetch, and call vm_run again when others had their turn */
} VmStatus;

typedef struct VmRequest {
    uint64_t id;                         /* 1, 2, 3 … in the order of the asking: deterministic; notes have ids too */
    uint32_t fiber;
    const ImageEffect *effect;           /* for spans made by the VM: a static row of kind NOTE_SPAN_*, name and target filled */
    const Value *args; uint16_t arg_count;       /* borrowed until the next vm_* call */
    uint16_t func;                       /* whose code asks: gives agent (participant) and source place */
    uint32_t pc;
    uint32_t span;                       /* id of the innermost open tool/flow span of the fiber, 0 none; for NOTE_SPAN_*: the span itself */
    uint32_t parent_span;                /* NOTE_SPAN_*: the one around it */
    uint16_t span_func;                  /* NOTE_SPAN_*: the function the span is of (its kind says tool or flow); else NO_INDEX */
    bool is_note;
    bool span_failed;                    /* NOTE_SPAN_END: args[0] is an error (type ERROR), else the result */
    bool scripted;                       /* a local tool call that vm_intercept_tool turned into a request: effect kind REMOTE_CALL */
    bool shielded;                       /* deadlines and cancellation wait */
    int64_t deadline_us;                 /* earliest open scope of the fiber (or of fibers waiting for it), INT64_MAX none */
} VmRequest;

VmRun *vm_new(Image *image, uint16_t func, const Value *args /* retained */, const VmInfo *info, const VmLimits *limits);
void   vm_free(VmRun *run);
VmStatus vm_run(VmRun *run);
bool   vm_next_request(VmRun *run, VmRequest *out);                 /* not delivered yet ones, in order */
bool   vm_pending_each(VmRun *run, bool (*visit)(const VmRequest *request, void *arg), void *arg);    /* all that were fetched and still wait, by id (after a restore: start them again, then vm_next_request for the rest); false when a visit said so */
bool   vm_pending_find(const VmRun *run, uint64_t id, VmRequest *out);         /* that one of them (NULL: only whether); false: nobody waits for it */
/* Deliver. Unknown or no longer awaited ids (cancelled meanwhile) are ignored: returns false. The value is taken when true is returned;
   a result nobody awaits stays the caller's (its type is the caller's knowledge), an error is released. A value over a limit is raised instead. */
bool   vm_resume(VmRun *run, uint64_t request_id, Value result);
bool   vm_raise(VmRun *run, uint64_t request_id, Value error);
bool   vm_decline(VmRun *run, uint64_t request_id);                  /* an intercepted call runs the tool's own code after all; journalled by the engine like a delivery */
/* Deadlines: the earliest of all fibers, and its expiry (journalled by the engine like a delivery). */
int64_t vm_next_deadline(const VmRun *run, uint32_t *scope);        /* INT64_MAX none */
bool   vm_expire(VmRun *run, uint32_t scope);
void   vm_cancel(VmRun *run, Str reason);                            /* raises cancelled in the main fiber (its groups follow), running finally and compensation */
bool   vm_cancelled(const VmRun *run);                                /* was vm_cancel called? Kept in snapshots; false when the run has ended */
void   vm_intercept_tool(VmRun *run, uint16_t tool);                 /* before the first vm_run: calls of this local tool become requests */
Value  vm_result(const VmRun *run);                                  /* borrowed; of the function's result type */
Value  vm_error(const VmRun *run);                                   /* borrowed; type ERROR; also for VM_DONE == false ends by limits */
Image *vm_image(const VmRun *run);                                   /* the newest: extended by the plans that were loaded */
/* Plans. Before the resume of the PLAN_LOAD that made it: run the image on as `extension` (verified; a reference is taken). False, and nothing changed, when it does
   not extend the run's image as it is now, or at VM_PLANS_MAX. Snapshots carry the bytes of the extensions. */
enum { VM_PLANS_MAX = 16 };
bool   vm_extend(VmRun *run, Image *extension);
uint32_t vm_extensions(const VmRun *run);                            /* how many so far */
bool   vm_meter_tokens(VmRun *run, uint64_t tokens);                 /* a model really used them: charged to the open plan, if any. False: over its bound; the next call of a tool or model in it raises PLAN_TOKENS_MAX. A delivery: the same on replay */
void   vm_fetch(const VmRun *run, int stage);                        /* into the processor's caches, before a turn; stage 0, 1, 2: each reads what the one before fetched */
const Heap *vm_heap(const VmRun *run);
uint64_t vm_fuel_used(const VmRun *run);
uint64_t vm_last_request(const VmRun *run);                          /* id of the newest request asked */
uint16_t vm_func(const VmRun *run);
bool   vm_in_transaction(const VmRun *run);                          /* between TXN_BEGIN's answer and the end: no snapshot now */
/* Why it waits, for people: one line per fiber. */
void   vm_explain(const VmRun *run, Buf *out);
#endif
