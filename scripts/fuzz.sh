#!/bin/sh
# fuzz.sh SECONDS - builds every tests/fuzz/fuzz_*.c with libFuzzer, ASan and UBSan and runs each for SECONDS, two at a time. `make fuzz` has built the library.
# A finding is kept in $BUILD/findings and the exit code says so. FUZZ_SEED (1) makes another walk; the same seed makes the same one.
set -eu
seconds=${1:-120}
build=${BUILD:-build/asan}
seed=${FUZZ_SEED:-1}
mkdir -p "$build/findings" "$build/seeds"
names=
for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    names="$names $name"
    clang -std=gnu11 -g -O1 -I. -I"$build" -D_GNU_SOURCE -isystem /usr/include/postgresql -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o "$build/$name" "$target" "$build/libflow.a" \
        -levent -lsqlite3 -lpq -lhiredis -lcurl -ljose -ljansson -lpcre2-8 -lcrypto -lgmp -lzstd -lxxhash -lutf8proc -lm
done
# Real images and states to start from are made by the targets themselves.
for name in fuzz_extension fuzz_snapshot; do
    mkdir -p "$build/seeds/$name"
    clang -std=gnu11 -g -O1 -DFUZZ_MAIN -I. -I"$build" -D_GNU_SOURCE -isystem /usr/include/postgresql -fsanitize=address,undefined -fno-sanitize-recover=all -o "$build/$name.seeds" "tests/fuzz/$name.c" "$build/libflow.a" \
        -levent -lsqlite3 -lpq -lhiredis -lcurl -ljose -ljansson -lpcre2-8 -lcrypto -lgmp -lzstd -lxxhash -lutf8proc -lm
    ASAN_OPTIONS=detect_leaks=0 "$build/$name.seeds" "$build/seeds/$name"
done
mkdir -p "$build/seeds/fuzz_parse"
cp flows/*.flow stdlib/*.flow stdlib/agents/*.flow tests/syntax/*.flow "$build/seeds/fuzz_parse/" 2>/dev/null || true
mkdir -p "$build/seeds/fuzz_token"
printf '0%s' eyJhbGciOiJIUzI1NiJ9.e30.AAAA >"$build/seeds/fuzz_token/token"
printf '1%s' '{"iss":"i","aud":["a"],"exp":2000,"iat":1,"nbf":1,"sub":"u","tenant_id":"t","session_id":"s","roles":["r"],"scopes":["x:y"]}' >"$build/seeds/fuzz_token/claims"
printf '2%s' '{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}' >"$build/seeds/fuzz_token/keys"
printf '3%s' 'a=b; fidus_session=abc; fidus_visitor=AAAAAAAAAAAAAAAAAAAAAAAA' >"$build/seeds/fuzz_token/cookies"
mkdir -p "$build/seeds/fuzz_llm" "$build/seeds/fuzz_sse"
printf 'Adata: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n' >"$build/seeds/fuzz_llm/openai"
printf 'B{"model":"m","message":{"content":"x"},"done":true,"eval_count":3}\n' >"$build/seeds/fuzz_llm/ollama"
printf '\002{"answer":{"city":"x","when":null,"price":1,"tags":{"a":"b"}},"missing":[]}' >"$build/seeds/fuzz_llm/extract"
printf '\003{"strategy":"SEQUENTIAL","flow":[{"agent":"travel","action":"book","params":{}}]}' >"$build/seeds/fuzz_llm/plan"
printf '\001id: 7\revent: a\r\ndata: x\ndata\n\nretry: 10\n: c\ndata: y\n\n' >"$build/seeds/fuzz_sse/mixed"
mkdir -p "$build/seeds/fuzz_condition"
number=0
cut -f2 tests/plans/conditions/meaning.txt tests/plans/conditions/refused.txt | cat - tests/plans/conditions/injections.txt | while IFS= read -r line; do
    number=$((number + 1))
    printf '0%s' "$line" >"$build/seeds/fuzz_condition/$number"
done
# shellcheck disable=SC2016 # the dollar is the plan's
printf '1%s' 'Booked ${h.id} for ${b} \${x} ${s0.cost} ${j.l[1]}' >"$build/seeds/fuzz_condition/text"
printf '2%s' 's1?.zip' >"$build/seeds/fuzz_condition/reference"
mkdir -p "$build/seeds/fuzz_plan"
for plan in tests/plans/hostile/*.json; do
    [ "$(wc -c <"$plan")" -gt 4000 ] || { printf 3; cat "$plan"; } >"$build/seeds/fuzz_plan/$(basename "$plan" .json)"
done
run_one() {
    mkdir -p "$build/corpus/$1" "$build/seeds/$1"
    if "$build/$1" -seed="$seed" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/findings/$1-" \
        "$build/corpus/$1" "$build/seeds/$1" >"$build/$1.log" 2>&1; then
        echo "$1: no finding, $(sed -n 's/stat::number_of_executed_units: *//p' "$build/$1.log") inputs"
    else
        echo "$1: FINDING"
        tail -n 40 "$build/$1.log"
        return 1
    fi
}
bad=0
set -- $names
while [ $# -gt 0 ]; do
    run_one "$1" & first=$!
    second=
    if [ $# -gt 1 ]; then run_one "$2" & second=$!; shift; fi
    shift
    wait $first || bad=1
    [ -z "$second" ] || wait $second || bad=1
done

# What the walks have seen of the code that stands between a model's text and the machine: lines, by the corpora and seeds of the targets that lead there.
coverage() {
    flags="-std=gnu11 -g -O0 -I. -I$build -D_GNU_SOURCE -isystem /usr/include/postgresql -fsanitize=address,undefined -fno-sanitize-recover=all -fprofile-instr-generate -fcoverage-mapping"
    work=$build/coverage
    rm -rf "$work"
    mkdir -p "$work"
    sources=$(ls compiler/plan/*.c compiler/*condition*.c dsl/syntax/condition*.c interpreter/bytecode/verify*.c)
    # shellcheck disable=SC2086,SC2016 # lists of words; $0 and $1 are the inner shell's
    printf '%s\n' $sources | xargs -P 2 -n 1 sh -c 'clang '"$flags"' -c -o "$0/$(echo "$1" | tr / _).o" "$1"' "$work"
    for name in fuzz_plan fuzz_condition fuzz_extension; do
        # shellcheck disable=SC2086
        clang $flags -fsanitize=fuzzer -o "$work/$name" "tests/fuzz/$name.c" "$work"/*.o "$build/libflow.a" \
            -levent -lsqlite3 -lpq -lhiredis -lcurl -ljose -ljansson -lpcre2-8 -lcrypto -lgmp -lzstd -lxxhash -lutf8proc -lm
        LLVM_PROFILE_FILE="$work/$name.raw" "$work/$name" -runs=0 -timeout=30 "$build/corpus/$name" "$build/seeds/$name" >"$work/$name.log" 2>&1 || return 1
    done
    llvm-profdata merge -o "$work/all" "$work"/*.raw
    # shellcheck disable=SC2086
    llvm-cov report "$work/fuzz_plan" -object "$work/fuzz_condition" -object "$work/fuzz_extension" -instr-profile="$work/all" $sources | awk '
        /^-/ || NF < 10 || $1 == "Filename" { next }
        { lines = $8; missed = $9; part = $1 ~ /condition/ ? "conditions" : $1 ~ /verify/ ? "verifier" : $1 ~ /TOTAL/ ? "all" : "plans"; total[part] += lines; not_seen[part] += missed }
        END { for (part in total) printf "coverage of %s: %.1f %% of %d lines\n", part, 100 * (total[part] - not_seen[part]) / total[part], total[part] }' | sort
}
if command -v llvm-cov >/dev/null && command -v llvm-profdata >/dev/null; then coverage || { echo "coverage: not measured"; bad=1; }
else echo "coverage: not measured, llvm-cov is not there (Debian: llvm)"; fi
exit $bad
