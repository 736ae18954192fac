/* test_visibility.c - random rows, users, members and questions against a model: no answer shows, counts or hints at a row that the model hides.
 *
 * The model knows the rule alone: a user's answers are those of a world in which the hidden rows are not there. Every kind of statement is asked, with random
 * conditions, of both stores; on PostgreSQL the rows are also asked for in plain SQL under the store's own role, past every condition that the
 * compiler and the store put into a query.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <libpq-fe.h>
#include <unistd.h>
#include "compiler/typed.h"
#include "interpreter/store/store.h"

#define PROGRAM(clause) \
    "enum Visibility { PRIVATE, FAMILY, PUBLIC }\n" \
    "enum Role { PARENT, AUNT, CHILD }\n" \
    "table family shared { user_id: string, role: Role, unique (user_id), on erase delete }\n" \
    "table notes of home { uid: string, id: string, key: string, title: string, n: int, seen: Visibility = PRIVATE\n" \
    clause "    unique (key)\n    index (title)\n    index (n)\n    on erase delete, export as \"notes\" }\n" \
    "table tags { note: string, on erase delete, export as \"tags\" }\n" \
    "agent home \"Home\" {}\n"
static const char VISIBLE[] = PROGRAM("    visible by seen to family write (PARENT, AUNT)\n"), OTHERWISE[] = PROGRAM("    visible by seen to family\n"), OWN[] = PROGRAM("");
enum { FAMILY, NOTES, TAGS };
enum { UID, ID, KEY, TITLE, N, SEEN, NOTE_COLUMNS };
enum { PRIVATE, FOR_FAMILY, PUBLIC };
enum { PARENT, AUNT, CHILD };
enum { ROWS_MAX = 400, USERS = 5, TENANTS = 2, STEPS = 220, ITEMS_MAX = 64, PARAMS_MAX = 32, PRIME_KEYS = 6 };
enum { NOBODY = USERS };                                    /* a run without a user */
static const char *const USER[] = { "ma", "pa", "kid", "lodger", "o'hara", "" }, *const TENANT[TENANTS] = { "family-123", "other" };
static const char *const SEEN_WORD[] = { "PRIVATE", "FAMILY", "PUBLIC" }, *const ROLE_WORD[] = { "PARENT", "AUNT", "CHILD" };
static const char *const TITLES[] = { "dinner", "doctor", "din", "party", "" };

typedef struct Row { bool alive; int tenant, owner, id, key, title, seen; int64_t n; char uid[16]; } Row;
typedef struct World {
    uint64_t state;                      /* of the random numbers; the first one is the seed */
    Store *store;
    StoreBatch *batch;
    Image *image;
    Row rows[ROWS_MAX]; int row_count;
    int role[TENANTS][USERS];            /* -1: no member */
    bool tag[TENANTS][USERS][PRIME_KEYS];
    int tenant, user;                    /* who asks */
    char name[200];                      /* of the store */
} World;

static uint32_t below(World *w, uint32_t limit)
{
    w->state ^= w->state << 13, w->state ^= w->state >> 7, w->state ^= w->state << 17;
    return (uint32_t)((w->state >> 16) % limit);
}

static bool chance(World *w, uint32_t percent) { return below(w, 100) < percent; }

/* ---- the model ---- */

static bool may_read(const World *w, const Row *r)
{
    bool member = w->role[w->tenant][w->user] >= 0;
    return r->alive && r->tenant == w->tenant && (r->owner == w->user || r->seen == PUBLIC || (r->seen == FOR_FAMILY && member));
}

static bool may_write(const World *w, const Row *r)
{
    int role = w->role[w->tenant][w->user];
    return r->alive && r->tenant == w->tenant && (r->owner == w->user || (r->seen != PRIVATE && (role == PARENT || role == AUNT)));
}

typedef struct Value { bool b; int64_t i; const char *s; } Value;
typedef struct Condition { QueryItem items[ITEMS_MAX]; uint16_t types[PARAMS_MAX]; Cell params[PARAMS_MAX]; uint16_t count, param_count; bool heavy; } Condition;
typedef bool (*Allowed)(const World *w, const Row *r);

static Value column_of(const Row *r, uint16_t column)
{
    static char id[2][8];
    snprintf(id[0], sizeof id[0], "i%d", r->id), snprintf(id[1], sizeof id[1], "k%d", r->key);
    return column == N ? (Value){ .i = r->n } : (Value){ .s = column == ID ? id[0] : column == KEY ? id[1] : column == TITLE ? TITLES[r->title] : column == SEEN ? SEEN_WORD[r->seen] : r->uid };
}

/* Is the condition true of the row? An overflow sets *raised. */
static bool holds(const Condition *c, const Row *r, bool *raised)
{
    Value stack[ITEMS_MAX];
    int depth = 0;
    for (int k = 0; k < c->count; k++) {
        const QueryItem *item = &c->items[k];
        const Cell *cell = &c->params[item->arg];
        Value *a = depth > 1 ? &stack[depth - 2] : stack, *b = depth ? &stack[depth - 1] : stack;
        switch (item->op) {
        case QX_COLUMN: stack[depth++] = column_of(r, item->arg); break;
        case QX_PARAM:  stack[depth++] = cell->kind == CELL_INT ? (Value){ .i = cell->i } : (Value){ .s = cell->text.ptr }; break;
        case QX_NOT:    b->b = !b->b; break;
        case QX_AND:    a->b = a->b && b->b, depth--; break;
        case QX_OR:     a->b = a->b || b->b, depth--; break;
        case QX_LT:     a->b = a->i < b->i, depth--; break;
        case QX_GT:     a->b = a->i > b->i, depth--; break;
        case QX_EQ:     a->b = strcmp(a->s, b->s) == 0, depth--; break;
        case QX_CONTAINS: a->b = strstr(a->s, b->s) != NULL, depth--; break;
        case QX_STARTS: a->b = strncmp(a->s, b->s, strlen(b->s)) == 0, depth--; break;
        default:        *raised |= __builtin_mul_overflow(a->i, b->i, &a->i), depth--; break;
        }
    }
    return !c->count || stack[0].b;
}

/* The rows that are allowed and meet the condition, in order of insertion; -1: arithmetic fails on one that is allowed. */
static int matching(const World *w, const Condition *c, Allowed allowed, const Row **out)
{
    int count = 0;
    bool raised = false;
    for (int i = 0; i < w->row_count; i++)
        if (allowed(w, &w->rows[i]) && holds(c, &w->rows[i], &raised)) out[count++] = &w->rows[i];
    return raised ? -1 : count;
}

/* ---- random conditions ---- */

static void push(Condition *c, QueryOp op, uint16_t arg) { c->items[c->count++] = (QueryItem){ (uint8_t)op, 0, arg }; }

static void push_param(World *w, Condition *c, uint16_t type, Cell cell)
{
    (void)w;
    c->types[c->param_count] = type;
    c->params[c->param_count] = cell;
    push(c, QX_PARAM, c->param_count++);
}

static Cell text_cell(const char *text) { return (Cell){ .kind = CELL_TEXT, .text = str_of(text) }; }
static Cell int_cell(int64_t i) { return (Cell){ .kind = CELL_INT, .i = i }; }
static uint16_t type_of(const World *w, int table, int column) { return w->image->tables[table].columns[column].type; }

static const char *numbered(const char *prefix, int number)
{
    static char names[256][8];
    static uint8_t next;
    char *name = names[next++];
    snprintf(name, sizeof names[0], "%s%d", prefix, number);
    return name;
}

static void put_atom(World *w, Condition *c)
{
    switch (below(w, 6)) {
    case 0: push(c, QX_COLUMN, TITLE), push_param(w, c, TYPE_INDEX_STRING, text_cell(TITLES[below(w, 5)])), push(c, QX_EQ, 0); break;
    case 1: push(c, QX_COLUMN, TITLE), push_param(w, c, TYPE_INDEX_STRING, text_cell(TITLES[below(w, 5)])), push(c, chance(w, 50) ? QX_CONTAINS : QX_STARTS, 0); break;
    case 2: push(c, QX_COLUMN, N), push_param(w, c, TYPE_INDEX_INT, int_cell(below(w, 20))), push(c, chance(w, 50) ? QX_LT : QX_GT, 0); break;
    case 3: push(c, QX_COLUMN, SEEN), push_param(w, c, type_of(w, NOTES, SEEN), text_cell(SEEN_WORD[below(w, 3)])), push(c, QX_EQ, 0); break;
    case 4: push(c, QX_COLUMN, KEY), push_param(w, c, TYPE_INDEX_STRING, text_cell(numbered("k", (int)below(w, PRIME_KEYS)))), push(c, QX_EQ, 0); break;
    default: push(c, QX_COLUMN, ID), push_param(w, c, TYPE_INDEX_STRING, text_cell(numbered("i", (int)below(w, PRIME_KEYS)))), push(c, QX_EQ, 0); break;
    }
}

static void put_tree(World *w, Condition *c, int depth)
{
    if (!depth || chance(w, 30)) {
        put_atom(w, c);
        return;
    }
    put_tree(w, c, depth - 1);
    if (chance(w, 25)) {
        push(c, QX_NOT, 0);
        return;
    }
    put_tree(w, c, depth - 1);
    push(c, chance(w, 50) ? QX_AND : QX_OR, 0);
}

/* Heavy: arithmetic that overflows on some rows, all of which meet what stands before it: an index may lead there first. */
static Condition random_condition(World *w, bool may_be_heavy)
{
    Condition c = { .heavy = may_be_heavy && chance(w, 20) };
    if (c.heavy) {
        push(&c, QX_COLUMN, N), push_param(w, &c, TYPE_INDEX_INT, int_cell(below(w, 9))), push(&c, QX_GT, 0);
        push(&c, QX_COLUMN, N), push_param(w, &c, TYPE_INDEX_INT, int_cell(1 + below(w, 3))), push(&c, QX_MUL, 0);
        push_param(w, &c, TYPE_INDEX_INT, int_cell(below(w, 20))), push(&c, QX_GT, 0), push(&c, QX_AND, 0);
    } else if (chance(w, 85))
        put_tree(w, &c, 3);
    return c;
}

/* ---- asking ---- */

static QueryExpr expr_of(const World *w, const QueryItem *items, uint16_t count)
{
    QueryItem *copy = ARENA_ARRAY(w->image->arena, QueryItem, count + 1);
    if (count) memcpy(copy, items, sizeof *items * count);
    return (QueryExpr){ copy, count };
}
#define EXPR(w, ...) expr_of((w), (const QueryItem[]){ __VA_ARGS__ }, sizeof (QueryItem[]){ __VA_ARGS__ } / sizeof(QueryItem))

static Query *new_query(const World *w, QueryKind kind, uint16_t table, const Condition *c)
{
    uint16_t row = IMAGE_ADD_QUERY(w->image);
    Query *q = &w->image->queries[row];
    *q = (Query){ .kind = (uint8_t)kind, .table = table, .limit_param = NO_INDEX, .result = TYPE_INDEX_INT, .row_type = w->image->tables[table].row_type };
    q->params = ARENA_ARRAY(w->image->arena, uint16_t, PARAMS_MAX);
    memcpy(q->params, c->types, sizeof c->types);
    q->param_count = c->param_count;
    q->where = expr_of(w, c->items, c->count);
    return q;
}

static void add_output(const World *w, Query *q, QueryExpr value)
{
    if (!q->outputs) q->outputs = ARENA_ARRAY(w->image->arena, QueryExpr, 4);
    q->outputs[q->output_count++] = value;
}

static void add_set(const World *w, Query *q, uint16_t column, QueryExpr value)
{
    if (!q->sets) q->sets = ARENA_ARRAY(w->image->arena, QuerySet, NOTE_COLUMNS);
    q->sets[q->set_count++] = (QuerySet){ column, value };
}

/* The newest query of the image, by who asks. NULL: it failed with *err. */
static const RowSet *ask(World *w, const Cell *params, uint32_t count, Err *err)
{
    Error error = { 0 };
    store_batch_free(w->batch);
    w->batch = store_batch(w->store, str_of(TENANT[w->tenant]), (Str){ 0 }, 0);
    int index = store_query(w->batch, w->image, (uint16_t)(w->image->query_count - 1), str_of(USER[w->user]), params, count);
    *err = store_run_batch(w->batch, &error);
    if (*err != ERR_OK && *err != ERR_CONFLICT && *err != ERR_INVALID) fail_msg("%s: %s", w->name, error.text);
    return *err ? NULL : store_rows(w->batch, index);
}

#define CHECK(w, condition, ...) do { if (!(condition)) { char what_[300]; snprintf(what_, sizeof what_, __VA_ARGS__); \
    fail_msg("%s, user %s of %s: %s", (w)->name, USER[(w)->user], TENANT[(w)->tenant], what_); } } while (0)

static int64_t number(World *w, const Condition *c, Err *err)
{
    const RowSet *rows = ask(w, c->params, c->param_count, err);
    return rows && rows->rows ? rows->cells[0].i : -1;
}

static int by_uid(const void *a, const void *b) { return strcmp((*(const Row *const *)a)->uid, (*(const Row *const *)b)->uid); }

/* ---- reads ---- */

static void ask_rows(World *w)
{
    Condition c = random_condition(w, true);
    const Row *expected[ROWS_MAX];
    int count = matching(w, &c, may_read, expected);
    Err err;
    Query *q = new_query(w, QUERY_SELECT, NOTES, &c);
    add_output(w, q, EXPR(w, { QX_COLUMN, 0, UID }));
    add_output(w, q, EXPR(w, { QX_COLUMN, 0, TITLE }));
    q->orders = ARENA_ARRAY(w->image->arena, QueryOrder, 1);
    q->orders[q->order_count++] = (QueryOrder){ EXPR(w, { QX_COLUMN, 0, UID }), false };
    const RowSet *rows = ask(w, c.params, c.param_count, &err);
    CHECK(w, (count < 0) == (err == ERR_INVALID), "select: %s, the model has %d rows", err_name(err), count);
    if (count < 0) return;
    qsort(expected, (size_t)count, sizeof *expected, by_uid);
    CHECK(w, (int)rows->rows == count, "select: %u rows, the model has %d", rows->rows, count);
    for (int i = 0; i < count; i++) CHECK(w, str_is(rows->cells[2 * i].text, expected[i]->uid) && str_is(rows->cells[2 * i + 1].text, TITLES[expected[i]->title]), "select: row %d is another one", i);
}

static void ask_count(World *w)
{
    bool exists = chance(w, 40);
    Condition c = random_condition(w, !exists);
    const Row *expected[ROWS_MAX];
    int count = matching(w, &c, may_read, expected);
    Err err;
    Query *q = new_query(w, exists ? QUERY_EXISTS : QUERY_AGGREGATE, NOTES, &c);
    if (!exists) add_output(w, q, EXPR(w, { QX_COUNT_ALL, 0, 0 }));
    int64_t found = number(w, &c, &err);
    CHECK(w, (count < 0) == (err == ERR_INVALID), "count: %s, the model has %d rows", err_name(err), count);
    CHECK(w, count < 0 || found == (exists ? count > 0 : count), "%s: %lld, the model has %d rows", exists ? "exists" : "count", (long long)found, count);
}

static void ask_most(World *w)
{
    Condition c = random_condition(w, false);
    const Row *expected[ROWS_MAX];
    int count = matching(w, &c, may_read, expected);
    int64_t most = INT64_MIN;
    Err err;
    for (int i = 0; i < count; i++) most = expected[i]->n > most ? expected[i]->n : most;
    add_output(w, new_query(w, QUERY_AGGREGATE, NOTES, &c), EXPR(w, { QX_COLUMN, 0, N }, { QX_MAX, 0, 0 }));
    const RowSet *rows = ask(w, c.params, c.param_count, &err);
    CHECK(w, rows && (count ? rows->cells[0].i == most : rows->cells[0].kind == CELL_NULL), "max of %d rows", count);
}

static void ask_groups(World *w)
{
    Condition c = random_condition(w, false);
    const Row *expected[ROWS_MAX];
    int count = matching(w, &c, may_read, expected), of[5] = { 0 }, groups = 0;
    Err err;
    for (int i = 0; i < count; i++) groups += of[expected[i]->title]++ == 0;
    Query *q = new_query(w, QUERY_SELECT, NOTES, &c);
    q->groups = ARENA_ARRAY(w->image->arena, QueryExpr, 1);
    q->groups[q->group_count++] = EXPR(w, { QX_COLUMN, 0, TITLE });
    add_output(w, q, EXPR(w, { QX_COLUMN, 0, TITLE }));
    add_output(w, q, EXPR(w, { QX_COUNT_ALL, 0, 0 }));
    const RowSet *rows = ask(w, c.params, c.param_count, &err);
    CHECK(w, rows && (int)rows->rows == groups, "%u groups, the model has %d", rows ? rows->rows : 0, groups);
    for (int i = 0; i < groups; i++)
        for (int k = 0; k < 5; k++)
            if (str_is(rows->cells[2 * i].text, TITLES[k])) CHECK(w, rows->cells[2 * i + 1].i == of[k], "group `%s`: %lld, the model has %d", TITLES[k], (long long)rows->cells[2 * i + 1].i, of[k]);
}

static void ask_one(World *w)
{
    Condition c = { 0 };
    int id = (int)below(w, PRIME_KEYS);
    push(&c, QX_COLUMN, ID), push_param(w, &c, TYPE_INDEX_STRING, text_cell(numbered("i", id))), push(&c, QX_EQ, 0);
    const Row *expected[ROWS_MAX], *one = NULL;
    int count = matching(w, &c, may_read, expected);
    Err err;
    for (int i = count; i-- > 0;) one = !one || one->owner != w->user ? expected[i] : one;
    new_query(w, QUERY_SELECT_ONE, NOTES, &c);
    const RowSet *rows = ask(w, c.params, c.param_count, &err);
    CHECK(w, rows && rows->rows == (one != NULL), "by id: %u rows, the model has %d", rows ? rows->rows : 0, count);
    if (one) CHECK(w, str_is(rows->cells[UID].text, one->uid), "by id: another row than %s", one->uid);
}

/* Pairs of one title, and own tags with the notes that they name. */
static void ask_pairs(World *w)
{
    Condition all = { 0 };
    const Row *seen[ROWS_MAX];
    int count = matching(w, &all, may_read, seen), pairs = 0, tagged = 0;
    Err err;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < count; k++) pairs += seen[i]->title == seen[k]->title;
        tagged += w->tag[w->tenant][w->user][seen[i]->id];
    }
    for (int of_tags = 0; of_tags < 2; of_tags++) {
        Query *q = new_query(w, QUERY_AGGREGATE, of_tags ? TAGS : NOTES, &all);
        q->joins[q->join_count++] = (QueryJoin){ NOTES, of_tags ? EXPR(w, { QX_COLUMN, 0, 0 }, { QX_COLUMN, 1, ID }, { QX_EQ, 0, 0 }) : EXPR(w, { QX_COLUMN, 0, TITLE }, { QX_COLUMN, 1, TITLE }, { QX_EQ, 0, 0 }) };
        add_output(w, q, EXPR(w, { QX_COUNT_ALL, 0, 0 }));
        int64_t found = number(w, &all, &err);
        CHECK(w, found == (of_tags ? tagged : pairs), "join: %lld, the model has %d", (long long)found, of_tags ? tagged : pairs);
    }
}

/* ---- writes ---- */

static void insert_note(World *w)
{
    if (w->row_count == ROWS_MAX) return;
    Row *r = &w->rows[w->row_count];
    *r = (Row){ .alive = true, .tenant = w->tenant, .owner = w->user, .id = (int)below(w, PRIME_KEYS), .key = (int)below(w, PRIME_KEYS), .title = (int)below(w, 5), .seen = (int)below(w, 3),
                .n = chance(w, 10) ? INT64_MAX - below(w, 3) : below(w, 20) };
    snprintf(r->uid, sizeof r->uid, "u%04d", w->row_count);
    bool taken = false;
    for (int i = 0; i < w->row_count; i++) {
        const Row *other = &w->rows[i];
        taken |= other->alive && other->tenant == r->tenant && other->owner == r->owner && (other->id == r->id || other->key == r->key);
    }
    Condition c = { 0 };
    const Cell cells[NOTE_COLUMNS] = { text_cell(r->uid), text_cell(numbered("i", r->id)), text_cell(numbered("k", r->key)), text_cell(TITLES[r->title]), int_cell(r->n), text_cell(SEEN_WORD[r->seen]) };
    for (uint16_t i = 0; i < NOTE_COLUMNS; i++) push_param(w, &c, type_of(w, NOTES, i), cells[i]);
    c.count = 0;
    Query *q = new_query(w, QUERY_INSERT, NOTES, &c);
    for (uint16_t i = 0; i < NOTE_COLUMNS; i++) add_set(w, q, i, EXPR(w, { QX_PARAM, 0, i }));
    Err err;
    ask(w, c.params, c.param_count, &err);
    CHECK(w, (err == ERR_CONFLICT) == taken, "insert: %s, the model says %s", err_name(err), taken ? "taken" : "free");
    w->row_count += !taken;
}

static bool may_own(const World *w, const Row *r) { return may_read(w, r) && r->owner == w->user; }

static void update_notes(World *w)
{
    static const uint16_t COLUMNS[] = { N, TITLE, SEEN, KEY };
    uint16_t column = COLUMNS[below(w, 4)];
    Condition c = random_condition(w, true);
    const Row *found[ROWS_MAX];
    int title = (int)below(w, 5), seen = (int)below(w, 3), key = (int)below(w, PRIME_KEYS), count = matching(w, &c, column == N || column == TITLE ? may_write : may_own, found);
    bool overflows = false, taken = false;
    Cell value = column == N ? int_cell(2) : text_cell(column == TITLE ? TITLES[title] : column == SEEN ? SEEN_WORD[seen] : numbered("k", key));
    uint16_t items = c.count;
    push_param(w, &c, type_of(w, NOTES, column), value);
    c.count = items;
    Query *q = new_query(w, QUERY_UPDATE, NOTES, &c);
    add_set(w, q, column, column == N ? EXPR(w, { QX_COLUMN, 0, N }, { QX_PARAM, 0, (uint16_t)(c.param_count - 1) }, { QX_ADD, 0, 0 }) : EXPR(w, { QX_PARAM, 0, (uint16_t)(c.param_count - 1) }));
    for (int i = 0; i < count; i++) overflows |= column == N && found[i]->n > INT64_MAX - 2;
    for (int i = 0; i < w->row_count && column == KEY && count > 0; i++)
        for (int k = 0; k < count; k++) taken |= may_own(w, &w->rows[i]) && w->rows[i].key == key && (&w->rows[i] != found[k] || count > 1);
    taken |= column == KEY && count > 1;
    Err err;
    int64_t changed = number(w, &c, &err);
    CHECK(w, (err == ERR_INVALID) == (count < 0 || overflows), "update: %s, the model has %d rows%s", err_name(err), count, overflows ? ", of which one overflows" : "");
    if (count < 0 || overflows) return;
    CHECK(w, (err == ERR_CONFLICT) == taken, "update: %s, the model says %s", err_name(err), taken ? "taken" : "free");
    if (taken) return;
    CHECK(w, changed == count, "update: %lld rows, the model has %d", (long long)changed, count);
    for (int i = 0; i < count; i++) {
        Row *r = &w->rows[found[i] - w->rows];
        if (column == N) r->n += 2;
        else *(column == TITLE ? &r->title : column == SEEN ? &r->seen : &r->key) = column == TITLE ? title : column == SEEN ? seen : key;
    }
}

static void delete_notes(World *w)
{
    Condition c = random_condition(w, true);
    if (!c.count) return;
    const Row *found[ROWS_MAX];
    int count = matching(w, &c, may_write, found);
    Err err;
    new_query(w, QUERY_DELETE, NOTES, &c);
    int64_t changed = number(w, &c, &err);
    CHECK(w, (err == ERR_INVALID) == (count < 0), "delete: %s, the model has %d rows", err_name(err), count);
    CHECK(w, count < 0 || changed == count, "delete: %lld rows, the model has %d", (long long)changed, count);
    for (int i = 0; i < count; i++) w->rows[found[i] - w->rows].alive = false;
}

static void change_family(World *w)
{
    int who = (int)below(w, USERS), role = (int)below(w, 3);
    int *now = &w->role[w->tenant][who];
    Condition c = { 0 };
    Err err;
    if (*now < 0) {
        push_param(w, &c, TYPE_INDEX_STRING, text_cell(USER[who])), push_param(w, &c, type_of(w, FAMILY, 1), text_cell(ROLE_WORD[role]));
        c.count = 0;
        Query *q = new_query(w, QUERY_INSERT, FAMILY, &c);
        add_set(w, q, 0, EXPR(w, { QX_PARAM, 0, 0 })), add_set(w, q, 1, EXPR(w, { QX_PARAM, 0, 1 }));
    } else {
        push(&c, QX_COLUMN, 0), push_param(w, &c, TYPE_INDEX_STRING, text_cell(USER[who])), push(&c, QX_EQ, 0);
        role = -1;
        new_query(w, QUERY_DELETE, FAMILY, &c);
    }
    ask(w, c.params, c.param_count, &err);
    CHECK(w, err == ERR_OK, "family: %s", err_name(err));
    *now = role;
}

static void add_tag(World *w)
{
    int id = (int)below(w, PRIME_KEYS);
    Err err;
    if (w->tag[w->tenant][w->user][id]) return;
    Condition c = { 0 };
    push_param(w, &c, TYPE_INDEX_STRING, text_cell(numbered("i", id)));
    c.count = 0;
    add_set(w, new_query(w, QUERY_INSERT, TAGS, &c), 0, EXPR(w, { QX_PARAM, 0, 0 }));
    ask(w, c.params, c.param_count, &err);
    CHECK(w, err == ERR_OK, "a tag for a note that may be hidden: %s", err_name(err));
    w->tag[w->tenant][w->user][id] = true;
}

/* ---- a world ---- */

static void step(World *w)
{
    static void (*const STEP[])(World *) = { insert_note, insert_note, insert_note, insert_note, update_notes, update_notes, delete_notes, change_family, add_tag,
                                             ask_rows, ask_rows, ask_count, ask_count, ask_count, ask_most, ask_groups, ask_one, ask_one, ask_pairs };
    w->tenant = chance(w, 25);
    w->user = (int)below(w, USERS);
    STEP[below(w, sizeof STEP / sizeof *STEP)](w);
}

static Image *compiled(const char *text)
{
    Program *program = program_of_text("visibility.flow", str_of(text), NULL, 0);
    Image *image = compile_program(program, false);
    if (!image) fail_msg("the program does not compile");
    program_free(program);
    return image;
}

static Err deploy(World *w, const char *text, Error *error)
{
    image_free(w->image);
    w->image = compiled(text);
    store_batch_free(w->batch);
    w->batch = store_batch(w->store, STR("acme"), (Str){ 0 }, 0);
    store_ensure_tables(w->batch, w->image);
    return store_run_batch(w->batch, error);
}

static void open_world(World *w, const char *url, uint64_t seed, const char *program)
{
    Error error = { 0 };
    *w = (World){ .state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
    snprintf(w->name, sizeof w->name, "seed %llu of %.10s", (unsigned long long)seed, url);
    memset(w->role, -1, sizeof w->role);
    if (store_open(url, NULL, &w->store, &error) || deploy(w, program, &error)) fail_msg("%s", error.text);
}

static void close_world(World *w)
{
    store_batch_free(w->batch);
    store_close(w->store);
    image_free(w->image);
}

/* ---- several programs on one table: the same on both stores ---- */

static int64_t count_notes(World *w, int user)
{
    Condition all = { 0 };
    Err err;
    w->user = user;
    add_output(w, new_query(w, QUERY_AGGREGATE, NOTES, &all), EXPR(w, { QX_COUNT_ALL, 0, 0 }));
    return number(w, &all, &err);
}

static void put_notes(World *w, int user, int seen)
{
    Condition c = { 0 };
    Err err;
    const char *name = numbered("x", user * 10 + seen);
    w->user = user;
    const Cell cells[NOTE_COLUMNS] = { text_cell(name), text_cell(name), text_cell(name), text_cell("t"), int_cell(1), text_cell(SEEN_WORD[seen]) };
    for (uint16_t i = 0; i < NOTE_COLUMNS; i++) push_param(w, &c, type_of(w, NOTES, i), cells[i]);
    c.count = 0;
    Query *q = new_query(w, QUERY_INSERT, NOTES, &c);
    for (uint16_t i = 0; i < NOTE_COLUMNS; i++) add_set(w, q, i, EXPR(w, { QX_PARAM, 0, i }));
    ask(w, c.params, c.param_count, &err);
    assert_int_equal(err, ERR_OK);
}

/* A table gets the clause later; processes that run the program of before go on, and do not know. */
static void an_older_program_goes_on_with_its_own_rows(const char *url)
{
    static World old, new;
    Error error = { 0 };
    open_world(&old, url, 0, OWN);
    put_notes(&old, 0, PUBLIC);
    put_notes(&old, 0, PRIVATE);
    assert_int_equal(count_notes(&old, 1), 0);
    open_world(&new, url, 0, VISIBLE);
    put_notes(&new, 1, PUBLIC);
    assert_int_equal(count_notes(&new, 0), 3);
    assert_int_equal(count_notes(&new, 1), 2);
    assert_int_equal(count_notes(&new, 2), 2);
    assert_int_equal(count_notes(&old, 0), 2);
    assert_int_equal(count_notes(&old, 1), 1);
    put_notes(&old, 0, FOR_FAMILY);
    assert_int_equal(count_notes(&old, 0), 3);
    assert_int_equal(count_notes(&new, 1), 2);
    assert_int_equal(deploy(&old, OWN, &error), ERR_OK);        /* also when it is started anew */
    assert_int_equal(count_notes(&old, 2), 0);
    close_world(&old);
    close_world(&new);
}

static void two_rules_for_one_table_are_refused(const char *url)
{
    static World w;
    Error error = { 0 };
    open_world(&w, url, 0, VISIBLE);
    assert_int_equal(deploy(&w, OTHERWISE, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.text, "table `notes` is `visible by seen to t__family write (PARENT, AUNT)` in the store, not `visible by seen to t__family`"));
    assert_int_equal(deploy(&w, VISIBLE, &error), ERR_OK);
    close_world(&w);
}

static void drop(const char *url) { assert_int_equal(store_drop(url, NULL), ERR_OK); }

static void several_programs(const char *url)
{
    an_older_program_goes_on_with_its_own_rows(url);
    drop(url);
    two_rules_for_one_table_are_refused(url);
    drop(url);
}

static char folder[] = "/tmp/flow_visibility_XXXXXX";

static int make_folder(void **state) { (void)state; return !mkdtemp(folder); }
static int remove_folder(void **state) { (void)state; return rmdir(folder); }

static const char *sqlite_url(void)
{
    static char url[100];
    snprintf(url, sizeof url, "sqlite:%s/x.db", folder);
    return url;
}

static void programs_meet_on_sqlite(void **state)
{
    (void)state;
    several_programs(sqlite_url());
}

static void answers_are_those_of_the_model_on_sqlite(void **state)
{
    static World w;
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        open_world(&w, sqlite_url(), seed, VISIBLE);
        for (int i = 0; i < STEPS; i++) step(&w);
        close_world(&w);
        drop(sqlite_url());
    }
}

/* ---- plain SQL under the store's own role ---- */

static PGresult *sql(PGconn *raw, const char *text, const char *const *values, int count)
{
    PGresult *result = PQexecParams(raw, text, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) fail_msg("%s: %s", text, PQerrorMessage(raw));
    return result;
}

static int sql_rows(PGconn *raw, const char *text)
{
    PGresult *result = sql(raw, text, NULL, 0);
    int rows = PQntuples(result) ? PQntuples(result) : atoi(PQcmdTuples(result));
    PQclear(result);
    return rows;
}

static bool sql_refused(PGconn *raw, const char *text)
{
    PGresult *result = PQexec(raw, text);
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool refused = code && strcmp(code, "42501") == 0;
    PQclear(result);
    return refused;
}

/* No condition at all: what comes back, changes and goes is what the policies let through. */
static void ask_past_the_filter(World *w, PGconn *raw)
{
    const Row *expected[ROWS_MAX];
    Condition all = { 0 };
    int own = matching(w, &all, may_own, expected), writable = matching(w, &all, may_write, expected), readable = matching(w, &all, may_read, expected);
    PQclear(sql(raw, "BEGIN", NULL, 0));
    PQclear(sql(raw, "SELECT set_config('flow.tenant', $1, true), set_config('flow.user', $2, true)", (const char *const[]){ TENANT[w->tenant], USER[w->user] }, 2));
    qsort(expected, (size_t)readable, sizeof *expected, by_uid);
    PGresult *result = sql(raw, "SELECT c_uid FROM t_home_notes ORDER BY c_uid COLLATE \"C\"", NULL, 0);
    CHECK(w, PQntuples(result) == readable, "past the filter: %d rows, the model has %d", PQntuples(result), readable);
    for (int i = 0; i < readable; i++) CHECK(w, strcmp(PQgetvalue(result, i, 0), expected[i]->uid) == 0, "past the filter: row %d is another one", i);
    PQclear(result);
    CHECK(w, sql_rows(raw, "SELECT 1 FROM t_home_notes AS a CROSS JOIN t_home_notes AS b") == readable * readable, "past the filter: a join shows others");
    CHECK(w, sql_rows(raw, "UPDATE t_home_notes SET c_title = 'changed'") == writable, "past the filter: an update of others than %d", writable);
    PQclear(sql(raw, "SAVEPOINT before", NULL, 0));
    if (writable > own) CHECK(w, sql_refused(raw, "UPDATE t_home_notes SET c_seen = 'PRIVATE'"), "past the filter: rows of others were made private");
    PQclear(sql(raw, "ROLLBACK TO before", NULL, 0));
    CHECK(w, sql_refused(raw, "INSERT INTO t_home_notes (tenant_id, owner_id, c_uid, c_id, c_key, c_title, c_n, c_seen) SELECT current_setting('flow.tenant'), 'somebody', 'x', 'x', 'x', 'x', 1, 'PUBLIC'"),
          "past the filter: a row for somebody else");
    PQclear(sql(raw, "ROLLBACK TO before", NULL, 0));
    CHECK(w, sql_rows(raw, "DELETE FROM t_home_notes") == writable, "past the filter: a deletion of others than %d", writable);
    PQclear(sql(raw, "ROLLBACK", NULL, 0));
}

static const char *pg_url(void)
{
    static char url[300];
    const char *server = getenv("FLOW_TEST_POSTGRES");
    if (!server) {
        puts("skipped: FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        skip();
    }
    snprintf(url, sizeof url, "%s%cschema=visibility_%d", server, strchr(server, '?') ? '&' : '?', (int)getpid());
    return url;
}

static void programs_meet_on_postgresql(void **state)
{
    (void)state;
    several_programs(pg_url());
}

static PGconn *open_raw(void)
{
    char path[80];
    PGconn *raw = PQconnectdb(getenv("FLOW_TEST_POSTGRES"));
    assert_int_equal(PQstatus(raw), CONNECTION_OK);
    PGresult *role = sql(raw, "SELECT (rolsuper OR rolbypassrls)::int FROM pg_roles WHERE rolname = current_user", NULL, 0);
    if (*PQgetvalue(role, 0, 0) != '0') fail_msg("FLOW_TEST_POSTGRES names a role that row security does not bind");
    PQclear(role);
    snprintf(path, sizeof path, "SET search_path = visibility_%d", (int)getpid());
    PQclear(sql(raw, path, NULL, 0));
    return raw;
}

static void answers_are_those_of_the_model_on_postgresql(void **state)
{
    static World w;
    (void)state;
    for (uint64_t seed = 101; seed <= 103; seed++) {
        open_world(&w, pg_url(), seed, VISIBLE);
        PGconn *raw = open_raw();
        for (int i = 0; i < STEPS; i++) {
            step(&w);
            if (i % 20 == 19) ask_past_the_filter(&w, raw);
        }
        PQfinish(raw);
        close_world(&w);
        drop(pg_url());
    }
}

/* Whoever does not say who asks is refused, not shown nothing; and a run without a user is nobody, who sees what is public. */
static void who_asks_must_be_said(void **state)
{
    static World w;
    (void)state;
    open_world(&w, pg_url(), 0, VISIBLE);
    put_notes(&w, 0, PUBLIC);
    put_notes(&w, 0, PRIVATE);
    PGconn *raw = open_raw();
    PQclear(sql(raw, "SET flow.tenant = 'family-123'", NULL, 0));
    PGresult *result = PQexec(raw, "SELECT COUNT(*) FROM t_home_notes");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "FL001");
    PQclear(result);
    PQclear(sql(raw, "SELECT set_config('flow.user', 'lodger', false)", NULL, 0));
    assert_int_equal(sql_rows(raw, "SELECT 1 FROM t_home_notes"), 1);
    PQclear(sql(raw, "SET flow.tenant = 'other'", NULL, 0));
    assert_int_equal(sql_rows(raw, "SELECT 1 FROM t_home_notes"), 0);
    PQfinish(raw);
    assert_int_equal(count_notes(&w, NOBODY), 1);
    put_notes(&w, NOBODY, PRIVATE);
    assert_int_equal(count_notes(&w, NOBODY), 2);
    assert_int_equal(count_notes(&w, 1), 1);
    close_world(&w);
    drop(pg_url());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_the_model_on_sqlite), cmocka_unit_test(programs_meet_on_sqlite), cmocka_unit_test(answers_are_those_of_the_model_on_postgresql),
        cmocka_unit_test(programs_meet_on_postgresql), cmocka_unit_test(who_asks_must_be_said),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
