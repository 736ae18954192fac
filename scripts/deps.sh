#!/bin/sh
# deps.sh - makes sure that the Debian packages of the list are there; as root installs them, else prints the line to run.
# Usage: deps.sh build|test|run-postgres|bench|all
set -eu
build="gcc make flex bison pkg-config libevent-dev libsqlite3-dev libpq-dev libhiredis-dev libcurl4-openssl-dev libjansson-dev libjose-dev libpcre2-dev libssl-dev libgmp-dev libzstd-dev libxxhash-dev libutf8proc-dev libcmocka-dev"
services="postgresql-15 redis-server"
node=
command -v npm >/dev/null || node="nodejs npm"        # whoever has another Node keeps it: Debian's npm would not go with it
test="$build $node clang libclang-rt-14-dev llvm python3 sqlite3 chromium chromium-driver $services"
bench="$build $node $services lua5.4 luajit wrk duktape mujs"
case "${1:-build}" in
    build) wanted=$build ;;
    test) wanted=$test ;;
    run-postgres) wanted="$build $services" ;;
    bench) wanted=$bench ;;
    all) wanted="$test $bench" ;;
    *) echo "usage: deps.sh build|test|run-postgres|bench|all" >&2; exit 2 ;;
esac
missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
# Debian's packages of the servers start one each. The tests bring their own (services.sh), so none is made or started while they are
# installed; both files are ours alone and go again afterwards, and a policy that is there already is left as it is.
no_servers() {
    cluster=/etc/postgresql-common/createcluster.d/fidus-flow.conf
    policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || policy=
    trap 'rm -f "$cluster" $policy' EXIT
    trap 'exit 1' INT TERM
    mkdir -p "${cluster%/*}"
    echo "create_main_cluster = false" >"$cluster"
    [ -z "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"; }
}
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    case $missing in *postgresql-15*|*redis-server*) no_servers ;; esac
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "these packages are missing; install them with:" >&2
    echo "    sudo apt-get install$missing" >&2
    exit 1
fi
