#!/bin/sh
# bench_durable.sh - what `make bench-durable` prints: durable steps on a private PostgreSQL with fsync and synchronous_commit on, beside what pgbench
# reaches on the very same server in the same minutes. Nothing here decides a test; every part checks the results of its runs and the store.
# BUILD: where the binaries are. BENCH_STORE: folder of the server's data (its disk decides what a commit costs; default a new one under /tmp).
# BENCH_SECONDS (4): length of each measurement by pgbench. BENCH_RUNS (1): multiplies the number of runs. BENCH_PARKED (100000), BENCH_PAST (10000):
# parked runs, longest past. BENCH_PARTS: words of steps writes fan park resume events recovery (all).
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
bench=$BUILD/tests/bench/bench_durable
seconds=${BENCH_SECONDS:-4}
times=${BENCH_RUNS:-1}
parts=${BENCH_PARTS:-steps writes fan park resume events recovery}
work=$(mktemp -d "${BENCH_STORE:-/tmp}/bench-durable.XXXXXX")
trap 'sh scripts/services.sh stop "$work/services" >/dev/null 2>&1 || :; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
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
tps() { pgbench -n -M prepared -T "$seconds" -c "$2" -j 2 -f "$work/$1.sql" "$base" 2>/dev/null | awk '/^tps/ { printf "%.0f", $3 }'; }
alone=$(tps one 1)
many=$(tps one 64)
hundred=$(($(tps hundred 1) * 100))
sql -c 'DROP TABLE limits'

echo "machine: $(nproc) processors, $(awk -F: '/model name/ { print $2; exit }' /proc/cpuinfo | sed 's/^ *//'), load $(cut -d' ' -f1 /proc/loadavg) when this began"
echo "server:  PostgreSQL $(sql -c 'SHOW server_version'), fsync $(sql -c 'SHOW fsync'), synchronous_commit $(sql -c 'SHOW synchronous_commit'), same machine, unix socket"
printf '\n%-54s %10s\n' 'limits of this machine (pgbench, prepared)' 'rows/s'
printf '  %-52s %10s\n' 'one row a commit, one client' "$alone" 'one row a commit, 64 clients' "$many" '100 rows a commit, one client' "$hundred"

# ---- ours ------------------------------------------------------------------------------------------------------------
part() {
    sql -c 'DROP SCHEMA IF EXISTS bench CASCADE' 2>/dev/null
    "$bench" "$base&schema=bench" tests/bench/durable.flow "$@" >"$work/out"
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b > 0 ? a / b : 0 }'; }

# FLOW IN-FLIGHT RUNS LIMIT ROWS-PER-STEP
steps() {
    part steps "$1" 10 "$2" $(($3 * times))
    rate=$(value steps_per_s)
    printf '  %-22s %6s in flight %9s %9s %8s of %-7s %7s ms %8s ms %6s us\n' "$1" "$2" "$rate" $((rate * $5)) "$(ratio "$rate" "$4")" "$4" "$(value run_ms_p50)" "$(value run_ms_p99)" "$(value engine_us_per_step)"
}
if wanted steps || wanted writes; then
    printf '\n%-39s %10s %9s %19s %10s %11s %9s\n' '10 steps in sequence per run' 'steps/s' 'rows/s' 'of that many commits' 'run p50' 'p99' 'process'
    wanted steps && { steps steps 1 300 "$alone" 1; steps steps 64 10000 "$many" 1; steps steps 1000 40000 "$many" 1; }
    wanted writes && { steps writes 1 200 "$alone" 2; steps writes 64 4000 "$many" 2; steps writes 1000 15000 "$many" 2; }
    echo '  steps: the journal row alone becomes durable; writes: a row of a table and its journal row. The start and the end of each run are in it.'
    echo '  The third column: as many commits of one row each, by as many clients (64 for 1000).'
fi
if wanted fan; then
    part fan 10 1 $((200 * times)); one=$(value steps_per_s); p50=$(value run_ms_p50); p99=$(value run_ms_p99)
    part fan 10 64 $((2000 * times))
    printf '\nfan-out: 10 branches that write a row each, and their join\n  1 in flight %s steps/s (%s of single commits), run p50 %s ms, p99 %s ms; 64 in flight %s steps/s\n' "$one" "$(ratio "$one" "$alone")" "$p50" "$p99" "$(value steps_per_s)"
fi
if wanted park; then
    part park "${BENCH_PARKED:-100000}"
    printf '\n%s runs parked: %s /s, %s bytes stored and %s bytes of memory each; all due at one instant: woken and ended %s /s\n' \
        "${BENCH_PARKED:-100000}" "$(value parked_per_s)" "$(value stored_bytes_per_parked_run)" "$(value process_bytes_per_parked_run)" "$(value woken_per_s)"
fi
if wanted resume; then
    printf '\nresume in a fresh engine, to the end of the run\n'
    for past in 10 1000 "${BENCH_PAST:-10000}"; do
        part resume "$past"
        printf '  %8s steps in the past %8s ms, processor %8s ms\n' "$past" "$(value resume_ms)" "$(value resume_cpu_ms)"
    done
fi
if wanted events; then
    part events $((5000 * times)) 64
    printf '\nevents, from emit to the end of a handler that writes a row: %s /s\n' "$(value events_per_s)"
fi
if wanted recovery; then
    printf '\na worker is killed with -9, another one begins at once, on a PostgreSQL of its own\n'
    python3 tests/durable/recovery.py "$BUILD"
fi
