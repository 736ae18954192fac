/* err.c - one place that formats failures, so that no caller can overrun the text. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

Err err_set(Error *error, Err code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        error->code = code;
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return code;
}

const char *err_name(Err code)
{
    switch (code) {
    case ERR_OK:          return "ok";
    case ERR_IO:          return "io";
    case ERR_CORRUPT:     return "corrupt";
    case ERR_LIMIT:       return "limit";
    case ERR_NOT_FOUND:   return "not_found";
    case ERR_CONFLICT:    return "conflict";
    case ERR_INVALID:     return "invalid";
    case ERR_FENCED:      return "fenced";
    case ERR_CRASH:       return "crash";
    case ERR_UNSUPPORTED: return "unsupported";
    case ERR_BUSY:        return "busy";
    }
    return "unknown";
}
