/* program.c - finding and parsing the modules of a program.
 *
 * Modules may use each other in circles: a file is known by its real path from the moment it is opened, so it is parsed once. The order
 * of Program.modules is that of a depth-first walk that appends a module when all it uses are there.
 */
#include "compiler/typed.h"
#include "compiler/types.h"
#include "dsl/syntax/parse.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Loader {
    Program *program;
    Map seen;                   /* real path -> marker */
    const char *const *paths;
    uint32_t path_count, cap;
    uint32_t depth;
} Loader;

static void load_module(Loader *loader, Source *source, bool is_main);

Program *program_new(void)
{
    Arena *arena = arena_new();
    Program *program = ARENA_NEW(arena, Program);
    program->arena = arena;
    program->sources = source_set_new();
    program->diags = ARENA_NEW(arena, Diags);
    diags_init(program->diags);
    types_init(program);
    return program;
}

static void append_module(Loader *loader, Module *module)
{
    Program *program = loader->program;
    if (program->module_count == loader->cap) {
        loader->cap = loader->cap ? loader->cap * 2 : 8;
        Module **grown = ARENA_ARRAY(program->arena, Module *, loader->cap);
        if (program->module_count)
            memcpy(grown, program->modules, sizeof *grown * program->module_count);
        program->modules = grown;
    }
    program->modules[program->module_count++] = module;
}

/* "agents.travel" below a folder: FOLDER/agents/travel.flow, when there is such a file. */
static const char *candidate(Loader *loader, Str folder, Str dotted)
{
    char *path = arena_printf(loader->program->arena, "%.*s%s%.*s.flow", STR_ARG(folder), folder.len ? "/" : "", STR_ARG(dotted));
    for (char *p = path + folder.len; *p && p < path + folder.len + 1 + dotted.len; p++)
        if (*p == '.')
            *p = '/';
    size_t used = strlen(path);
    memcpy(path + used - 5, ".flow", 5);
    return access(path, F_OK) == 0 ? path : NULL;
}

static Str folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (Str){ path, slash == path ? 1 : (size_t)(slash - path) } : STR("");
}

static const char *find_module(Loader *loader, Str user_path, Str dotted)
{
    const char *cstr = arena_printf(loader->program->arena, "%.*s", STR_ARG(user_path));
    const char *found = candidate(loader, folder_of(cstr), dotted);
    for (uint32_t i = 0; !found && i < loader->path_count; i++)
        found = candidate(loader, str_of(loader->paths[i]), dotted);
    const char *stdlib = stdlib_path();
    if (!found && stdlib)
        found = candidate(loader, str_of(stdlib), dotted);
    return found;
}

/* Marks the file as known; false when it was. */
static bool first_visit(Loader *loader, const char *path)
{
    char real[PATH_MAX];
    const char *key = realpath(path, real) ? real : path;
    Str kept = arena_str(loader->program->arena, str_of(key));
    return map_put(&loader->seen, kept, loader) == NULL;
}

static void load_used(Loader *loader, const Source *user, Ast_use_decl *use)
{
    Program *program = loader->program;
    Span span = use->head.span;
    const char *path = find_module(loader, user->path, use->path);
    if (!path) {
        Diag *diag = diag_module_missing(program->diags, span, use->path);
        diag_help(program->diags, diag, "modules are searched beside this file, in the folders given with --path and in the standard library");
        return;
    }
    if (!first_visit(loader, path))
        return;
    Source *source;
    Error error;
    if (source_load(program->sources, path, &source, &error) != ERR_OK) {
        diag_module_unreadable(program->diags, span, path, arena_printf(program->arena, "%s", error.text));
        return;
    }
    load_module(loader, source, false);
}

/* What a construct is made of lies in the standard library. */
static void use_library(Loader *loader, const Source *user, Span span, const char *module)
{
    Ast_use_decl use = { .head = { .kind = AST_USE_DECL, .span = span }, .path = str_of(module) };
    load_used(loader, user, &use);
}

typedef struct Libraries { Loader *loader; const Source *source; } Libraries;

static bool use_libraries(Ast *node, void *arg)
{
    Libraries *libraries = arg;
    switch (node->kind) {
    case AST_AGGREGATE_DECL:
        if (as_aggregate_decl(node)->sources.count)
            use_library(libraries->loader, libraries->source, as_aggregate_decl(node)->name.span, "event_store");
        break;
    case AST_PROJECTION_DECL: use_library(libraries->loader, libraries->source, as_projection_decl(node)->name.span, "event_store"); break;
    case AST_AUDIT_STMT: use_library(libraries->loader, libraries->source, node->span, "audit_log"); break;
    default: break;
    }
    return ast_each_child(node, use_libraries, arg);
}

static void load_module(Loader *loader, Source *source, bool is_main)
{
    Program *program = loader->program;
    Module *module = parse_module(program->arena, source, program->diags);
    loader->depth++;                                        /* bounded by SOURCE_FILES_MAX */
    for (uint32_t i = 0; i < module->root->items.count; i++)
        if (module->root->items.items[i]->kind == AST_USE_DECL)
            load_used(loader, source, as_use_decl(module->root->items.items[i]));
    use_libraries(&module->root->head, &(Libraries){ loader, source });
    loader->depth--;
    if (is_main)
        program->main_module = program->module_count;
    append_module(loader, module);
}

static Program *load_main(Program *program, Source *source, const char *const *paths, uint32_t path_count)
{
    assert(source);                                         /* an empty text can always be added to an empty set */
    Loader loader = { .program = program, .paths = paths, .path_count = path_count };
    first_visit(&loader, arena_printf(program->arena, "%.*s", STR_ARG(source->path)));
    load_module(&loader, source, true);
    map_free(&loader.seen);
    return program;
}

Program *program_load(const char *path, const char *const *paths, uint32_t path_count)
{
    Program *program = program_new();
    Source *source = NULL;
    Error error;
    if (source_load(program->sources, path, &source, &error) != ERR_OK) {
        const char *reason = arena_printf(program->arena, "%s", error.text);
        if (source_add(program->sources, path, STR(""), &source, &error) == ERR_OK)
            diag_module_unreadable(program->diags, (Span){ 0, 0, source->index }, path, reason);
    }
    return load_main(program, source, paths, path_count);
}

Program *program_load_files(const char *const *files, uint32_t file_count, const char *const *paths, uint32_t path_count)
{
    Program *program = program_new();
    Loader loader = { .program = program, .paths = paths, .path_count = path_count };
    for (uint32_t i = 0; i < file_count; i++) {
        Source *source = NULL;
        Error error;
        if (!first_visit(&loader, files[i]))
            continue;
        if (source_load(program->sources, files[i], &source, &error) == ERR_OK) {
            load_module(&loader, source, true);
            continue;
        }
        const char *reason = arena_printf(program->arena, "%s", error.text);
        if (source_add(program->sources, files[i], STR(""), &source, &error) == ERR_OK) {
            diag_module_unreadable(program->diags, (Span){ 0, 0, source->index }, files[i], reason);
            load_module(&loader, source, true);
        }
    }
    map_free(&loader.seen);
    return program;
}

Program *program_of_text(const char *path, Str text, const char *const *paths, uint32_t path_count)
{
    Program *program = program_new();
    Source *source = NULL;
    Error error;
    if (source_add(program->sources, path, text, &source, &error) != ERR_OK) {
        const char *reason = arena_printf(program->arena, "%s", error.text);
        if (source_add(program->sources, path, STR(""), &source, &error) == ERR_OK)
            diag_module_unreadable(program->diags, (Span){ 0, 0, source->index }, path, reason);
    }
    return load_main(program, source, paths, path_count);
}

static void free_symbol_maps(Program *program)
{
    for (uint32_t i = 0; i < program->symbol_count; i++)
        map_free(&program->symbols[i]->members);
}

void program_free(Program *program)
{
    if (!program)
        return;
    free_symbol_maps(program);
    map_free(&program->error_kind->decl->members);
    map_free(&program->globals);
    map_free(&program->enum_members);
    diags_deinit(program->diags);
    source_set_free(program->sources);
    arena_free(program->arena);
}

/* Is there such a folder? Keeps it in `out`. */
static bool stdlib_at(char *out, const char *format, const char *folder)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, format, folder);
    return length > 0 && (size_t)length < sizeof path && realpath(path, out) != NULL;
}

const char *stdlib_path(void)
{
    static _Thread_local char found[PATH_MAX];
    const char *named = getenv("FLOW_STDLIB");
    if (named && *named)
        return named;
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return NULL;
    self[length] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    if (stdlib_at(found, "%s/../stdlib", self) || stdlib_at(found, "%s/../../stdlib", self) || stdlib_at(found, "%s/stdlib", self) || stdlib_at(found, "%s/../share/flow/stdlib", self))
        return found;
    return NULL;
}
