/* tree.h - a plan as it was written: its steps, read from JSON and checked as far as that goes without knowing any tool.
 *
 * plan_read() makes a tree of PlanNodes from the text, or diagnostics. What it has checked nobody checks again: members are known and of the right kind, words
 * are those that there are, no step is two things, no flow is empty, nothing is larger, deeper or wider than the limits, no string deceives its reader. What
 * names mean (agents, tools, parameters, results) is for the compiler that walks the tree. A mistake costs its own step, not the steps beside it: with
 * diagnostics the tree holds what could be read, so that the rest of the plan is checked too and a model hears of everything at once.
 *
 * Places: a PlanPlace is a JSON Pointer that is put together only when somebody asks for it. Every node, parameter and value has one; a place below is made by
 * plan_place_key() and plan_place_item(), also inside of a literal.
 *
 * Ownership: all in the arena given to plan_read(); texts of literals and names as well.
 * Limits: PLAN_BYTES_MAX, PLAN_TEXT_MAX, JSON_DEPTH_MAX, PLAN_STEPS_MAX (steps of every kind), PLAN_DEPTH_MAX, PLAN_FANOUT_MAX, PLAN_NAME_MAX, PLAN_TIMEOUT_MAX:
 * E0721 names the one that was crossed. Time is linear in the text; recursion is as deep as JSON_DEPTH_MAX at most.
 */
#ifndef COMPILER_PLAN_TREE_H
#define COMPILER_PLAN_TREE_H
#include "base/json.h"
#include "compiler/plan/report.h"

enum { PLAN_NAME_MAX = 64 /* bytes of agent, action, id */, PLAN_TIMEOUT_MAX = 86400000 /* milliseconds */ };

typedef enum { PLAN_NODE_ACTION, PLAN_NODE_NOTIFY, PLAN_NODE_CONDITION, PLAN_NODE_GROUP } PlanNodeKind;
typedef enum { PLAN_SEQUENTIAL, PLAN_PARALLEL, PLAN_CONDITIONAL } PlanStrategy;
typedef enum { PLAN_ABORT, PLAN_CONTINUE, PLAN_RETRY } PlanOnError;

/* A value in `params` or a `message`. An object or array in which nothing refers is one LITERAL, however deep. BROKEN: a `$` form that is none, which has been told. */
typedef enum { PLAN_VALUE_LITERAL, PLAN_VALUE_REF, PLAN_VALUE_TEXT, PLAN_VALUE_ARRAY, PLAN_VALUE_OBJECT, PLAN_VALUE_BROKEN } PlanValueKind;
typedef struct PlanValue PlanValue;
struct PlanValue {
    PlanValueKind kind;
    const PlanPlace *place;              /* of the value; of the string in {"$ref": …} and {"$text": …}, so that an offset fits */
    const Json *json;                    /* as written; a LITERAL is this */
    Str source;                          /* REF: the path; TEXT: the text with its ${…}; not parsed here */
    Str *keys;                           /* OBJECT */
    PlanValue *items; uint32_t count;    /* ARRAY, OBJECT */
};
typedef struct PlanParam { Str name; PlanValue value; } PlanParam;

typedef struct PlanNode PlanNode;
struct PlanNode {
    PlanNodeKind kind;
    const PlanPlace *place;
    int32_t index;                       /* ACTION, NOTIFY: the i of steps[i], in document order; else -1 */
    uint32_t depth;                      /* of the flow it stands in: 1 at the top */
    Str agent, action;                   /* ACTION: either is empty when it is missing or no name, which has been told; NOTIFY: agent is empty, action "notify_user" */
    Str id;                              /* ACTION: a name of the plan's own, unique in it, or empty */
    PlanParam *params; uint32_t param_count;             /* ACTION; unique names */
    PlanValue *message;                  /* NOTIFY: LITERAL (a string), TEXT or BROKEN */
    bool has_condition;
    Str condition;                       /* CONDITION: always ("true" for one that is no text); ACTION, NOTIFY: done only if. Not parsed here. Its place is
                                            plan_place_key(…, place, "condition") */
    PlanStrategy strategy;               /* GROUP */
    PlanNode **steps; uint32_t step_count;               /* GROUP: its flow; CONDITION: then */
    PlanNode **otherwise; uint32_t otherwise_count;      /* CONDITION: else */
    int64_t timeout_us;                  /* ACTION, GROUP; 0: none */
    PlanOnError on_error;                /* ACTION, GROUP */
    uint32_t retry_count;                /* RETRY: further attempts, 1 … PLAN_RETRIES_MAX; else 0 */
};

typedef struct PlanTree {
    PlanNode *root;                      /* GROUP: strategy, flow and timeout of the plan; NULL when there is nothing to go on with */
    PlanValue *message;                  /* for the user at the end, LITERAL (a string) or TEXT; or NULL */
    PlanNode **by_index; uint32_t index_count;           /* steps[i] */
    uint32_t step_count;                 /* steps of every kind */
    uint32_t depth, fanout;              /* the deepest flow; the most steps of one PARALLEL (1 when there is none) */
} PlanTree;

/* Reads the text. What is wrong goes to `diags`; true when nothing was. */
bool plan_read(Arena *arena, Str json, PlanDiags *diags, PlanTree *out);
#endif
