#!/bin/sh
# test.sh - `make test`: every test there is, and one line at the end that adds them up.
# FLOW_TEST_QUICK=1 leaves out what is about processes and documents (used for the second, instrumented build).
# PostgreSQL and Redis are started for the tests alone and removed with them. They do not sync: what is tested here is the death of processes, whose
# writes the kernel still has; the tests that stop the servers themselves bring their own, which do.
set -uf                                  # words with a ? in them are not patterns
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

# A line of the summary, with its seconds: those given, or since the line before.
report() {
    now=$(date +%s)
    printf '%-14s %s (%s s)\n' "$1" "$2" "${3:-$((now - began))}"
    began=$now
}

# add NAME [SECONDS]: adds the last "N passed, N failed" of the log; a suite without one has failed.
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
    report "$1" "$line" "${2:-}"
    [ "$f" = 0 ] || grep -vE '^  ok ' "$log" | tail -n 80
}

# Runs the unit tests given; what they did goes to standard output, "PASSED FAILED" of each to the file named first.
unit_tests() {
    counts=$1
    shift
    for t in "$@"; do
        timeout 300 "$t" >"$counts.log" 2>&1
        code=$?
        p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$counts.log" | awk '{ n += $1 } END { print n + 0 }')
        f=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$counts.log" | awk '{ n += $1 } END { print n + 0 }')
        if [ "$code" != 0 ]; then
            [ "${f:-0}" -gt 0 ] || f=1
            echo "!! $t exited with $code"
            grep -vE '^\[ (RUN|      OK) ' "$counts.log" | tail -n 40
        fi
        echo "${p:-0} ${f:-0}" >>"$counts"
    done
}

# In two halves, side by side.
unit() {
    find "$build/tests/unit" -name 'test_*' -type f -perm -u+x ! -name '*.[do]' | sort >"$work/files"
    # shellcheck disable=SC2046 # lists of words
    unit_tests "$work/first" $(awk 'NR % 2' "$work/files") >"$work/half" 2>&1 &
    half=$!
    # shellcheck disable=SC2046
    unit_tests "$work/second" $(awk 'NR % 2 == 0' "$work/files")
    wait "$half"
    cat "$work/half"
    awk '{ p += $1; f += $2 } END { print p + 0 " passed, " f + 0 " failed" }' "$work/first" "$work/second" >"$log"
    add unit
}

# flows NAME OPTIONS: every flow, four at a time by one of two processes. NUMBER in the options is a number that no other process of the moment has.
flows() {
    find flows tests/flows -name '*.flow' | sort >"$work/files"
    # shellcheck disable=SC2016 # it is the inner shell that puts these in
    FLOWC="$build/flowc" OPTIONS=$2 xargs -P 2 -n 4 sh -fc 'exec "$FLOWC" test $(echo "$OPTIONS" | sed "s/NUMBER/$(($$ % 1000))/g") "$@"' sh <"$work/files" >"$work/flows" 2>&1
    awk -v files="$(wc -l <"$work/files")" '
        /^[0-9]+ passed, [0-9]+ failed$/ { p += $1; f += $3; n++; next }
        { print }
        END { if (n == int((files + 3) / 4)) print p " passed, " f " failed"; else print "only " n + 0 " processes came to their end" }' "$work/flows" >"$log"
    add "$1"
}

# Lines "LANE NAME COMMAND" from standard input: the lanes side by side, what is in one after the other. Each leaves a log and its seconds.
suites() {
    cat >"$work/lines"
    run_lane a &
    other=$!
    run_lane b
    wait "$other"
    cat "$work/lines"
}

run_lane() {
    grep "^$1 " "$work/lines" | while read -r _ name command; do
        start=$(date +%s)
        sh -c "$command" >"$work/$name.suite" 2>&1 </dev/null
        echo $(($(date +%s) - start)) >"$work/$name.seconds"
    done
}

unit
# Every crash point on the embedded store; under the sanitizers, and where each life costs a server more, every Nth.
flows flows "${FLOW_TEST_QUICK:+--crash-every 5 --fuel 100000000}"
if [ -z "${FLOW_TEST_QUICK:-}" ]; then
    flows "flows pg" "--crash-every 15 --fuel 1000000000 --store $FLOW_TEST_POSTGRES&schema=flows_NUMBER --redis $FLOW_TEST_REDIS?db=NUMBER"
    # Processes, documents and the page, in two lanes of about the same length.
    suites >"$work/suites" <<SUITES
a traces python3 tests/trace/check.py $build
a golden sh scripts/golden.sh
a openapi python3 tests/openapi/check.py $build
a docs sh scripts/docs.sh
a conditions node tests/plans/condition_diff.mjs $build/tests/plans/condition_eval
a layers sh scripts/layers.sh && echo "1 passed, 0 failed"
a cli sh scripts/cli.sh
a plans python3 tests/plans/schema_test.py $build
b requests python3 tests/plans/requests.py $build $FLOW_TEST_SERVICES
a terminal python3 tests/terminal/terminal.py $build
b crash python3 tests/crash/crash_loop.py $build
a crash_pg python3 tests/crash/crash_loop.py $build --services $FLOW_TEST_SERVICES
b login python3 tests/identity/test_login.py $build
b authorization python3 tests/identity/test_authorization.py $build
b provider python3 tests/identity/test_provider.py $build
b gateway python3 tests/gateway/requests_test.py $build $FLOW_TEST_SERVICES
b model python3 tests/gateway/model_test.py $build
b streams python3 tests/gateway/streams_test.py $build
b streams_pg python3 tests/gateway/streams_test.py $build --postgres
b family python3 tests/gateway/family_test.py $build
b question python3 tests/gateway/question_test.py $build
b page python3 tests/ui/page_test.py $build
b lease python3 tests/durable/lease.py $build
b chaos CHAOS_STORE=sqlite CHAOS_SECONDS=4 python3 tests/durable/chaos.py $build
a state python3 tests/durable/state.py $build
a partitions sh tests/durable/partitions.sh $build
b chaos_pg CHAOS_SECONDS=${CHAOS_SECONDS:-10} python3 tests/durable/chaos.py $build
SUITES
    while read -r _ name _; do
        log=$work/$name.suite
        add "$(echo "$name" | tr _ ' ')" "$(cat "$work/$name.seconds")"
    done <"$work/suites"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
