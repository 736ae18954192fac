/* test_sql.c - the text of rendered queries, in a dialect that is not SQLite's: what is the same everywhere and what a dialect decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "interpreter/store/sql.h"

static const SqlDialect OTHER = {
    .name = "other", .placeholder = '$', .type_bool = "BOOLEAN", .type_int = "BIGINT", .type_float = "DOUBLE PRECISION", .type_decimal = "NUMERIC", .type_text = "TEXT", .type_blob = "BYTEA",
    .row_no = "BIGINT GENERATED ALWAYS AS IDENTITY", .same = "IS NOT DISTINCT FROM", .differs = "IS DISTINCT FROM", .decimal_order = "@a", .decimal_of_int = "(@a)::numeric",
    .decimal_add = "(@a + @b)", .decimal_sub = "(@a - @b)", .decimal_mul = "(@a * @b)", .decimal_sum = "COALESCE(SUM(@a), 0)", .decimal_avg = "AVG(@a)", .int_add = "(@a + @b)",
    .int_sub = "(@a - @b)", .int_mul = "(@a * @b)", .int_sum = "COALESCE(SUM(@a), 0)", .avg = "AVG(@a)", .int_of_float = "(@a)::bigint", .float_of_int = "(@a)::float8", .date_shift = "shift(@a, @b)", .contains = "(strpos(@a, @b) > 0)", .starts = "starts_with(@a, @b)",
    .ends = "ends(@a, @b)", .lower = "lower(@a)", .upper = "upper(@a)", .in_list = "(@a = ANY(@b))", .in_text_list = "(@a = ANY(@b))", .in_blob_list = "(@a = ANY(@b))", .quote = "SELECT quote_literal($1)", .lock_rows = " FOR UPDATE",
};
enum { T_STATUS = TYPE_INDEX_FIXED_COUNT, T_OPT_STRING, T_ROW };
enum { ID, STATUS, NOTE, PRICE };

static Arena *arena;
static Image *image;

static int setup(void **state)
{
    static Str states[] = { { "OPEN", 4 }, { "it's", 4 } };
    static uint64_t targets[] = { 2, 0 };
    static ImageField fields[] = { { { "id", 2 }, TYPE_INDEX_STRING, 0, false, 0 }, { { "status", 6 }, T_STATUS, 0, false, 0 }, { { "note", 4 }, T_OPT_STRING, 0, false, 0 }, { { "price", 5 }, TYPE_INDEX_DECIMAL, 0, false, 0 } };
    static ImageColumn columns[4];
    (void)state;
    arena = arena_new();
    image = image_new();
    uint16_t agent = IMAGE_ADD(image, agent);
    image->agents[agent].name = STR("travel");
    for (int i = 0; i < 3; i++) {
        uint16_t type = IMAGE_ADD(image, type);
        image->types[type] = i == 0 ? (ImageType){ .kind = KIND_ENUM, .members = states, .member_count = 2 } : i == 1 ? (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_STRING }
                           : (ImageType){ .kind = KIND_RECORD, .fields = fields, .field_count = 4 };
    }
    for (int i = 0; i < 4; i++) columns[i] = (ImageColumn){ .name = fields[i].name, .type = fields[i].type, .default_const = NO_INDEX };
    for (int shared = 0; shared < 2; shared++) {
        uint16_t table = IMAGE_ADD(image, table);
        image->tables[table] = (ImageTable){ .name = shared ? STR("hotels") : STR("trips"), .shared = shared, .versioned = !shared, .id_column = ID, .columns = columns, .column_count = 4, .row_type = T_ROW };
    }
    uint16_t machine = IMAGE_ADD(image, machine);
    image->machines[machine] = (ImageMachine){ .type = T_STATUS, .targets = targets };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    image_free(image);
    arena_free(arena);
    return 0;
}

static Query *query(QueryKind kind, uint16_t table, const uint16_t *params, uint16_t count)
{
    uint16_t row = IMAGE_ADD_QUERY(image);
    Query *q = &image->queries[row];
    *q = (Query){ .kind = (uint8_t)kind, .table = table, .limit_param = NO_INDEX, .row_type = T_ROW, .result = TYPE_INDEX_INT, .params = (uint16_t *)params, .param_count = count };
    return q;
}

static SqlText render(void)
{
    SqlText text;
    Error error = { 0 };
    if (sql_render(arena, &OTHER, image, (uint16_t)(image->query_count - 1), &text, &error)) fail_msg("%s", error.text);
    return text;
}

#define EXPR(...) (QueryExpr){ (QueryItem[]){ __VA_ARGS__ }, sizeof (QueryItem[]){ __VA_ARGS__ } / sizeof(QueryItem) }

/* The trips, where `status` were the visibility, open to the travellers among the hotels, of whom those in state it's may write. */
static void make_visible(void)
{
    image->tables[0].visibility = (ImageVisibility){ .declared = true, .column = STATUS, .members = 1, .user_column = ID, .role_column = STATUS, .writers = 2 };
}

#define VISIBLE "(s0.owner_id = $2 OR s0.\"c_status\" = 'PUBLIC' OR (s0.\"c_status\" = 'FAMILY' AND EXISTS (SELECT 1 FROM \"t_travel_hotels\" AS m WHERE m.tenant_id = $1 AND m.\"c_id\" = $2)))"
#define WRITABLE "(s0.owner_id = $2 OR (s0.\"c_status\" IN ('FAMILY', 'PUBLIC') AND EXISTS (SELECT 1 FROM \"t_travel_hotels\" AS m WHERE m.tenant_id = $1 AND m.\"c_id\" = $2 AND m.\"c_status\" IN ($3))))"

static void visible_rows_are_the_own_and_those_that_are_open(void **state)
{
    static const uint16_t params[] = { TYPE_INDEX_STRING };
    (void)state;
    make_visible();
    query(QUERY_EXISTS, 0, params, 1)->where = EXPR({ QX_COLUMN, 0, ID }, { QX_PARAM, 0, 0 }, { QX_EQ, 0, 0 });
    assert_string_equal(render().sql.ptr, "SELECT EXISTS (SELECT 1 FROM \"t_travel_trips\" AS s0 WHERE s0.tenant_id = $1 AND " VISIBLE " AND (s0.\"c_id\" = $4))");
    query(QUERY_DELETE, 0, NULL, 0);
    SqlText text = render();
    assert_string_equal(text.sql.ptr, "DELETE FROM \"t_travel_trips\" AS s0 WHERE s0.tenant_id = $1 AND " WRITABLE);
    assert_true(text.binds[2].kind == BIND_CONST && str_is(text.binds[2].value.text, "it's"));
}

static void only_the_owner_changes_id_and_visibility(void **state)
{
    static const uint16_t params[] = { TYPE_INDEX_STRING };
    static QuerySet sets[] = { { .column = NOTE }, { .column = ID } };
    (void)state;
    make_visible();
    image->machine_count = 0;
    sets[0].value = sets[1].value = EXPR({ QX_PARAM, 0, 0 });
    for (uint16_t count = 1; count <= 2; count++) {
        Query *q = query(QUERY_UPDATE, 0, params, 1);
        q->sets = sets, q->set_count = count;
        Str sql = render().sql;
        assert_int_equal(strstr(sql.ptr, "'FAMILY'") != NULL, count == 1);
        assert_int_equal(strstr(sql.ptr, "AND s0.owner_id = $") != NULL, count == 2);
    }
}

static void arithmetic_is_tried_on_visible_rows_alone(void **state)
{
    (void)state;
    make_visible();
    query(QUERY_EXISTS, 0, NULL, 0)->where = EXPR({ QX_COLUMN, 0, PRICE }, { QX_COLUMN, 0, PRICE }, { QX_MUL, 0, 0 }, { QX_COLUMN, 0, PRICE }, { QX_EQ, 0, 0 });
    Str sql = render().sql;
    assert_non_null(strstr(sql.ptr, VISIBLE " AND CASE WHEN s0.tenant_id = $1 AND " VISIBLE " THEN ((s0.\"c_price\" * s0.\"c_price\") = s0.\"c_price\") ELSE FALSE END)"));
    query(QUERY_EXISTS, 0, NULL, 0)->where = EXPR({ QX_COLUMN, 0, NOTE }, { QX_COLUMN, 0, ID }, { QX_EQ, 0, 0 }, { QX_COLUMN, 0, PRICE }, { QX_COLUMN, 0, PRICE }, { QX_MUL, 0, 0 }, { QX_COLUMN, 0, PRICE }, { QX_EQ, 0, 0 },
                                                  { QX_AND, 0, 0 }, { QX_COLUMN, 0, ID }, { QX_COLUMN, 0, ID }, { QX_EQ, 0, 0 }, { QX_AND, 0, 0 });
    sql = render().sql;                                     /* what cannot fail stands for itself, so that an index may lead there */
    assert_non_null(strstr(sql.ptr, VISIBLE " AND (s0.\"c_id\" = s0.\"c_id\") AND CASE WHEN "));
    assert_non_null(strstr(sql.ptr, " ELSE FALSE END AND (s0.\"c_note\" IS NOT DISTINCT FROM s0.\"c_id\"))"));
    image->tables[0].visibility.declared = false;
    sql = render().sql;
    assert_null(strstr(sql.ptr, "CASE WHEN"));
    assert_null(strstr(sql.ptr, "EXISTS (SELECT 1 FROM \"t_travel_hotels\""));
}

static void a_condition_stands_behind_tenant_and_owner(void **state)
{
    static const uint16_t params[] = { TYPE_INDEX_STRING };
    query(QUERY_EXISTS, 0, params, 1)->where = EXPR({ QX_COLUMN, 0, ID }, { QX_PARAM, 0, 0 }, { QX_EQ, 0, 0 }, { QX_PARAM, 0, 0 }, { QX_COLUMN, 0, ID }, { QX_EQ, 0, 0 }, { QX_OR, 0, 0 });
    SqlText text = render();
    assert_string_equal(text.sql.ptr, "SELECT EXISTS (SELECT 1 FROM \"t_travel_trips\" AS s0 WHERE s0.tenant_id = $1 AND s0.owner_id = $2 AND ((s0.\"c_id\" = $3) OR ($3 = s0.\"c_id\")))");
    assert_int_equal(text.bind_count, 3);                   /* a parameter used twice is bound once */
    assert_true(text.binds[0].kind == BIND_TENANT && text.binds[1].kind == BIND_OWNER && text.binds[2].kind == BIND_PARAM);
}

static void every_joined_table_has_its_own_tenant_and_a_shared_one_no_owner(void **state)
{
    Query *q = query(QUERY_SELECT, 0, NULL, 0);
    q->joins[0] = (QueryJoin){ 1, EXPR({ QX_COLUMN, 0, ID }, { QX_COLUMN, 1, ID }, { QX_EQ, 0, 0 }) };
    q->joins[1] = (QueryJoin){ 0, EXPR({ QX_COLUMN, 2, NOTE }, { QX_COLUMN, 1, NOTE }, { QX_EQ, 0, 0 }) };
    q->join_count = 2;
    QueryExpr outputs[] = { EXPR({ QX_COLUMN, 1, PRICE }) };
    q->outputs = outputs, q->output_count = 1;
    assert_string_equal(render().sql.ptr,
                        "SELECT s1.\"c_price\" FROM \"t_travel_trips\" AS s0 JOIN \"t_travel_hotels\" AS s1 ON (s1.tenant_id = $1 AND (s0.\"c_id\" = s1.\"c_id\")) "
                        "JOIN \"t_travel_trips\" AS s2 ON (s2.tenant_id = $1 AND s2.owner_id = $2 AND (s2.\"c_note\" IS NOT DISTINCT FROM s1.\"c_note\")) "
                        "WHERE s0.tenant_id = $1 AND s0.owner_id = $2 ORDER BY s0.row_no");
}

static void an_insert_binds_every_value_also_constants(void **state)
{
    static const uint16_t params[] = { TYPE_INDEX_STRING };
    QuerySet sets[] = { { ID, EXPR({ QX_PARAM, 0, 0 }) } };
    Query *q = query(QUERY_INSERT, 0, params, 1);
    q->sets = sets, q->set_count = 1;
    SqlText text = render();
    assert_string_equal(text.sql.ptr, "INSERT INTO \"t_travel_trips\" (tenant_id, owner_id, \"c_id\", \"c_status\", \"c_note\", \"c_price\", \"c_version\") VALUES ($1, $2, $3, $4, $4, $4, $5) "
                                      "RETURNING \"c_id\", \"c_status\", \"c_note\", \"c_price\", \"c_version\"");
    assert_true(text.binds[3].value.kind == CELL_NULL && text.binds[4].value.i == 1 && text.out_count == 5);
}

static void an_update_moves_the_version_and_selects_transitions_first(void **state)
{
    static const uint16_t params[] = { T_STATUS };
    QuerySet sets[] = { { STATUS, EXPR({ QX_PARAM, 0, 0 }) } };
    Query *q = query(QUERY_UPDATE, 0, params, 1);
    q->sets = sets, q->set_count = 1;
    SqlText text = render();
    assert_string_equal(text.sql.ptr, "UPDATE \"t_travel_trips\" AS s0 SET \"c_status\" = $1, \"c_version\" = s0.\"c_version\" + 1 WHERE s0.tenant_id = $2 AND s0.owner_id = $3");
    assert_int_equal(text.transition_count, 1);
    assert_string_equal(text.transitions[0].sql.ptr, "SELECT s0.\"c_status\", $1 FROM \"t_travel_trips\" AS s0 WHERE s0.tenant_id = $2 AND s0.owner_id = $3 FOR UPDATE");
}

static void members_of_an_enum_are_bound_and_never_written(void **state)
{
    Query *q = query(QUERY_SELECT, 1, NULL, 0);
    QueryOrder orders[] = { { EXPR({ QX_COLUMN, 0, STATUS }), true } };
    QueryExpr outputs[] = { EXPR({ QX_COLUMN, 0, ID }) };
    q->orders = orders, q->order_count = 1, q->outputs = outputs, q->output_count = 1;
    SqlText text = render();
    assert_string_equal(text.sql.ptr, "SELECT s0.\"c_id\" FROM \"t_travel_hotels\" AS s0 WHERE s0.tenant_id = $1 ORDER BY (CASE s0.\"c_status\" WHEN $2 THEN 0 WHEN $3 THEN 1 END) DESC, s0.row_no");
    assert_true(str_is(text.binds[2].value.text, "it's"));
}

static void identifiers_are_quoted_and_bounded(void **state)
{
    Buf out = { 0 };
    static char big[SQL_NAME_MAX + 1];
    memset(big, 'x', sizeof big);
    assert_int_equal(sql_put_identifier(&OTHER, &out, "c_", STR("a\"b"), NULL), ERR_OK);
    assert_string_equal(buf_cstr(&out), "\"c_a\"\"b\"");
    assert_int_equal(sql_put_identifier(&OTHER, &out, "", (Str){ big, SQL_NAME_MAX }, NULL), ERR_OK);
    assert_int_equal(sql_put_identifier(&OTHER, &out, "", (Str){ big, SQL_NAME_MAX + 1 }, NULL), ERR_LIMIT);
    assert_int_equal(sql_put_identifier(&OTHER, &out, "", (Str){ "a\0b", 3 }, NULL), ERR_INVALID);
    SqlDialect narrow = OTHER;
    narrow.name_max = 24;
    buf_clear(&out);
    assert_int_equal(sql_put_identifier(&narrow, &out, "c_", STR("as_long_as_it_may_be_xx"), NULL), ERR_OK);       /* 25 bytes with its prefix */
    assert_int_equal(sql_put_identifier(&narrow, &out, "c_", STR("as_long_as_it_may_be_xy"), NULL), ERR_OK);
    assert_int_equal(out.len, 2 * 26);
    assert_memory_equal(out.ptr, "\"c_as_lo_", 9);
    assert_memory_not_equal(out.ptr, out.ptr + 26, 26);      /* what differs in the name differs in the hash */
    assert_int_equal(sql_put_identifier(&narrow, &out, "c_", STR("as_long_as_it_may_be_x"), NULL), ERR_OK);
    assert_memory_equal(out.ptr + 2 * 26, "\"c_as_long_as_it_may_be_x\"", 26);
    buf_free(&out);
}

/* The longest expression an image may hold must neither overflow nor take the square of its length in time that matters. */
static void the_longest_expression_is_rendered(void **state)
{
    static const uint16_t params[] = { TYPE_INDEX_STRING };
    static QueryItem items[QUERY_ITEMS_MAX];
    uint16_t count = 0;
    items[count++] = (QueryItem){ QX_COLUMN, 0, ID };
    while (count + 2 <= QUERY_ITEMS_MAX - 2) {
        items[count++] = (QueryItem){ QX_PARAM, 0, 0 };
        items[count++] = (QueryItem){ QX_CONCAT, 0, 0 };
    }
    items[count++] = (QueryItem){ QX_COLUMN, 0, ID };
    items[count++] = (QueryItem){ QX_ENDS, 0, 0 };
    query(QUERY_EXISTS, 0, params, 1)->where = (QueryExpr){ items, count };
    assert_true(render().sql.len < 20 * QUERY_ITEMS_MAX);
    assert_true(arena_size(arena) < 64u << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_condition_stands_behind_tenant_and_owner), TEST(every_joined_table_has_its_own_tenant_and_a_shared_one_no_owner), TEST(an_insert_binds_every_value_also_constants),
        TEST(an_update_moves_the_version_and_selects_transitions_first), TEST(members_of_an_enum_are_bound_and_never_written), TEST(identifiers_are_quoted_and_bounded),
        TEST(the_longest_expression_is_rendered), TEST(visible_rows_are_the_own_and_those_that_are_open), TEST(only_the_owner_changes_id_and_visibility),
        TEST(arithmetic_is_tried_on_visible_rows_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
