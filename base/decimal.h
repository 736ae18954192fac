/* decimal.h - exact decimal numbers: an integer coefficient and a scale.
 *
 * value = coefficient / 10^scale. A Decimal is one 64-bit word: with the low bit
 * set it is the number itself (coefficient of 57 bits, scale 0..63); otherwise it
 * is a counted pointer to a DecimalBig on GMP (NULL reads as 0). The counted form
 * starts with an Obj, so the VM's generic retain and release serve both.
 *
 * Results are normalised only as far as meaning goes: 1.50 keeps its scale when
 * printed, 1.5 == 1.50, and both hash and encode alike (canonical: trailing
 * zeros dropped on encode). Add, subtract and multiply are exact; division is
 * exact when it ends within DECIMAL_DIV_SCALE digits, else rounded half-even to
 * that scale. Limits: DECIMAL_DIGITS_MAX digits in all and behind the point, else
 * ERR_LIMIT. A failing function leaves *out alone.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H
#include "base/buf.h"
#include "base/err.h"
#include "base/obj.h"

typedef uint64_t Decimal;
enum { DECIMAL_DIGITS_MAX = 1000, DECIMAL_DIV_SCALE = 28 };

static inline bool decimal_is_inline(Decimal d) { return d & 1; }
#define DECIMAL_ZERO ((Decimal)1)

Decimal decimal_retain(Decimal d);
void    decimal_release(Decimal d);
void    decimal_big_free(Obj *big);                           /* the VM's release calls this for OBJ_DECIMAL */

Decimal decimal_from_int(int64_t value);
Err decimal_from_text(Str text, Decimal *out);                /* "-12.50", "1e3" (JSON's numbers, leading zeros allowed); ERR_INVALID, ERR_LIMIT */
Err decimal_from_double(double value, Decimal *out);          /* shortest round trip: 19.99 is 19.99 */
Err decimal_to_int(Decimal d, int64_t *out);                  /* ERR_INVALID with a fraction, ERR_LIMIT outside int64 */
double decimal_to_double(Decimal d);
void decimal_print(Decimal d, Buf *out);                      /* as written: 1.50 stays 1.50 */
void decimal_print_fixed(Decimal d, int scale, Buf *out);     /* rounded half-even to that many places */
void decimal_print_canonical(Decimal d, Buf *out);            /* no trailing zeros */

/* Results are new references. */
Err decimal_add(Decimal a, Decimal b, Decimal *out);
Err decimal_sub(Decimal a, Decimal b, Decimal *out);
Err decimal_mul(Decimal a, Decimal b, Decimal *out);
Err decimal_div(Decimal a, Decimal b, Decimal *out);          /* ERR_INVALID on zero */
Err decimal_mod(Decimal a, Decimal b, Decimal *out);          /* the sign of a, as C's %; ERR_INVALID on zero */
Decimal decimal_neg(Decimal a);
Decimal decimal_round(Decimal a, int scale);                  /* half-even; never adds places; a scale below 0 reads as 0 */
int decimal_cmp(Decimal a, Decimal b);
/* Two inline decimals as whole numbers of one order, without a call; false when decimal_cmp must say. */
enum { DECIMAL_POW10_MAX = 18 };
extern const int64_t decimal_pow10[DECIMAL_POW10_MAX + 1];
static inline bool decimal_align(Decimal a, Decimal b, int64_t *x, int64_t *y)
{
    int gap = (int)(a >> 1 & 63) - (int)(b >> 1 & 63);
    if (!(a & b & 1) || gap < -DECIMAL_POW10_MAX || gap > DECIMAL_POW10_MAX)
        return false;
    int64_t left = (int64_t)a >> 7, right = (int64_t)b >> 7;
    *x = left;
    *y = right;
    if (gap > 0)
        return !__builtin_mul_overflow(right, decimal_pow10[gap], y);
    return gap == 0 || !__builtin_mul_overflow(left, decimal_pow10[-gap], x);
}
uint64_t decimal_hash(Decimal a);
#endif
