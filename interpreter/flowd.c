/* flowd - runs .flow programs and looks after their runs. Each command is a row here and lives in cmd_*.c. */
#include "interpreter/cmd.h"

static const char store_help[] =
    "--store URL       sqlite:PATH (default: a file in the state folder; FLOW_STORE sets it)\n"
    "--redis URL       redis://HOST or unix:PATH, for sessions and caches (default: in the store; FLOW_REDIS sets it)\n"
    "--as USER@TENANT  whose run it is (FLOW_AS; default: your login at tenant `local`)\n"
    "--json            machine-readable output\n";

static const Command commands[] = {
    { "run", "[--input JSON|@FILE] [--fixture NAME] [--park] [--as USER@TENANT] [--store URL] [--json] FILE [FLOW]", "run a flow to its end, or until it waits for somebody",
      "FILE is a .flow program or a .flowb image. FLOW may be left out when the file declares one flow.\n"
      "Questions are asked at the terminal if there is one; otherwise the run parks and `flowd answer` takes it on.\n"
      "--input JSON|@FILE  the flow's parameters as a JSON object\n--fixture NAME      put this fixture's rows into the tables first\n--wait DURATION     stay while it only sleeps, up to this long (1m); then it is parked\n--park              only start it; a worker or `flowd resume` takes it on\n"
      "--scopes S,…        what its caller may do, as in a token: plans are granted no more (default: admin:all, everything)\n"
      "--path DIR          where used modules are looked for, too\n"
      "Exit: 0 completed, 1 failed, 2 usage or internal, 3 parked.\n", cmd_run },
    { "resume", "[--store URL] [--json] [RUN]", "go on with a run, or with every run that can go on", store_help, cmd_resume },
    { "ps", "[--all] [--tenants] [--store URL] [--json]", "list runs: those that have not ended, or all", "--all      ended ones too\n--tenants  of every tenant\n", cmd_ps },
    { "show", "[--store URL] [--json] RUN", "one run: state, what it waits for, result", store_help, cmd_show },
    { "trace", "[--format text|mermaid] [--store URL] RUN", "what a run did: who called whom, with what, how long", "Drawn from the journal, also of a run that still works.\n", cmd_trace },
    { "plans", "[--store URL] RUN", "what became of a run's plans, as JSON lines: written, refused and why, filled in, approved", store_help, cmd_plans },
    { "answer", "[--hash H] [--request N] [--store URL] [--json] RUN VALUE", "answer the question a run waits for, or allow a call, and go on",
      "VALUE: yes, no, a number, a date, one of the choices, or text; JSON is understood too.\n"
      "--hash H     of the call that is allowed or refused; without it, what would be called is shown, with its hash\n"
      "--request N  which question, when there are several (default: the oldest)\n--park  only record the answer; the run goes on at the next `flowd resume`\n", cmd_answer },
    { "signal", "[--store URL] [--json] RUN NAME [JSON]", "send a run a signal, and go on", store_help, cmd_signal },
    { "cancel", "[--store URL] [--json] RUN", "cancel a run: finally blocks and compensation run", store_help, cmd_cancel },
    { "fork", "--at SEQ [--store URL] [--json] RUN", "copy a run as it was after journal entry SEQ, and leave the old one alone", "The copy is parked until `flowd resume`.\n", cmd_fork },
    { "worker", "[--concurrency N] [--lease DURATION] [--store URL] [--redis URL]", "stay, and take on every run that wants a worker",
      "--concurrency N    runs in memory at once (4000)\n"
      "--lease DURATION   how long others wait before they take over what a dead worker had (30s)\n"
      "SIGTERM: claims no more, finishes calls that are under way, gives the rest back, exits 0. A second one: at once.\n"
      "Any number of workers may share a store. What happens to them is logged as JSON lines on standard error.\n", cmd_worker },
    { "serve", "[--listen HOST:PORT] [--reuse-port] [--concurrency N] [--lease DURATION] [--path DIR] [--store URL] [--redis URL] [FILE…]", "a worker and the HTTP gateway: requests start the flows of these programs",
      "FILE is a .flow program or a .flowb image; its `on METHOD` routes and its webhooks are served. docs/gateway.md says how.\n"
      "--listen HOST:PORT  where (127.0.0.1:8080); port 0: any that is free; unix:PATH: a socket of this machine\n"
      "--reuse-port        several processes may listen there, the kernel spreads the connections\n"
      "--drain DURATION    how long requests under way are waited for at the end (5s)\n"
      "--title TEXT, --url URL  what /openapi.json says of the service\n"
      "Tokens: the FLOW_… variables of docs/gateway.md; `flowd token` makes one. Secrets of webhooks: the variables that the program names.\n"
      "SIGTERM: takes no more requests, answers those under way, gives the rest of its runs back, exits 0. A second one: at once.\n"
      "What happens is logged as JSON lines on standard error, one for each request, without personal data.\n", cmd_serve },
    { "token", "--user U --tenant T [--scopes S,…] [--roles R,…] [--ttl DURATION] [--keys FILE]", "make a token of this deployment, for development and scripts",
      "Signed by the deployment's key, which is made if there is none yet: FLOW_KEYS, or keys.json in the state folder.\n"
      "--scopes S,…    what it allows, e.g. calendar:read,finance:write or admin:all (default: nothing)\n--roles R,…     written into it\n--ttl DURATION  how long it lives (24h, at most 30d)\n"
      "--email --session --device TEXT  the claims of these names (default: a session of its own)\n--keys FILE     the deployment's keys\n"
      "It is printed alone, for: curl -H \"Authorization: Bearer $(flowd token …)\"\n", cmd_token },
    { "events", "list|dead|replay [EVENT|--dead] [--subscriber NAME] [--store URL] [--json]", "events: what was emitted and why, which letters are dead, and their replay",
      "list     what was emitted, newest last: --name NAME, --correlation RUN (all that one run led to), --limit N (1000)\n"
      "dead     which event no attempt of which subscriber could handle, and why\n"
      "replay   EVENT [--subscriber NAME], or --dead for all letters: a fresh attempt each, by the code that is deployed now. Twice is as good as once.\n"
      "         --park  only make the attempts; a worker or `flowd resume` takes them on\n", cmd_events },
    { "fsck", "[--store URL] [--json]", "check the store: modules, journals, snapshots, timers", "Exit 1 when there are problems.\n", cmd_fsck },
    { "migrate", "[--show] [--store URL] [--json]", "bring the store's schema up to date, or say how it stands",
      "Each step is applied once, all of them in one transaction; a schema of a newer program is refused. A file and a new schema need no `migrate`.\n"
      "--show  change nothing; exit 1 when there is something to do\n", cmd_migrate },
    { "gc", "[--older DURATION] [--store URL] [--json]", "remove runs that ended long ago, and what nobody needs any more",
      "--older DURATION  ended, or dispatched, longer ago than this (30d)\n"
      "Removed: ended runs with journals and snapshots, dispatched events that no waiting run may want, dead letters of removed events, hot entries that are over.\n"
      "Kept: tables of programs, stored events of aggregates, audit log, modules.\n", cmd_gc },
    { 0 }
};

int main(int argc, char **argv) { return cli_main("flowd", "runs .flow programs: persistent, resumable, exactly once", commands, argc, argv); }
