#!/bin/sh
# services.sh - a private PostgreSQL and a private Redis in a folder, for tests and demonstrations.
#   services.sh start DIR             makes what is missing and starts what does not run; prints the lines of `env`
#   services.sh env DIR               the lines for eval: FLOW_TEST_SERVICES, FLOW_TEST_POSTGRES, FLOW_TEST_REDIS
#   services.sh stop DIR              stops both and removes the folder; also after a crash, and when there is nothing to stop
#   services.sh start-postgres DIR    starts PostgreSQL again, data as it was
#   services.sh stop-postgres DIR [smart|fast|immediate]
#   services.sh kill-postgres DIR     SIGKILL to the server and to every process of it
#   services.sh start-redis DIR | kill-redis DIR | flush-redis DIR | pause-redis DIR | continue-redis DIR
#   services.sh psql DIR [ARGUMENTS]  psql as the administrator (who is not the role of the URL)
#   services.sh redis DIR ARGUMENTS   redis-cli
# Both listen on unix sockets in DIR/socket alone, no port. Root starts them as FLOW_SERVICES_USER (nobody), since PostgreSQL refuses root.
# The URL's role owns its database but is no superuser and may not bypass row security, so policies bind it as they bind in production.
# FLOW_PG_OPTS (such as "-c fsync=off") and FLOW_REDIS_OPTS ("--appendonly yes") are kept in DIR and used for each later start too.
# Only a folder that carries our mark is ever removed, and only processes whose working folder lies in it are ever signalled.
set -eu
umask 022
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "services.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || usage
command=$1
dir=$2
shift 2
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
case $dir in *[!A-Za-z0-9/._+-]*) die "the folder's name may hold letters, digits and / . _ + - only: $dir" ;; esac
[ "${#dir}" -le 80 ] || die "the folder's name is longer than 80 bytes, too long for a unix socket in it: $dir"
mark=$dir/fidus-services
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
owner=${FLOW_SERVICES_USER:-nobody}

# Runs a command as the servers' user; without the lock's descriptor, which a daemon would keep for ever.
as_user() {
    if [ "$(id -u)" != 0 ]; then
        "$@" 9>&-
    elif command -v setpriv >/dev/null; then
        setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups "$@" 9>&-
    else
        runuser -u "$owner" -- "$@" 9>&-
    fi
}

# The process of a pid file if it lives and is ours: its working folder is the one given.
living() {
    [ -f "$1" ] || return 1
    read -r pid <"$1" || return 1
    [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$2" ] && echo "$pid"
}
postgres_pid() { living "$dir/pg/postmaster.pid" "$dir/pg"; }
redis_pid() { living "$dir/redis/redis.pid" "$dir/redis"; }

# Waits up to 20 seconds until the function given fails.
until_gone() {
    tries=0
    while "$1" >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 1000 ] || die "$1: the process does not end"
        sleep 0.02
    done
}

lock() {
    exec 9>"$dir/lock"
    flock -w 60 9 || die "$dir is locked by another process"
}

prepare() {
    [ -n "$pgbin" ] || die "no PostgreSQL under /usr/lib/postgresql; sh scripts/deps.sh test installs it"
    command -v redis-server >/dev/null || die "no redis-server; sh scripts/deps.sh test installs it"
    if [ ! -f "$mark" ]; then
        mkdir -p "$dir"
        [ -z "$(ls -A "$dir" | grep -vx lock)" ] || die "$dir is neither empty nor ours"
        echo "made by scripts/services.sh" >"$mark"
    fi
    chmod 711 "$dir"
    lock
    for part in pg redis socket; do
        [ -d "$dir/$part" ] && continue
        mkdir -m 700 "$dir/$part"
        [ "$(id -u)" != 0 ] || chown "$owner:$(id -g "$owner")" "$dir/$part"
    done
    as_user test -w "$dir/pg" || die "the user $owner cannot reach $dir; choose a folder under /tmp"
    [ -f "$dir/pg.opts" ] || echo "${FLOW_PG_OPTS:-}" >"$dir/pg.opts"
    [ -f "$dir/redis.opts" ] || echo "${FLOW_REDIS_OPTS:-}" >"$dir/redis.opts"
}

admin() { PGOPTIONS='' psql -X -q -v ON_ERROR_STOP=1 -h "$dir/socket" -U admin "$@"; }

make_cluster() {
    as_user "$pgbin/initdb" -D "$dir/pg" -U admin -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 || die "initdb: $(cat "$dir/initdb.log")"
    as_user sh -c 'cat >>"$1"' sh "$dir/pg/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/socket'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 64MB
max_wal_size = 512MB
log_min_messages = warning
CONF
}

start_postgres() {
    postgres_pid >/dev/null && return
    [ -f "$dir/pg/PG_VERSION" ] || make_cluster
    tries=0
    # After a SIGKILL the last process of the old server may still hold its shared memory for a moment.
    until as_user "$pgbin/pg_ctl" start -D "$dir/pg" -s -w -t 60 -l "$dir/pg/server.log" -o "$(cat "$dir/pg.opts")" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || die "PostgreSQL does not start: $(tail -n 5 "$dir/pg/server.log")"
        sleep 0.1
    done
    [ -f "$dir/pg.ready" ] && return
    admin -d postgres -c 'CREATE ROLE flow LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE' -c 'CREATE DATABASE flow OWNER flow'
    : >"$dir/pg.ready"
}

start_redis() {
    redis_pid >/dev/null && return
    # shellcheck disable=SC2046 # the options are words
    as_user redis-server --port 0 --unixsocket "$dir/socket/redis" --unixsocketperm 700 --daemonize yes --pidfile "$dir/redis/redis.pid" \
        --dir "$dir/redis" --logfile "$dir/redis/server.log" --save '' --appendonly no --databases 1024 $(cat "$dir/redis.opts") >/dev/null
    tries=0
    until [ "$(redis-cli -s "$dir/socket/redis" ping 2>/dev/null)" = PONG ] && redis_pid >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 500 ] || die "Redis does not start: $(tail -n 5 "$dir/redis/server.log")"
        sleep 0.02
    done
}

stop_postgres() {
    pid=$(postgres_pid) || return 0
    # An orderly stop waits for a client that holds out; after 20 seconds it is not asked any more.
    as_user "$pgbin/pg_ctl" stop -D "$dir/pg" -s -w -t 20 -m "${1:-fast}" >/dev/null 2>&1 || kill_postgres
}

# The children first: a server whose postmaster is gone would go on writing for a moment.
kill_postgres() {
    pid=$(postgres_pid) || return 0
    kill -STOP "$pid" 2>/dev/null || :
    children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || ps -o pid= --ppid "$pid")
    # shellcheck disable=SC2086 # a list of numbers
    kill -KILL $children "$pid" 2>/dev/null || :
    until_gone postgres_pid
}

kill_redis() {
    pid=$(redis_pid) || return 0
    kill -KILL "$pid" 2>/dev/null || :
    until_gone redis_pid
}

signal_redis() {
    pid=$(redis_pid) || die "Redis does not run in $dir"
    kill "$1" "$pid"
}

stop_all() {
    [ -d "$dir" ] || return 0
    [ -f "$mark" ] || die "$dir is not ours, nothing stopped"
    lock
    kill_redis
    stop_postgres immediate
    rm -rf "$dir"
}

print_env() {
    echo "export FLOW_TEST_SERVICES='$dir'"
    echo "export FLOW_TEST_POSTGRES='postgresql://flow@/flow?host=$dir/socket'"
    echo "export FLOW_TEST_REDIS='unix:$dir/socket/redis'"
}

case $command in
    start|stop) ;;
    *) [ -f "$mark" ] || die "$dir is not a folder of services; first: sh scripts/services.sh start $dir" ;;
esac
case $command in
    start) prepare; start_postgres; start_redis; print_env ;;
    stop) stop_all ;;
    env) print_env ;;
    start-postgres) lock; start_postgres ;;
    stop-postgres) lock; stop_postgres "$@" ;;
    kill-postgres) lock; kill_postgres ;;
    start-redis) lock; start_redis ;;
    kill-redis) lock; kill_redis ;;
    flush-redis) redis-cli -s "$dir/socket/redis" flushall >/dev/null ;;
    pause-redis) signal_redis -STOP ;;
    continue-redis) signal_redis -CONT ;;
    psql) admin -d flow "$@" ;;
    redis) redis-cli -s "$dir/socket/redis" "$@" ;;
    *) usage ;;
esac
