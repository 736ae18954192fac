#!/bin/sh
# bench.sh - what `make bench` prints: times beside those of lua5.4, luajit -joff, luac5.4 and SQLite, taken in the same run, and their ratios.
# Every number is the best of several; the rivals take turns, so that a busy moment hits all of them. Nothing here decides a test.
# BUILD: where the binaries are. BENCH_STORE: folder of the stores (its disk decides what a commit costs). BENCH_PAST: longest past (100000).
# BENCH_ROUNDS: how often the rivals take turns (3).
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
here=$BUILD/tests/bench
work=$(mktemp -d "${BENCH_STORE:-$BUILD}/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
rounds=${BENCH_ROUNDS:-3}
export FLOW_STDLIB=stdlib

say() { printf '%s\n' "$*"; }
head() { printf '\n%s\n' "$1"; }

# ---- the machine: best of $rounds times five -----------------------------------------------------------------
n=0
while [ "$n" -lt "$rounds" ]; do
    "$here/bench_vm" tests/bench/vm.flow | sed 's/^/flow /'
    lua5.4 tests/bench/vm.lua | sed 's/^/lua /'
    luajit -joff tests/bench/vm.lua | sed 's/^/luajit /'
    n=$((n + 1))
done > "$work/vm"
head "programs (processor ms, best of $((rounds * 5))); below 1: faster than the rival"
awk '
    { key = $1 SUBSEP $2; if (!(key in ms) || $3 < ms[key]) ms[key] = $3; if ($1 == "flow" && !($2 in seen)) { seen[$2] = 1; order[++count] = $2 }
      if (($2 in value) && value[$2] != $4) wrong = wrong " " $2; value[$2] = $4 }
    END {
        printf "  %-16s %10s %10s %14s %10s %14s\n", "", "flow", "lua5.4", "flow/lua5.4", "luajit", "flow/luajit"
        for (i = 1; i <= count; i++) { p = order[i]
            if (("lua" SUBSEP p) in ms) printf "  %-16s %10.2f %10.2f %14.2f %10.2f %14.2f\n", p, ms["flow", p], ms["lua", p], ms["flow", p] / ms["lua", p], ms["luajit", p], ms["flow", p] / ms["luajit", p] }
        if (wrong) { print "  the results differ:" wrong; exit 1 }
    }' "$work/vm"
say "  luajit runs with -joff; strings grow by 30,000 appends, quadratic work in Lua, whose way is string_pieces"

# ---- the compiler ------------------------------------------------------------------------------------------------
copies=2000
"$here/bench_compile" $copies flow > "$work/large.flow"
"$here/bench_compile" $copies lua > "$work/large.lua"
lines=$(wc -l < "$work/large.flow")
[ "$lines" = "$(wc -l < "$work/large.lua")" ] || { say "the two programs differ in length" >&2; exit 1; }
n=0
while [ "$n" -lt "$rounds" ]; do
    say "luac $("$here/bench_run" 5 luac5.4 -o /dev/null "$work/large.lua")"
    say "check $("$here/bench_run" 5 "$BUILD/flowc" check "$work/large.flow")"
    say "build $("$here/bench_run" 5 "$BUILD/flowc" build -o "$work/large.flowb" "$work/large.flow")"
    "$here/bench_compile" $copies | awk '{ print "inside", $2 * 1000, $2 * 1000 }'
    n=$((n + 1))
done > "$work/compile"
head "compiler ($lines lines, best of $((rounds * 5)), processor time of the process)"
awk -v lines="$lines" '
    { if (!($1 in ms) || $3 < ms[$1]) ms[$1] = $3 }
    function row(name, key) { printf "  %-44s %8.1f ms %12.0f lines/s %8.2f of luac5.4\n", name, ms[key], lines / ms[key] * 1000, ms["luac"] / ms[key] }
    END { row("luac5.4", "luac"); row("flowc check (parse, resolve, check, lint)", "check"); row("flowc build (to a verified image on disk)", "build")
          row("the compiler alone, in a warm process (wall)", "inside") }' "$work/compile"

# ---- cold start ---------------------------------------------------------------------------------------------------
"$BUILD/flowc" build -o "$work/step.flowb" tests/bench/step.flow > /dev/null
store="sqlite:$work/cold.db"
"$BUILD/flowd" run --store "$store" "$work/step.flowb" > /dev/null 2>&1
n=0
while [ "$n" -lt "$rounds" ]; do
    say "nothing $("$here/bench_run" 20 /bin/true)"
    say "lua $("$here/bench_run" 20 lua5.4 -e '')"
    say "flow $("$here/bench_run" 20 "$BUILD/flowd" run --store "$store" tests/bench/step.flow)"
    say "flowb $("$here/bench_run" 20 "$BUILD/flowd" run --store "$store" "$work/step.flowb")"
    n=$((n + 1))
done > "$work/cold"
head "cold start (best of $((rounds * 20)); a run of one durable step, from exec to exit)"
awk '
    { if (!($1 in wall) || $2 < wall[$1]) wall[$1] = $2; if (!($1 in cpu) || $3 < cpu[$1]) cpu[$1] = $3 }
    function row(name, key) { printf "  %-44s %8.2f ms wall %8.2f ms processor\n", name, wall[key], cpu[key] }
    END { row("/bin/true", "nothing"); row("lua5.4 -e \"\"", "lua"); row("flowd run step.flow", "flow"); row("flowd run step.flowb", "flowb") }' "$work/cold"

# ---- the engine -----------------------------------------------------------------------------------------------------
"$here/bench_engine" tests/bench/engine.flow "$work" "${BENCH_PAST:-100000}" > "$work/engine"
head "engine on the embedded store"
awk '
    { value[$1] = $2 }
    /^resume_ms_/ { order[++count] = substr($1, 11) }
    END {
        printf "  %-44s %8.0f /s\n  %-44s %8.0f /s   %.2f of it\n", "SQLite alone: commits of one row", value["bare_commits_per_s"], "durable steps in sequence", value["steps_per_s"], value["steps_per_s"] / value["bare_commits_per_s"]
        printf "  %-44s %8.0f bytes   %.0f of them in its texts\n", "journal per step, on disk", value["journal_disk_bytes_per_step"], value["journal_content_bytes_per_step"]
        printf "  %-44s %8.1f KiB\n", "memory per live run (" value["live_runs"] " at once)", value["bytes_per_live_run"] / 1024
        for (i = 1; i <= count; i++) { n = order[i]; printf "  %-44s %8.2f ms wall %8.2f ms processor\n", "resume after " n " steps", value["resume_ms_" n], value["resume_cpu_ms_" n] }
    }' "$work/engine"
