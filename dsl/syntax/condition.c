/* condition.c - what can be said of the tree of a condition without knowing its types. */
#include "dsl/syntax/condition.h"

#include "base/float.h"

static const char *const kind_names[COND_KIND_COUNT] = {
#define COND(KIND, name) [COND_##KIND] = #name,
#include "dsl/syntax/condition.def"
#undef COND
};
static const char *const op_texts[] = {
    [COND_OP_NONE] = "",
#define COND_OP(NAME, spelling) [COND_OP_##NAME] = spelling,
#include "dsl/syntax/condition.def"
#undef COND_OP
};
static const CondMethodInfo methods[COND_METHOD_COUNT] = {
    [COND_METHOD_NONE] = { "", "", 0, 0 },
#define COND_METHOD(NAME, receiver, name, least, most) [COND_METHOD_##NAME] = { receiver, name, least, most },
#include "dsl/syntax/condition.def"
#undef COND_METHOD
};

const char *cond_kind_name(CondKind kind) { return kind_names[kind]; }
const char *cond_op_text(CondOp op) { return op_texts[op]; }
const CondMethodInfo *cond_method(CondMethod method) { return &methods[method]; }

CondMethod cond_method_find(const char *receiver, Str name)
{
    for (int i = COND_METHOD_NONE + 1; i < COND_METHOD_COUNT; i++)
        if (!strcmp(methods[i].receiver, receiver) && str_is(name, methods[i].name)) return (CondMethod)i;
    return COND_METHOD_NONE;
}

static void dump_text(Buf *out, Str text)
{
    buf_put_char(out, '"');
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == '"' || text.ptr[i] == '\\') buf_printf(out, "\\x%02x", (unsigned char)text.ptr[i]);
        else buf_put_char(out, text.ptr[i]);
    buf_put_char(out, '"');
}

static void dump_number(Buf *out, double number)
{
    char digits[FLOAT_TEXT_MAX];
    buf_put(out, digits, float_print(number, digits));
}

/* Depth: that of a tree, CONDITION_DEPTH_MAX. */
void cond_dump(const Cond *tree, Buf *out)
{
    buf_printf(out, "(%s", tree->kind == COND_UNARY || tree->kind == COND_BINARY ? cond_op_text(tree->op) : cond_kind_name(tree->kind));
    if (tree->optional) buf_put_text(out, "?");
    if (tree->kind == COND_BOOL) buf_put_text(out, tree->boolean ? " true" : " false");
    if (tree->kind == COND_NUMBER || tree->kind == COND_STEP) {
        buf_put_char(out, ' ');
        dump_number(out, tree->number);
    }
    if (tree->text.ptr) {
        buf_put_char(out, ' ');
        dump_text(out, tree->text);
    }
    for (uint32_t i = 0; i < tree->count; i++) {
        buf_put_char(out, ' ');
        cond_dump(tree->items[i], out);
    }
    buf_put_char(out, ')');
}
