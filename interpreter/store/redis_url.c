/* redis_url.c - reads the URL of a Redis. */
#include "interpreter/store/redis_url.h"

#include "base/arena.h"

#include <stdlib.h>

enum { REDIS_PORT = 6379, REDIS_DB_MAX = 65535 };

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A copy with %41 made A; NULL when a % stands alone or a NUL would come of it. */
static char *decode(Str text)
{
    char *out = mem_alloc(text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = 0, low = 0;
        if (text.ptr[i] != '%') {
            out[len++] = text.ptr[i];
            continue;
        }
        high = i + 2 < text.len ? hex_of(text.ptr[i + 1]) : -1;
        low = i + 2 < text.len ? hex_of(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            explicit_bzero(out, len);
            free(out);
            return NULL;
        }
        out[len++] = (char)(high * 16 + low);
        i += 2;
    }
    return out;
}

static bool number_of(Str text, int max, int *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *out = *out * 10 + (text.ptr[i] - '0');
        if (*out > max)
            return false;
    }
    return text.len > 0;
}

/* What stands before the first `c`; *rest is what follows it, or empty. */
static Str cut(Str text, char c, Str *rest)
{
    const char *at = text.len ? memchr(text.ptr, c, text.len) : NULL;
    Str head = at ? (Str){ text.ptr, (size_t)(at - text.ptr) } : text;
    *rest = at ? (Str){ at + 1, text.len - head.len - 1 } : (Str){ text.ptr + text.len, 0 };
    return head;
}

static Err keep(char **slot, Str text, Error *error)
{
    free(*slot);
    *slot = decode(text);
    return *slot ? ERR_OK : err_set(error, ERR_INVALID, "cannot read the Redis URL: a %% in it is not followed by two hexadecimal digits");
}

static Err bad_db(Error *error)
{
    return err_set(error, ERR_INVALID, "cannot read the Redis URL: the database is no number from 0 to %d", REDIS_DB_MAX);
}

static Err parse_unix(Str rest, RedisAddress *out, Error *error)
{
    Str query;
    Err err = keep(&out->path, cut(rest, '?', &query), error);
    if (!err && !out->path[0])
        err = err_set(error, ERR_INVALID, "cannot read the Redis URL: expected unix:PATH");
    while (!err && query.len) {
        Str value, name = cut(cut(query, '&', &query), '=', &value);
        if (str_is(name, "user"))
            err = keep(&out->user, value, error);
        else if (str_is(name, "password"))
            err = keep(&out->password, value, error);
        else if (!str_is(name, "db"))
            err = err_set(error, ERR_INVALID, "cannot read the Redis URL: behind the path only db, user and password may stand");
        else if (!number_of(value, REDIS_DB_MAX, &out->db))
            err = bad_db(error);
    }
    return err;
}

static Err parse_login(Str login, RedisAddress *out, Error *error)
{
    Str password, user = cut(login, ':', &password);
    Err err = user.len ? keep(&out->user, user, error) : ERR_OK;
    return err ? err : keep(&out->password, password, error);
}

static Err parse_tcp(Str rest, RedisAddress *out, Error *error)
{
    Str db, port = { 0 }, host, place = cut(rest, '/', &db);
    const char *at = place.len ? memrchr(place.ptr, '@', place.len) : NULL;
    Err err = ERR_OK;
    out->port = REDIS_PORT;
    if (at) {
        err = parse_login((Str){ place.ptr, (size_t)(at - place.ptr) }, out, error);
        place = (Str){ at + 1, (size_t)(place.ptr + place.len - at) - 1 };
    }
    if (str_starts(place, STR("["))) {                      /* an IPv6 address */
        host = cut((Str){ place.ptr + 1, place.len - 1 }, ']', &port);
        if (str_starts(port, STR(":")))
            port = (Str){ port.ptr + 1, port.len - 1 };
    } else {
        host = cut(place, ':', &port);
    }
    if (!err)
        err = keep(&out->host, host.len ? host : STR("localhost"), error);
    if (!err && port.len && (!number_of(port, 65535, &out->port) || out->port == 0))
        err = err_set(error, ERR_INVALID, "cannot read the Redis URL: the port is no number from 1 to 65535");
    if (!err && db.len && !number_of(db, REDIS_DB_MAX, &out->db))
        err = bad_db(error);
    return err;
}

Err redis_address_parse(const char *url, RedisAddress *out, Error *error)
{
    Str text = str_of(url);
    Err err;
    *out = (RedisAddress){ 0 };
    if (str_starts(text, STR("unix:")))
        err = parse_unix((Str){ text.ptr + 5, text.len - 5 }, out, error);
    else if (str_starts(text, STR("redis://")))
        err = parse_tcp((Str){ text.ptr + 8, text.len - 8 }, out, error);
    else if (str_starts(text, STR("rediss://")))
        err = err_set(error, ERR_UNSUPPORTED, "cannot use rediss:// (TLS): connect to a proxy on this machine that speaks TLS");
    else
        err = err_set(error, ERR_INVALID, "cannot read the Redis URL: expected redis://HOST or unix:PATH");
    if (err)
        redis_address_free(out);
    return err;
}

void redis_address_free(RedisAddress *address)
{
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->path);
    free(address->host);
    free(address->user);
    free(address->password);
    *address = (RedisAddress){ 0 };
}
