#!/bin/sh
# golden.sh - tests/golden/NAME.flow against NAME.{fmt,disasm,graph,diag,openapi}: whole texts. BLESS=1 rewrites them; review the diff.
set -u
build=${BUILD:-build}
passed=0
failed=0
for file in tests/golden/*.flow; do
    for kind in fmt disasm graph diag openapi; do
        golden=${file%.flow}.$kind
        [ -f "$golden" ] || continue
        case $kind in
            fmt) found=$("$build/flowc" fmt - <"$file" 2>&1) ;;
            disasm) found=$("$build/flowc" disasm "$file" 2>&1) ;;
            graph) found=$("$build/flowc" graph "$file" 2>&1) ;;
            openapi) found=$("$build/flowc" openapi --title "Trips" --url "https://trips.example" "$file" 2>&1 | sed 's/"version": "[0-9a-f]*"/"version": "HASH"/') ;;
            diag) found=$("$build/flowc" lint "$file" 2>&1) ;;
        esac
        if [ -n "${BLESS:-}" ]; then
            printf '%s\n' "$found" >"$golden"
        elif [ "$found" = "$(cat "$golden")" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAIL $golden"
            printf '%s\n' "$found" | diff "$golden" - | head -n 20
        fi
    done
done
# Every program of the tree is laid out as `flowc fmt` would.
for file in $(find flows stdlib tests/flows -name '*.flow'); do
    if "$build/flowc" fmt --check "$file" >/dev/null 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL flowc fmt --check $file"; fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
