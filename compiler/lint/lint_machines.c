/* lint_machines.c - states that nothing leads to (but the first), states that nothing leads out of (but the final ones). */
#include "compiler/lint/lint.h"

static bool is_target(const Ast_machine_decl *machine, Str state) {
    for (uint32_t i = 0; i < machine->transitions.count; i++) {
        AstList targets = as_transition(machine->transitions.items[i])->targets;
        for (uint32_t k = 0; k < targets.count; k++)
            if (str_eq(as_name_ref(targets.items[k])->name.text, state)) return true;
    }
    return false;
}

static bool is_source(const Ast_machine_decl *machine, Str state) {
    for (uint32_t i = 0; i < machine->transitions.count; i++) {
        const Ast_transition *t = as_transition(machine->transitions.items[i]);
        if (str_eq(t->from.text, state) && t->targets.count) return true;
    }
    return false;
}

static bool is_final(const Ast_machine_decl *machine, Str state) {
    for (uint32_t i = 0; i < machine->finals.count; i++)
        if (str_eq(as_name_ref(machine->finals.items[i])->name.text, state)) return true;
    return false;
}

static bool visit(Ast *node, void *arg) {
    Program *program = arg;
    if (node->kind != AST_MACHINE_DECL) return node->kind == AST_MODULE;
    const Ast_machine_decl *machine = as_machine_decl(node);
    for (uint32_t i = 1; i < machine->transitions.count; i++) {          /* the first state is where it starts */
        Ident from = as_transition(machine->transitions.items[i])->from;
        if (!is_target(machine, from.text)) diag_state_never_reached(program->diags, from.span, from.text);
    }
    for (uint32_t i = 0; i < machine->finals.count; i++) {
        Ident final = as_name_ref(machine->finals.items[i])->name;
        if (!is_target(machine, final.text)) diag_state_never_reached(program->diags, final.span, final.text);
    }
    for (uint32_t i = 0; i < machine->transitions.count; i++) {
        AstList targets = as_transition(machine->transitions.items[i])->targets;
        for (uint32_t k = 0; k < targets.count; k++) {
            Ident target = as_name_ref(targets.items[k])->name;
            if (is_source(machine, target.text) || is_final(machine, target.text)) continue;
            Diag *diag = diag_state_without_exit(program->diags, target.span, target.text);
            diag_help(program->diags, diag, "give it a transition, or list it behind `final`");
        }
    }
    return false;
}

void lint_machines(Program *program) { lint_walk_program(program, visit, program); }
