/* cmd.h - the commands of flowd, one file a family, and what they share: the store, the principal, reading runs. */
#ifndef INTERPRETER_CMD_H
#define INTERPRETER_CMD_H
#include "base/cli.h"
#include "base/time.h"
#include "interpreter/sched/engine.h"

int cmd_run(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_plans(int argc, char **argv);
int cmd_answer(int argc, char **argv);
int cmd_signal(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_fork(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_worker(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_token(int argc, char **argv);

/* What every command takes. */
typedef struct CmdCommon {
    const char *store_url;               /* --store, FLOW_STORE, else sqlite:<state folder>/flow.db */
    const char *redis_url;               /* --redis, FLOW_REDIS, else hot state lives in the store */
    const char *as;                      /* --as USER@TENANT, FLOW_AS, else <login>@local */
    bool json;                           /* --json */
} CmdCommon;
#define CMD_COMMON_OPTIONS(c) { .name = "--store", .value = &(c).store_url }, { .name = "--redis", .value = &(c).redis_url }, { .name = "--as", .value = &(c).as }, { .name = "--json", .flag = &(c).json }

typedef struct CmdSession {
    Engine *engine;
    Arena *arena;                        /* of rows that were found; NULL: none yet */
    EnginePrincipal who;                 /* borrowed from `text` */
    char text[256];
    int64_t patience_us;                 /* how long a server may be away when it is opened */
    bool json, quiet;
    bool color;
    struct Identity *identity;           /* opened when a program first asks it */
    bool without_identity;               /* it could not be: said once */
} CmdSession;

enum { CMD_URL_MAX = 1200 };
/* The store that is meant, of CMD_URL_MAX bytes; false after printing why. */
bool cmd_store_url(const CmdCommon *common, char *url, size_t size);
/* Opens the engine; false after printing why. */
bool cmd_open(CmdSession *session, const CmdCommon *common);
bool cmd_open_with(CmdSession *session, const CmdCommon *common, const EngineOptions *how);        /* store, Redis and `arg` are filled in */
struct Identity *cmd_identity(void *session);                      /* of the environment, made on the first call; NULL after printing why */
void cmd_close(CmdSession *session);
/* Works on a run (or, with NULL, on all that can go on) and on what it causes, and waits for sleeps that end within `patience_us`. */
Err  cmd_work(CmdSession *session, const char *run_id, int64_t patience_us, Error *error);
bool cmd_patience(const char *text, int64_t *us);                  /* --wait DURATION; NULL: a minute. False after printing why */
int  cmd_failed(const Error *error);                               /* prints, returns the exit code: 1 for what the user named wrongly, else 2 */
/* The run that RUN (an id or an unambiguous beginning) means; its texts live until cmd_close. False after printing why. */
bool cmd_find_run(CmdSession *session, const char *run, RunRow *out);
/* Prints how it stands with a run (result, error, or what it waits for); the exit code. */
int  cmd_print_outcome(CmdSession *session, const RunRow *run);
void cmd_print_waits(const RunRow *run);             /* what a parked run waits for, and how to go on */
void cmd_print_approval(FILE *to, Str tool, const struct Json *arguments);
/* `engine`: the result as an operator may see it; NULL: in full, for whoever started the run. */
void cmd_print_run_json(Engine *engine, const RunRow *run, Buf *out);
/* A program from a .flow or .flowb file; NULL after printing why. *only_flow: the flow of the main module when it has one, else empty. */
Image *cmd_load_image(const char *path, const char *const *search, int search_count, Str *only_flow);
/* Options of processes that stay; false after printing why. */
bool cmd_read_concurrency(const char *text, uint32_t *out);
bool cmd_read_lease(const char *text, int64_t *out);
void cmd_log_line(Str line, void *arg);              /* EngineOptions.on_log: a line on standard error, whole, however many processes share it */
#endif
