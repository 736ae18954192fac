#!/bin/sh
# docs.sh - every ```flow block of the documents compiles; one marked ```flow fail CODE is refused with that code (```flow error: with the
# code the page is named after); ```flow test is run.
# A block that continues others is marked ```flow part and not compiled alone.
set -u
build=${BUILD:-build}
passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for doc in README.md docs/*.md docs/errors/*.md docs/decisions/*.md; do
    [ -f "$doc" ] || continue
    rm -f "$work"/*.flow
    awk -v work="$work" '
        /^```flow/ { n++; mark = substr($0, 8); gsub(/^ +/, "", mark); file = sprintf("%s/%03d.flow", work, n); print mark > (file ".mark"); inside = 1; printf "" > file; next }
        /^```/ && inside { inside = 0; close(file); next }
        inside { print > file }' "$doc"
    for block in "$work"/*.flow; do
        [ -f "$block" ] || continue
        mark=$(cat "$block.mark")
        case $mark in
            part*) continue ;;
            error*) code=$(basename "$doc" .md)
                   if "$build/flowc" lint "$block" 2>&1 | grep -qF "$code"; then ok=1; else ok=0; fi ;;
            fail*) code=${mark#fail }
                   if "$build/flowc" lint "$block" 2>&1 | grep -qE "\[$code\]|$code"; then ok=1; else ok=0; fi ;;
            test*) if "$build/flowc" test "$block" >/dev/null 2>&1; then ok=1; else ok=0; fi ;;
            *) if "$build/flowc" check "$block" >/dev/null 2>&1; then ok=1; else ok=0; fi ;;
        esac
        if [ "$ok" = 1 ]; then passed=$((passed + 1)); else
            failed=$((failed + 1))
            echo "FAIL $doc, block $(basename "$block" .flow) ($mark)"
            "$build/flowc" check "$block" 2>&1 | head -n 12
        fi
    done
    rm -f "$work"/*.mark
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
