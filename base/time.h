/* time.h - dates, instants and durations as plain integers.
 *
 * Date: days since 1970-01-01 (proleptic Gregorian). Timestamp: microseconds
 * since 1970-01-01T00:00:00Z. Duration: microseconds. Text is ISO 8601 /
 * RFC 3339; years 0001 to 9999, else ERR_INVALID. Only clock_now() reads a clock.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H
#include "base/buf.h"
#include "base/err.h"

#define TIME_SECOND INT64_C(1000000)
#define TIME_DAY    (INT64_C(86400) * TIME_SECOND)

#define DATE_MIN      INT64_C(-719162)                        /* 0001-01-01 */
#define DATE_MAX      INT64_C(2932896)                        /* 9999-12-31 */
#define TIMESTAMP_MIN (DATE_MIN * TIME_DAY)
#define TIMESTAMP_MAX ((DATE_MAX + 1) * TIME_DAY - 1)

Err  date_parse(Str text, int64_t *days);                     /* 2025-11-10 */
Err  timestamp_parse(Str text, int64_t *us);                  /* 2025-11-10T10:00:00[.ffffff](Z|+01:00); digits after the sixth are cut */
Err  duration_parse(Str text, int64_t *us);                   /* 5s 15m 24h 30d 250ms 40us 1h30m 2w -5m; largest unit first; ERR_LIMIT outside int64 */
void date_print(int64_t days, Buf *out);
void timestamp_print(int64_t us, Buf *out);                   /* in UTC, fraction only when there is one */
void duration_print(int64_t us, Buf *out);                    /* the shortest text duration_parse reads back */

/* `format` words for interpolation: "date" 2025-11-10, "time" 10:00, "datetime" 2025-11-10 10:00, "weekday" Monday, "long" Monday, 10 November 2025 */
bool timestamp_format(int64_t us, Str format, Buf *out);      /* false: unknown format word */

int64_t date_from_civil(int year, int month, int day);
void    date_to_civil(int64_t days, int *year, int *month, int *day);
int     date_weekday(int64_t days);                           /* 0 = Monday … 6 = Sunday */

int64_t clock_now(void);                                      /* wall clock, Timestamp */
int64_t clock_monotonic(void);                                /* for measuring only, microseconds */
#endif
