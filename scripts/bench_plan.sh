#!/bin/sh
# bench_plan.sh - what plans cost, beside rivals that take turns in the same run. Every number is the best of several; nothing here decides a test.
# BUILD: where the binaries are. BENCH_ROUNDS: how often the rivals take turns (3).
# Plans: beside reading their JSON alone, and beside Node with JSON.parse and ajv.
# Conditions: beside Node (its compiler to machine code, and `--jitless`, its interpreter), Duktape and MuJS, and QuickJS and QuickJS-NG.
# Debian 12 has no QuickJS, and no native one of npm was found that runs there: the two are npm's WebAssembly (tests/bench/quickjs), which Node compiles
# with its better compiler from the beginning (--no-liftoff), as the outer loop would else stay in what the quick one made of it.
# What npm cannot bring is left out, and said.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
here=$BUILD/tests/bench
work=$(mktemp -d "$BUILD/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
rounds=${BENCH_ROUNDS:-3}
root=$PWD

# packages LOCKED FOLDER: the packages of the lock file in LOCKED, in FOLDER; again only when it changed.
packages() {
    ! cmp -s "$1/package-lock.json" "$2/installed" || return 0
    mkdir -p "$2"
    rm -f "$2/installed"
    cp "$1/package.json" "$1/package-lock.json" "$2"
    (cd "$2" && timeout 300 npm ci --no-audit --no-fund --ignore-scripts --silent --fetch-retries=1) >/dev/null 2>&1 || return 1
    cp "$1/package-lock.json" "$2/installed"
}

# ---- conditions -------------------------------------------------------------------------------------------------
quickjs=yes
packages tests/bench/quickjs "$here/quickjs" || quickjs=
n=0
while [ "$n" -lt "$rounds" ]; do
    "$here/bench_condition" | sed 's/^/flow /'
    node tests/bench/condition.js | sed 's/^/node /'
    node --jitless tests/bench/condition.js 2>/dev/null | sed 's/^/jitless /'
    ! command -v duk >/dev/null || duk tests/bench/condition.js | sed 's/^/duktape /'
    ! command -v mujs >/dev/null || mujs tests/bench/condition.js | sed 's/^/mujs /'
    [ -z "$quickjs" ] || (cd "$here/quickjs" && node --no-liftoff "$root/tests/bench/quickjs/run.mjs")
    n=$((n + 1))
done > "$work/conditions"
printf '\n%s\n' "conditions (ns, best of many); below 1: faster than the rival"
awk '
    { for (i = 3; i <= 5; i++) { key = $1 SUBSEP $2 SUBSEP i; if (!(key in ns) || $i < ns[key]) ns[key] = $i }
      if ($6 != "true") { print "  " $1 " finds something else in " $2; exit 1 }
      if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 } }
    function cell(who, what, i) { return ((who, what, i) in ns) && ns[who, what, i] > 0 ? sprintf("%10.1f %8.3f", ns[who, what, i], ns["flow", what, i] / ns[who, what, i]) : sprintf("%10s %8s", "-", "-") }
    END {
        split("short long", whats, " ")
        for (w = 1; w <= 2; w++) {
            printf "  %-8s %-10s %19s %19s %19s\n", whats[w], "", "evaluate   flow/it", "compile   flow/it", "by the host flow/it"
            for (i = 1; i <= count; i++) printf "  %-8s %-10s %s %s %s\n", "", order[i], cell(order[i], whats[w], 4), cell(order[i], whats[w], 3), cell(order[i], whats[w], 5)
        }
    }' "$work/conditions"
printf '%s\n' "  evaluate: in a loop of the engine. compile: of a text never seen; flow: read, checked, in the tree; the others: new Function, which Node leaves half done until the first call."
printf '%s\n' "  by the host: one evaluation asked for from outside; flow: a run of its own, from vm_new to vm_free; node: vm.Script in a context;" \
    "  QuickJS: the compiled function called by Node."
if [ -n "$quickjs" ]; then
    printf '%s\n' "  qjs-wasm, qjsng-wasm: QuickJS 2025-09-13 and QuickJS-NG 0.12.1 as WebAssembly run by Node. A native build, likely faster, is not measured."
else
    printf '%s\n' "  QuickJS is not in this table: npm cannot be reached, or has not brought the packages of tests/bench/quickjs."
fi

# ---- from text to a verified plan ---------------------------------------------------------------------------------
ajv=yes
packages tests/plans/schema "$BUILD/tests/plans" || ajv=
"$BUILD/flowc" plan schema --agents tests/plans/agents.flow --ask -o "$work/schema.json"
export FLOW_STDLIB=stdlib
"$here/bench_plan" tests/plans/agents.flow "$work" >/dev/null
plans=$(realpath "$work")
n=0
while [ "$n" -lt "$rounds" ]; do
    "$here/bench_plan" tests/plans/agents.flow
    [ -z "$ajv" ] || (cd "$BUILD/tests/plans" && node "$root/tests/bench/plan.mjs" "$plans/schema.json" "$plans")
    n=$((n + 1))
done > "$work/plans"
printf '\n%s\n' "plans (us, best of many): checked, compiled and verified on a compiler that is there; beside reading the JSON alone, and beside Node with ajv, which looks at the shape"
awk '
    { for (i = 3; i <= 6; i++) { key = $1 SUBSEP $2 SUBSEP i; if (!(key in us) || $i < us[key]) us[key] = $i } }
    END {
        split("5 20 100", sizes, " ")
        printf "  %6s %8s %10s %12s %12s %14s %10s %14s %14s\n", "steps", "bytes", "compile", "JSON alone", "compile/JSON", "parse+ajv", "flow/ajv", "JSON.parse", "from bytes"
        for (i = 1; i <= 3; i++) { s = sizes[i]
            compile = us["plan", s, 4]
            node = sprintf("%14s %10s %14s", "-", "-", "-")
            if (("node", s, 4) in us) node = sprintf("%14.1f %10.2f %14.1f", us["node", s, 4], compile / us["node", s, 4], us["node", s, 5])
            json = us["plan", s, 5]
            printf "  %6d %8d %10.1f %12.1f %12.2f %s %14.1f\n", s, us["plan", s, 3], compile, json, compile / json, node, us["plan", s, 6] }
    }' "$work/plans"
[ -n "$ajv" ] || printf '%s\n' "  Node with ajv is not in this table: npm cannot be reached, or has not brought the packages of tests/plans/schema."
