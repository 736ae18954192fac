/* flowc - the author's tool. Each command is a row here and a file cmd_*.c. */
#include "compiler/cmd.h"

static const Command commands[] = {
    { "check", "[--format text|json|sarif] [--path DIR]… FILE…", "find what is wrong, all of it, before anything runs",
      "FILE may be - for standard input. Exit 0: clean, 1: errors, 2: usage or a file that cannot be read.\n", cmd_check },
    { "lint", "[--format text|json|sarif] [--path DIR]… FILE…", "check, and say what is legal but asks for trouble",
      "A finding is silenced on its line by `// allow: NAME because REASON` at the line's end or on the line before.\n", cmd_lint },
    { "fmt", "[--check | --diff] FILE…|-", "lay out programs in the one way there is",
      "Without options files are rewritten in place (only when they change); - reads standard input and writes standard output.\n"
      "--check  change nothing; list the files that would change and exit 1\n--diff   change nothing; show what would change and exit 1\n", cmd_fmt },
    { "build", "FILE -o OUT.flowb", "compile to verified bytecode; its SHA-256 is its identity", "Tests are left out; --with-tests keeps them.\n", cmd_build },
    { "test", "[--only NAME] [--trace mermaid|text] [--crash] [--fuel N] [--store URL] [--redis URL] PATH…", "run the test blocks of files or folders",
      "Tests run on a real store, a file in memory, with virtual time; tools and the user do what `given` says.\n"
      "--only NAME   the tests whose title contains NAME; `documented` means the test marked so\n"
      "--trace KIND  print each run's sequence after its result line, drawn from the journal\n"
      "--crash       repeat every test with a crash before and after each durable operation; the outcome must not change\n"
      "--crash-every N   crash only at every Nth of them\n"
      "--fuel N      each run may do this much work (10,000,000,000), so that a loop without end is found sooner\n"
      "--store URL   on this store, which must be empty and loses everything: postgresql://… or sqlite:PATH\n"
      "--redis URL   with hot state in this Redis database, which must be empty and is emptied: redis://HOST/N or unix:PATH?db=N\n", cmd_test },
    { "graph", "FILE [NAME]", "draw a flow, machine or saga as a Mermaid diagram", "Without NAME: every flow, machine and saga of the file.\n", cmd_graph },
    { "openapi", "[--title TEXT] [--url URL] FILE [-o OUT]", "describe the program's routes as an OpenAPI 3.1 document",
      "It is what a server of the program answers at /openapi.json.\n--title TEXT   of the service\n--url URL      where it is\n", cmd_openapi },
    { "disasm", "FILE", "show the bytecode of a .flow or .flowb file", NULL, cmd_disasm },
    { "plan", "check|cost|schema|build --agents PATH… [--allow a.b,c.*] [--scopes …] [--ask] [--format text|json] [--steps N …] [PLAN.json|-]",
      "say what a plan of a language model would do, before it does it",
      "check    all that is wrong with the plan, by JSON Pointer, and what it leaves open for the request to fill in\n"
      "cost     the worst case beside the budget: calls of each tool with their retries, time, tokens, money\n"
      "schema   the JSON Schema of the plans that are allowed, for a model to write by\n"
      "build    -o OUT.flowb: agents and plan as one program with a flow `plan`, for `flowd run OUT.flowb plan`\n"
      "--agents PATH    whose tools there are: a .flow or .flowb file, or a folder of .flow files; may be given several times\n"
      "--allow TOOLS    what the plan may call, as travel.book_hotel or travel.*; without it, every tool of these agents\n"
      "--scopes SCOPES  those of the caller; without it no scope is asked for\n"
      "--ask            somebody can approve what cannot be undone\n"
      "--format json    for machines (docs/plans.md); --json is the same\n"
      "--steps --depth --fanout --calls --calls-per-tool --fuel --memory --tokens N, --wall 30s, --usd 0.50: the budget\n"
      "Nothing is run and nothing is asked: the same input gives the same answer. Exit 0: clean, 1: findings, 2: usage.\n", cmd_plan },
    { "explain", "CODE", "tell what a diagnostic means, with an example and its repair", "Without CODE: the list of all.\n", cmd_explain },
    { 0 }
};

int main(int argc, char **argv) { return cli_main("flowc", "compiles, checks, formats and tests .flow programs", commands, argc, argv); }
