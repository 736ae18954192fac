/* redis_url.h - where a Redis is: "redis://[[user]:password@]host[:port][/db]" or "unix:PATH[?db=N&user=NAME&password=TEXT]".
 *
 * User and password may be percent-encoded. No error text holds any part of the URL behind its first colon, since a password may be there.
 * Limits: a database number is at most 65535; "rediss://" (TLS) is refused with a sentence: let a local proxy do it.
 */
#ifndef STORE_REDIS_URL_H
#define STORE_REDIS_URL_H
#include "base/err.h"

typedef struct RedisAddress {
    char *path;                          /* a unix socket, or NULL */
    char *host; int port;
    char *user, *password;               /* NULL: none */
    int db;
} RedisAddress;

Err  redis_address_parse(const char *url, RedisAddress *out, Error *error);           /* ERR_INVALID, ERR_UNSUPPORTED; nothing to free then */
void redis_address_free(RedisAddress *address);
#endif
