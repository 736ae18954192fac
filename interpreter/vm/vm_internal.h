/* vm_internal.h - the state of a run as the files of this folder see it.
 *
 * A run is fibers; a fiber is a stack of registers and a stack of frames over it. Whatever must survive a suspension is here and in
 * nothing else: a snapshot is these structs written down (snapshot.c). Every growing thing is charged to run->heap when it grows, by
 * its count, so that the same state always weighs the same.
 */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H
#include "base/re.h"
#include "base/time.h"
#include "interpreter/vm/value_internal.h"
#include "interpreter/vm/vm.h"

enum { VM_SLICE = 1000000, VM_NOTES_SLICE = 1024, VM_NOTES_MAX = 1 << 16, VM_GROUPS_MAX = 1 << 16, VM_FUEL_RESERVE = 200000 };

/* ---- what an image needs to be run: made once, shared by its runs ---- */

/* Effects that no table of the image has: the spans of a function, and a call of it as a request. */
typedef struct LiveEffects { ImageEffect span_begin, span_end, intercepted; } LiveEffects;

typedef struct LiveFunc {
    const Insn *code;                    /* quick form: same places, jumps relative, operators chosen by type (live.c) */
    const uint16_t *counted;             /* registers that hold counted words, ascending */
    uint16_t counted_count, counted_params, param_count, reg_count;
    uint16_t index;
    bool result_counted, spans;          /* spans: calls are noted (tools, flows) */
    const ImageFunc *func;
    const LiveEffects *effects;
} LiveFunc;

typedef struct ImageLive {
    const Image *image;
    LiveFunc *funcs;
    Value *consts;                       /* counted ones are held here, uncharged */
    Re **regexes;                        /* NULL: does not compile (the verifier lets none through) */
    Arena *arena;
} ImageLive;

void vm_prepare(Image *image);           /* fills image->live unless it is there */

/* ---- fibers ---- */

/* OWNS: opened marks, sagas or groups, so leaving it has work to do. FIRST: the lowest of its fiber. PLAN: the meter is open for it. Any flag: a return is not a
   plain one. */
enum { FRAME_SPAN = 1, FRAME_OWNS = 2, FRAME_INTERCEPTED = 4, FRAME_FIRST = 8, FRAME_PLAN = 16 };

typedef struct Frame {
    const LiveFunc *func;
    const Insn *pc;                      /* next instruction; valid while the frame does not run */
    Value *regs;                         /* on the fiber's stack; moved along when that grows */
    uint16_t result;                     /* register of the frame below that gets what this one returns */
    uint16_t flags;
    uint32_t span, span_outside;         /* FRAME_SPAN: its own span, and the one to return to */
} Frame;

/* A deadline scope or a shield, closed when its frame or the region that opened it is left. */
typedef struct Mark {
    uint8_t shield, expired, spent;      /* expired: its time is over; spent: that was raised, or deliberately passed over */
    uint32_t frame, pc;                  /* pc of the instruction that opened it */
    uint32_t id;
    int64_t deadline_us;
} Mark;

typedef struct Comp { uint64_t seq; uint16_t func, arg_count; Value *args; } Comp;
typedef struct Comps { Comp *items; uint32_t count, cap; } Comps;
typedef struct Saga { uint32_t mark, frame; Value undone, not_undone; } Saga;      /* mark: compensations below belong to others */

typedef enum {
    WAIT_NONE,       /* ready, or new */
    WAIT_EFFECT,     /* for the answer to `request`, asked by the instruction before pc */
    WAIT_INTERCEPT,  /* the same for a call of a tool whose frame lies on top, untouched */
    WAIT_AGAIN,      /* for fibers of a group; the instruction before pc is executed again */
    WAIT_UNWIND      /* raising, until the fibers of groups that are left have ended */
} FiberWait;

typedef struct Group Group;
typedef struct Fiber Fiber;
struct Fiber {
    VmRun *run;
    uint32_t id;
    uint8_t wait;
    bool queued, raising_set, cancel_pending, cancel_raised, interrupt, in_txn;    /* interrupt: a cancellation or an expiry has not been raised yet */
    Value *stack, *stack_end;
    Frame *frames, *frame, *frame_end;   /* frame: the innermost */
    Mark *marks; uint32_t mark_count, mark_cap, shield;
    Saga *sagas; uint32_t saga_count, saga_cap;
    Comps comps;
    uint64_t request;
    uint32_t frame_cap, span;
    Value raising, cancel_reason;
    Group *group; uint32_t slot;         /* NULL: the main fiber */
    Fiber *next_ready;
};

typedef enum { SLOT_RUNS, SLOT_OK, SLOT_FAILED, SLOT_CANCELLED } SlotState;
typedef struct Slot { uint8_t state; uint16_t func; Fiber *fiber; Value value; Comps comps; } Slot;       /* value: result, or error when it failed */
enum { GROUP_ALL, GROUP_RACE = 1, GROUP_SOFT = 2 };
struct Group {
    uint32_t id;
    Fiber *owner;
    uint32_t frame, pc;                  /* where it was made */
    uint8_t mode;
    bool cancelling, freed, joined;
    int64_t limit;
    Slot *slots; uint32_t count, cap, running;
    uint32_t winner;                     /* slot, UINT32_MAX none */
    uint32_t failed;                     /* slot whose failure the group raises: first critical one, or a race's last; UINT32_MAX none */
};

/* A note keeps its arguments; a request only says whose it is. */
typedef struct Out {
    uint64_t id;
    uint32_t fiber;
    bool is_note, span_failed;
    uint8_t source;                      /* OUT_*: where `effect` comes from */
    uint16_t source_index;
    uint16_t func, span_func; uint32_t pc, span, parent_span;
    uint16_t arg_count; Value *args;
} Out;
enum { OUT_EFFECT, OUT_SPAN_BEGIN, OUT_SPAN_END, OUT_PARALLEL };

typedef struct Pending { uint64_t id; Fiber *fiber; bool fetched; } Pending;

/* What the open plan used up. memory_end: live bytes at which it had enough, which is absolute. ending: it overran for good, its handlers are passed over. */
typedef enum { METER_FUEL, METER_MEMORY, METER_CALLS, METER_TOOL_CALLS, METER_TOKENS, METER_MONEY, METER_LIMIT_COUNT } MeterLimit;
typedef struct Meter {
    uint16_t plan;                       /* row of the image; NO_INDEX: no plan is open */
    bool fuel_reserve, memory_reserve, ending;   /* the reserves that it undoes with are in use */
    uint8_t over;                        /* MeterLimit that was overrun last */
    uint32_t fiber, frame;               /* where its function runs: fiber's id, frame's index */
    uint64_t fuel_used;
    size_t memory_end;
    uint32_t calls, undo_calls, overruns;
    uint32_t *tool_calls;                /* by tool; owned */
    uint64_t tokens, tokens_used;        /* declared by the tools that were called; what models say they used: the larger counts, since it is the same ones */
    int64_t micro_usd;
} Meter;

enum { VM_INFO_COUNT = 7 };
/* What every turn looks at comes first: between two turns of a run thousands of others may have had theirs. */
struct VmRun {
    Image *image;                        /* the newest extension, or the root */
    ImageLive *live;
    Heap heap;
    VmStatus status;
    uint32_t fiber_count, pending_count, mark_count;       /* mark_count: of all fibers */
    Fiber *main, *ready_first, *ready_last;
    Out *outs; uint32_t out_first, out_count;
    Pending *pendings;
    uint64_t last_request, fuel_used, output_used;
    int64_t fuel, slice, turn;           /* what is left of the slice, its size, and what earlier slices of this vm_run used */
    VmLimits limits;
    bool metered;                        /* who runs now belongs to the open plan; false outside of vm_run */
    bool fuel_reserve, memory_reserve;   /* the reserve that failing programs clean up with is in use */
    bool intercepts_any;
    uint16_t func;
    Value raised;                        /* on the way from the place that raises to vm_raise_begin */
    Meter meter;
    Out fetched;                         /* the note handed out last */
    Fiber **fibers; uint32_t fiber_cap;  /* ascending ids */
    uint32_t out_cap, pending_cap;
    Group **groups; uint32_t group_count, group_cap;       /* ascending ids */
    uint64_t comp_seq;
    uint32_t last_fiber, last_group, last_span, last_scope;
    Image *root;                         /* what the run began with, and is pinned to; below `image` or the same */
    Value result, error;                 /* VM_DONE, VM_FAILED */
    Value info[VM_INFO_COUNT];
    uint8_t *intercepts;                 /* by tool */
};

/* How an instruction ended. */
typedef enum { FLOW_NEXT, FLOW_RAISE, FLOW_WAIT, FLOW_RELOAD, FLOW_ENDED } Flow;

/* exec.c */
typedef enum { EXEC_WAITS, EXEC_ENDED, EXEC_SLICE } ExecEnd;
ExecEnd vm_exec(Fiber *fiber);

/* frame.c: stacks and calls */
enum { STACK_SLACK = 2 };                /* values behind stack_end that a plain call may overwrite */
static inline uint32_t frame_index(const Fiber *fiber, const Frame *frame) { return (uint32_t)(frame - fiber->frames); }
static inline uint32_t frame_pc(const Frame *frame) { return (uint32_t)(frame->pc - frame->func->code); }
Fiber *fiber_new(VmRun *run);            /* registered, without frames */
void   fiber_free(VmRun *run, Fiber *fiber);
Fiber *fiber_find(const VmRun *run, uint32_t id);
Value *stack_top(const Fiber *fiber);                                          /* behind the innermost frame */
bool   fiber_room(VmRun *run, Fiber *fiber, const LiveFunc *callee);           /* for one more call; false: raised */
void   fiber_stack_set(const VmRun *run, Fiber *fiber, size_t values, size_t frames);            /* at least that; charged */
void   frame_push(VmRun *run, Fiber *fiber, const LiveFunc *callee, const Value *args, uint16_t result);     /* room must be there; copies arguments */
Flow   vm_call(VmRun *run, Fiber *fiber, const LiveFunc *callee, const Value *args, uint16_t result);        /* with spans and interception */
Flow   vm_return(VmRun *run, Fiber *fiber, Value value);                       /* takes value; leaves the innermost frame */
void   frame_leave(VmRun *run, Fiber *fiber, bool failed, Value value);        /* ends its span with value (borrowed), closes what it opened, pops it */
void   frame_pop(VmRun *run, Fiber *fiber);                                    /* releases its registers */
void   marks_close(Fiber *fiber, uint32_t frame, uint32_t from, uint32_t to);
void   mark_push(Fiber *fiber, Mark mark);
void   mark_pop(Fiber *fiber, bool shield);                                    /* the innermost of its kind in the innermost frame */
void   ready_push(VmRun *run, Fiber *fiber);
void   fiber_finish(VmRun *run, Fiber *fiber, bool ok, Value value);           /* takes value (result or error); frees the fiber */
void   run_end(VmRun *run, VmStatus status, Value value);

/* raise.c */
bool vm_fail(VmRun *run, ErrorKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));     /* sets run->raised; returns false */
bool vm_fail_limit(VmRun *run, const char *limit);                             /* rejected, code = the limit's name; returns false */
bool vm_memory_over(VmRun *run);                                               /* after heap.over: raises; returns false */
bool vm_room(VmRun *run, size_t bytes);                                        /* before something that large is made; false: raised */
bool vm_charge(VmRun *run, uint64_t fuel);                                     /* before work of that size; false: raised */
Value error_at(VmRun *run, Value error, const Frame *frame);                   /* takes error; says where, unless it knows */
Flow vm_raise_now(VmRun *run, Fiber *fiber);                                   /* run->raised at the instruction before frame->pc: FLOW_RELOAD, FLOW_WAIT or FLOW_ENDED */
Flow vm_unwind(VmRun *run, Fiber *fiber);                                      /* goes on raising fiber->raising */
bool vm_interrupted(VmRun *run, Fiber *fiber);                                 /* true: run->raised is a cancellation or deadline that is due */
void fiber_interrupt_update(Fiber *fiber);
void fiber_cancel(VmRun *run, Fiber *fiber, const char *reason);
void fiber_wake(VmRun *run, Fiber *fiber);                                     /* to look at an interrupt; forgets its request */
bool fiber_deadline_due(const Fiber *fiber);                                   /* an expired scope, and no cancellation, is to be raised */
void fiber_deadline_pass(Fiber *fiber);                                        /* expired scopes count as raised */

/* group.c */
Group *group_find(const VmRun *run, int64_t id);
void  group_drop(VmRun *run, Group *group);
void  group_cancel(VmRun *run, Group *group, const char *reason);
void  group_fiber_ended(VmRun *run, Fiber *fiber, bool ok, Value value);       /* takes value */
bool  groups_left_run(VmRun *run, Fiber *fiber, uint32_t frame, uint32_t from, uint32_t to);   /* cancels groups made there; true while one still runs, else they are dropped */
Flow  op_group_new(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow  op_spawn(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow  op_join(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow  op_fiber_result(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow  op_group_results(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow  op_race_result(VmRun *run, Fiber *fiber, Insn i, Value *regs);
void  op_group_free(VmRun *run, Fiber *fiber, Value id);
Group *group_add(VmRun *run);
uint32_t slot_add(Group *group, Slot slot);
bool  slot_value_counted(const VmRun *run, const Slot *slot);

/* saga.c */
void comp_add(Comps *comps, Comp comp);
Comp comp_make(const LiveFunc *func, uint64_t seq, const Value *args);         /* retains args */
void comps_free(const VmRun *run, Comps *comps);
void comps_join(const VmRun *run, Fiber *fiber, Comps *from);                              /* takes them into the innermost saga, in order of their pushing */
void sagas_leave(Fiber *fiber, uint32_t frame);                                /* the frame is gone: its sagas leave their entries to the outer ones */
void saga_push(Fiber *fiber, Saga saga);
void saga_close(Fiber *fiber);
Flow op_saga_enter(VmRun *run, Fiber *fiber);
Flow op_comp_push(VmRun *run, Fiber *fiber, Insn i, Value *regs);
void op_saga_commit(const VmRun *run, Fiber *fiber);
Flow op_comp_next(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow op_saga_abort(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow op_comp_report(VmRun *run, Fiber *fiber, Insn i, Value *regs);

/* plan.c */
Flow op_call_plan(VmRun *run, Fiber *fiber, Insn i, Value *regs);
Flow op_meter(VmRun *run, Fiber *fiber, Insn i);
bool meter_open(const VmRun *run);
bool meter_holds(const VmRun *run, const Fiber *fiber);                        /* what the fiber uses is the open plan's */
bool meter_ends(const VmRun *run, const Fiber *fiber, const Frame *frame);     /* no handler of this frame may take an error any more */
bool meter_uncaught(const VmRun *run, const Fiber *fiber, const Frame *frame, Value error);    /* an overrun of the open plan that no catch of this frame may take */
bool meter_hides_saga(const VmRun *run, const Fiber *fiber);                   /* the innermost saga is that of the plan's caller */
void meter_begin(VmRun *run, Fiber *fiber);                                    /* the innermost frame is the function of a plan */
void meter_end(VmRun *run);                                                    /* its frame is gone */
void meter_drop(VmRun *run);                                                   /* frees what it holds */
void meter_turn(VmRun *run, const Fiber *fiber);                               /* this fiber runs from here */
void meter_rest(VmRun *run);                                                   /* nobody runs */
uint64_t meter_fuel_left(const VmRun *run);
bool meter_fuel_over(VmRun *run);                                              /* raises; returns false, as the next two */
bool meter_memory_over(VmRun *run);
bool meter_ended(VmRun *run);                                                  /* once more what a plan that is ending fails with */
bool meter_effect(VmRun *run, const ImageEffect *effect);                      /* metered: before the effect is asked for; false: raised */
bool plan_load_allowed(VmRun *run);                                            /* false: raised */
size_t run_memory_limit(const VmRun *run);
void heap_limit_set(VmRun *run);                                               /* of the heap, for who runs now */

/* request.c */
Flow op_effect(VmRun *run, Fiber *fiber, Insn i, Value *regs);
void request_ask(VmRun *run, Fiber *fiber, FiberWait wait);
void request_forget(VmRun *run, Fiber *fiber);
void note_put(VmRun *run, Out note, const Value *args, const uint16_t *types);  /* retains args; gives the note its id */
void out_args_free(Out *out, const uint16_t *types, const Image *image);
const uint16_t *out_types(const VmRun *run, const Out *out);                   /* of a note's arguments */
const ImageEffect *out_effect(const VmRun *run, const Out *out);
const ImageEffect *fiber_effect(const VmRun *run, const Fiber *fiber);         /* what it waits for */
Pending *pending_find(const VmRun *run, uint64_t id);
void pending_add(VmRun *run, Pending pending);
Out *out_add(VmRun *run);

/* vm.c */
VmRun *run_new(Image *image, const VmInfo *info, const VmLimits *limits);      /* without fibers */
void   slice_begin(VmRun *run);
void   slice_end(VmRun *run);

/* builtins_*.c */
typedef struct Call { VmRun *run; const Image *image; const uint16_t *types /* of the arguments */; uint16_t result_type; const Value *args; Value result; } Call;
bool builtin_call(uint16_t builtin, Call *call);                               /* false: raised; else call->result is a new reference */
bool builtin_text(VmRun *run, Buf *text, Value *out);                          /* takes the text as a string result */
Flow op_text(VmRun *run, uint16_t type, Value v, Value *out);                  /* TO_STR */
Flow op_format(VmRun *run, uint16_t type, Value v, Str format, Value *out);

/* run of the machine's own allocation entry */
#define HEAP_ENTER(run) Heap *heap_before = heap_enter(&(run)->heap)
#define HEAP_LEAVE()    heap_enter(heap_before)
#endif
