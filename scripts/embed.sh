#!/bin/sh
# embed.sh - files as rows of a C table: EMBEDDED("name", array, size) behind their arrays. A text literal would end at what a compiler takes of one.
# Usage: embed.sh FILE…        names are those of the files, without folders
set -eu
for file in "$@"; do
    name=${file##*/}
    printf 'static const unsigned char embedded_%s[] = {\n' "$(printf %s "$name" | tr -c 'A-Za-z0-9' _)"
    od -An -v -tu1 "$file" | awk '{ for (i = 1; i <= NF; i++) printf "%s,", $i; print "" }'
    printf '};\n'
done
printf '#define EMBEDDED_FILES(F)'
for file in "$@"; do
    name=${file##*/}
    printf ' \\\n    F("%s", embedded_%s)' "$name" "$(printf %s "$name" | tr -c 'A-Za-z0-9' _)"
done
echo
