/* rows.h - between the values of a run and the cells of a table.
 *
 * A column's type decides: int-like words are CELL_INT (an enum is the name of its member, so that a table reads well and a later module may
 * add members), decimals are CELL_DECIMAL text, records, lists, maps and json are JSON text, null is CELL_NULL. What comes back is checked
 * against the type like any input: a row that another program wrote may hold anything. Texts of a Cell live in the arena or in the value.
 */
#ifndef EFFECT_ROWS_H
#define EFFECT_ROWS_H
#include "interpreter/store/store.h"
#include "interpreter/vm/value.h"

Err rows_cell_of(const Image *image, uint16_t type, Value value, Arena *arena, Cell *out, Error *error);
Err rows_value_of(const Image *image, uint16_t type, const Cell *cell, Value *out, Error *error);      /* a new reference */
/* The result of a query: a list, an optional row, a row, a number, by `query->result`. */
Err rows_result(const Image *image, const Query *query, const RowSet *rows, Value *out, Error *error);
#endif
