#!/bin/sh
# partitions.sh BUILD - the flows on tables partitioned by tenant (scripts/partition.sql), and a schema that holds rows is left alone.
# Needs FLOW_TEST_POSTGRES; FLOW_TEST_REDIS is used when it is there.
set -u
build=${1:-build}
: "${FLOW_TEST_POSTGRES:?names the PostgreSQL to use (scripts/services.sh)}"
export FLOW_STDLIB="$PWD/stdlib"
schema=parts_$$
case $FLOW_TEST_POSTGRES in *\?*) store="$FLOW_TEST_POSTGRES&schema=$schema" ;; *) store="$FLOW_TEST_POSTGRES?schema=$schema" ;; esac
passed=0
failed=0
out=$(mktemp)
trap 'psql -q "$FLOW_TEST_POSTGRES" -c "DROP SCHEMA IF EXISTS $schema CASCADE" >/dev/null 2>&1; rm -f "$out"' EXIT INT TERM
check() {
    title=$1
    shift
    if "$@" >"$out" 2>&1; then passed=$((passed + 1)); echo "  ok $title"; else failed=$((failed + 1)); echo "FAIL $title"; tail -n 20 "$out"; fi
}
partition() { psql -q "$FLOW_TEST_POSTGRES" -v schema="$schema" -v parts=3 -f scripts/partition.sql; }
refused() { ! partition && grep -q 'partition a new schema' "$out"; }
spread() { [ "$(psql -qtA "$FLOW_TEST_POSTGRES" -c "SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relnamespace = '$schema'::regnamespace")" -ge 10 ]; }
run_one() { "$build/flowd" run --quiet --store "$store" --as "ann@$1" flows/25_saga_rollback.flow --fixture paris; }
tenants() { for tenant in a b c d e f g h; do run_one "$tenant" || return 1; done; }
rows_lie_apart() { [ "$(psql -qtA "$FLOW_TEST_POSTGRES" -c "SELECT count(DISTINCT tableoid) FROM $schema.flow_runs")" -ge 2 ]; }

check "a schema is made" "$build/flowd" migrate --store "$store"
check "and partitioned" partition
check "every table of tenants" spread
check "runs of eight tenants" tenants
check "lie in several partitions" rows_lie_apart
check "a schema that holds rows is left alone" refused
check "the store is sound" "$build/flowd" fsck --store "$store"
check "what is over goes" "$build/flowd" gc --older 0s --store "$store"
psql -q "$FLOW_TEST_POSTGRES" -c "DROP SCHEMA $schema CASCADE" >/dev/null 2>&1
"$build/flowd" migrate --store "$store" >/dev/null && partition >/dev/null
check "a question, a saga, events and an await: flow 2" "$build/flowc" test --store "$store" --only documented flows/02_multi_agent_command.flow
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
