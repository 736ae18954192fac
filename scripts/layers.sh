#!/bin/sh
# layers.sh - every #include "…" of a library points to its own folder or to one below it.
set -eu
awk '
function rank(path,   i, best, len) {
    best = 0; len = 0
    for (i = 1; i <= n; i++) if (index(path, folder[i] "/") == 1 && length(folder[i]) > len) { best = level[i]; len = length(folder[i]) }
    return best
}
BEGIN {
    n = split("base dsl/syntax dsl/grammar interpreter/bytecode interpreter/vm interpreter/store interpreter/net interpreter/identity interpreter/effect interpreter/sched interpreter/gateway compiler compiler/plan compiler/lint", folder, " ")
    split("1 2 2 3 4 5 5 6 6 7 8 9 9 9", level, " ")
    bad = 0
}
/^#include "/ {
    split($2, q, "\""); target = q[2]
    from = rank(FILENAME); to = rank(target)
    program = FILENAME ~ /(^|\/)(flowc|flowd|cmd[a-z_]*)\.[ch]$/
    if (program || !to || !from) next
    if (FILENAME == "interpreter/effect/plan.c" && target == "compiler/plan/plan.h") next       # the effects of plans compile them
    up = to > from
    if (FILENAME ~ /^interpreter\/bytecode\// && target ~ /^dsl\//) up = 1
    if (FILENAME ~ /^compiler\// && target ~ /^interpreter\/(gateway|identity|sched|effect|store|net|vm)\//) up = 1
    if (up) { printf "%s:%d: may not include %s\n", FILENAME, FNR, target; bad = 1 }
}
END { exit bad }
' $(find base dsl interpreter compiler -name '*.[ch]')
for pair in pcre2.h:base/re.c jansson.h:base/json.c jose:interpreter/identity/jws.c sqlite3.h:interpreter/store/sqlite.c libpq-fe.h:interpreter/store/pg hiredis:interpreter/store/redis curl/curl.h:interpreter/net/http_client.c event2/http.h:interpreter/net/http_server zstd.h:interpreter/vm/ gmp.h:base/decimal.c openssl:base/hash.c; do
    header=${pair%%:*}; home=${pair#*:}
    if grep -rlE "#include <$header" base dsl interpreter compiler | grep -v "^$home" ; then echo "layers.sh: <$header> belongs to $home alone" >&2; exit 1; fi
done
echo "layers: no include points up"
