#!/bin/sh
# test.sh - `make test`: every test there is, and one line at the end that adds them up.
# FLOW_TEST_QUICK=1 leaves out what is about processes and documents (used for the second, instrumented build).
# PostgreSQL and Redis are started for the tests alone and removed with them. They do not sync: what is tested here is the death of processes, whose
# writes the kernel still has; the tests that stop the servers themselves bring their own, which do.
set -u
build=${BUILD:-build}
passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/fidus-test.XXXXXX")
chmod 711 "$work"                        # the servers' user must get through
log=$work/log
trap 'sh scripts/services.sh stop "$work/services"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
export FLOW_STDLIB="$PWD/stdlib"
services=$(FLOW_PG_OPTS="-c fsync=off -c full_page_writes=off" sh scripts/services.sh start "$work/services") || exit 1
eval "$services"
began=$(date +%s)

# A line of the summary, with the seconds since the one before.
report() {
    now=$(date +%s)
    printf '%-14s %s (%s s)\n' "$1" "$2" $((now - began))
    began=$now
}

# Adds the last "N passed, N failed" of the log; a suite without one has failed.
add() {
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$line" ]; then
        echo "!! $1 did not finish"
        tail -n 30 "$log"
        failed=$((failed + 1))
        return
    fi
    p=${line%% passed*}
    f=${line#*passed, }
    f=${f%% failed*}
    passed=$((passed + p))
    failed=$((failed + f))
    report "$1" "$line"
    [ "$f" = 0 ] || grep -vE '^  ok ' "$log" | tail -n 80
}

unit() {
    for t in "$build"/tests/unit/test_*; do
        case $t in *.d|*.o) continue ;; esac
        [ -x "$t" ] || continue
        "$t" >"$log" 2>&1
        code=$?
        p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$log" | tail -n 1)
        f=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$log" | tail -n 1)
        passed=$((passed + ${p:-0}))
        failed=$((failed + ${f:-0}))
        if [ "$code" != 0 ]; then
            [ "${f:-0}" -gt 0 ] || failed=$((failed + 1))
            echo "!! $t exited with $code"
            grep -vE '^\[ (RUN|      OK) ' "$log" | tail -n 40
        fi
    done
    report unit "$passed passed, $failed failed"
}

# In two halves, side by side: every second file to each.
flows() {
    find flows tests/flows -name '*.flow' | sort >"$log.files"
    "$build/flowc" test $(awk 'NR % 2' "$log.files") >"$log.half" 2>&1 &
    half=$!
    "$build/flowc" test $(awk 'NR % 2 == 0' "$log.files") >"$log" 2>&1
    add "flows 1/2"
    wait "$half"
    cp "$log.half" "$log"
    add "flows 2/2"
}

unit
flows
if [ -z "${FLOW_TEST_QUICK:-}" ]; then
    python3 tests/trace/check.py "$build" >"$log" 2>&1
    add traces
    sh scripts/golden.sh >"$log" 2>&1
    add golden
    sh scripts/docs.sh >"$log" 2>&1
    add docs
    sh scripts/layers.sh >"$log" 2>&1 && echo "1 passed, 0 failed" >>"$log"
    add layers
    sh scripts/cli.sh >"$log" 2>&1
    add cli
    python3 tests/terminal/terminal.py "$build" >"$log" 2>&1
    add terminal
    python3 tests/crash/crash_loop.py "$build" >"$log" 2>&1
    add crash
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
