/* approval.h - a person's leave for one call of a tool with exactly these arguments (effect APPROVE).
 *
 * What is allowed is the SHA-256 of the call in canonical form: {"arguments":…,"tool":"AGENT.TOOL"}, keys in the order of their bytes, no white space,
 * numbers as the program has them. An answer without that hash allows nothing, so no text can: not that of a tool, a model, a message, nor an answer that was
 * meant for another question. The hash is checked when the answer comes, and again when the run takes it.
 *
 * APPROVAL_BYTES_MAX: arguments that nobody could read are refused: the call fails with `rejected`, and its code is that name.
 */
#ifndef SCHED_APPROVAL_H
#define SCHED_APPROVAL_H
#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"

enum { APPROVAL_BYTES_MAX = 64 << 10 };

typedef struct Approval { Str tool; Json *arguments; char hash[SHA256_HEX + 1]; } Approval;

void approval_hash(Str tool, const Json *arguments, char out[SHA256_HEX + 1]);
Str  approval_text(Str tool, Arena *arena);               /* "Allow travel.book_hotel?" */
/* The arguments for a terminal, a line each: nothing in them moves the cursor, and letters that hide or turn others around stand as \uXXXX. */
void approval_put_shown(const Json *arguments, Buf *out);
#endif
