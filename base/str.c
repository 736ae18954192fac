/* str.c - comparing borrowed text, the "did you mean" distance, UTF-8. */
#include "base/str.h"

enum { DISTANCE_BYTES_MAX = 64 };

int str_cmp(Str a, Str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts(Str a, Str prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

bool str_ends(Str a, Str suffix)
{
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* Three rows are enough: a swap of neighbours looks two rows back. */
int str_distance(Str a, Str b, int limit)
{
    int rows[3][DISTANCE_BYTES_MAX + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];

    if (a.len > DISTANCE_BYTES_MAX || b.len > DISTANCE_BYTES_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b.len; j++)
        above[j] = (int)j;
    for (size_t i = 1; i <= a.len; i++) {
        int best = row[0] = (int)i;
        for (size_t j = 1; j <= b.len; j++) {
            int cost = a.ptr[i - 1] != b.ptr[j - 1];
            int d = min_int(min_int(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                d = min_int(d, before[j - 2] + 1);
            row[j] = d;
            best = min_int(best, d);
        }
        if (best > limit)                                   /* rows grow by one at most, so a swap over this one is lost too */
            return limit + 1;
        int *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return min_int(above[b.len], limit + 1);
}

Str str_nearest(Str wrong, const Str *candidates, size_t count)
{
    Str nearest = { "", 0 };
    int limit = wrong.len >= 6 ? (int)(wrong.len / 3) : 1;

    for (size_t i = 0; i < count && limit >= 0; i++) {
        int d = str_distance(wrong, candidates[i], limit);
        /* Replacing everything is not a resemblance: `x` does not mean `y`. */
        if (d > limit || (size_t)d >= wrong.len || (size_t)d >= candidates[i].len)
            continue;
        nearest = candidates[i];
        limit = d - 1;
    }
    return nearest;
}

size_t utf8_length(Str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return count;
}

/* The length of the sequence at p, or 0: overlong forms, surrogates and code points above 10FFFF are refused. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        len = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        len = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        len = 4;
    else
        return 0;
    if (left < len)
        return 0;
    switch (p[0]) {
    case 0xE0: low = 0xA0; break;
    case 0xED: high = 0x9F; break;
    case 0xF0: low = 0x90; break;
    case 0xF4: high = 0x8F; break;
    default: break;
    }
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool utf8_valid(Str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    for (size_t i = 0; i < s.len;) {
        uint64_t eight;
        if (s.len - i >= sizeof eight && (memcpy(&eight, p + i, sizeof eight), !(eight & UINT64_C(0x8080808080808080)))) {
            i += sizeof eight;                              /* nearly all text is ASCII */
            continue;
        }
        size_t len = utf8_sequence(p + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}
