#!/bin/sh
# bench_http.sh - what `make bench-http` prints: requests per second and latencies with 1, 64 and 1,000 connections of libevent's own server, of ours with
# its guard, and of flows behind `flowd serve`, by wrk on the same machine; then 10,000 idle clients of event-streams held by one process.
# The servers take turns (BENCH_ROUNDS, 3), each number is from the turn with the most requests. An answer that is not 2xx, or an error of a socket, ends it.
# BUILD: where the binaries are. BENCH_SECONDS (4): length of each turn. BENCH_CLIENTS (10000): idle clients. BENCH_PARTS: words of requests flows idle.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
bench=$BUILD/tests/bench/bench_http
seconds=${BENCH_SECONDS:-4}
rounds=${BENCH_ROUNDS:-3}
clients=${BENCH_CLIENTS:-10000}
parts=${BENCH_PARTS:-requests flows idle}
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-http.XXXXXX")
chmod 711 "$work"                        # the user of the servers must get through
pids=
stop() { for pid in $pids; do kill "$pid" 2>/dev/null || :; done; }
trap 'stop; sh scripts/services.sh stop "$work/services" >/dev/null 2>&1 || :; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export FLOW_STDLIB=stdlib
ulimit -n "$(ulimit -H -n)"
wanted() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# NAME COMMAND…: starts a server of bench_http; its port and process are left in $work.
start() {
    name=$1; shift
    "$@" >"$work/$name.port" 2>"$work/$name.log" &
    echo $! >"$work/$name.pid"
    pids="$pids $!"
    for _ in $(seq 200); do [ -s "$work/$name.port" ] && return; sleep 0.05; done
    cat "$work/$name.log" >&2
    exit 1
}
cpu_us() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); printf "%.0f", ($12 + $13) * 1000000 / hz }' "/proc/$(cat "$work/$1.pid")/stat"; }
memory_kb() { awk '/^RssAnon/ { print $2 }' "/proc/$(cat "$work/$1.pid")/status"; }

# NAME PATH CONNECTIONS ARGUMENTS…: one turn; a line "REQUESTS/S P50-MS P99-MS US-OF-THE-SERVER" to $work/NAME.CONNECTIONS
turn() {
    name=$1; path=$2; connections=$3; shift 3
    before=$(cpu_us "$name")
    wrk -t1 -c"$connections" -d"${seconds}s" --timeout 10s --latency "$@" "http://127.0.0.1:$(cat "$work/$name.port")$path" >"$work/wrk"
    after=$(cpu_us "$name")
    if grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2; then echo "bench_http.sh: $name did not answer all" >&2; exit 1; fi
    awk -v us=$((after - before)) '
        function ms(text) { return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000 }
        $1 == "50%" { p50 = ms($2) }
        $1 == "99%" { p99 = ms($2) }
        $2 == "requests" { requests = $1 }
        $1 == "Requests/sec:" { rate = $2 }
        END { printf "%.0f %.2f %.2f %.1f\n", rate, p50, p99, us / requests }' "$work/wrk" >>"$work/$name.$connections"
}
best() { sort -rn "$work/$1.$2" | head -n 1; }
row() {
    set -- "$1" "$2" $(best "$1" "$2") $(best bare "$2")
    printf '  %-34s %6s %10s %9s ms %9s ms %9s us %9s\n' "$(cat "$work/$1.title")" "$2" "$3" "$4" "$5" "$6" "$(awk -v a="$3" -v b="$7" 'BEGIN { printf (a < b / 10 ? "%.3f" : "%.2f"), a / b }')"
}

echo "machine: $(nproc) processors, $(awk -F: '/model name/ { print $2; exit }' /proc/cpuinfo | sed 's/^ *//'), load $(cut -d' ' -f1 /proc/loadavg) when this began"
if wanted requests; then
    start bare "$bench" bare; echo 'libevent alone' >"$work/bare.title"
    start ours "$bench" ours; echo 'our server: guard, limits, headers' >"$work/ours.title"
    names="bare ours"
    for connections in 1 64 1000; do
        for _ in $(seq "$rounds"); do
            turn bare / $connections
            turn ours / $connections
        done
    done
    printf '\n%-43s %10s %12s %12s %12s %9s\n' 'connections' 'requests/s' 'p50' 'p99' 'processor' 'of (a)'
    for name in $names; do for connections in 1 64 1000; do row $name $connections; done; done
fi
# NAME TITLE STORE FILE: `flowd serve` with its own store, and a token for anna.
serve() {
    echo "$2" >"$work/$1.title"
    "$BUILD/flowd" serve --listen 127.0.0.1:0 --store "$3" "$4" >"$work/$1.log" 2>&1 &
    echo $! >"$work/$1.pid"
    pids="$pids $!"
    for _ in $(seq 200); do grep -q '"event":"listening"' "$work/$1.log" && break; sleep 0.05; done
    sed -n 's/.*"event":"listening".*"port":\([0-9]*\).*/\1/p' "$work/$1.log" >"$work/$1.port"
    [ -s "$work/$1.port" ] || { cat "$work/$1.log" >&2; exit 1; }
}
if wanted flows; then
    [ -f "$work/bare.pid" ] || { start bare "$bench" bare; echo 'libevent alone' >"$work/bare.title"; for connections in 1 64 1000; do turn bare / $connections; done; }
    export FLOW_KEYS="$work/keys.json"
    token=$("$BUILD/flowd" token --user anna --tenant test --scopes calendar:read,calendar:write)
    cat >"$work/chat.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"message":"What is on my calendar today?","session_id":"sess-1"}'
LUA
    FLOW_PG_OPTS="-c fsync=on -c synchronous_commit=on -c shared_buffers=256MB" sh scripts/services.sh start "$work/services" >"$work/env"
    . "$work/env"
    for store in "sqlite:$work/flows.db" "$FLOW_TEST_POSTGRES"; do
        kind=${store%%:*}
        "$BUILD/flowd" run --as anna@test --store "$store" --fixture appointments_of_anna flows/18_authorization.flow list_appointments >"$work/seed" 2>&1 || { cat "$work/seed" >&2; exit 1; }
        serve "read.$kind" "flow 18: a read, $kind" "$store" flows/18_authorization.flow
        serve "chat.$kind" "flow 1: a chat, $kind" "$store" flows/01_simple_query.flow
        for connections in 1 64 1000; do
            for _ in $(seq "$rounds"); do
                turn "read.$kind" /api/v1/appointments $connections -H "Authorization: Bearer $token"
                turn "chat.$kind" /api/v1/chat $connections -H "Authorization: Bearer $token" -s "$work/chat.lua"
            done
        done
        for connections in 1 64 1000; do row "read.$kind" $connections; done
        for connections in 1 64 1000; do row "chat.$kind" $connections; done
        for name in "read.$kind" "chat.$kind"; do kill "$(cat "$work/$name.pid")" 2>/dev/null || :; done
    done
    echo '  flows: each request is a run of its own with its journal; fsync on; the processor time is that of flowd alone'
fi
if wanted idle; then
    start streams "$bench" streams
    empty=$(memory_kb streams)
    mkfifo "$work/end"
    "$bench" idle "$(cat "$work/streams.port")" "$clients" <"$work/end" >"$work/idle" &
    pids="$pids $!"
    exec 9>"$work/end"
    until_line() { for _ in $(seq 1200); do grep -q "$1" "$work/idle" && return; sleep 0.05; done; echo "bench_http.sh: the clients never said \`$1\`" >&2; exit 1; }
    until_line open
    held=$(memory_kb streams)
    kill -USR1 "$(cat "$work/streams.pid")"
    until_line event
    sent=$(memory_kb streams)
    printf '\n%s idle clients of streams in one process: %s bytes of memory each (%s after an event to all of them, which took %s s)\n' "$clients" \
        $(((held - empty) * 1024 / clients)) $(((sent - empty) * 1024 / clients)) "$(awk '/^event/ { print $2 }' "$work/idle")"
    exec 9>&-
fi
