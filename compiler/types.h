/* types.h - making and comparing types. Types of one program live in its arena and are made once where that is cheap, so that most
 * comparisons end at the pointer. Labels are part of a Type but not of its identity: a labelled type is a copy. */
#ifndef COMPILER_TYPES_H
#define COMPILER_TYPES_H
#include "compiler/typed.h"

enum { ENUM_MEMBERS_MAX = 1000, MACHINE_STATES_MAX = 64 };

void  types_init(Program *program);
Type *type_new(Program *program, TypeTag tag);
Type *type_optional(Program *program, Type *element);          /* of an optional, json or poison: itself */
Type *type_list(Program *program, Type *element);
Type *type_map(Program *program, Type *element);
Type *type_id(Program *program, Symbol *table);
Type *type_record(Program *program, Str name, TypeField *fields, uint32_t count);
Type *type_labeled(Program *program, Type *type, unsigned labels);      /* with these labels added */
Type *type_element(Program *program, Type *type);              /* of OPT, LIST, MAP, with the labels of the whole */
Type *type_strip(Type *type);                                  /* what is in an optional, or the type itself */
void  type_caches_forget(TypeCaches *caches);                  /* before what was made since goes */
void  type_measure(Type *record);                              /* depth from the fields, once they are there */

typedef enum { ASSIGN_NO, ASSIGN_SAME, ASSIGN_CONVERT } Assign;
Assign type_assign(const Type *from, const Type *to);
/* The type that both become, or NULL. */
Type *type_unify(Program *program, Type *a, Type *b);

const TypeField *type_field(const Type *record, Str name, uint32_t *index);
int   type_member(const Type *enumeration, Str name);          /* ordinal or -1 */
bool  type_is_number(const Type *type);
bool  type_is_ordered(const Type *type);                       /* < and order by */
const char *type_text(Program *program, const Type *type);     /* "`list<Flight>`" for messages */
const char *symbol_kind_text(SymbolKind kind);                 /* "a table" */
#endif
