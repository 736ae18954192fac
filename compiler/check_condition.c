/* check_condition.c - the types of a condition, and its narrowing.
 *
 * Every node gets a CondNote. Where true or false is asked (the whole, the sides of && and ||, what ! and ? : look at) a value is a boolean, json that
 * is checked at run time, or an object that may be null: JavaScript's truth of an object is that it is there. Elsewhere nothing is converted but
 * what a template or a `+` of texts prints. Depth: that of the tree, CONDITION_DEPTH_MAX.
 */
#include "compiler/condition_internal.h"

static void check_node(CondCheck *c, Cond *node, CondNote *note);

/* ---- names ---- */

CondSort cond_sort_of(const Type *type)
{
    switch (type->tag) {
    case TYPE_NULL: return SORT_NULL;
    case TYPE_BOOL: return SORT_BOOL;
    case TYPE_INT: case TYPE_FLOAT: case TYPE_DECIMAL: return SORT_NUMBER;
    case TYPE_STRING: case TYPE_DATE: case TYPE_TIMESTAMP: case TYPE_DURATION: case TYPE_BYTES: case TYPE_ENUM: case TYPE_ID: return SORT_STRING;
    case TYPE_LIST: return SORT_LIST;
    case TYPE_MAP: return SORT_MAP;
    case TYPE_RECORD: return SORT_RECORD;
    case TYPE_JSON: return SORT_JSON;
    case TYPE_OPT: return cond_sort_of(type->element);
    default: return SORT_POISON;
    }
}

static struct CondRoot *root_add(CondCheck *c, Str name, int64_t step)
{
    if (c->root_count == c->root_cap) {
        uint32_t cap = c->root_cap ? c->root_cap * 2 : 8;
        struct CondRoot *grown = ARENA_ARRAY(c->arena, struct CondRoot, cap);
        if (c->root_count) memcpy(grown, c->roots, c->root_count * sizeof *grown);
        c->roots = grown;
        c->root_cap = cap;
    }
    c->roots[c->root_count] = (struct CondRoot){ .name = name, .step = step, .root = { .why_null = STR("") } };
    return &c->roots[c->root_count++];
}

/* Names that JavaScript has and plans have not. */
static bool is_special(CondCheck *c, const Cond *node)
{
    if (node->kind != COND_NAME) return false;
    if (str_is(node->text, "steps")) {
        ConditionIssue *issue = cond_issue(c, node, "E0733", "`steps` stands with the number of a step");
        issue_expected(c, issue, "steps[0], steps[1] …");
        return true;
    }
    if (!str_is(node->text, "Math")) return false;
    ConditionIssue *issue = cond_issue(c, node, "E0731", "`Math` stands with one of its functions");
    issue_expected(c, issue, "Math.min(…), Math.max(…), Math.abs(…), Math.floor(…), Math.ceil(…) or Math.round(…)");
    return true;
}

static void resolve(CondCheck *c, const Cond *node, struct CondRoot *root)
{
    ConditionIssue found = { .code = "E0733", .message = STR(""), .expected = STR(""), .actual = STR(""), .suggestion = STR("") };
    root->found = c->scope->resolve(c->scope->arg, root->name, root->step, &root->root, &found);
    if (root->found && cond_sort_of(root->root.type) == SORT_POISON) {
        root->found = false;
        found.message = STR("it has no value");
    }
    if (root->found) return;
    ConditionIssue *issue = found.message.len ? cond_issue(c, node, found.code, "%.*s", STR_ARG(found.message))
                                              : cond_issue(c, node, found.code, "unknown name `%.*s`", STR_ARG(cond_path_text(c, node)));
    issue->expected = found.expected;
    issue->actual = found.actual;
    issue->suggestion = found.suggestion;
    if (!issue->suggestion.len && cond_misspelt(root->name)) issue_suggest(c, issue, "%s", cond_misspelt(root->name));
}

const struct CondRoot *cond_root(CondCheck *c, const Cond *node, uint32_t *index)
{
    int64_t step = node->kind == COND_STEP ? (int64_t)node->number : -1;
    if (is_special(c, node)) return NULL;
    for (*index = 0; *index < c->root_count; ++*index)
        if (c->roots[*index].step == step && str_eq(c->roots[*index].name, node->text)) return c->roots[*index].found ? &c->roots[*index] : NULL;
    struct CondRoot *root = root_add(c, node->text, step);
    resolve(c, node, root);
    return root->found ? &c->roots[*index] : NULL;
}

static void check_name(CondCheck *c, Cond *node, CondNote *note)
{
    const struct CondRoot *root = cond_root(c, node, &note->index);
    if (!root) return;
    note->sort = cond_sort_of(root->root.type);
    note->type = type_strip(root->root.type);
    note->labels = root->root.type->labels;
    note->own = root->root.type->tag == TYPE_OPT || note->sort == SORT_JSON ? MAYBE_NULL : 0;
}

/* ---- what is required of a value ---- */

/* Json says at run time what it is. */
bool require(CondCheck *c, const Cond *node, CondSort sort, const char *what)
{
    const CondNote *note = node->note;
    if (note->sort == SORT_POISON) return false;
    if (note->sort == SORT_JSON) return true;
    if (note->sort != sort) {
        ConditionIssue *issue = cond_issue(c, node, "E0732", "%s takes %s, this is %.*s", what, sort_text(sort), STR_ARG(sort_full(c, note)));
        issue_expected(c, issue, "%s", sort_text(sort));
        issue_actual(c, issue, "%.*s", STR_ARG(sort_full(c, note)));
        return false;
    }
    if (!note_nullish(note)) return true;
    issue_may_be_null(c, node);
    return false;
}

static void not_boolean(CondCheck *c, const Cond *node)
{
    const CondNote *note = node->note;
    Str path = cond_source_text(c, node), actual = sort_full(c, note);
    ConditionIssue *issue = cond_issue(c, node, "E0732", "%.*s is neither true nor false", STR_ARG(actual));
    issue_expected(c, issue, "a boolean");
    issue_actual(c, issue, "%.*s", STR_ARG(actual));
    if (!path.len) return;
    if (note->sort == SORT_NUMBER) issue_suggest(c, issue, "(%.*s %s)", STR_ARG(path), note_nullish(note) ? "!= null" : "> 0");
    if (note->sort == SORT_STRING) issue_suggest(c, issue, "(%.*s %s)", STR_ARG(path), note_nullish(note) ? "!= null" : "!== \"\"");
}

void check_truth(CondCheck *c, Cond *node)
{
    bool logic = node->kind == COND_BINARY && (node->op == COND_OP_AND || node->op == COND_OP_OR);
    if (!logic) {
        CondNote *note = check_cond(c, node);
        if (note->sort == SORT_NUMBER || note->sort == SORT_STRING || note->sort == SORT_NULL) not_boolean(c, node);
        else if (note->sort == SORT_BOOL && note_nullish(note)) issue_may_be_null(c, node);
        return;
    }
    uint32_t known = c->fact_count;
    node->note = ARENA_NEW(c->arena, CondNote);
    node->note->sort = SORT_BOOL;
    check_truth(c, node->items[0]);
    cond_facts_of(c, node->items[0], node->op == COND_OP_AND);
    check_truth(c, node->items[1]);
    c->fact_count = known;
}

/* ---- members ---- */

static Type *bare(Type *type) { return type_strip(type); }

static void note_of_type(CondNote *note, Type *type, uint8_t more)
{
    note->sort = cond_sort_of(type);
    note->type = bare(type);
    note->own = (uint8_t)(more | (type->tag == TYPE_OPT || note->sort == SORT_JSON ? MAYBE_NULL : 0));
    note->labels |= type->labels;
}

/* The object of a link: checked, its null settled by `?.`, by what is known, or refused. NULL: an issue was given. */
static const CondNote *check_object(CondCheck *c, Cond *node, CondNote *note)
{
    Cond *object = node->items[0];
    CondNote *of = check_cond(c, object);
    if (of->sort == SORT_POISON) return NULL;
    note->labels = of->labels;
    note->cut = cond_continues(object) ? of->cut : false;
    uint8_t may_be = cond_continues(object) ? of->own : note_nullish(of);
    if (of->sort == SORT_NULL) {
        ConditionIssue *issue = cond_issue(c, object, "E0732", "null has no fields");
        issue_expected(c, issue, "a value with fields");
        return NULL;
    }
    if (node->optional && (may_be || of->sort == SORT_JSON)) note->cut = true;
    else if (may_be && of->sort != SORT_JSON) {
        issue_may_be_null(c, object);
        return NULL;
    }
    return of;
}

static bool has_field(const Type *type, Str name)
{
    uint32_t index;
    return type->tag == TYPE_RECORD && type_field(type, name, &index);
}

static void no_members(CondCheck *c, const Cond *node, const CondNote *of)
{
    Str path = cond_path_text(c, node->items[0]);
    ConditionIssue *issue = cond_issue(c, node, "E0735", "`%.*s` is %s: it has no `%.*s`", STR_ARG(path), sort_text(of->sort), node->text.len > 60 ? 60 : (int)node->text.len,
                                       node->text.ptr);
    bool counted = of->sort == SORT_STRING || of->sort == SORT_LIST;
    issue_expected(c, issue, "%s", of->sort == SORT_LIST ? "`length` or an index such as [0]" : counted ? "`length`" : "a record");
    issue_actual(c, issue, "%.*s", node->text.len > 60 ? 60 : (int)node->text.len, node->text.ptr);
    Str length = STR("length");
    if (!cond_source_text(c, node->items[0]).len) return;
    if (counted && str_nearest(node->text, &length, 1).len) issue_suggest(c, issue, "%.*s.length", STR_ARG(path));
    else if (of->sort == SORT_LIST && has_field(type_strip(of->type->element), node->text)) issue_suggest(c, issue, "%.*s[0]?.%.*s", STR_ARG(path), node->text.len > 60 ? 60 : (int)node->text.len, node->text.ptr);
}

static void check_member(CondCheck *c, Cond *node, CondNote *note)
{
    const CondNote *of = check_object(c, node, note);
    if (!of) return;
    switch (of->sort) {
    case SORT_RECORD: {
        const TypeField *field = type_field(of->type, node->text, &note->index);
        if (!field) return issue_no_field(c, node, node->text, of->type);
        note->access = ACCESS_FIELD;
        return note_of_type(note, field->type, 0);
    }
    case SORT_MAP:
        note->access = ACCESS_MAP;
        return note_of_type(note, of->type->element, MAYBE_UNDEFINED);
    case SORT_JSON:
        note->access = ACCESS_JSON_NAME;
        note->sort = SORT_JSON;
        note->own = MAYBE_NULL | MAYBE_UNDEFINED;
        return;
    case SORT_STRING: case SORT_LIST:
        if (!str_is(node->text, "length")) return no_members(c, node, of);
        note->access = ACCESS_LENGTH;
        note->sort = SORT_NUMBER;
        return;
    default: no_members(c, node, of);
    }
}

static void not_indexable(CondCheck *c, const Cond *node, const CondNote *of)
{
    ConditionIssue *issue = cond_issue(c, node, "E0732", "%s has no places to look at", sort_text(of->sort));
    issue_expected(c, issue, "a list, a map or json");
    issue_actual(c, issue, "%s", sort_text(of->sort));
    Str path = cond_source_text(c, node->items[0]);
    double at = node->items[1]->kind == COND_NUMBER ? node->items[1]->number : -1;
    if (of->sort == SORT_STRING && path.len && at >= 0) issue_suggest(c, issue, "%.*s.slice(%.0f, %.0f)", STR_ARG(path), at, at + 1);
}

static void check_index(CondCheck *c, Cond *node, CondNote *note)
{
    const CondNote *of = check_object(c, node, note);
    CondNote *at = check_cond(c, node->items[1]);
    if (!of || at->sort == SORT_POISON) return;
    bool by_name = of->sort == SORT_MAP || (of->sort == SORT_JSON && at->sort == SORT_STRING);
    if (of->sort == SORT_RECORD) {
        ConditionIssue *issue = cond_issue(c, node->items[1], "E0732", "a field is named, not reckoned");
        issue_expected(c, issue, "a name in quotes");
        return;
    }
    if (of->sort != SORT_LIST && of->sort != SORT_MAP && of->sort != SORT_JSON) return not_indexable(c, node, of);
    if (of->sort == SORT_JSON && at->sort == SORT_JSON) {
        ConditionIssue *issue = cond_issue(c, node->items[1], "E0732", "neither side says whether this is a name or a number");
        issue_expected(c, issue, "a number or a string");
        if (cond_source_text(c, node->items[1]).len) issue_suggest(c, issue, "+%.*s", STR_ARG(cond_source_text(c, node->items[1])));
        return;
    }
    if (!require(c, node->items[1], by_name ? SORT_STRING : SORT_NUMBER, by_name ? "a name" : "an index")) return;
    note->access = of->sort == SORT_LIST ? ACCESS_LIST : of->sort == SORT_MAP ? ACCESS_MAP : by_name ? ACCESS_JSON_NAME : ACCESS_JSON_AT;
    if (of->sort != SORT_JSON) return note_of_type(note, of->type->element, MAYBE_UNDEFINED);
    note->sort = SORT_JSON;
    note->own = MAYBE_NULL | MAYBE_UNDEFINED;
}

/* ---- operators ---- */

/* What stands in the quotes, when it is of that sort: "3" for a number. */
static Str unquoted(const Cond *node, CondSort sort)
{
    Str text = node->kind == COND_STRING ? node->text : STR("");
    bool digits = text.len > 0;
    for (size_t i = 0; i < text.len; i++) digits = digits && text.ptr[i] >= '0' && text.ptr[i] <= '9';
    if (sort == SORT_NUMBER && digits && text.len < 16 && (text.len == 1 || text.ptr[0] != '0')) return text;
    return sort == SORT_BOOL && (str_is(text, "true") || str_is(text, "false")) ? text : STR("");
}

static void suggest_includes(CondCheck *c, ConditionIssue *issue, const Cond *list, const Cond *item, bool negated)
{
    Str where = cond_source_text(c, list), what = cond_source_text(c, item);
    if (where.len && what.len) issue_suggest(c, issue, "%s%.*s.includes(%.*s)", negated ? "!" : "", STR_ARG(where), STR_ARG(what));
}

static void mismatch(CondCheck *c, const Cond *node, const char *verb)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    Str left = sort_full(c, a), right = sort_full(c, b);
    const Cond *text = b->sort == SORT_STRING ? node->items[1] : node->items[0], *other = text == node->items[0] ? node->items[1] : node->items[0];
    Str bare = unquoted(text, other->note->sort);
    ConditionIssue *issue = cond_issue(c, bare.len ? text : node, "E0732", "`%s` %s %.*s and %.*s", cond_op_text(node->op), verb, STR_ARG(left), STR_ARG(right));
    issue_expected(c, issue, "two values of one type");
    issue_actual(c, issue, "%.*s and %.*s", STR_ARG(left), STR_ARG(right));
    if (bare.len) issue_suggest(c, issue, "%.*s", STR_ARG(bare));
    else if (other->note->sort == SORT_LIST) suggest_includes(c, issue, other, text, node->op == COND_OP_NOT_SAME || node->op == COND_OP_NOT_EQUAL);
}

/* `===` would have to tell null from undefined. */
static bool tells_nulls(const CondNote *a, const CondNote *b)
{
    uint8_t left = a->sort == SORT_NULL ? MAYBE_NULL : note_nullish(a), right = b->sort == SORT_NULL ? MAYBE_NULL : note_nullish(b);
    return (left & MAYBE_NULL && right & MAYBE_UNDEFINED) || (left & MAYBE_UNDEFINED && right & MAYBE_NULL);
}

static void check_equality(CondCheck *c, Cond *node)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    bool strict = node->op == COND_OP_SAME || node->op == COND_OP_NOT_SAME;
    if (strict && tells_nulls(a, b)) {
        const char *loose = node->op == COND_OP_SAME ? "==" : "!=";
        ConditionIssue *issue = cond_issue(c, node, "E0732", "`%s` tells null from undefined, and this may be either: `%s` takes both", cond_op_text(node->op), loose);
        issue->offset = node->op_offset;
        issue->length = 3;
        issue_expected(c, issue, "%s", loose);
        issue_actual(c, issue, "%s", cond_op_text(node->op));
        issue_suggest(c, issue, "%s", loose);
        return;
    }
    if (a->sort == SORT_NULL || b->sort == SORT_NULL) return;
    bool dynamic = a->sort == SORT_JSON || b->sort == SORT_JSON;
    if (sort_is_object(a->sort) || sort_is_object(b->sort)) {
        if (a->sort != b->sort) return mismatch(c, node, "compares");
        ConditionIssue *issue = cond_issue(c, node, "E0732", "`%s` of %s compares whether it is one and the same object", cond_op_text(node->op), sort_text(a->sort));
        issue_expected(c, issue, "a boolean, number or string on both sides");
        issue_actual(c, issue, "%s", sort_text(a->sort));
    } else if (a->sort != b->sort && !dynamic) {
        mismatch(c, node, "compares");
    }
}

static void check_order(CondCheck *c, Cond *node)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    CondSort sort = a->sort == SORT_JSON ? b->sort : a->sort;
    if (sort == SORT_JSON) return;
    if (sort != SORT_NUMBER && sort != SORT_STRING) {
        ConditionIssue *issue = cond_issue(c, node, "E0732", "`%s` orders numbers and strings, this is %.*s", cond_op_text(node->op), STR_ARG(sort_full(c, a->sort == sort ? a : b)));
        issue_expected(c, issue, "two numbers or two strings");
        issue_actual(c, issue, "%.*s and %.*s", STR_ARG(sort_full(c, a)), STR_ARG(sort_full(c, b)));
        return;
    }
    if (a->sort != b->sort && a->sort != SORT_JSON && b->sort != SORT_JSON) return mismatch(c, node, "compares");
    require(c, node->items[0], sort, "a comparison");
    require(c, node->items[1], sort, "a comparison");
}

/* What a template or a `+` of texts prints. */
static bool check_printed(CondCheck *c, const Cond *node)
{
    const CondNote *note = node->note;
    if (note->sort == SORT_POISON) return false;
    if (sort_is_object(note->sort) || note->sort == SORT_NULL) {
        ConditionIssue *issue = cond_issue(c, node, "E0732", "%s has no text", sort_text(note->sort));
        issue_expected(c, issue, "a string, number or boolean");
        issue_actual(c, issue, "%.*s", STR_ARG(sort_full(c, note)));
        if (note->sort == SORT_LIST && cond_source_text(c, node).len) issue_suggest(c, issue, "%.*s.join(\", \")", STR_ARG(cond_source_text(c, node)));
        return false;
    }
    if (note->sort == SORT_JSON || !note_nullish(note)) return true;
    issue_may_be_null(c, node);
    return false;
}

static void check_add(CondCheck *c, Cond *node, CondNote *note)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    note->joins = a->sort == SORT_STRING || b->sort == SORT_STRING;
    if (a->sort == SORT_JSON && b->sort == SORT_JSON) {
        Str left = cond_source_text(c, node->items[0]), right = cond_source_text(c, node->items[1]);
        ConditionIssue *issue = cond_issue(c, node, "E0732", "neither side says whether `+` adds numbers or joins texts");
        issue_expected(c, issue, "a number or a string on one side");
        issue_actual(c, issue, "json and json");
        if (left.len && right.len) issue_suggest(c, issue, "+%.*s + %.*s", STR_ARG(left), STR_ARG(right));
        return;
    }
    if (note->joins) {
        bool left = check_printed(c, node->items[0]), right = check_printed(c, node->items[1]);
        if (left && right) note->sort = SORT_STRING;
        return;
    }
    bool left = require(c, node->items[0], SORT_NUMBER, "`+`"), right = require(c, node->items[1], SORT_NUMBER, "`+`");
    if (left && right) note->sort = SORT_NUMBER;
}

static void check_in(CondCheck *c, Cond *node)
{
    const CondNote *b = node->items[1]->note;
    if (b->sort != SORT_MAP && b->sort != SORT_JSON) {
        ConditionIssue *issue = cond_issue(c, node, "E0732", "`in` asks a map or json for a name, this is %.*s", STR_ARG(sort_full(c, b)));
        issue_expected(c, issue, "a map or json");
        issue_actual(c, issue, "%.*s", STR_ARG(sort_full(c, b)));
        Str path = cond_source_text(c, node->items[1]);
        uint32_t index;
        if (b->sort == SORT_LIST) suggest_includes(c, issue, node->items[1], node->items[0], false);
        if (b->sort == SORT_RECORD && path.len && node->items[0]->kind == COND_STRING && type_field(b->type, node->items[0]->text, &index))
            issue_suggest(c, issue, "(%.*s.%.*s != null)", STR_ARG(path), STR_ARG(node->items[0]->text));
        return;
    }
    require(c, node->items[0], SORT_STRING, "`in`");
    if (b->sort == SORT_MAP && note_nullish(b)) issue_may_be_null(c, node->items[1]);
}

/* ---- values of two branches ---- */

/* Both become one sort; json becomes the other's and is checked for it at run time. */
static bool unify(CondCheck *c, const Cond *node, const CondNote *a, const CondNote *b, CondNote *out)
{
    if (a->sort == SORT_NULL && b->sort != SORT_NULL) {
        const CondNote *swap = a;
        a = b;
        b = swap;
    }
    bool nullish_a = a->sort != SORT_JSON || b->sort == SORT_JSON || b->sort == SORT_NULL, nullish_b = b->sort != SORT_JSON || a->sort == SORT_JSON;
    out->own = (uint8_t)((nullish_a ? note_nullish(a) : 0) | (nullish_b ? note_nullish(b) : 0) | (b->sort == SORT_NULL ? MAYBE_NULL : 0));
    out->labels = a->labels | b->labels;
    const CondNote *plain = a->sort == SORT_JSON && b->sort != SORT_NULL ? b : a;
    out->type = plain->type;
    out->sort = plain->sort;
    if (b->sort == SORT_NULL || a->sort == b->sort) {
        if (b->sort == SORT_NULL || !sort_is_object(a->sort) || type_equal(a->type, b->type)) return true;
    } else if ((a->sort == SORT_JSON || b->sort == SORT_JSON) && !sort_is_object(plain->sort)) {
        return true;
    }
    ConditionIssue *issue = cond_issue(c, node, "E0732", "one side is %.*s, the other %.*s", STR_ARG(sort_full(c, a)), STR_ARG(sort_full(c, b)));
    issue_expected(c, issue, "two values of one type");
    issue_actual(c, issue, "%.*s and %.*s", STR_ARG(sort_full(c, a)), STR_ARG(sort_full(c, b)));
    out->sort = SORT_POISON;
    return false;
}

/* `xs ?? []`: an empty list is one of whatever stands beside it. */
static void adopt_empty(const Cond *item, const CondNote *beside)
{
    if (item->kind == COND_LIST && !item->count && beside->sort == SORT_LIST) item->note->type = beside->type;
}

static void check_coalesce(CondCheck *c, Cond *node, CondNote *note)
{
    CondNote *a = check_cond(c, node->items[0]), *b = check_cond(c, node->items[1]);
    if (a->sort == SORT_POISON || b->sort == SORT_POISON) return;
    adopt_empty(node->items[1], a);
    CondNote left = *a;
    left.own = 0;
    left.cut = false;
    if (a->sort == SORT_NULL) {
        *note = (CondNote){ .sort = b->sort, .own = b->sort == SORT_NULL ? MAYBE_NULL : note_nullish(b), .type = b->type, .labels = b->labels };
        return;
    }
    if (!unify(c, node, &left, b, note)) return;
    note->own = b->sort == SORT_NULL ? MAYBE_NULL : note_nullish(b);
    if (b->sort == SORT_JSON && a->sort != SORT_JSON) note->own = 0;         /* checked to be there */
}

static void check_choice(CondCheck *c, Cond *node, CondNote *note)
{
    uint32_t known = c->fact_count;
    check_truth(c, node->items[0]);
    cond_facts_of(c, node->items[0], true);
    CondNote *yes = check_cond(c, node->items[1]);
    c->fact_count = known;
    cond_facts_of(c, node->items[0], false);
    CondNote *no = check_cond(c, node->items[2]);
    c->fact_count = known;
    adopt_empty(node->items[1], no);
    adopt_empty(node->items[2], yes);
    if (yes->sort != SORT_POISON && no->sort != SORT_POISON && node->items[0]->note->sort != SORT_POISON) unify(c, node, yes, no, note);
}

static bool is_boolean(const CondNote *note) { return note->sort == SORT_JSON || (note->sort == SORT_BOOL && !note_nullish(note)); }

/* As a value: of booleans, or `x && x.y` with an object that may be null. */
static void check_logic(CondCheck *c, Cond *node, CondNote *note)
{
    uint32_t known = c->fact_count;
    CondNote *a = check_cond(c, node->items[0]);
    cond_facts_of(c, node->items[0], node->op == COND_OP_AND);
    CondNote *b = check_cond(c, node->items[1]);
    c->fact_count = known;
    if (a->sort == SORT_POISON || b->sort == SORT_POISON) return;
    if (sort_is_object(a->sort) && node->op == COND_OP_AND) {
        *note = (CondNote){ .sort = b->sort, .type = b->type, .own = (uint8_t)(note_nullish(b) | note_nullish(a)), .labels = a->labels | b->labels };
        if (b->sort == SORT_NULL) note->own = MAYBE_NULL;
        return;
    }
    if (is_boolean(a) && is_boolean(b)) {
        note->sort = SORT_BOOL;
        return;
    }
    const CondNote *wrong = is_boolean(a) ? b : a;
    ConditionIssue *issue = cond_issue(c, node, "E0732", "`%s` joins booleans, one side is %.*s", cond_op_text(node->op), STR_ARG(sort_full(c, wrong)));
    issue_expected(c, issue, node->op == COND_OP_OR ? "booleans; `??` takes what is missing" : "booleans");
    issue_actual(c, issue, "%.*s and %.*s", STR_ARG(sort_full(c, a)), STR_ARG(sort_full(c, b)));
    if (node->op != COND_OP_OR || a->sort == SORT_BOOL) return;
    issue->offset = node->op_offset;
    issue->length = 2;
    issue_suggest(c, issue, "??");
}

static void check_binary(CondCheck *c, Cond *node, CondNote *note)
{
    if (node->op == COND_OP_COALESCE) return check_coalesce(c, node, note);
    if (node->op == COND_OP_AND || node->op == COND_OP_OR) return check_logic(c, node, note);
    CondNote *a = check_cond(c, node->items[0]), *b = check_cond(c, node->items[1]);
    bool number = node->op == COND_OP_SUB || node->op == COND_OP_MUL || node->op == COND_OP_DIV || node->op == COND_OP_REST;
    if (node->op != COND_OP_ADD) note->sort = number ? SORT_NUMBER : SORT_BOOL;           /* whatever is wrong with the sides, this is what it gives */
    note->labels = number || node->op == COND_OP_ADD ? a->labels | b->labels : 0;
    if (a->sort == SORT_POISON || b->sort == SORT_POISON) {
        if (node->op == COND_OP_ADD) note->sort = SORT_POISON;
        return;
    }
    switch (node->op) {
    case COND_OP_SAME: case COND_OP_NOT_SAME: case COND_OP_EQUAL: case COND_OP_NOT_EQUAL: return check_equality(c, node);
    case COND_OP_LESS: case COND_OP_LESS_EQUAL: case COND_OP_MORE: case COND_OP_MORE_EQUAL: return check_order(c, node);
    case COND_OP_IN: return check_in(c, node);
    case COND_OP_ADD: return check_add(c, node, note);
    default: {
        char what[8] = { '`', *cond_op_text(node->op), '`', '\0' };
        require(c, node->items[0], SORT_NUMBER, what);
        require(c, node->items[1], SORT_NUMBER, what);
    }
    }
}

static void check_unary(CondCheck *c, Cond *node, CondNote *note)
{
    note->sort = node->op == COND_OP_NOT ? SORT_BOOL : SORT_NUMBER;
    if (node->op == COND_OP_NOT) return check_truth(c, node->items[0]);
    note->labels = check_cond(c, node->items[0])->labels;
    require(c, node->items[0], SORT_NUMBER, node->op == COND_OP_MINUS ? "`-`" : "`+`");
}

/* ---- the rest ---- */

static void check_template(CondCheck *c, Cond *node, CondNote *note)
{
    note->sort = SORT_STRING;
    for (uint32_t i = 0; i < node->count; i++) {
        note->labels |= check_cond(c, node->items[i])->labels;
        check_printed(c, node->items[i]);
    }
}

static void check_list(CondCheck *c, Cond *node, CondNote *note)
{
    CondSort sort = SORT_POISON;
    bool good = true;
    for (uint32_t i = 0; i < node->count; i++) {
        CondNote *item = check_cond(c, node->items[i]);
        note->labels |= item->labels;
        if (item->sort == SORT_POISON) good = false;
        else if (sort == SORT_POISON && (item->sort == SORT_BOOL || item->sort == SORT_NUMBER || item->sort == SORT_STRING)) sort = item->sort;
    }
    for (uint32_t i = 0; i < node->count && good; i++) good = require(c, node->items[i], sort == SORT_POISON ? SORT_STRING : sort, "this list");
    if (!good) return;
    note->sort = SORT_LIST;
    note->type = type_list(c->program, c->program->basic[sort == SORT_NUMBER ? TYPE_FLOAT : sort == SORT_BOOL ? TYPE_BOOL : TYPE_STRING]);
}

static void check_call(CondCheck *c, Cond *node, CondNote *note)
{
    const CondNote *of = check_object(c, node, note);
    for (uint32_t i = 1; i < node->count; i++) note->labels |= check_cond(c, node->items[i])->labels;
    if (of) check_cond_call(c, node, note, of);
}

static void check_node(CondCheck *c, Cond *node, CondNote *note)
{
    switch (node->kind) {
    case COND_NULL: note->sort = SORT_NULL; break;
    case COND_BOOL: note->sort = SORT_BOOL; break;
    case COND_NUMBER: note->sort = SORT_NUMBER; break;
    case COND_STRING: note->sort = SORT_STRING; break;
    case COND_TEMPLATE: check_template(c, node, note); break;
    case COND_LIST: check_list(c, node, note); break;
    case COND_NAME: case COND_STEP: check_name(c, node, note); break;
    case COND_MEMBER: check_member(c, node, note); break;
    case COND_INDEX: check_index(c, node, note); break;
    case COND_UNARY: check_unary(c, node, note); break;
    case COND_BINARY: check_binary(c, node, note); break;
    case COND_CHOICE: check_choice(c, node, note); break;
    case COND_CALL: check_call(c, node, note); break;
    case COND_MATH:
        for (uint32_t i = 0; i < node->count; i++) note->labels |= check_cond(c, node->items[i])->labels;
        check_cond_math(c, node, note);
        break;
    case COND_KIND_COUNT: break;
    }
}

CondNote *check_cond(CondCheck *c, Cond *node)
{
    CondNote *note = ARENA_NEW(c->arena, CondNote);
    node->note = note;
    check_node(c, node, note);
    if (note->sort != SORT_JSON && cond_facts_know(c, node)) {
        note->own = 0;
        note->cut = false;
    }
    return note;
}
