/* sql_names.c - what tables and columns of programs are called in a database. */
#include "interpreter/store/sql.h"

#include "base/hash.h"

/* A long name keeps its beginning, for people, and ends in a hash of all of it. */
void sql_put_short(const SqlDialect *dialect, Buf *out, Str name)
{
    enum { HASH_CHARS = 17 };
    if (!dialect->name_max || name.len <= dialect->name_max) {
        buf_put_str(out, name);
        return;
    }
    size_t keep = dialect->name_max - HASH_CHARS;
    while (keep && ((unsigned char)name.ptr[keep] & 0xc0) == 0x80)      /* not inside of a character */
        keep--;
    buf_put(out, name.ptr, keep);
    buf_printf(out, "_%016llx", (unsigned long long)hash64(name, 0));
}

Err sql_put_identifier(const SqlDialect *dialect, Buf *out, const char *prefix, Str name, Error *error)
{
    if (name.len > SQL_NAME_MAX)
        return err_set(error, ERR_LIMIT, "cannot use an identifier of more than %d bytes (SQL_NAME_MAX): `%.40s…`", SQL_NAME_MAX, name.ptr);
    if (name.len && memchr(name.ptr, 0, name.len))
        return err_set(error, ERR_INVALID, "cannot use an identifier with a NUL byte");
    Buf full = { 0 }, stored = { 0 };
    buf_put_text(&full, prefix);
    buf_put_str(&full, name);
    sql_put_short(dialect, &stored, buf_str(&full));
    buf_put_char(out, '"');
    for (size_t i = 0; i < stored.len; i++) {
        if (stored.ptr[i] == '"')
            buf_put_char(out, '"');
        buf_put_char(out, stored.ptr[i]);
    }
    buf_put_char(out, '"');
    buf_free(&full);
    buf_free(&stored);
    return ERR_OK;
}

const char *sql_type_name(const SqlDialect *d, TypeKind kind)
{
    switch (kind) {
    case KIND_BOOL:    return d->type_bool;
    case KIND_INT: case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION: return d->type_int;
    case KIND_FLOAT:   return d->type_float;
    case KIND_DECIMAL: return d->type_decimal;
    case KIND_BYTES:   return d->type_blob;
    case KIND_STRING: case KIND_ENUM: case KIND_JSON: case KIND_LIST: case KIND_MAP: case KIND_RECORD: case KIND_ERROR: return d->type_text;
    default:           return NULL;
    }
}

Err sql_table_name(const Image *image, const ImageTable *table, Buf *out, Error *error)
{
    if (table->agent != NO_INDEX && table->agent >= image->agent_count)
        return err_set(error, ERR_INVALID, "cannot name table `%.*s`: no agent %u", STR_ARG(table->name), table->agent);
    buf_put_text(out, "t_");
    if (table->agent != NO_INDEX)
        buf_put_str(out, image->agents[table->agent].name);
    buf_put_char(out, '_');
    buf_put_str(out, table->name);
    return ERR_OK;
}

bool sql_has_hidden_version(const ImageTable *table)
{
    for (uint32_t i = 0; i < table->column_count; i++)
        if (str_is(table->columns[i].name, "version"))
            return false;
    return table->versioned;
}

uint32_t sql_column_count(const ImageTable *table)
{
    return table->column_count + (uint32_t)sql_has_hidden_version(table);
}

Str sql_column_name(const ImageTable *table, uint32_t column)
{
    return column < table->column_count ? table->columns[column].name : STR("version");
}

uint16_t sql_column_type(const ImageTable *table, uint32_t column)
{
    return column < table->column_count ? table->columns[column].type : TYPE_INDEX_INT;
}

const ImageType *sql_plain_type(const Image *image, uint16_t type, bool *optional)
{
    const ImageType *t = &image->types[type];
    *optional = t->kind == KIND_OPT;
    return *optional ? &image->types[t->element] : t;
}
