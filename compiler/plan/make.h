/* make.h - trees made by hand: nodes of the flow language for what a plan says. All of one Maker stand at its `span`, are `made`, and lie in its arena. */
#ifndef COMPILER_PLAN_MAKE_H
#define COMPILER_PLAN_MAKE_H
#include "compiler/typed.h"

typedef struct Maker { Arena *arena; Span span; } Maker;

typedef struct Nodes { Ast **items; uint32_t count, cap; } Nodes;          /* growing */
void  nodes_add(Maker *m, Nodes *nodes, Ast *node);
static inline AstList nodes_list(const Nodes *nodes) { return (AstList){ nodes->items, nodes->count }; }

Str  make_text(Maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- expressions ---- */
Ast *make_null(Maker *m);
Ast *make_bool(Maker *m, bool value);
Ast *make_int(Maker *m, int64_t value);                  /* also a negative one */
Ast *make_decimal(Maker *m, Str digits);                 /* as a number of JSON, also a negative one */
Ast *make_string(Maker *m, Str text);
Ast *make_date(Maker *m, int64_t days);
Ast *make_timestamp(Maker *m, int64_t us);
Ast *make_duration(Maker *m, int64_t us);
Ast *make_json(Maker *m, Str text);                      /* canonical text of a value */
Ast *make_name(Maker *m, Str name);
Ast *make_field(Maker *m, Ast *object, Str name, bool optional);
Ast *make_index(Maker *m, Ast *object, int64_t index);
Ast *make_list(Maker *m, Nodes *items);
Ast *make_object(Maker *m);                              /* a record, a map or json, as its place wants */
void make_object_put(Maker *m, Ast *object, Str key, Ast *value);
Ast *make_as(Maker *m, Ast *value, Type *type);
Ast *make_call(Maker *m, Str agent, Str tool);
void make_call_put(Maker *m, Ast *call, Str param, Ast *value);
Ast *make_effect(Maker *m, EffectKind effect, Ast *first, Ast *second);    /* second may be NULL */
Ast *make_not(Maker *m, Ast *value);
Ast *make_is_not_null(Maker *m, Ast *value);
Ast *make_within(Maker *m, Ast *value, int64_t us);
Ast *make_retry(Maker *m, Ast *value, Str policy);
Ast *make_else(Maker *m, Ast *value, Ast *otherwise);
Ast *make_append(Maker *m, Ast *list, Ast *item);        /* list.append(item) */

/* ---- statements ---- */
Ast *make_block(Maker *m);                               /* without items; filled in by who made it */
Ast *make_let(Maker *m, bool mutable, Str name, Type *type /* may be NULL */, Ast *value);
Ast *make_assign(Maker *m, Ast *target, Ast *value);
Ast *make_do(Maker *m, Ast *value);                      /* an expression as a statement, or as the value of a block */
Ast *make_if(Maker *m, Ast *condition, Ast *then_block, Ast *else_block /* may be NULL */);
Ast *make_try(Maker *m, Ast *body, Str error, Ast *handler);
Ast *make_fail(Maker *m, ErrorKind kind, Str message, Str code /* may be empty */);
Ast *make_return(Maker *m, Ast *value);
Ast *make_saga(Maker *m, Ast *body);
Ast *make_step(Maker *m, Str name /* may be empty */, Ast *value);
Ast *make_parallel(Maker *m, Nodes *branches);
Ast *make_branch(Maker *m, Str name, Ast *value);        /* critical */
#endif
