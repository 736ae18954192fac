/* ast.c - everything that walks the tree without knowing its nodes: one table of fields, made from ast.def.
 *
 * Recursion is bounded: the parser hands out no tree deeper than AST_DEPTH_MAX.
 */
#include "dsl/syntax/ast.h"

#include <inttypes.h>

#include "dsl/syntax/parse_internal.h"

typedef enum { SORT_NODE, SORT_OPT, SORT_LIST, SORT_IDENT, SORT_TEXT, SORT_FLAG, SORT_INT } Sort;

typedef struct Field {
    const char *name;
    uint16_t offset;
    uint8_t sort;
} Field;

/* A struct of our own gives offsetof its type while the field macro only knows the field's name. */
#define FIELD_ROW(field_sort, field) { #field, (uint16_t)offsetof(Row, field), SORT_##field_sort },
#define AST(KIND, node)                                                                  \
    static const Field *fields_##node(void)                                              \
    {                                                                                    \
        typedef Ast_##node Row;                                                          \
        static const Field fields[] = { AST_FIELDS_##node(FIELD_ROW) { NULL, sizeof(Row), 0 } };   \
        return fields;                                                                   \
    }
#include "dsl/syntax/ast.def"
#undef AST

static const struct {
    const char *name;
    const Field *(*fields)(void);
} kinds[AST_KIND_COUNT] = {
#define AST(KIND, node) [AST_##KIND] = { #node, fields_##node },
#include "dsl/syntax/ast.def"
#undef AST
};

static const Field *fields_of[AST_KIND_COUNT];           /* the same without a call */
static __attribute__((constructor)) void fields_of_make(void)
{
    for (int kind = 0; kind < AST_KIND_COUNT; kind++)
        fields_of[kind] = kinds[kind].fields();
}

static void *field_at(const Ast *node, const Field *field)
{
    return (char *)(uintptr_t)node + field->offset;
}

const char *ast_kind_name(AstKind kind)
{
    return (unsigned)kind < AST_KIND_COUNT ? kinds[kind].name : "unknown";
}

bool ast_each_child(const Ast *node, bool (*visit)(Ast *child, void *arg), void *arg)
{
    for (const Field *field = fields_of[node->kind]; field->name; field++) {
        if (field->sort == SORT_NODE || field->sort == SORT_OPT) {
            Ast *child = *(Ast **)field_at(node, field);
            if (child && !visit(child, arg))
                return false;
        } else if (field->sort == SORT_LIST) {
            const AstList *list = field_at(node, field);
            for (uint32_t i = 0; i < list->count; i++)
                if (!visit(list->items[i], arg))
                    return false;
        }
    }
    return true;
}

bool ast_each_slot(Ast *node, bool (*visit)(Ast **slot, void *arg), void *arg)
{
    for (const Field *field = fields_of[node->kind]; field->name; field++) {
        if (field->sort == SORT_NODE || field->sort == SORT_OPT) {
            Ast **slot = field_at(node, field);
            if (*slot && !visit(slot, arg))
                return false;
        } else if (field->sort == SORT_LIST) {
            const AstList *list = field_at(node, field);
            for (uint32_t i = 0; i < list->count; i++)
                if (!visit(&list->items[i], arg))
                    return false;
        }
    }
    return true;
}

static bool make_child_at(Ast *child, void *span)
{
    ast_make_at(child, *(const Span *)span);
    return true;
}

void ast_make_at(Ast *node, Span span)
{
    node->made = true;
    node->span = span;
    for (const Field *field = fields_of[node->kind]; field->name; field++)
        if (field->sort == SORT_IDENT)
            ((Ident *)field_at(node, field))->span = span;
    ast_each_child(node, make_child_at, &span);
}

static bool field_equal(const Field *field, const void *a, const void *b)
{
    switch ((Sort)field->sort) {
    case SORT_NODE:
    case SORT_OPT:   return ast_equal(*(Ast *const *)a, *(Ast *const *)b);
    case SORT_IDENT: return str_eq(((const Ident *)a)->text, ((const Ident *)b)->text);
    case SORT_TEXT:  return str_eq(*(const Str *)a, *(const Str *)b);
    case SORT_FLAG:  return *(const int *)a == *(const int *)b;
    case SORT_INT:   return *(const int64_t *)a == *(const int64_t *)b;
    case SORT_LIST:  break;
    }
    const AstList *left = a, *right = b;
    if (left->count != right->count)
        return false;
    for (uint32_t i = 0; i < left->count; i++)
        if (!ast_equal(left->items[i], right->items[i]))
            return false;
    return true;
}

bool ast_equal(const Ast *a, const Ast *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || !str_eq(a->doc, b->doc))
        return false;
    for (const Field *field = fields_of[a->kind]; field->name; field++)
        if (!field_equal(field, field_at(a, field), field_at(b, field)))
            return false;
    return true;
}

/* ---- dump: (kind field=value …), what is absent is left out --------------------------------------- */

static void dump_text(Str text, Buf *out)
{
    buf_put_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if ((unsigned char)c < 32)
            buf_printf(out, c == '\n' ? "\\n" : "\\x%02x", c);
        else
            buf_put_char(out, c);
    }
    buf_put_char(out, '"');
}

static void dump_list(const AstList *list, Buf *out)
{
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        if (i)
            buf_put_char(out, ' ');
        ast_dump(list->items[i], out);
    }
    buf_put_char(out, ']');
}

static bool field_absent(const Field *field, const void *value)
{
    switch ((Sort)field->sort) {
    case SORT_NODE:
    case SORT_OPT:   return !*(Ast *const *)value;
    case SORT_LIST:  return ((const AstList *)value)->count == 0;
    case SORT_IDENT: return ((const Ident *)value)->text.len == 0;
    case SORT_TEXT:  return ((const Str *)value)->len == 0;
    case SORT_FLAG:  return *(const int *)value == 0;
    case SORT_INT:   return false;
    }
    return true;
}

static void dump_field(const Field *field, const void *value, Buf *out)
{
    buf_printf(out, " %s=", field->name);
    switch ((Sort)field->sort) {
    case SORT_NODE:
    case SORT_OPT:   ast_dump(*(Ast *const *)value, out); break;
    case SORT_LIST:  dump_list(value, out); break;
    case SORT_IDENT: buf_put_str(out, ((const Ident *)value)->text); break;
    case SORT_TEXT:  dump_text(*(const Str *)value, out); break;
    case SORT_FLAG:  buf_printf(out, "%d", *(const int *)value); break;
    case SORT_INT:   buf_printf(out, "%" PRId64, *(const int64_t *)value); break;
    }
}

void ast_dump(const Ast *node, Buf *out)
{
    buf_printf(out, "(%s", ast_kind_name(node->kind));
    if (node->doc.len) {
        buf_put_text(out, " doc=");
        dump_text(node->doc, out);
    }
    for (const Field *field = fields_of[node->kind]; field->name; field++)
        if (!field_absent(field, field_at(node, field)))
            dump_field(field, field_at(node, field), out);
    buf_put_char(out, ')');
}

/* ---- depth ------------------------------------------------------------------------------------------ */

/* A left-leaning chain (1 + 1 + …) grows deep without nesting in the parser, so depth is taken from the finished tree. */
static bool slot_limit(Ast **slot, Parser *parser, int depth)
{
    if (!*slot)
        return true;
    if (depth < AST_DEPTH_MAX)
        return ast_limit_depth(*slot, parser, depth + 1);
    parse_too_deep(parser, (*slot)->span);
    (*slot) = ast_error_at(parser, (*slot)->span);
    return false;
}

Ast *decl_limited(Parser *parser, Ast *decl)
{
    ast_limit_depth(decl, parser, 2);                           /* the module is 1 */
    return decl;
}

bool ast_limit_depth(Ast *node, Parser *parser, int depth)
{
    bool fits = true;
    for (const Field *field = fields_of[node->kind]; field->name; field++) {
        void *value = field_at(node, field);
        if (field->sort == SORT_NODE || field->sort == SORT_OPT) {
            fits &= slot_limit(value, parser, depth);
        } else if (field->sort == SORT_LIST) {
            AstList *list = value;
            for (uint32_t i = 0; i < list->count; i++)
                fits &= slot_limit(&list->items[i], parser, depth);
        }
    }
    return fits;
}
