/* err.h - what a failure of the world is, and how it travels.
 *
 * A function that can fail because of the world (disk, database, network, bytes
 * from outside) returns Err; the sentence for people goes into an Error that the
 * caller owns. "could not" in the text means that a retry may help, "cannot"
 * that it never will. A wrong .flow program is not an Err (see dsl/syntax/diag.h)
 * and a failure of a running program is not one either (see vm/value.h).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

typedef enum {
    ERR_OK = 0,
    ERR_IO,          /* the operating system or a server said no; may be retried */
    ERR_CORRUPT,     /* bytes that are not what they claim to be; never retried  */
    ERR_LIMIT,       /* a named limit was crossed; the text names it             */
    ERR_NOT_FOUND,
    ERR_CONFLICT,    /* somebody else was first: unique key, stale version       */
    ERR_INVALID,     /* an argument from outside does not fit                    */
    ERR_FENCED,      /* the run's lease epoch is no longer ours                  */
    ERR_CRASH,       /* a crash that a test asked for                            */
    ERR_UNSUPPORTED,
    ERR_BUSY         /* lost a race with another writer; the same again may succeed */
} Err;

enum { ERROR_TEXT_MAX = 512 };

typedef struct Error {
    Err code;
    char text[ERROR_TEXT_MAX];
} Error;

/* Fills *error (which may be NULL) and returns code, so that a failing line
 * reads `return err_set(error, ERR_CORRUPT, "cannot read …")`. */
Err err_set(Error *error, Err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The stable lower-case word of a code: "ok", "io", "corrupt", … */
const char *err_name(Err code);
#endif
