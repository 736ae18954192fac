#!/bin/sh
# run.sh - `make run`: the main job, for people to watch: on the embedded store, or with STORE=postgres on a PostgreSQL and a Redis of its own,
# which are removed at the end.
#   1. flow 20 asks its question and parks; the answer comes from another process;
#   2. the engine is killed with SIGKILL after every step it made durable (taking the run over and claiming it are the first two operations) until step 2 is done, then goes on and finishes;
#   3. flow 25 fails at its third step and undoes the first two;
#   4. both as sequence diagrams drawn from their journals, and a table of all flows with their tests.
set -euf
build=${BUILD:-build}
store=$(mktemp -d "${TMPDIR:-/tmp}/fidus-run.XXXXXX")
trap 'sh scripts/services.sh stop "$store/services"; rm -rf "$store"' EXIT
trap 'exit 130' INT TERM
test_store=
case ${STORE:-sqlite} in
    sqlite) export FLOW_STORE="sqlite:$store/flow.db" ;;
    postgres)
        chmod 711 "$store"               # the servers' user must get through
        services=$(sh scripts/services.sh start "$store/services")
        eval "$services"
        test_store="--crash-every 20 --store $FLOW_TEST_POSTGRES&schema=tests --redis $FLOW_TEST_REDIS?db=1"
        export FLOW_STORE="$FLOW_TEST_POSTGRES" FLOW_REDIS="$FLOW_TEST_REDIS"
        ;;
    *) echo "run.sh: STORE is sqlite or postgres, not $STORE" >&2; exit 2 ;;
esac
export FLOW_AS="anna@family"
flowd=$build/flowd
flowc=$build/flowc
title() { printf '\n== %s\n' "$1"; }

title "Flow 20: book a flight, add it to the calendar, record the expense"
code=0
$flowd run flows/20_sequential.flow --fixture berlin --quiet >"$store/run.txt" || code=$?
cat "$store/run.txt"
[ "$code" = 3 ] || { echo "run.sh: expected a parked run (exit 3), got $code" >&2; exit 1; }
run=$(sed -n 's/^parked //p' "$store/run.txt")

title "Another process answers yes; the engine is killed with -9 again and again until step 2 is done"
kills=0
FLOW_CRASH_AT=2:after $flowd answer "$run" yes --quiet >/dev/null 2>&1 || kills=1
until $flowd trace "$run" | grep -q 'Calendar Agent --> Orchestrator'; do
    [ "$kills" -lt 100 ] || { echo "run.sh: step 2 was never reached" >&2; exit 1; }
    code=0
    FLOW_CRASH_AT=3:after $flowd resume "$run" --quiet >/dev/null 2>&1 || code=$?
    [ "$code" = 137 ] && kills=$((kills + 1))
    [ "$code" = 0 ] && break
done
echo "killed $kills times; the journal so far:"
$flowd trace "$run" | tail -n +2

title "A new process resumes it where it was"
$flowd resume "$run" --quiet

title "Its sequence diagram"
$flowd trace "$run" --format mermaid

title "Flow 25: no hotel in Paris, so the flight and the appointment are undone, last first"
$flowd run flows/25_saga_rollback.flow --fixture paris --quiet
undo=$($flowd ps --all --json | sed -n 's/^{"run":"\([^"]*\)","flow":"saga_rollback".*/\1/p' | head -n 1)

title "Its sequence diagram"
$flowd trace "$undo" --format mermaid

title "The flows"
printf '%-34s %-8s %s\n' FLOW TESTS RESULT
for file in $(find flows -name "*.flow" | sort); do
    result=$($flowc test $test_store "$file" | tail -n 1)
    name=$(basename "$file" .flow)
    printf '%-34s %-8s %s\n' "$name" "$(echo "$result" | cut -d' ' -f1)" "$result"
done

title "The store"
$flowd fsck
