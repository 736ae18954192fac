/* scope.c - what the scopes of a principal allow. */
#include "interpreter/identity/identity.h"

static bool has(const Principal *principal, Str scope) {
    for (uint32_t i = 0; i < principal->scope_count; i++)
        if (str_eq(principal->scopes[i], scope)) return true;
    return false;
}

bool scope_allows(const Principal *principal, const Str *required, uint32_t count, Str *missing) {
    bool all = principal && has(principal, STR(IDENTITY_SCOPE_ALL));
    for (uint32_t i = 0; i < count; i++) {
        if (principal && required[i].len && (all || has(principal, required[i]))) continue;
        if (missing) *missing = required[i];
        return false;
    }
    return principal != NULL;
}
