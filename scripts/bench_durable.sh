#!/bin/sh
# bench_durable.sh - what `make bench-durable` prints: durable steps on a private PostgreSQL with fsync and synchronous_commit on, beside what pgbench
# reaches on the very same server in the same minutes. Nothing here decides a test; every part checks the results of its runs and the store.
# BUILD: where the binaries are. BENCH_STORE: folder of the server's data (its disk decides what a commit costs; default a new one under /tmp).
# Disks of shared machines change their speed from one minute to the next. So limits and ours take turns, and what counts is the ratio of each of ours to the
# mean of the limits just before and after it: the median of the rounds is printed, and the smallest and the largest beside it.
# BENCH_ROUNDS (3): how often. BENCH_SECONDS (1): length of each turn of pgbench. BENCH_RUNS (1): multiplies the number of runs. BENCH_PARKED (100000),
# BENCH_PAST (10000): parked runs, longest past. BENCH_PARTS: words of steps writes fan park resume events recovery (all).
# BENCH_HALT_POLL_US: in a virtual machine whose kernel can poll before a processor halts (docs/operations.md), for how long, while this runs; root only.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
bench=$BUILD/tests/bench/bench_durable
seconds=${BENCH_SECONDS:-1}
rounds=${BENCH_ROUNDS:-3}
times=${BENCH_RUNS:-1}
parts=${BENCH_PARTS:-steps writes fan park resume events recovery}
work=$(mktemp -d "${BENCH_STORE:-/tmp}/bench-durable.XXXXXX")
halt_poll=/sys/module/haltpoll/parameters/guest_halt_poll_ns
halt_poll_before=
end() {
    [ -z "$halt_poll_before" ] || echo "$halt_poll_before" >"$halt_poll"
    sh scripts/services.sh stop "$work/services" >/dev/null 2>&1 || :
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
# What an idle processor does first; nothing where there is nothing to choose.
idle_processors() {
    [ "$(cat /sys/devices/system/cpu/cpuidle/current_governor 2>/dev/null)" = haltpoll ] && [ -r "$halt_poll" ] || return 0
    polls=$(cat "$halt_poll")
    if [ "$polls" = 0 ]; then
        echo "idle:    processors halt at once; BENCH_HALT_POLL_US=1000 lets them poll first while this runs, see docs/operations.md"
    else
        echo "idle:    processors poll for up to $((polls / 1000)) us before they halt"
    fi
}
if [ -n "${BENCH_HALT_POLL_US:-}" ]; then
    case $BENCH_HALT_POLL_US in *[!0-9]*) echo "bench_durable.sh: BENCH_HALT_POLL_US=$BENCH_HALT_POLL_US is no number of microseconds" >&2; exit 2 ;; esac
    [ -w "$halt_poll" ] || { echo "bench_durable.sh: BENCH_HALT_POLL_US: $halt_poll cannot be written; that takes root, in a virtual machine whose kernel has haltpoll" >&2; exit 2; }
    halt_poll_before=$(cat "$halt_poll")
    echo "${BENCH_HALT_POLL_US}000" >"$halt_poll"
fi
chmod 755 "$work"
export FLOW_STDLIB=stdlib
FLOW_PG_OPTS="-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=512MB -c max_wal_size=8GB -c checkpoint_timeout=15min" \
    sh scripts/services.sh start "$work/services" >"$work/env"
. "$work/env"
base=$FLOW_TEST_POSTGRES
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$base" "$@"; }
wanted() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
value() { awk -v name="$1" '$1 == name { print $2 }' "$work/out"; }

# ---- the limits of this machine ------------------------------------------------------------------------------------
sql -c 'CREATE TABLE limits (run_id text NOT NULL, seq bigint NOT NULL, body text NOT NULL, PRIMARY KEY (run_id, seq))'
cat >"$work/one.sql" <<'SQL'
INSERT INTO limits VALUES (gen_random_uuid()::text, 1, 'one small row of a journal, about as long as one of ours');
SQL
cat >"$work/hundred.sql" <<'SQL'
INSERT INTO limits SELECT r.id, n, 'one small row of a journal, about as long as one of ours' FROM (SELECT gen_random_uuid()::text AS id) r, generate_series(1, 100) n;
SQL
# What was measured, in the order of time: "limit KIND ROWS-PER-SECOND" or "ours NAME STEPS-PER-SECOND ROWS-PER-STEP P50 P99 PROCESSOR"
log=$work/log
: >"$log"
limit() {
    case $1 in one) script=one clients=1 rows=1 ;; many) script=one clients=64 rows=1 ;; hundred) script=hundred clients=1 rows=100 ;; esac
    sql -c 'TRUNCATE limits'
    pgbench -n -M prepared -T "$seconds" -c "$clients" -j "$((clients < 2 ? 1 : 2))" -f "$work/$script.sql" "$base" 2>/dev/null |
        awk -v kind="$1" -v rows="$rows" '/^tps/ { printf "limit %s %.0f\n", kind, $3 * rows }' >>"$log"
}
limits() { for kind; do limit "$kind"; done; }

echo "machine: $(nproc) processors, $(awk -F: '/model name/ { print $2; exit }' /proc/cpuinfo | sed 's/^ *//'), load $(cut -d' ' -f1 /proc/loadavg) when this began"
idle_processors
echo "server:  PostgreSQL $(sql -c 'SHOW server_version'), fsync $(sql -c 'SHOW fsync'), synchronous_commit $(sql -c 'SHOW synchronous_commit'), same machine, unix socket"

# ---- ours ------------------------------------------------------------------------------------------------------------
part() {
    sql -c 'DROP SCHEMA IF EXISTS bench CASCADE' 2>/dev/null
    "$bench" "$base&schema=bench" tests/bench/durable.flow "$@" >"$work/out"
}
# NAME ROWS-PER-STEP PART …: its line in the log
ours() {
    name=$1 rows=$2
    shift 2
    part "$@"
    note "$name" steps_per_s "$rows"
}
# NAME VALUE ROWS: a rate of the part that has just run, as a line in the log
note() { echo "ours $1 $(value "$2") $3 $(value run_ms_p50) $(value run_ms_p99) $(value engine_us_per_step)" >>"$log"; }
# NAME KIND COLUMN: median, smallest and largest over the rounds. KIND of a limit: of the ratio to it; with `-`: of the column of the log itself.
spread() {
    awk -v name="$1" -v kind="$2" -v column="$3" '
        $1 == "limit" && $2 == kind { if (waits) { after[waits] = $3; waits = 0 } last = $3 }
        $1 == "ours" && $2 == name { n++; own[n] = $3 * (kind == "hundred" ? $4 : 1); plain[n] = $column; before[n] = last; waits = n }
        $1 == "limit" && $2 == name { n++; plain[n] = $column }
        END {
            for (i = 1; i <= n; i++) {
                v[i] = kind == "-" ? plain[i] : own[i] / (i in after ? (before[i] + after[i]) / 2 : before[i])
                for (k = i; k > 1 && v[k] < v[k - 1]; k--) { x = v[k]; v[k] = v[k - 1]; v[k - 1] = x }
            }
            m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
            if (kind == "-") print m, v[1], v[n]; else printf "%.2f %.2f %.2f\n", m, v[1], v[n]
        }' "$log"
}
median() { spread "$@" | cut -d' ' -f1; }
ratio() { set -- $(spread "$1" "$2" 0); echo "$1 ($2-$3)"; }
# TEXT NAME KIND-OF-COMMITS: one run alone is not set beside rows in hundreds.
report() {
    of_rows=-
    [ "$3" = one ] || of_rows=$(ratio "$2" hundred)
    printf '  %-24s %7.0f  %-17s %-17s %8.2f %8.2f %7.1f\n' "$1" "$(median "$2" - 3)" "$(ratio "$2" "$3")" "$of_rows" "$(median "$2" - 5)" "$(median "$2" - 6)" "$(median "$2" - 7)"
}
# FLOW ROWS-PER-STEP RUNS-ALONE RUNS-OF-64 RUNS-OF-1000
turns() {
    limit one
    for turn in 1 2; do ours "$1-1" "$2" steps "$1" 10 1 $(($3 * times)); limit one; done
    limits many hundred
    ours "$1-64" "$2" steps "$1" 10 64 $(($4 * times))
    limit hundred
    ours "$1-1000" "$2" steps "$1" 10 1000 $(($5 * times))
    limits hundred many
}
if wanted steps || wanted writes; then
    for round in $(seq "$rounds"); do
        if wanted steps; then turns steps 1 200 5000 12000; fi
        if wanted writes && [ "$round" = 1 ]; then turns writes 2 100 2000 4000; fi
    done
    printf '\n%-46s %9s %9s %9s\n' 'limits of this machine (pgbench, prepared), rows/s' median smallest largest
    for kind in one many hundred; do
        case $kind in one) text='one row a commit, one client' ;; many) text='one row a commit, 64 clients' ;; hundred) text='100 rows a commit, one client' ;; esac
        printf '  %-48s %9.0f %9.0f %9.0f\n' "$text" $(spread $kind - 3)
    done
    printf '\n%-26s %7s  %-17s %-17s %8s %8s %7s\n' '10 steps in a row per run' steps/s 'of commits' 'of rows in 100s' 'p50 ms' 'p99 ms' 'us/step'
    if wanted steps; then report 'steps, 1 in flight' steps-1 one; report 'steps, 64 in flight' steps-64 many; report 'steps, 1,000 in flight' steps-1000 many; fi
    if wanted writes; then report 'writes, 1 in flight' writes-1 one; report 'writes, 64 in flight' writes-64 many; report 'writes, 1,000 in flight' writes-1000 many; fi
    echo "  steps: the journal row alone becomes durable; writes: a row of a table and its journal row. The start and the end of each run are in it."
    echo "  of commits: steps per commit of one row each, by one client or (64, 1,000) by 64; of rows: rows per row of the third limit. Ratios to the mean of the"
    echo "  limits just before and after, the median of the turns (smallest-largest). us/step: processor time of the engine."
fi
if wanted fan; then
    limit one
    ours fan-1 1 fan 10 1 $((200 * times)); p50=$(value run_ms_p50); p99=$(value run_ms_p99)
    limit one
    part fan 10 64 $((2000 * times))
    printf '\nfan-out: 10 branches that write a row each, and their join\n  1 in flight %.0f steps/s (%s of single commits), run p50 %s ms, p99 %s ms; 64 in flight %s steps/s\n' \
        "$(median fan-1 - 3)" "$(median fan-1 one 0)" "$p50" "$p99" "$(value steps_per_s)"
fi
if wanted park; then
    limit hundred
    part park "${BENCH_PARKED:-100000}"
    note parked parked_per_s 1
    note woken woken_per_s 1
    limit hundred
    printf '\n%s runs parked: %.0f /s (%s of rows in 100s), %s bytes stored and %s bytes of memory each; all due at one instant: woken and ended %.0f /s (%s)\n' \
        "${BENCH_PARKED:-100000}" "$(median parked - 3)" "$(median parked hundred 0)" "$(value stored_bytes_per_parked_run)" "$(value process_bytes_per_parked_run)" \
        "$(median woken - 3)" "$(median woken hundred 0)"
fi
if wanted resume; then
    printf '\nresume in a fresh engine, to the end of the run\n'
    for past in 10 1000 "${BENCH_PAST:-10000}"; do
        part resume "$past"
        printf '  %8s steps in the past %8s ms, processor %8s ms\n' "$past" "$(value resume_ms)" "$(value resume_cpu_ms)"
    done
fi
if wanted events; then
    limit many
    part events $((5000 * times)) 64
    note events events_per_s 1
    limit many
    printf '\nevents, from emit to the end of a handler that writes a row: %.0f /s (%s of commits by 64 clients)\n' "$(median events - 3)" "$(median events many 0)"
fi
if wanted recovery; then
    printf '\na worker is killed with -9, another one begins at once, on a PostgreSQL of its own\n'
    python3 tests/durable/recovery.py "$BUILD"
fi
