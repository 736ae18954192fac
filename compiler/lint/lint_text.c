/* lint_text.c - regular expressions whose repeated part is itself a repetition: (a+)+, (a|a)*, (.*x)*. They are cut by the match limit at run time,
 * which is an error there; here the author learns of it before. */
#include "compiler/lint/lint.h"

enum { GROUPS_MAX = 64 };

static bool repeats(char c) { return c == '*' || c == '+' || c == '{'; }

/* A group that holds an unbounded repetition and is repeated itself without bound. */
static bool backtracks(Str p) {
    bool holds[GROUPS_MAX] = { false };
    int depth = 0;
    bool in_class = false;
    for (size_t i = 0; i < p.len; i++) {
        char c = p.ptr[i];
        if (c == '\\') { i++; continue; }
        if (in_class) { in_class = c != ']'; continue; }
        if (c == '[') { in_class = true; continue; }
        if (c == '(') {
            if (++depth == GROUPS_MAX) return false;
            holds[depth] = false;
        } else if (c == ')' && depth > 0) {
            bool inner = holds[depth--];
            bool repeated = i + 1 < p.len && (p.ptr[i + 1] == '*' || p.ptr[i + 1] == '+');
            bool possessive = i + 2 < p.len && p.ptr[i + 2] == '+';
            if (inner && repeated && !possessive) return true;
            if (inner || repeated) holds[depth] = true;
        } else if (repeats(c) && i > 0) {
            bool possessive = i + 1 < p.len && p.ptr[i + 1] == '+';
            if (!possessive && c != '{') holds[depth] = true;
        }
    }
    return false;
}

static bool visit(Ast *node, void *arg) {
    Program *program = arg;
    if (node->kind == AST_REGEX_EXPR && backtracks(as_regex_expr(node)->pattern)) {
        Diag *diag = diag_regex_backtracking(program->diags, node->span);
        diag_label(program->diags, diag, "a repetition inside of a repetition");
        diag_help(program->diags, diag, "make the inner one possessive (`a++`) or tell the parts apart");
    }
    return true;
}

void lint_text(Program *program) { lint_walk_program(program, visit, program); }
