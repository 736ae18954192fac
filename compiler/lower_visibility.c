/* lower_visibility.c - the visibility of tables, once all tables have their places in the image. */
#include "compiler/lower_internal.h"

void lower_visibility(Lower *lw, Symbol *table)
{
    const Visibility *visibility = ((const TableInfo *)table->info)->visibility;
    if (!visibility) return;
    ImageTable *row = &lw->image->tables[table->image_index], *members = &lw->image->tables[visibility->members->image_index];
    row->visibility = (ImageVisibility){ .declared = true, .column = (uint16_t)visibility->column->ordinal, .members = visibility->members->image_index,
                                         .user_column = (uint16_t)visibility->user->ordinal,
                                         .role_column = visibility->role ? (uint16_t)visibility->role->ordinal : NO_INDEX, .writers = visibility->writers };
    members->cached |= row->cached;      /* who joins or leaves changes what a kept result may show */
}
