/* read_internal.h - what the two halves of reading a plan share: read.c has its steps, read_value.c its texts and values. */
#ifndef COMPILER_PLAN_READ_INTERNAL_H
#define COMPILER_PLAN_READ_INTERNAL_H
#include "compiler/plan/tree.h"

typedef struct Reading {
    Arena *arena;
    PlanDiags *diags;
    PlanTree *tree;
    PlanNode *indexed[PLAN_STEPS_MAX];
    bool full;                           /* more steps than there may be: said once */
} Reading;

const char *read_kind_name(const Json *json);            /* "an integer" */
PlanDiag *read_wrong_kind(Reading *r, const PlanPlace *place, const char *what, const char *expected, const Json *json);
PlanDiag *read_too_large(Reading *r, const PlanPlace *place, const char *what, const char *limit, int64_t value, int64_t most);

bool read_check_text(Reading *r, const PlanPlace *place, Str text);    /* false after saying what is wrong with it */
bool read_check_name(Reading *r, const PlanPlace *place, const char *what, Str name);      /* the same for what names something: ASCII */
void read_value(Reading *r, const Json *json, const PlanPlace *place, PlanValue *out);
#endif
