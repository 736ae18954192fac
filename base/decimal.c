/* decimal.c - the only file that sees GMP.
 *
 * An inline word is coefficient << 7 | scale << 1 | 1. Every operation first
 * tries the inline form with checked 64-bit arithmetic and falls back to GMP;
 * results go through finish(), which brings back inline whatever fits there.
 * So a number has one representation for each (coefficient, scale), and two
 * equal numbers have one after canonical().
 */
#include "base/decimal.h"

#include "base/arena.h"
#include "base/float.h"
#include "base/hash.h"

#include <gmp.h>
#include <math.h>
#include <stdlib.h>

enum { INLINE_SCALE_MAX = 63, POW10_MAX = DECIMAL_POW10_MAX, TEXT_DIGITS_FAST = 17 };
#define INLINE_COEF_MAX ((INT64_C(1) << 56) - 1)
#define INLINE_COEF_MIN (-(INT64_C(1) << 56))

typedef struct DecimalBig {
    Obj head;
    int scale;
    mpz_t coef;
} DecimalBig;

const int64_t decimal_pow10[DECIMAL_POW10_MAX + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
    1000000000000000000,
};

static bool fits_inline(int64_t coef, int scale)
{
    return coef >= INLINE_COEF_MIN && coef <= INLINE_COEF_MAX && scale <= INLINE_SCALE_MAX;
}

static Decimal make_inline(int64_t coef, int scale)
{
    return (uint64_t)coef << 7 | (uint64_t)scale << 1 | 1;
}

static int64_t inline_coef(Decimal d)
{
    return (int64_t)d >> 7;
}

static int inline_scale(Decimal d)
{
    return (int)(d >> 1 & INLINE_SCALE_MAX);
}

static DecimalBig *big_of(Decimal d)
{
    return (DecimalBig *)(uintptr_t)d;
}

/* NULL reads as 0, and 0 is not a special case behind this line. */
static Decimal known(Decimal d)
{
    return d ? d : DECIMAL_ZERO;
}

Decimal decimal_retain(Decimal d)
{
    if (d && !decimal_is_inline(d))
        big_of(d)->head.refs++;
    return d;
}

void decimal_release(Decimal d)
{
    if (d && !decimal_is_inline(d) && --big_of(d)->head.refs == 0)
        decimal_big_free(&big_of(d)->head);
}

void decimal_big_free(Obj *big)
{
    mpz_clear(((DecimalBig *)big)->coef);
    free(big);
}

/* Initialises `coef` from d and returns the scale. */
static int load(mpz_t coef, Decimal d)
{
    if (decimal_is_inline(d)) {
        mpz_init_set_si(coef, inline_coef(d));
        return inline_scale(d);
    }
    mpz_init_set(coef, big_of(d)->coef);
    return big_of(d)->scale;
}

/* sizeinbase may be one too large, so the edge is compared exactly. */
static bool digits_exceed(const mpz_t coef, size_t digits_max)
{
    size_t digits = mpz_sizeinbase(coef, 10);
    if (digits != digits_max + 1)
        return digits > digits_max;
    mpz_t limit;
    mpz_init(limit);
    mpz_ui_pow_ui(limit, 10, digits_max);
    bool exceed = mpz_cmpabs(coef, limit) >= 0;
    mpz_clear(limit);
    return exceed;
}

/* Takes `coef` over (clears it) and makes the Decimal. */
static Decimal make(mpz_t coef, int scale)
{
    if (mpz_fits_slong_p(coef) && fits_inline(mpz_get_si(coef), scale)) {
        Decimal d = make_inline(mpz_get_si(coef), scale);
        mpz_clear(coef);
        return d;
    }
    DecimalBig *big = mem_alloc(sizeof *big);
    big->head = (Obj){ .refs = 1, .kind = OBJ_DECIMAL };
    big->scale = scale;
    big->coef[0] = coef[0];
    return (Decimal)(uintptr_t)big;
}

static Err finish(mpz_t coef, int scale, Decimal *out)
{
    if (scale > DECIMAL_DIGITS_MAX || digits_exceed(coef, DECIMAL_DIGITS_MAX)) {
        mpz_clear(coef);
        return ERR_LIMIT;
    }
    *out = make(coef, scale);
    return ERR_OK;
}

static void mul_pow10(mpz_t coef, int exponent)
{
    mpz_t factor;
    if (exponent == 0)
        return;
    mpz_init(factor);
    mpz_ui_pow_ui(factor, 10, (unsigned long)exponent);
    mpz_mul(coef, coef, factor);
    mpz_clear(factor);
}

/* Loads both at the larger of the two scales, which it returns. */
static int load_aligned(mpz_t x, Decimal a, mpz_t y, Decimal b)
{
    int sa = load(x, a), sb = load(y, b);
    if (sa < sb)
        mul_pow10(x, sb - sa);
    else
        mul_pow10(y, sa - sb);
    return sa < sb ? sb : sa;
}

/* Both coefficients at one scale, without GMP; false when they do not fit. */
static bool align_inline(Decimal a, Decimal b, int64_t *x, int64_t *y, int *scale)
{
    if (!decimal_is_inline(a) || !decimal_is_inline(b))
        return false;
    int sa = inline_scale(a), sb = inline_scale(b);
    int gap = sa < sb ? sb - sa : sa - sb;
    *x = inline_coef(a);
    *y = inline_coef(b);
    *scale = sa < sb ? sb : sa;
    int64_t *smaller = sa < sb ? x : y;
    return gap <= POW10_MAX && !__builtin_mul_overflow(*smaller, decimal_pow10[gap], smaller);
}

/* value := value / divisor, half-even; true when nothing was lost. */
static bool div_half_even(mpz_t value, const mpz_t divisor)
{
    mpz_t rest;
    mpz_init(rest);
    bool negative = mpz_sgn(value) * mpz_sgn(divisor) < 0;
    mpz_tdiv_qr(value, rest, value, divisor);
    bool exact = mpz_sgn(rest) == 0;
    mpz_mul_2exp(rest, rest, 1);
    int half = mpz_cmpabs(rest, divisor);
    if (half > 0 || (half == 0 && mpz_odd_p(value))) {
        if (negative)
            mpz_sub_ui(value, value, 1);
        else
            mpz_add_ui(value, value, 1);
    }
    mpz_clear(rest);
    return exact;
}

/* Drops zeros behind the point until `scale_min`; returns the scale. */
static int strip_zeros(mpz_t coef, int scale, int scale_min)
{
    if (mpz_sgn(coef) == 0)
        return scale_min;
    while (scale > scale_min && mpz_divisible_ui_p(coef, 10)) {
        mpz_divexact_ui(coef, coef, 10);
        scale--;
    }
    return scale;
}

Decimal decimal_from_int(int64_t value)
{
    if (fits_inline(value, 0))
        return make_inline(value, 0);
    mpz_t coef;
    mpz_init_set_si(coef, value);
    return make(coef, 0);
}

/* The parts of a number's text; digits still contain the point. */
typedef struct Parts {
    bool negative;
    Str digits;
    int64_t scale;                  /* digits behind the point, less the exponent */
    size_t digit_count;             /* from the first that is not 0 */
} Parts;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool split_exponent(Str text, int64_t *exponent)
{
    int sign = 1;
    if (text.len && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        sign = text.ptr[0] == '-' ? -1 : 1;
        text = (Str){ text.ptr + 1, text.len - 1 };
    }
    *exponent = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        if (*exponent < INT32_MAX)                          /* beyond every limit already */
            *exponent = *exponent * 10 + (text.ptr[i] - '0');
    }
    *exponent *= sign;
    return text.len > 0;
}

static bool split_text(Str text, Parts *parts)
{
    size_t i = 0, point = SIZE_MAX;
    int64_t exponent = 0;

    *parts = (Parts){ .negative = text.len && text.ptr[0] == '-' };
    if (parts->negative)
        text = (Str){ text.ptr + 1, text.len - 1 };
    for (; i < text.len; i++) {
        if (text.ptr[i] == '.' && point == SIZE_MAX)
            point = i;
        else if (is_digit(text.ptr[i]))
            parts->digit_count += parts->digit_count || text.ptr[i] != '0';
        else
            break;
    }
    if (i == 0 || point == 0 || point == i - 1)             /* a digit on both sides of the point */
        return false;
    if (i < text.len) {
        if (text.ptr[i] != 'e' && text.ptr[i] != 'E')
            return false;
        if (!split_exponent((Str){ text.ptr + i + 1, text.len - i - 1 }, &exponent))
            return false;
    }
    parts->digits = (Str){ text.ptr, i };
    parts->scale = (point == SIZE_MAX ? 0 : (int64_t)(i - 1 - point)) - exponent;
    return true;
}

/* Needs digit_count <= DECIMAL_DIGITS_MAX. */
static void set_digits(mpz_t coef, const Parts *parts)
{
    char digits[DECIMAL_DIGITS_MAX + 2] = "0";
    size_t len = 0;
    for (size_t i = 0; i < parts->digits.len; i++) {
        char c = parts->digits.ptr[i];
        if (is_digit(c) && (len || c != '0'))
            digits[len++] = c;
    }
    digits[len ? len : 1] = '\0';
    mpz_init_set_str(coef, digits, 10);
    if (parts->negative)
        mpz_neg(coef, coef);
}

static int64_t small_digits(const Parts *parts)
{
    int64_t coef = 0;
    for (size_t i = 0; i < parts->digits.len; i++)
        if (is_digit(parts->digits.ptr[i]))
            coef = coef * 10 + (parts->digits.ptr[i] - '0');
    return parts->negative ? -coef : coef;
}

Err decimal_from_text(Str text, Decimal *out)
{
    Parts parts;
    if (!split_text(text, &parts))
        return ERR_INVALID;
    if (parts.digit_count == 0 && parts.scale < 0)
        parts.scale = 0;
    if (parts.digit_count > DECIMAL_DIGITS_MAX || parts.scale > DECIMAL_DIGITS_MAX || parts.scale < -DECIMAL_DIGITS_MAX)
        return ERR_LIMIT;
    if (parts.digit_count <= TEXT_DIGITS_FAST && parts.scale >= 0) {
        int64_t small = small_digits(&parts);
        if (fits_inline(small, (int)parts.scale)) {
            *out = make_inline(small, (int)parts.scale);
            return ERR_OK;
        }
    }
    mpz_t coef;
    set_digits(coef, &parts);
    if (parts.scale < 0) {
        mul_pow10(coef, (int)-parts.scale);
        parts.scale = 0;
    }
    return finish(coef, (int)parts.scale, out);
}

Err decimal_from_double(double value, Decimal *out)
{
    char text[FLOAT_TEXT_MAX];
    if (!isfinite(value))
        return ERR_INVALID;
    size_t len = float_print(value, text);
    return decimal_from_text((Str){ text, len }, out);
}

Err decimal_to_int(Decimal d, int64_t *out)
{
    d = known(d);
    if (decimal_is_inline(d) && inline_scale(d) == 0) {
        *out = inline_coef(d);
        return ERR_OK;
    }
    mpz_t coef;
    Err err = ERR_OK;
    int scale = load(coef, d);
    if (strip_zeros(coef, scale, 0) > 0)
        err = ERR_INVALID;
    else if (!mpz_fits_slong_p(coef))
        err = ERR_LIMIT;
    else
        *out = mpz_get_si(coef);
    mpz_clear(coef);
    return err;
}

double decimal_to_double(Decimal d)
{
    d = known(d);
    if (decimal_is_inline(d) && inline_scale(d) == 0)
        return (double)inline_coef(d);
    if (decimal_is_inline(d) && inline_scale(d) <= DECIMAL_POW10_MAX && inline_coef(d) <= INT64_C(1) << 53 && inline_coef(d) >= -(INT64_C(1) << 53))
        return (double)inline_coef(d) / (double)decimal_pow10[inline_scale(d)];        /* both exact, so the division rounds once, to nearest */
    Buf text = { 0 };
    decimal_print(d, &text);
    double value = strtod(buf_cstr(&text), NULL);           /* rounds once, to nearest */
    buf_free(&text);
    return value;
}

static void print_digits(const char *digits, int scale, Buf *out)
{
    if (*digits == '-') {
        buf_put_char(out, '-');
        digits++;
    }
    int len = (int)strlen(digits), whole = len - scale;
    if (whole > 0)
        buf_put(out, digits, (size_t)whole);
    else
        buf_put_char(out, '0');
    if (scale == 0)
        return;
    buf_put_char(out, '.');
    for (int i = whole; i < 0; i++)
        buf_put_char(out, '0');
    buf_put_text(out, digits + (whole > 0 ? whole : 0));
}

void decimal_print(Decimal d, Buf *out)
{
    d = known(d);
    mpz_t coef;
    int scale = load(coef, d);
    char *digits = mem_alloc(mpz_sizeinbase(coef, 10) + 2);
    print_digits(mpz_get_str(digits, 10, coef), scale, out);
    free(digits);
    mpz_clear(coef);
}

void decimal_print_fixed(Decimal d, int scale, Buf *out)
{
    if (scale < 0)
        scale = 0;
    if (scale > DECIMAL_DIGITS_MAX)
        scale = DECIMAL_DIGITS_MAX;
    Decimal rounded = decimal_round(d, scale);
    int has = decimal_is_inline(rounded) ? inline_scale(rounded) : big_of(rounded)->scale;
    decimal_print(rounded, out);
    decimal_release(rounded);
    if (has == 0 && scale > 0)
        buf_put_char(out, '.');
    for (; has < scale; has++)
        buf_put_char(out, '0');
}

/* The one Decimal that all equal numbers share: no zeros behind the point. */
static Decimal canonical(Decimal d)
{
    if (decimal_is_inline(d)) {
        int64_t coef = inline_coef(d);
        int scale = coef ? inline_scale(d) : 0;
        for (; scale > 0 && coef % 10 == 0; scale--)
            coef /= 10;
        return make_inline(coef, scale);
    }
    mpz_t coef;
    int scale = load(coef, d);
    scale = strip_zeros(coef, scale, 0);
    return make(coef, scale);
}

void decimal_print_canonical(Decimal d, Buf *out)
{
    Decimal plain = canonical(known(d));
    decimal_print(plain, out);
    decimal_release(plain);
}

uint64_t decimal_hash(Decimal d)
{
    Decimal plain = canonical(known(d));
    if (decimal_is_inline(plain))
        return hash64((Str){ (const char *)&plain, sizeof plain }, 0);
    const DecimalBig *big = big_of(plain);
    size_t limbs = mpz_size(big->coef);
    uint64_t seed = (uint64_t)big->scale << 1 | (mpz_sgn(big->coef) < 0);
    uint64_t hash = hash64((Str){ (const char *)mpz_limbs_read(big->coef), limbs * sizeof(mp_limb_t) }, seed);
    decimal_release(plain);
    return hash;
}

Err decimal_add(Decimal a, Decimal b, Decimal *out)
{
    int64_t x, y, sum;
    int scale;
    a = known(a);
    b = known(b);
    if (align_inline(a, b, &x, &y, &scale) && !__builtin_add_overflow(x, y, &sum) && fits_inline(sum, scale)) {
        *out = make_inline(sum, scale);
        return ERR_OK;
    }
    mpz_t p, q;
    scale = load_aligned(p, a, q, b);
    mpz_add(p, p, q);
    mpz_clear(q);
    return finish(p, scale, out);
}

Err decimal_sub(Decimal a, Decimal b, Decimal *out)
{
    int64_t x, y, difference;
    int scale;
    a = known(a);
    b = known(b);
    if (align_inline(a, b, &x, &y, &scale) && !__builtin_sub_overflow(x, y, &difference) && fits_inline(difference, scale)) {
        *out = make_inline(difference, scale);
        return ERR_OK;
    }
    mpz_t p, q;
    scale = load_aligned(p, a, q, b);
    mpz_sub(p, p, q);
    mpz_clear(q);
    return finish(p, scale, out);
}

Err decimal_mul(Decimal a, Decimal b, Decimal *out)
{
    a = known(a);
    b = known(b);
    if (decimal_is_inline(a) && decimal_is_inline(b)) {
        int64_t product;
        int scale = inline_scale(a) + inline_scale(b);
        if (!__builtin_mul_overflow(inline_coef(a), inline_coef(b), &product) && fits_inline(product, scale)) {
            *out = make_inline(product, scale);
            return ERR_OK;
        }
    }
    mpz_t p, q;
    int scale = load(p, a) + load(q, b);
    mpz_mul(p, p, q);
    mpz_clear(q);
    return finish(p, scale, out);
}

static bool is_zero(Decimal d)
{
    return decimal_is_inline(d) ? inline_coef(d) == 0 : mpz_sgn(big_of(d)->coef) == 0;
}

/* The quotient of inline numbers when it needs no places of its own. */
static bool div_inline(Decimal a, Decimal b, Decimal *out)
{
    if (!decimal_is_inline(a) || !decimal_is_inline(b))
        return false;
    int scale = inline_scale(a) - inline_scale(b);
    int64_t x = inline_coef(a), y = inline_coef(b);
    if (scale < 0 || scale > DECIMAL_DIV_SCALE || x % y != 0 || !fits_inline(x / y, scale))
        return false;
    *out = make_inline(x / y, scale);
    return true;
}

/* An exact quotient keeps the places of a less those of b where that is enough: 6.00 / 2 = 3.00. */
Err decimal_div(Decimal a, Decimal b, Decimal *out)
{
    a = known(a);
    b = known(b);
    if (is_zero(b))
        return ERR_INVALID;
    if (div_inline(a, b, out))
        return ERR_OK;
    mpz_t p, q;
    int sa = load(p, a), sb = load(q, b);
    int ideal = sa - sb < 0 ? 0 : sa - sb > DECIMAL_DIV_SCALE ? DECIMAL_DIV_SCALE : sa - sb;
    mul_pow10(p, DECIMAL_DIV_SCALE + sb);
    mul_pow10(q, sa);
    bool exact = div_half_even(p, q);
    mpz_clear(q);
    int scale = exact ? strip_zeros(p, DECIMAL_DIV_SCALE, ideal) : DECIMAL_DIV_SCALE;
    return finish(p, scale, out);
}

Err decimal_mod(Decimal a, Decimal b, Decimal *out)
{
    int64_t x, y;
    int scale;
    a = known(a);
    b = known(b);
    if (is_zero(b))
        return ERR_INVALID;
    if (align_inline(a, b, &x, &y, &scale) && fits_inline(x % y, scale)) {
        *out = make_inline(x % y, scale);
        return ERR_OK;
    }
    mpz_t p, q;
    scale = load_aligned(p, a, q, b);
    mpz_tdiv_r(p, p, q);
    mpz_clear(q);
    return finish(p, scale, out);
}

Decimal decimal_neg(Decimal a)
{
    a = known(a);
    if (decimal_is_inline(a) && fits_inline(-inline_coef(a), inline_scale(a)))
        return make_inline(-inline_coef(a), inline_scale(a));
    mpz_t coef;
    int scale = load(coef, a);
    mpz_neg(coef, coef);
    return make(coef, scale);
}

Decimal decimal_round(Decimal a, int scale)
{
    a = known(a);
    int has = decimal_is_inline(a) ? inline_scale(a) : big_of(a)->scale;
    if (scale < 0)
        scale = 0;
    if (scale >= has)
        return decimal_retain(a);
    mpz_t coef, divisor;
    load(coef, a);
    mpz_init(divisor);
    mpz_ui_pow_ui(divisor, 10, (unsigned long)(has - scale));
    div_half_even(coef, divisor);
    mpz_clear(divisor);
    return make(coef, scale);
}

int decimal_cmp(Decimal a, Decimal b)
{
    int64_t x, y;
    int scale;
    a = known(a);
    b = known(b);
    if (align_inline(a, b, &x, &y, &scale))
        return x < y ? -1 : x > y;
    mpz_t p, q;
    load_aligned(p, a, q, b);
    int order = mpz_cmp(p, q);
    mpz_clears(p, q, NULL);
    return order < 0 ? -1 : order > 0;
}
