/* store_contract_rows.h - the tables of programs: every kind of query and value, tenants and owners, machines, growing schemas. */

/* Types behind the fixed ones, columns, queries of the shop that contract_shop() builds. */
enum { S_STATUS = TYPE_INDEX_FIXED_COUNT, S_OPT_STRING, S_ITEM, S_LIST_ITEM, S_OPT_ITEM, S_LIST_DECIMAL, S_LIST_STATUS, S_OPT_INT, S_OPT_DECIMAL, S_ORDER, S_PLACE, S_LIST_ANY, S_LIST_BYTES,
       S_OPT_STATUS, S_LIST_PLACE, S_LIST_ORDER };
enum { C_ID, C_PRICE, C_QTY, C_STATUS, C_NOTE, C_TAGS, C_OPEN, C_AT, C_DAY, C_RATIO, C_RAW, C_DATA, C_PAUSE, C_VERSION, ITEM_COLUMNS };
enum { O_ID, O_ITEM, O_AMOUNT, ORDER_COLUMNS };
enum { TABLE_ITEMS, TABLE_ORDERS, TABLE_PLACES };

#define XC(column)      { .op = QX_COLUMN, .arg = (column) }
#define XJ(join, column) { .op = QX_COLUMN, .source = (join), .arg = (column) }
#define XP(param)       { .op = QX_PARAM, .arg = (param) }
#define X(name)         { .op = QX_##name }
#define EXPRESSION(image, ...) contract_expr((image), (QueryItem[]){ __VA_ARGS__ }, sizeof (QueryItem[]){ __VA_ARGS__ } / sizeof(QueryItem))
#define PARAMS(...) (uint16_t[]){ __VA_ARGS__ }, sizeof (uint16_t[]){ __VA_ARGS__ } / sizeof(uint16_t)
#define CELLS(...) (Cell[]){ __VA_ARGS__ }, sizeof (Cell[]){ __VA_ARGS__ } / sizeof(Cell)

static Cell ci(int64_t v) { return (Cell){ .kind = CELL_INT, .i = v }; }
static Cell cf(double v) { return (Cell){ .kind = CELL_FLOAT, .f = v }; }
static Cell ct(const char *v) { return (Cell){ .kind = CELL_TEXT, .text = str_of(v) }; }
static Cell cd(const char *v) { return (Cell){ .kind = CELL_DECIMAL, .text = str_of(v) }; }
static Cell cb(const char *v, size_t len) { return (Cell){ .kind = CELL_BLOB, .text = { v, len } }; }
static Cell cn(void) { return (Cell){ .kind = CELL_NULL }; }
static Cell cl(Cell *items, uint32_t count) { return (Cell){ .kind = CELL_LIST, .items = items, .count = count }; }

static QueryExpr contract_expr(Image *image, const QueryItem *items, size_t count)
{
    QueryItem *copy = ARENA_ARRAY(image->arena, QueryItem, count);
    memcpy(copy, items, sizeof *items * count);
    return (QueryExpr){ copy, (uint16_t)count };
}

static uint16_t add_query(Image *image, QueryKind kind, uint16_t table, const uint16_t *params, size_t param_count)
{
    uint16_t row = IMAGE_ADD_QUERY(image);
    Query *q = &image->queries[row];
    q->kind = (uint8_t)kind, q->table = table, q->limit_param = NO_INDEX;
    q->result = kind == QUERY_EXISTS ? TYPE_INDEX_BOOL : kind >= QUERY_UPDATE ? TYPE_INDEX_INT : kind == QUERY_SELECT_ONE ? S_OPT_ITEM : kind == QUERY_SELECT ? S_LIST_ITEM : S_ITEM;
    q->row_type = image->tables[table].row_type;
    q->params = ARENA_ARRAY(image->arena, uint16_t, param_count);
    if (param_count) memcpy(q->params, params, sizeof *params * param_count);
    q->param_count = (uint16_t)param_count;
    return row;
}

/* insert with one parameter for each of the given columns */
static uint16_t add_insert(Image *image, uint16_t table, const uint16_t *columns, size_t count)
{
    uint16_t types[32] = { 0 };
    for (size_t i = 0; i < count; i++) types[i] = image->tables[table].columns[columns[i]].type;
    uint16_t row = add_query(image, QUERY_INSERT, table, types, count);
    Query *q = &image->queries[row];
    q->sets = ARENA_ARRAY(image->arena, QuerySet, count);
    q->set_count = (uint16_t)count;
    q->result = q->row_type;
    for (size_t i = 0; i < count; i++) q->sets[i] = (QuerySet){ columns[i], EXPRESSION(image, XP((uint16_t)i)) };
    return row;
}

static void set_one(Image *image, uint16_t query, uint16_t column, QueryExpr value)
{
    Query *q = &image->queries[query];
    QuerySet *sets = ARENA_ARRAY(image->arena, QuerySet, q->set_count + 1);
    if (q->set_count) memcpy(sets, q->sets, sizeof *sets * q->set_count);
    sets[q->set_count++] = (QuerySet){ column, value };
    q->sets = sets;
}

static void set_outputs(Image *image, uint16_t query, const QueryExpr *outputs, int count)
{
    Query *q = &image->queries[query];
    q->outputs = ARENA_ARRAY(image->arena, QueryExpr, count);
    memcpy(q->outputs, outputs, sizeof *outputs * (size_t)count);
    q->output_count = (uint16_t)count;
}

static void order_by(Image *image, uint16_t query, QueryExpr value, bool descending)
{
    Query *q = &image->queries[query];
    QueryOrder *orders = ARENA_ARRAY(image->arena, QueryOrder, q->order_count + 1);
    if (q->order_count) memcpy(orders, q->orders, sizeof *orders * q->order_count);
    orders[q->order_count++] = (QueryOrder){ value, descending };
    q->orders = orders;
}

static uint16_t add_type(Image *image, ImageType type)
{
    uint16_t row = IMAGE_ADD(image, type);
    image->types[row] = type;
    return row;
}

static uint16_t add_record(Image *image, const char *const *names, const uint16_t *types, uint16_t count)
{
    ImageField *fields = ARENA_ARRAY(image->arena, ImageField, count);
    for (int i = 0; i < count; i++) fields[i] = (ImageField){ .name = str_of(names[i]), .type = types[i] };
    return add_type(image, (ImageType){ .kind = KIND_RECORD, .fields = fields, .field_count = count });
}

static ImageTable *add_table(Image *image, const char *name, uint16_t row_type, bool shared, uint16_t id_column)
{
    uint16_t row = IMAGE_ADD(image, table);
    const ImageType *record = &image->types[row_type];
    ImageTable *table = &image->tables[row];
    *table = (ImageTable){ .name = str_of(name), .shared = shared, .row_type = row_type, .id_column = id_column, .column_count = record->field_count };
    table->columns = ARENA_ARRAY(image->arena, ImageColumn, record->field_count);
    for (int i = 0; i < record->field_count; i++)
        table->columns[i] = (ImageColumn){ .name = record->fields[i].name, .type = record->fields[i].type, .default_const = NO_INDEX };
    return table;
}

static void add_index(Image *image, ImageTable *table, bool unique, uint16_t a, uint16_t b)
{
    ImageIndex *indexes = ARENA_ARRAY(image->arena, ImageIndex, table->index_count + 1);
    if (table->index_count) memcpy(indexes, table->indexes, sizeof *indexes * table->index_count);
    indexes[table->index_count++] = (ImageIndex){ .unique = unique, .columns = { a, b }, .column_count = b == NO_INDEX ? 1 : 2 };
    table->indexes = indexes;
}

static void set_default(Image *image, ImageTable *table, uint16_t column, uint16_t type, uint64_t word, const char *text)
{
    uint16_t row = IMAGE_ADD(image, const);
    image->consts[row] = (ImageConst){ .type = type, .word = word, .bytes = str_of(text) };
    table->columns[column].has_default = true;
    table->columns[column].default_const = row;
}

static Image *contract_shop(void)
{
    static Str states[] = { { "NEW", 3 }, { "OPEN", 4 }, { "DONE", 4 } };
    static uint64_t targets[] = { 1 << 1 | 1 << 2, 1 << 2, 0 };
    Image *m = image_new();
    uint16_t agent = IMAGE_ADD(m, agent);
    m->agents[agent].name = STR("shop");
    add_type(m, (ImageType){ .kind = KIND_ENUM, .name = STR("Status"), .members = states, .member_count = 3 });
    add_type(m, (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_STRING });
    add_record(m, (const char *const[]){ "id", "price", "qty", "status", "note", "tags", "open", "at", "day", "ratio", "raw", "data", "pause", "version" },
               (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL, TYPE_INDEX_INT, S_STATUS, S_OPT_STRING, TYPE_INDEX_LIST_STRING, TYPE_INDEX_BOOL, TYPE_INDEX_TIMESTAMP, TYPE_INDEX_DATE,
                                   TYPE_INDEX_FLOAT, TYPE_INDEX_BYTES, TYPE_INDEX_JSON, TYPE_INDEX_DURATION, TYPE_INDEX_INT }, ITEM_COLUMNS);
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = S_ITEM });
    add_type(m, (ImageType){ .kind = KIND_OPT, .element = S_ITEM });
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = TYPE_INDEX_DECIMAL });
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = S_STATUS });
    add_type(m, (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_INT });
    add_type(m, (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_DECIMAL });
    add_record(m, (const char *const[]){ "id", "item", "amount" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL }, ORDER_COLUMNS);
    add_record(m, (const char *const[]){ "city", "nights" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_INT }, 2);
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = TYPE_INDEX_INT });
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = TYPE_INDEX_BYTES });
    add_type(m, (ImageType){ .kind = KIND_OPT, .element = S_STATUS });
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = S_PLACE });
    add_type(m, (ImageType){ .kind = KIND_LIST, .element = S_ORDER });
    uint16_t machine = IMAGE_ADD(m, machine);
    m->machines[machine] = (ImageMachine){ .type = S_STATUS, .targets = targets, .finals = 1 << 2 };
    ImageTable *items = add_table(m, "items", S_ITEM, false, C_ID);
    items->versioned = true;
    set_default(m, items, C_QTY, TYPE_INDEX_INT, 1, "");
    set_default(m, items, C_STATUS, S_STATUS, 0, "");
    set_default(m, items, C_PRICE, TYPE_INDEX_DECIMAL, 0, "9.90");
    set_default(m, items, C_TAGS, TYPE_INDEX_JSON, 0, "[]");
    set_default(m, items, C_DATA, TYPE_INDEX_JSON, 0, "{\"it's\":\"\\\"\"}");
    for (uint16_t c = C_OPEN; c <= C_PAUSE; c++)
        if (c != C_RATIO && c != C_RAW && c != C_DATA) set_default(m, items, c, items->columns[c].type, 0, "");
    set_default(m, items, C_RATIO, TYPE_INDEX_FLOAT, UINT64_C(0x3fe0000000000000), "");
    set_default(m, items, C_RAW, TYPE_INDEX_BYTES, 0, "");
    add_index(m, items, true, C_NOTE, C_DAY);
    add_index(m, items, false, C_PRICE, NO_INDEX);
    add_table(m, "orders", S_ORDER, false, O_ID);
    add_table(m, "places", S_PLACE, true, NO_INDEX);
    return m;
}

/* ---- asking ---- */

static Image *shop;
static StoreBatch *asked;                                   /* holds the rows of the last question */

static int shop_setup(void **state)
{
    contract_setup(state);
    shop = contract_shop();
    StoreBatch *batch = batch_of("", 0);
    store_ensure_tables(batch, shop);
    must_go(batch);
    return 0;
}

static int shop_teardown(void **state)
{
    store_batch_free(asked);
    asked = NULL;
    image_free(shop);
    return contract_teardown(state);
}

static Err ask_as(const char *tenant, const char *owner, uint16_t query, const Cell *params, size_t count, const RowSet **rows, Error *error)
{
    store_batch_free(asked);
    asked = store_batch(contract_store, str_of(tenant), (Str){ 0 }, 0);
    int index = store_query(asked, shop, query, str_of(owner), params, (uint32_t)count);
    Err err = store_run_batch(asked, error);
    *rows = err ? NULL : store_rows(asked, index);
    return err;
}

static const RowSet *ask(uint16_t query, const Cell *params, size_t count)
{
    const RowSet *rows;
    Error error = { 0 };
    if (ask_as("acme", "ann", query, params, count, &rows, &error)) fail_msg("query: %s", error.text);
    return rows;
}

static void ask_fails(uint16_t query, const Cell *params, size_t count, Err code, const char *part)
{
    const RowSet *rows;
    Error error = { 0 };
    Err err = ask_as("acme", "ann", query, params, count, &rows, &error);
    if (err != code || !strstr(error.text, part)) fail_msg("found %s `%s`, expected %s `%s`", err_name(err), error.text, err_name(code), part);
}

static uint16_t select_ids(QueryExpr where, const uint16_t *params, size_t count)
{
    uint16_t q = add_query(shop, QUERY_SELECT, TABLE_ITEMS, params, count);
    shop->queries[q].where = where;
    set_outputs(shop, q, (const QueryExpr[]){ EXPRESSION(shop, XC(C_ID)) }, 1);
    return q;
}

/* The ids that came back, as "a b ". */
static const char *ids_of(const RowSet *rows)
{
    static char text[256];
    text[0] = 0;
    for (uint32_t i = 0; i < rows->rows; i++) {
        Str id = rows->cells[i * rows->columns].text;
        strncat(strncat(text, id.ptr, id.len), " ", 2);
    }
    return text;
}
static void finds(QueryExpr where, const uint16_t *types, size_t type_count, const Cell *params, size_t count, const char *ids)
{
    assert_string_equal(ids_of(ask(select_ids(where, types, type_count), params, count)), ids);
}
#define FINDS(ids, types, cells, ...) finds(EXPRESSION(shop, __VA_ARGS__), types, cells, ids)

/* id, price, qty, status, note, day in rows a to e */
static void fill(void)
{
    uint16_t q = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID, C_PRICE, C_QTY, C_STATUS, C_NOTE, C_DAY));
    ask(q, CELLS(ct("a"), cd("10"), ci(3), ct("OPEN"), ct("Hello%_"), ci(1)));
    ask(q, CELLS(ct("b"), cd("9.5"), ci(1), ct("NEW"), cn(), ci(2)));
    ask(q, CELLS(ct("c"), cd("100.25"), ci(7), ct("DONE"), ct("hello"), ci(3)));
    ask(q, CELLS(ct("d"), cd("-0.5"), ci(-2), ct("NEW"), ct("x'; DROP TABLE \"t_shop_items\"; --"), ci(4)));
    ask(q, CELLS(ct("e"), cd("9.50"), ci(4), ct("OPEN"), cn(), ci(5)));
}

/* ---- the tests ---- */

static void an_insert_gives_the_whole_row_with_defaults(void **state)
{
    const RowSet *rows = ask(add_insert(shop, TABLE_ITEMS, PARAMS(C_ID)), CELLS(ct("a")));
    assert_true(rows->rows == 1 && rows->columns == ITEM_COLUMNS);
    const Cell *c = rows->cells;
    assert_str(c[C_ID].text, "a");
    assert_true(c[C_PRICE].kind == CELL_DECIMAL && str_is(c[C_PRICE].text, "9.9"));
    assert_true(c[C_QTY].kind == CELL_INT && c[C_QTY].i == 1 && str_is(c[C_STATUS].text, "NEW") && c[C_NOTE].kind == CELL_NULL && str_is(c[C_TAGS].text, "[]"));
    assert_true(c[C_RATIO].kind == CELL_FLOAT && c[C_RATIO].f == 0.5 && c[C_RAW].kind == CELL_BLOB && c[C_RAW].text.len == 0);
    assert_str(c[C_DATA].text, "{\"it's\":\"\\\"\"}");
    assert_int_equal(c[C_VERSION].i, 1);
}

static void every_kind_of_value_comes_back_as_it_went(void **state)
{
    uint16_t all[C_VERSION];
    for (uint16_t i = 0; i < C_VERSION; i++) all[i] = i;
    Cell tag[] = { ct("x\"y"), ct("ü") };
    const Cell in[] = { ct("id"), cd("12345678901234567890.123456789"), ci(INT64_MIN), ct("DONE"), ct(""), cl(tag, 2), ci(1), ci(-1), ci(20000), cf(0.1), cb("\0\377", 2), ct("[1,null]"), ci(5) };
    ask(add_insert(shop, TABLE_ITEMS, all, C_VERSION), in, C_VERSION);
    store_batch_free(asked), asked = NULL;
    reopen();
    uint16_t q = add_query(shop, QUERY_SELECT_ONE, TABLE_ITEMS, NULL, 0);
    const Cell *out = ask(q, NULL, 0)->cells;
    for (int i = 0; i < C_VERSION; i++) {
        if (i == C_TAGS) continue;
        if (in[i].kind != out[i].kind || in[i].i != out[i].i || in[i].f != out[i].f || !str_eq(in[i].text, out[i].text)) fail_msg("column %d came back different", i);
    }
    assert_str(out[C_TAGS].text, "[\"x\\\"y\",\"ü\"]");
}

static void conditions_find_the_rows_they_mean(void **state)
{
    fill();
    FINDS("a c d ", PARAMS(TYPE_INDEX_INT), CELLS(ci(-9)), XC(C_NOTE), X(IS_NULL), X(NOT), XC(C_QTY), XP(0), X(GT), X(AND));
    FINDS("b e ", PARAMS(S_OPT_STRING), CELLS(cn()), XC(C_NOTE), XP(0), X(EQ));
    FINDS("a c d ", PARAMS(S_OPT_STRING), CELLS(cn()), XC(C_NOTE), XP(0), X(NE));
    FINDS("b d e ", PARAMS(S_OPT_STRING), CELLS(ct("p")), XC(C_NOTE), XP(0), X(LT), X(NOT));
    FINDS("a c ", PARAMS(TYPE_INDEX_INT, TYPE_INDEX_INT), CELLS(ci(2), ci(10)), XC(C_QTY), XP(0), X(MUL), XP(1), X(GE), XC(C_QTY), XP(0), X(GT), XC(C_QTY), XP(0), X(ADD), XP(1), X(LT), X(AND), XC(C_NOTE), X(IS_NULL), X(NOT), X(AND), X(OR));
    FINDS("a e ", PARAMS(S_STATUS), CELLS(ct("OPEN")), XC(C_STATUS), XP(0), X(EQ));
    FINDS("a e ", PARAMS(S_STATUS), CELLS(ci(1)), XC(C_STATUS), XP(0), X(EQ));
    FINDS("a c e ", PARAMS(S_STATUS), CELLS(ct("NEW")), XC(C_STATUS), XP(0), X(GT));     /* in the order of declaration, not of names */
    FINDS("b d ", PARAMS(S_STATUS), CELLS(ct("OPEN")), XC(C_STATUS), XP(0), X(LT));
}

/* A comparison with null is false, and so its negation true. */
static void null_is_false_under_not(void **state)
{
    fill();
    FINDS("b e ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("")), XC(C_NOTE), XP(0), X(GE), X(NOT));
    FINDS("a b d e ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("hello")), XC(C_NOTE), XP(0), X(CONTAINS), X(NOT));
    FINDS("b d e ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("hello")), XC(C_NOTE), X(LOWER), XP(0), X(STARTS), X(NOT));
}

static void text_is_searched_as_text_and_not_as_a_pattern(void **state)
{
    fill();
    FINDS("a ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("%")), XC(C_NOTE), XP(0), X(CONTAINS));
    FINDS("a ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("o%_")), XC(C_NOTE), XP(0), X(ENDS));
    FINDS("", PARAMS(TYPE_INDEX_STRING), CELLS(ct("_ello")), XC(C_NOTE), XP(0), X(STARTS));
    FINDS("c ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("hel")), XC(C_NOTE), XP(0), X(STARTS));
    FINDS("a c ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("HEL")), XC(C_NOTE), X(UPPER), XP(0), X(STARTS));
    FINDS("a c d ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("")), XC(C_NOTE), XP(0), X(ENDS));
    FINDS("", PARAMS(TYPE_INDEX_STRING), CELLS(ct("much longer than any note that is stored in the table")), XC(C_NOTE), XP(0), X(ENDS));
    FINDS("d ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("x'; DROP TABLE \"t_shop_items\"; --")), XC(C_NOTE), XP(0), X(EQ));
    FINDS("c ", PARAMS(TYPE_INDEX_STRING, TYPE_INDEX_STRING), CELLS(ct("hello"), ct("-c")), XC(C_NOTE), XP(0), X(EQ), XC(C_NOTE), XP(1), X(CONCAT), XP(1), X(ENDS), X(AND));
    ask(add_insert(shop, TABLE_ITEMS, PARAMS(C_ID, C_NOTE)), CELLS(ct("u"), ct("ÄRGER Σ")));
    FINDS("u ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("ärger σ")), XC(C_NOTE), X(LOWER), XP(0), X(EQ), XC(C_NOTE), XP(0), X(UPPER), X(EQ), X(AND));
    FINDS("b e ", PARAMS(TYPE_INDEX_STRING), CELLS(ct("none")), XC(C_NOTE), XP(0), X(COALESCE), XP(0), X(EQ));
}

static void a_list_parameter_is_a_set_of_values(void **state)
{
    fill();
    Cell ids[] = { ct("a"), ct("d"), ct("x\",\"b") }, prices[] = { cd("9.500"), cd("100.25") }, states[] = { ct("DONE"), ci(0) };
    FINDS("a d ", PARAMS(TYPE_INDEX_LIST_STRING), CELLS(cl(ids, 3)), XC(C_ID), XP(0), X(IN));
    FINDS("b c e ", PARAMS(S_LIST_DECIMAL), CELLS(cl(prices, 2)), XC(C_PRICE), XP(0), X(IN));
    FINDS("b c d ", PARAMS(S_LIST_STATUS), CELLS(cl(states, 2)), XC(C_STATUS), XP(0), X(IN));
    FINDS("", PARAMS(TYPE_INDEX_LIST_STRING), CELLS(cl(NULL, 0)), XC(C_ID), XP(0), X(IN));
    FINDS("a b c d e ", PARAMS(TYPE_INDEX_LIST_STRING), CELLS(cl(NULL, 0)), XC(C_ID), XP(0), X(IN), X(NOT));
    Cell raw[] = { cb("", 0) }, numbers[] = { ci(7), ci(-2) };
    FINDS("a b c d e ", PARAMS(S_LIST_BYTES), CELLS(cl(raw, 1)), XC(C_RAW), XP(0), X(IN));
    FINDS("c d ", PARAMS(S_LIST_ANY), CELLS(cl(numbers, 2)), XC(C_QTY), XP(0), X(IN));
    uint16_t q = select_ids(EXPRESSION(shop, XC(C_ID), XP(0), X(IN)), PARAMS(TYPE_INDEX_LIST_STRING));
    ask_fails(q, CELLS(ct("a")), ERR_INVALID, "a list was expected");
}

static void decimals_are_compared_ordered_and_summed_exactly(void **state)
{
    fill();
    FINDS("a c ", PARAMS(TYPE_INDEX_DECIMAL), CELLS(cd("9.51")), XC(C_PRICE), XP(0), X(GE));       /* 10 > 9.5 though "10" < "9.5" */
    FINDS("b e ", PARAMS(TYPE_INDEX_DECIMAL), CELLS(cd("9.5000")), XC(C_PRICE), XP(0), X(EQ));
    FINDS("b e ", PARAMS(TYPE_INDEX_DECIMAL, TYPE_INDEX_DECIMAL), CELLS(cd("0.1"), cd("0.95")), XC(C_PRICE), XP(0), X(MUL), XP(1), X(EQ));
    FINDS("d ", PARAMS(TYPE_INDEX_DECIMAL), CELLS(cd("0")), XP(0), XC(C_PRICE), X(SUB), XP(0), X(GT));
    FINDS("a c ", PARAMS(TYPE_INDEX_DECIMAL, TYPE_INDEX_DECIMAL), CELLS(cd("1"), cd("10.6")), XC(C_PRICE), XP(0), X(ADD), XP(1), X(GT));      /* computed ones too */
    uint16_t q = select_ids((QueryExpr){ 0 }, PARAMS(TYPE_INDEX_DECIMAL));
    order_by(shop, q, EXPRESSION(shop, XC(C_PRICE), XP(0), X(MUL)), false);
    assert_string_equal(ids_of(ask(q, CELLS(cd("2")))), "d b e a c ");
    q = select_ids((QueryExpr){ 0 }, NULL, 0);
    order_by(shop, q, EXPRESSION(shop, XC(C_PRICE)), true);
    assert_string_equal(ids_of(ask(q, NULL, 0)), "c a b e d ");       /* b before e: ties in the order of insertion */
    q = add_query(shop, QUERY_SELECT, TABLE_ITEMS, PARAMS(TYPE_INDEX_INT));
    order_by(shop, q, EXPRESSION(shop, XC(C_STATUS)), true), order_by(shop, q, EXPRESSION(shop, XC(C_QTY)), false);
    shop->queries[q].limit_param = 0;
    assert_string_equal(ids_of(ask(q, CELLS(ci(3)))), "c a e ");
    assert_int_equal(ask(q, CELLS(ci(0)))->rows, 0);
    ask_fails(q, CELLS(ci(-1)), ERR_INVALID, "limit below zero");
}

static Cell aggregate_of(QueryOp op, uint16_t column, uint16_t result, QueryExpr where)
{
    uint16_t q = add_query(shop, QUERY_AGGREGATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_STRING));
    shop->queries[q].where = where;
    shop->queries[q].result = result;
    QueryItem all = { .op = QX_COUNT_ALL };
    set_outputs(shop, q, (const QueryExpr[]){ op == QX_COUNT_ALL ? contract_expr(shop, &all, 1) : EXPRESSION(shop, XC(column), { .op = (uint8_t)op }) }, 1);
    const RowSet *rows = ask(q, CELLS(ct("nothing")));
    assert_true(rows->rows == 1 && rows->columns == 1);
    return rows->cells[0];
}

static void aggregates_are_exact_and_sum_nothing_to_zero(void **state)
{
    fill();
    QueryExpr all = { 0 }, none = EXPRESSION(shop, XC(C_ID), XP(0), X(EQ));
    assert_int_equal(aggregate_of(QX_COUNT_ALL, 0, TYPE_INDEX_INT, all).i, 5);
    assert_int_equal(aggregate_of(QX_COUNT, C_NOTE, TYPE_INDEX_INT, all).i, 3);
    Cell sum = aggregate_of(QX_SUM, C_PRICE, TYPE_INDEX_DECIMAL, all);
    assert_true(sum.kind == CELL_DECIMAL);
    assert_str(sum.text, "128.75");
    assert_str(aggregate_of(QX_AVG, C_PRICE, S_OPT_DECIMAL, all).text, "25.75");
    assert_str(aggregate_of(QX_MIN, C_PRICE, S_OPT_DECIMAL, all).text, "-0.5");
    assert_str(aggregate_of(QX_MAX, C_PRICE, S_OPT_DECIMAL, all).text, "100.25");
    assert_str(aggregate_of(QX_MAX, C_STATUS, S_OPT_STATUS, all).text, "DONE");
    assert_str(aggregate_of(QX_MIN, C_STATUS, S_OPT_STATUS, all).text, "NEW");
    assert_int_equal(aggregate_of(QX_SUM, C_QTY, TYPE_INDEX_INT, all).i, 13);
    assert_str(aggregate_of(QX_AVG, C_QTY, S_OPT_DECIMAL, all).text, "2.6");           /* of ints: a decimal */
    assert_true(aggregate_of(QX_AVG, C_RATIO, TYPE_INDEX_FLOAT, all).f == 0.5);
    assert_true(aggregate_of(QX_COUNT_ALL, 0, TYPE_INDEX_INT, none).i == 0 && aggregate_of(QX_SUM, C_QTY, TYPE_INDEX_INT, none).i == 0);
    assert_str(aggregate_of(QX_SUM, C_PRICE, TYPE_INDEX_DECIMAL, none).text, "0");
    assert_true(aggregate_of(QX_SUM, C_PRICE, TYPE_INDEX_DECIMAL, none).kind == CELL_DECIMAL && aggregate_of(QX_SUM, C_RATIO, TYPE_INDEX_FLOAT, none).kind == CELL_FLOAT);
    assert_true(aggregate_of(QX_AVG, C_PRICE, S_OPT_DECIMAL, none).kind == CELL_NULL && aggregate_of(QX_MIN, C_QTY, S_OPT_INT, none).kind == CELL_NULL);
    uint16_t q = add_query(shop, QUERY_EXISTS, TABLE_ITEMS, PARAMS(TYPE_INDEX_STRING));
    shop->queries[q].where = EXPRESSION(shop, XC(C_ID), XP(0), X(EQ));
    assert_int_equal(ask(q, CELLS(ct("a")))->cells[0].i, 1);
    assert_int_equal(ask(q, CELLS(ct("z")))->cells[0].i, 0);
}

static void integers_that_overflow_are_an_error_and_never_a_float(void **state)
{
    fill();
    uint16_t q = select_ids(EXPRESSION(shop, XC(C_QTY), XP(0), X(ADD), XP(0), X(GT)), PARAMS(TYPE_INDEX_INT));
    ask_fails(q, CELLS(ci(INT64_MAX)), ERR_INVALID, "overflow");
}

static void dates_count_days_and_durations_microseconds(void **state)
{
    fill();
    const int64_t day = INT64_C(86400000000);
    FINDS("c ", PARAMS(TYPE_INDEX_DATE, TYPE_INDEX_DURATION), CELLS(ci(5), ci(2 * day)), XC(C_DAY), XP(1), X(ADD), XP(0), X(EQ));
    FINDS("e ", PARAMS(TYPE_INDEX_DATE, TYPE_INDEX_DURATION), CELLS(ci(3), ci(2 * day)), XC(C_DAY), XP(1), X(SUB), XP(0), X(EQ));
    FINDS("d e ", PARAMS(TYPE_INDEX_DATE, TYPE_INDEX_DURATION), CELLS(ci(1), ci(2 * day)), XC(C_DAY), XP(0), X(SUB), XP(1), X(GT));
    FINDS("a b c d e ", PARAMS(TYPE_INDEX_TIMESTAMP, TYPE_INDEX_DURATION), CELLS(ci(-7), ci(7)), XC(C_AT), XP(0), X(SUB), XP(1), X(EQ), XP(1), XP(0), X(ADD), XC(C_AT), X(EQ), X(AND));
}

static void groups_joins_and_outputs_make_new_rows(void **state)
{
    fill();
    uint16_t order = add_insert(shop, TABLE_ORDERS, PARAMS(O_ID, O_ITEM, O_AMOUNT));
    ask(order, CELLS(ct("o1"), ct("a"), cd("1.10"))), ask(order, CELLS(ct("o2"), ct("a"), cd("2.20"))), ask(order, CELLS(ct("o3"), ct("c"), ci(5)));
    uint16_t q = add_query(shop, QUERY_SELECT, TABLE_ORDERS, NULL, 0);
    shop->queries[q].joins[0] = (QueryJoin){ TABLE_ITEMS, EXPRESSION(shop, XC(O_ITEM), XJ(1, C_ID), X(EQ)) };
    shop->queries[q].join_count = 1;
    shop->queries[q].groups = ARENA_ARRAY(shop->arena, QueryExpr, 1);
    shop->queries[q].groups[0] = EXPRESSION(shop, XJ(1, C_STATUS));
    shop->queries[q].group_count = 1;
    set_outputs(shop, q, (const QueryExpr[]){ EXPRESSION(shop, XJ(1, C_STATUS)), EXPRESSION(shop, XC(O_AMOUNT), X(SUM)), EXPRESSION(shop, X(COUNT_ALL)) }, 3);
    order_by(shop, q, EXPRESSION(shop, XC(O_AMOUNT), X(SUM)), true);
    const RowSet *rows = ask(q, NULL, 0);
    assert_true(rows->rows == 2 && rows->columns == 3);
    assert_str(rows->cells[0].text, "DONE"), assert_str(rows->cells[1].text, "5");
    assert_str(rows->cells[3].text, "OPEN"), assert_str(rows->cells[4].text, "3.3");
    assert_int_equal(rows->cells[5].i, 2);
}

static uint16_t status_update(void)
{
    uint16_t q = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(S_STATUS, TYPE_INDEX_LIST_STRING));
    set_one(shop, q, C_STATUS, EXPRESSION(shop, XP(0)));
    shop->queries[q].where = EXPRESSION(shop, XC(C_ID), XP(1), X(IN));
    return q;
}

static void an_update_counts_its_rows_and_moves_their_version(void **state)
{
    fill();
    uint16_t q = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_INT, TYPE_INDEX_DECIMAL));
    set_one(shop, q, C_QTY, EXPRESSION(shop, XC(C_QTY), XP(0), X(SUB)));
    set_one(shop, q, C_PRICE, EXPRESSION(shop, XC(C_PRICE), XP(1), X(ADD)));
    shop->queries[q].where = EXPRESSION(shop, XC(C_QTY), XP(0), X(GT));
    assert_int_equal(ask(q, CELLS(ci(2), cd("0.50")))->cells[0].i, 3);
    uint16_t one = add_query(shop, QUERY_SELECT_ONE, TABLE_ITEMS, PARAMS(TYPE_INDEX_STRING));
    shop->queries[one].where = EXPRESSION(shop, XC(C_ID), XP(0), X(EQ));
    const Cell *c = ask(one, CELLS(ct("a")))->cells;
    assert_true(c[C_QTY].i == 1 && c[C_VERSION].i == 2 && str_is(c[C_PRICE].text, "10.5"));
    assert_int_equal(ask(one, CELLS(ct("b")))->cells[C_VERSION].i, 1);
    assert_int_equal(ask(one, CELLS(ct("z")))->rows, 0);
    uint16_t erase = add_query(shop, QUERY_DELETE, TABLE_ITEMS, PARAMS(TYPE_INDEX_STRING));
    shop->queries[erase].where = EXPRESSION(shop, XC(C_ID), XP(0), X(GE));
    assert_int_equal(ask(erase, CELLS(ct("c")))->cells[0].i, 3);
    assert_int_equal(ask(erase, CELLS(ct("c")))->cells[0].i, 0);
}

static void a_machine_refuses_transitions_that_it_does_not_have(void **state)
{
    fill();                                                 /* a OPEN, b NEW, c DONE, d NEW, e OPEN */
    uint16_t q = status_update();
    Cell a[] = { ct("a") }, ab[] = { ct("a"), ct("b") }, abc[] = { ct("a"), ct("b"), ct("c") }, none[] = { ct("z") };
    assert_int_equal(ask(q, CELLS(ct("DONE"), cl(ab, 2)))->cells[0].i, 2);
    ask_fails(q, CELLS(ct("OPEN"), cl(a, 1)), ERR_INVALID, "items.status: no transition DONE -> OPEN");
    ask_fails(q, CELLS(ct("NEW"), cl(abc, 3)), ERR_INVALID, "no transition DONE -> NEW");
    assert_int_equal(ask(q, CELLS(ct("DONE"), cl(a, 1)))->cells[0].i, 1);              /* staying is no transition */
    assert_int_equal(ask(q, CELLS(ct("NEW"), cl(none, 1)))->cells[0].i, 0);
    FINDS("a b c ", PARAMS(S_STATUS), CELLS(ct("DONE")), XC(C_STATUS), XP(0), X(EQ));
    Cell de[] = { ct("e"), ct("d") };
    ask_fails(q, CELLS(ct("OPEN"), cl((Cell[]){ ct("d"), ct("c") }, 2)), ERR_INVALID, "no transition");     /* not even d moved */
    FINDS("d ", PARAMS(S_STATUS), CELLS(ct("NEW")), XC(C_STATUS), XP(0), X(EQ));
    assert_int_equal(ask(q, CELLS(ct("OPEN"), cl(de, 2)))->cells[0].i, 2);
}

static void a_taken_key_is_a_conflict_that_names_table_and_columns(void **state)
{
    fill();
    uint16_t q = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID, C_NOTE, C_DAY));
    ask_fails(q, CELLS(ct("a"), cn(), ci(9)), ERR_CONFLICT, "table `items`: a row with this (id)");
    ask_fails(q, CELLS(ct("z"), ct("hello"), ci(3)), ERR_CONFLICT, "table `items`: a row with this (note, day)");
    ask(q, CELLS(ct("z"), ct("hello"), ci(4)));
    uint16_t move = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_STRING));
    set_one(shop, move, C_ID, EXPRESSION(shop, XP(0)));
    ask_fails(move, CELLS(ct("same")), ERR_CONFLICT, "(id)");
}

static void an_owner_sees_and_changes_only_rows_of_that_owner(void **state)
{
    static const char *const WHO[][2] = { { "acme", "ann" }, { "acme", "bob" }, { "other", "ann" } };
    const RowSet *rows;
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID, C_QTY)), order = add_insert(shop, TABLE_ORDERS, PARAMS(O_ID, O_ITEM, O_AMOUNT));
    uint16_t place = add_insert(shop, TABLE_PLACES, PARAMS(0, 1)), all = select_ids((QueryExpr){ 0 }, NULL, 0);
    for (int i = 0; i < 3; i++) {                           /* the same ids for everybody */
        assert_int_equal(ask_as(WHO[i][0], WHO[i][1], insert, CELLS(ct("x"), ci(i)), &rows, NULL), ERR_OK);
        assert_int_equal(ask_as(WHO[i][0], WHO[i][1], order, CELLS(ct("o"), ct("x"), ci(1)), &rows, NULL), ERR_OK);
        assert_int_equal(ask_as(WHO[i][0], WHO[i][1], place, CELLS(ct("Rome"), ci(i)), &rows, NULL), ERR_OK);
    }
    uint16_t joined = add_query(shop, QUERY_SELECT, TABLE_ORDERS, NULL, 0), update = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_INT)), erase = add_query(shop, QUERY_DELETE, TABLE_ITEMS, NULL, 0);
    shop->queries[joined].joins[0] = (QueryJoin){ TABLE_ITEMS, EXPRESSION(shop, XC(O_ITEM), XJ(1, C_ID), X(EQ)) };
    shop->queries[joined].join_count = 1;
    set_outputs(shop, joined, (const QueryExpr[]){ EXPRESSION(shop, XJ(1, C_QTY)) }, 1);
    set_one(shop, update, C_QTY, EXPRESSION(shop, XP(0)));
    uint16_t places = add_query(shop, QUERY_SELECT, TABLE_PLACES, NULL, 0), any = select_ids(EXPRESSION(shop, XP(0), XC(C_QTY), XC(C_QTY), X(NE), X(OR)), PARAMS(TYPE_INDEX_BOOL));
    for (int i = 0; i < 3; i++) {
        assert_true(ask_as(WHO[i][0], WHO[i][1], all, NULL, 0, &rows, NULL) == ERR_OK && rows->rows == 1);
        assert_true(ask_as(WHO[i][0], WHO[i][1], any, CELLS(ci(1)), &rows, NULL) == ERR_OK && rows->rows == 1);      /* an `or` does not reach around the owner */
        assert_true(ask_as(WHO[i][0], WHO[i][1], joined, NULL, 0, &rows, NULL) == ERR_OK && rows->rows == 1 && rows->cells[0].i == i);
        assert_true(ask_as(WHO[i][0], WHO[i][1], places, NULL, 0, &rows, NULL) == ERR_OK && rows->rows == (i < 2 ? 2u : 1u));      /* shared: the tenant's */
        assert_true(ask_as(WHO[i][0], WHO[i][1], update, CELLS(ci(i)), &rows, NULL) == ERR_OK && rows->cells[0].i == 1);
    }
    assert_true(ask_as("acme", "ann", erase, NULL, 0, &rows, NULL) == ERR_OK && rows->cells[0].i == 1);
    assert_true(ask_as("acme", "bob", all, NULL, 0, &rows, NULL) == ERR_OK && rows->rows == 1);
    assert_true(ask_as("' OR 1=1 --", "ann", all, NULL, 0, &rows, NULL) == ERR_OK && rows->rows == 0);
    assert_int_equal(ask_as("", "ann", all, NULL, 0, &rows, NULL), ERR_INVALID);
}

static void values_that_do_not_fit_their_type_are_refused(void **state)
{
    uint16_t q = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID, C_PRICE, C_QTY, C_STATUS, C_RATIO));
    Cell good[] = { ct("a"), cd("1"), ci(1), ct("NEW"), cf(1) };
    const struct { int at; Cell bad; const char *part; } CASES[] = {
        { 0, ci(1), "parameter 0" }, { 0, cn(), "null" }, { 1, ct("12,5"), "no decimal" }, { 2, ct("1"), "parameter 2" }, { 3, ci(3), "parameter 3" }, { 4, cf(__builtin_nan("")), "parameter 4" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Cell cells[5];
        memcpy(cells, good, sizeof cells);
        cells[CASES[i].at] = CASES[i].bad;
        ask_fails(q, cells, 5, ERR_INVALID, CASES[i].part);
    }
    ask_fails(q, good, 4, ERR_INVALID, "takes 5 parameters");
    ask_fails(999, good, 5, ERR_INVALID, "no query 999");
    ask(q, good, 5);
}

static void queries_that_no_verified_program_holds_are_refused(void **state)
{
    const QueryExpr BAD[] = {
        EXPRESSION(shop, XC(C_ID), XC(99), X(EQ)), EXPRESSION(shop, XJ(1, C_ID), XC(C_ID), X(EQ)), EXPRESSION(shop, X(EQ)), EXPRESSION(shop, XC(C_ID), XC(C_ID)),
        EXPRESSION(shop, XP(3), X(NOT)), EXPRESSION(shop, XC(C_ID), XC(C_ID), X(IN)), EXPRESSION(shop, { .op = 200 }), EXPRESSION(shop, XC(C_ID), XC(C_QTY), X(ADD), X(IS_NULL)),
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) ask_fails(select_ids(BAD[i], NULL, 0), NULL, 0, ERR_INVALID, "cannot render query");
    QueryItem deep[QUERY_STACK_MAX + 1];
    for (int i = 0; i <= QUERY_STACK_MAX; i++) deep[i] = (QueryItem)XC(C_OPEN);
    ask_fails(select_ids(contract_expr(shop, deep, QUERY_STACK_MAX + 1), NULL, 0), NULL, 0, ERR_INVALID, "stack");
    uint16_t q = add_query(shop, QUERY_DELETE, TABLE_ITEMS, NULL, 0);
    shop->queries[q].join_count = 1;
    ask_fails(q, NULL, 0, ERR_UNSUPPORTED, "write with a join");
    q = add_query(shop, QUERY_SELECT, TABLE_ITEMS, NULL, 0);
    shop->queries[q].table = 77;
    ask_fails(q, NULL, 0, ERR_INVALID, "no such table");
}

static void names_shaped_like_an_injection_are_names(void **state)
{
    Image *m = image_new();
    uint16_t agent = IMAGE_ADD(m, agent);
    m->agents[agent].name = STR("a\"; DROP TABLE flow_runs; --");
    uint16_t record = add_record(m, (const char *const[]){ "x\") VALUES (1); --", "y?1$1'" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_INT }, 2);
    ImageTable *table = add_table(m, "t\" (z INT); --", record, false, 0);
    set_default(m, table, 1, TYPE_INDEX_INT, 5, "");
    add_index(m, table, true, 1, NO_INDEX);
    StoreBatch *batch = batch_of("", 0);
    store_ensure_tables(batch, m);
    must_go(batch);
    image_free(shop);
    shop = m;
    const RowSet *rows = ask(add_insert(m, 0, PARAMS(0)), CELLS(ct("v'\"")));
    assert_true(str_is(rows->cells[0].text, "v'\"") && rows->cells[1].i == 5);
    new_run("still_there");
    char big[300];
    memset(big, 'n', sizeof big);
    table = &m->tables[0];
    table->columns[1].name = (Str){ big, sizeof big };
    batch = batch_of("", 0), store_ensure_tables(batch, m), fails_with(batch, ERR_LIMIT, "SQL_NAME_MAX");
    table->columns[1].name = (Str){ "a\0b", 3 };
    batch = batch_of("", 0), store_ensure_tables(batch, m), fails_with(batch, ERR_INVALID, "NUL");
}

/* ---- growing ---- */

static void ensure_again(Err code, const char *part)
{
    StoreBatch *batch = batch_of("", 0);
    store_ensure_tables(batch, shop);
    if (code) fails_with(batch, code, part);
    else must_go(batch);
}

/* The table of orders with one more or a changed column. */
static void new_version(uint16_t type, bool with_default, uint16_t amount_type)
{
    image_free(shop);
    shop = contract_shop();
    uint16_t record = add_record(shop, (const char *const[]){ "id", "item", "amount", "late" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_STRING, amount_type, type }, type == NO_INDEX ? 3 : 4);
    ImageTable *table = &shop->tables[TABLE_ORDERS], *fresh = add_table(shop, "orders", record, false, O_ID);
    table = &shop->tables[TABLE_ORDERS];
    *table = *fresh;
    shop->table_count--;
    if (with_default) set_default(shop, table, 3, type, 0, "it's new");
}

static void deploying_again_writes_nothing(void **state)
{
    uint64_t commits = store_commits(contract_store);
    ensure_again(ERR_OK, "");
    assert_int_equal(store_commits(contract_store), commits);
}

static void a_table_grows_by_columns_that_old_rows_can_have(void **state)
{
    ask(add_insert(shop, TABLE_ORDERS, PARAMS(O_ID, O_ITEM, O_AMOUNT)), CELLS(ct("o1"), ct("x"), ci(1)));
    new_version(TYPE_INDEX_STRING, false, TYPE_INDEX_DECIMAL);
    ensure_again(ERR_CONFLICT, "`late` must be optional or have a default");
    new_version(TYPE_INDEX_STRING, true, TYPE_INDEX_DECIMAL);
    ensure_again(ERR_OK, "");
    uint16_t all = add_query(shop, QUERY_SELECT, TABLE_ORDERS, NULL, 0);
    assert_str(ask(all, NULL, 0)->cells[3].text, "it's new");
    image_free(shop);
    shop = contract_shop();                                 /* a run of the old version goes on inserting … */
    ask(add_insert(shop, TABLE_ORDERS, PARAMS(O_ID, O_ITEM, O_AMOUNT)), CELLS(ct("o2"), ct("x"), ci(1)));
    new_version(TYPE_INDEX_STRING, true, TYPE_INDEX_DECIMAL);
    all = add_query(shop, QUERY_SELECT, TABLE_ORDERS, NULL, 0);
    const RowSet *rows = ask(all, NULL, 0);                 /* … and the new one reads its rows */
    assert_true(rows->rows == 2 && str_is(rows->cells[7].text, "it's new"));
}

static void a_column_may_become_optional_and_nothing_else(void **state)
{
    new_version(NO_INDEX, false, TYPE_INDEX_INT);
    ensure_again(ERR_CONFLICT, "column `amount` is decimal in the store and cannot become int");
    new_version(NO_INDEX, false, S_OPT_INT);
    ensure_again(ERR_CONFLICT, "`amount`");
    new_version(NO_INDEX, false, S_OPT_DECIMAL);
    ensure_again(ERR_OK, "");
    new_version(NO_INDEX, false, TYPE_INDEX_DECIMAL);
    ensure_again(ERR_CONFLICT, "is decimal? in the store and cannot become decimal");
    new_version(NO_INDEX, false, S_OPT_DECIMAL);
    shop->tables[TABLE_ORDERS].shared = true;
    ensure_again(ERR_CONFLICT, "not shared");
}

static void a_unique_index_is_not_made_over_rows_that_break_it(void **state)
{
    uint16_t q = add_insert(shop, TABLE_ORDERS, PARAMS(O_ID, O_ITEM, O_AMOUNT));
    ask(q, CELLS(ct("o1"), ct("x"), ci(1))), ask(q, CELLS(ct("o2"), ct("x"), ci(1)));
    add_index(shop, &shop->tables[TABLE_ORDERS], true, O_ITEM, NO_INDEX);
    ensure_again(ERR_CONFLICT, "table `orders`: rows in the store contradict unique index");
    uint16_t erase = add_query(shop, QUERY_DELETE, TABLE_ORDERS, PARAMS(TYPE_INDEX_STRING));
    shop->queries[erase].where = EXPRESSION(shop, XC(O_ID), XP(0), X(EQ));
    ask(erase, CELLS(ct("o2")));
    ensure_again(ERR_OK, "");
    ask_fails(q, CELLS(ct("o3"), ct("x"), ci(1)), ERR_CONFLICT, "(item)");
}

static void two_tables_of_one_stored_name_are_told_apart(void **state)
{
    shop->agents[0].name = STR("SHOP");
    ensure_again(ERR_CONFLICT, "has the name of table");
}

/* Rendered text is kept by the hash of the image; the parameters are not. */
static void a_query_asked_twice_answers_anew(void **state)
{
    fill();
    uint16_t q = select_ids(EXPRESSION(shop, XC(C_QTY), XP(0), X(GT)), PARAMS(TYPE_INDEX_INT)), move = status_update();
    memset(shop->hash.bytes, 7, sizeof shop->hash.bytes);
    assert_string_equal(ids_of(ask(q, CELLS(ci(3)))), "c e ");
    assert_string_equal(ids_of(ask(q, CELLS(ci(0)))), "a b c e ");
    Cell a[] = { ct("a") };
    assert_int_equal(ask(move, CELLS(ct("DONE"), cl(a, 1)))->cells[0].i, 1);
    ask_fails(move, CELLS(ct("NEW"), cl(a, 1)), ERR_INVALID, "no transition");
}

static void a_write_in_a_failing_batch_is_undone_with_it(void **state)
{
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID));
    new_run("r1");
    StoreBatch *batch = journal_batch("r1", 0, 1);
    Cell id = ct("a");
    store_query(batch, shop, insert, STR("ann"), &id, 1);
    store_query(batch, shop, insert, STR("ann"), &id, 1);
    fails_with(batch, ERR_CONFLICT, "items");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(ask(select_ids((QueryExpr){ 0 }, NULL, 0), NULL, 0)->rows, 0);
}

static void a_read_of_a_table_is_no_durable_operation(void **state)
{
    fill();
    uint64_t commits = store_commits(contract_store);
    ask(select_ids((QueryExpr){ 0 }, NULL, 0), NULL, 0);
    assert_int_equal(store_commits(contract_store), commits);
}

static Err count_into_detail(StoreBatch *batch, int result, JournalRow *row, void *arg, Error *error)
{
    const RowSet *rows = store_rows(batch, result);
    if (*(bool *)arg)
        return err_set(error, ERR_LIMIT, "too long for the row");
    row->detail_json = str_of(arena_printf(store_batch_arena(batch), "%u columns", rows->columns));
    row->payload = arena_str(store_batch_arena(batch), rows->cells[0].text);
    return ERR_OK;
}

static void a_journal_row_tells_what_its_statement_answered(void **state)
{
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID));
    new_run("r1");
    Cell id = ct("a");
    bool refuse = false;
    StoreBatch *batch = store_batch(contract_store, STR("acme"), STR("r1"), 0);
    int result = store_query(batch, shop, insert, STR("ann"), &id, 1);
    store_append_journal_of(batch, &(JournalRow){ .seq = 1, .entry = JOURNAL_RESULT, .name = STR("insert") }, result, count_into_detail, &refuse);
    must_go(batch);
    batch = store_batch(contract_store, STR("acme"), STR(""), 0);
    int journal = store_get_journal(batch, STR("r1"), 0, 0);
    must(batch);
    uint32_t count;
    const JournalRow *rows = store_journal(batch, journal, &count);
    assert_int_equal(count, 1);
    assert_str(rows[0].payload, "a");
    assert_true(str_ends(rows[0].detail_json, STR(" columns")));
    store_batch_free(batch);
    refuse = true;
    id = ct("b");
    batch = store_batch(contract_store, STR("acme"), STR("r1"), 0);
    result = store_query(batch, shop, insert, STR("ann"), &id, 1);
    store_append_journal_of(batch, &(JournalRow){ .seq = 2, .entry = JOURNAL_RESULT, .name = STR("insert") }, result, count_into_detail, &refuse);
    fails_with(batch, ERR_LIMIT, "too long");
    assert_int_equal(ask(select_ids((QueryExpr){ 0 }, NULL, 0), NULL, 0)->rows, 1);
}

#define SHOP_TEST(name) cmocka_unit_test_setup_teardown(name, shop_setup, shop_teardown)
#define CONTRACT_ROW_TESTS \
    SHOP_TEST(an_insert_gives_the_whole_row_with_defaults), SHOP_TEST(every_kind_of_value_comes_back_as_it_went), SHOP_TEST(conditions_find_the_rows_they_mean), \
    SHOP_TEST(null_is_false_under_not), SHOP_TEST(text_is_searched_as_text_and_not_as_a_pattern), SHOP_TEST(a_list_parameter_is_a_set_of_values), \
    SHOP_TEST(decimals_are_compared_ordered_and_summed_exactly), SHOP_TEST(aggregates_are_exact_and_sum_nothing_to_zero), \
    SHOP_TEST(integers_that_overflow_are_an_error_and_never_a_float), SHOP_TEST(dates_count_days_and_durations_microseconds), SHOP_TEST(groups_joins_and_outputs_make_new_rows), \
    SHOP_TEST(an_update_counts_its_rows_and_moves_their_version), SHOP_TEST(a_machine_refuses_transitions_that_it_does_not_have), \
    SHOP_TEST(a_taken_key_is_a_conflict_that_names_table_and_columns), SHOP_TEST(an_owner_sees_and_changes_only_rows_of_that_owner), \
    SHOP_TEST(values_that_do_not_fit_their_type_are_refused), SHOP_TEST(queries_that_no_verified_program_holds_are_refused), SHOP_TEST(names_shaped_like_an_injection_are_names), \
    SHOP_TEST(deploying_again_writes_nothing), SHOP_TEST(a_table_grows_by_columns_that_old_rows_can_have), SHOP_TEST(a_column_may_become_optional_and_nothing_else), \
    SHOP_TEST(a_unique_index_is_not_made_over_rows_that_break_it), SHOP_TEST(two_tables_of_one_stored_name_are_told_apart), SHOP_TEST(a_query_asked_twice_answers_anew), \
    SHOP_TEST(a_write_in_a_failing_batch_is_undone_with_it), SHOP_TEST(a_read_of_a_table_is_no_durable_operation), \
    SHOP_TEST(a_journal_row_tells_what_its_statement_answered),
