#!/bin/sh
# pages.sh - writes docs/errors/*.md as C strings for `flowc explain` (compiler/pages.h).
set -eu
echo '#include "compiler/pages.h"'
echo 'const Page pages[] = {'
for page in docs/errors/*.md; do
    [ -f "$page" ] || continue
    printf '    { "%s",\n' "$(basename "$page" .md)"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e 's/^/        "/' -e 's/$/\\n"/' "$page"
    echo '    },'
done
echo '    { 0, 0 }'
echo '};'
