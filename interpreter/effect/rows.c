/* rows.c - see rows.h. Everything that is not a scalar travels as JSON text, in both directions through the same two functions of value.h. */
#include "interpreter/effect/rows.h"
#include "base/time.h"

enum { CELL_JSON_MAX = 1 << 20 };

static Err cell_json(const Image *image, uint16_t type, Value value, Arena *arena, Cell *out) {
    Buf text = { 0 };
    value_to_json(image, type, value, &text);
    *out = (Cell){ .kind = CELL_TEXT, .text = arena_str(arena, buf_str(&text)) };
    buf_free(&text);
    return ERR_OK;
}

static Err cell_list(const Image *image, const ImageType *row, Value value, Arena *arena, Cell *out, Error *error) {
    const List *list = (const List *)value.o;
    uint32_t count = list ? list->count : 0;
    *out = (Cell){ .kind = CELL_LIST, .count = count, .items = ARENA_ARRAY(arena, Cell, count ? count : 1) };
    for (uint32_t i = 0; i < count; i++) {
        Err err = rows_cell_of(image, row->element, list->items[i], arena, &out->items[i], error);
        if (err) return err;
    }
    return ERR_OK;
}

static bool is_scalar(TypeKind kind) { return kind != KIND_RECORD && kind != KIND_LIST && kind != KIND_MAP && kind != KIND_JSON && kind != KIND_ERROR; }

Err rows_cell_of(const Image *image, uint16_t type, Value value, Arena *arena, Cell *out, Error *error) {
    const ImageType *row = &image->types[type];
    Buf text = { 0 };
    switch (row->kind) {
    case KIND_OPT: {
        if (value.w == 0) { *out = (Cell){ .kind = CELL_NULL }; return ERR_OK; }
        Value inside = opt_value(image, type, value);
        Err err = rows_cell_of(image, row->element, inside, arena, out, error);
        if (!err && out->kind == CELL_TEXT) out->text = arena_str(arena, out->text);     /* `inside` may hold the text alone */
        if (!err && out->kind == CELL_BLOB) out->text = arena_str(arena, out->text);
        if (kind_is_counted(image->types[row->element].kind)) value_release(inside);
        return err;
    }
    case KIND_BOOL: case KIND_INT: case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION:
        *out = (Cell){ .kind = CELL_INT, .i = value.i };
        return ERR_OK;
    case KIND_ENUM:
        if (value.i < 0 || value.i >= row->member_count) return err_set(error, ERR_INVALID, "no member %lld in this enum", (long long)value.i);
        *out = (Cell){ .kind = CELL_TEXT, .text = row->members[value.i] };
        return ERR_OK;
    case KIND_FLOAT:
        *out = (Cell){ .kind = CELL_FLOAT, .f = value.f };
        return ERR_OK;
    case KIND_DECIMAL:
        decimal_print(value.w ? value.w : DECIMAL_ZERO, &text);
        *out = (Cell){ .kind = CELL_DECIMAL, .text = arena_str(arena, buf_str(&text)) };
        buf_free(&text);
        return ERR_OK;
    case KIND_STRING:
        *out = (Cell){ .kind = CELL_TEXT, .text = value_str(value) };
        return ERR_OK;
    case KIND_BYTES:
        *out = (Cell){ .kind = CELL_BLOB, .text = value_str(value) };
        return ERR_OK;
    case KIND_LIST:
        if (is_scalar(image->types[row->element].kind)) return cell_list(image, row, value, arena, out, error);
        return cell_json(image, type, value, arena, out);
    case KIND_JSON:
        if (value.w == 0) { *out = (Cell){ .kind = CELL_NULL }; return ERR_OK; }
        return cell_json(image, type, value, arena, out);
    case KIND_MAP: case KIND_RECORD: case KIND_ERROR:
        return cell_json(image, type, value, arena, out);
    default:
        return err_set(error, ERR_INVALID, "a value of this type cannot be a cell of a table");
    }
}

static Err wrong_cell(const Image *image, uint16_t type, const Cell *cell, Error *error) {
    static const char *const names[] = { "null", "an integer", "a float", "a text", "bytes", "a decimal", "a list" };
    Buf text = { 0 };
    image_type_print(image, type, &text);
    err_set(error, ERR_CORRUPT, "cannot read a cell: expected %s, found %s", buf_cstr(&text), names[cell->kind]);
    buf_free(&text);
    return ERR_CORRUPT;
}

static Err value_of_text_json(const Image *image, uint16_t type, const Cell *cell, Value *out, Error *error) {
    Arena *arena = arena_new();
    Json *json = NULL;
    Err err = json_parse(arena, cell->text, CELL_JSON_MAX, &json, error);
    if (!err) err = value_from_json(image, type, json, out, error);
    arena_free(arena);
    return err;
}

static Err decimal_of_cell(const Image *image, uint16_t type, const Cell *cell, Value *out, Error *error) {
    Decimal d = DECIMAL_ZERO;
    Err err = ERR_OK;
    if (cell->kind == CELL_INT) d = decimal_from_int(cell->i);
    else if (cell->kind == CELL_FLOAT) err = decimal_from_double(cell->f, &d);
    else if (cell->kind == CELL_DECIMAL || cell->kind == CELL_TEXT) err = decimal_from_text(cell->text, &d);
    else return wrong_cell(image, type, cell, error);
    if (err) return err_set(error, ERR_CORRUPT, "cannot read a cell as a decimal");
    out->w = d;
    return ERR_OK;
}

static Err enum_of_cell(const Image *image, uint16_t type, const Cell *cell, Value *out, Error *error) {
    const ImageType *row = &image->types[type];
    if (cell->kind == CELL_TEXT)
        for (uint16_t i = 0; i < row->member_count; i++)
            if (str_eq(row->members[i], cell->text)) { out->i = i; return ERR_OK; }
    return wrong_cell(image, type, cell, error);
}

static bool int_fits(const ImageType *row, int64_t i) {
    switch (row->kind) {
    case KIND_BOOL:      return i == 0 || i == 1;
    case KIND_DATE:      return i >= DATE_MIN && i <= DATE_MAX;
    case KIND_TIMESTAMP: return i >= TIMESTAMP_MIN && i <= TIMESTAMP_MAX;
    default:             return true;
    }
}

Err rows_value_of(const Image *image, uint16_t type, const Cell *cell, Value *out, Error *error) {
    const ImageType *row = &image->types[type];
    out->w = 0;
    switch (row->kind) {
    case KIND_OPT: {
        if (cell->kind == CELL_NULL) return ERR_OK;
        Value inside;
        Err err = rows_value_of(image, row->element, cell, &inside, error);
        if (!err) *out = value_some(image, type, inside);
        return err;
    }
    case KIND_BOOL: case KIND_INT: case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION:
        if (cell->kind != CELL_INT || !int_fits(row, cell->i)) return wrong_cell(image, type, cell, error);
        out->i = cell->i;
        return ERR_OK;
    case KIND_ENUM:
        return enum_of_cell(image, type, cell, out, error);
    case KIND_FLOAT:
        if (cell->kind != CELL_FLOAT && cell->kind != CELL_INT) return wrong_cell(image, type, cell, error);
        out->f = cell->kind == CELL_INT ? (double)cell->i : cell->f;
        return ERR_OK;
    case KIND_DECIMAL:
        return decimal_of_cell(image, type, cell, out, error);
    case KIND_STRING:
        if (cell->kind != CELL_TEXT && cell->kind != CELL_DECIMAL) return wrong_cell(image, type, cell, error);
        if (cell->text.len > VALUE_SIZE_MAX) return err_set(error, ERR_LIMIT, "a text in a table is longer than VALUE_SIZE_MAX (%d bytes)", VALUE_SIZE_MAX);
        if (!utf8_valid(cell->text)) return wrong_cell(image, type, cell, error);
        *out = value_string(cell->text);
        return ERR_OK;
    case KIND_BYTES:
        if (cell->kind != CELL_BLOB && cell->kind != CELL_TEXT) return wrong_cell(image, type, cell, error);
        if (cell->text.len > VALUE_SIZE_MAX) return err_set(error, ERR_LIMIT, "bytes in a table are longer than VALUE_SIZE_MAX (%d bytes)", VALUE_SIZE_MAX);
        *out = value_bytes(cell->text);
        return ERR_OK;
    case KIND_JSON:
        if (cell->kind == CELL_NULL) return ERR_OK;
        /* fall through */
    case KIND_LIST: case KIND_MAP: case KIND_RECORD:
        if (cell->kind != CELL_TEXT) return wrong_cell(image, type, cell, error);
        return value_of_text_json(image, type, cell, out, error);
    default:
        return wrong_cell(image, type, cell, error);
    }
}

/* One row as a record, or its only column. */
static Err row_value(const Image *image, uint16_t type, const RowSet *rows, uint32_t row_index, Value *out, Error *error) {
    const ImageType *row = &image->types[type];
    const Cell *cells = rows->cells + (size_t)row_index * rows->columns;
    if (row->kind != KIND_RECORD) {
        if (rows->columns < 1) return err_set(error, ERR_CORRUPT, "cannot read a row without columns");
        return rows_value_of(image, type, cells, out, error);
    }
    if (rows->columns != row->field_count)
        return err_set(error, ERR_CORRUPT, "cannot read a row: expected %u columns, found %u", row->field_count, rows->columns);
    Value record = value_record(image, type);
    Record *fields = (Record *)record.o;
    for (uint16_t i = 0; i < row->field_count; i++) {
        Err err = rows_value_of(image, row->fields[i].type, &cells[i], &fields->fields[i], error);
        if (err) { value_release(record); return err; }
    }
    *out = record;
    return ERR_OK;
}

static Err list_result(const Image *image, const ImageType *type, const RowSet *rows, Value *out, Error *error) {
    if (rows->rows > VALUE_ITEMS_MAX) return err_set(error, ERR_LIMIT, "a query answers with more than VALUE_ITEMS_MAX (%d) rows", VALUE_ITEMS_MAX);
    Value list = value_list(rows->rows, kind_is_counted(image->types[type->element].kind));
    for (uint32_t i = 0; i < rows->rows; i++) {
        Value item;
        Err err = row_value(image, type->element, rows, i, &item, error);
        if (err) { value_release(list); return err; }
        list = list_push(list, item);
    }
    *out = list;
    return ERR_OK;
}

Err rows_result(const Image *image, const Query *query, const RowSet *rows, Value *out, Error *error) {
    const ImageType *type = &image->types[query->result];
    out->w = 0;
    if (type->kind == KIND_VOID) return ERR_OK;
    if (!rows) return err_set(error, ERR_CORRUPT, "a query gave no rows");
    if (type->kind == KIND_LIST) return list_result(image, type, rows, out, error);
    if (type->kind == KIND_OPT) {
        if (rows->rows == 0) return ERR_OK;
        if (image->types[type->element].kind != KIND_RECORD) return rows_value_of(image, query->result, rows->cells, out, error);
        Value record;
        Err err = row_value(image, type->element, rows, 0, &record, error);
        if (!err) *out = value_some(image, query->result, record);
        return err;
    }
    if (rows->rows == 0) return err_set(error, ERR_CORRUPT, "a query gave no row where one was due");
    return row_value(image, query->result, rows, 0, out, error);
}
