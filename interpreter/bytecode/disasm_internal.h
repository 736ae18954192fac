/* disasm_internal.h - what the two halves of the disassembler share. Every index may be out of range: an image can be shown before it is verified. */
#ifndef BYTECODE_DISASM_INTERNAL_H
#define BYTECODE_DISASM_INTERNAL_H
#include "interpreter/bytecode/opinfo.h"

void disasm_tables(const Image *image, Buf *out);                              /* everything but the functions */
void disasm_routes(const Image *image, Buf *out);                              /* routes, webhooks, scopes, roles */
void disasm_query(const Image *image, const Query *query, Buf *out);           /* one line, without its end */
void disasm_const(const Image *image, uint16_t index, Buf *out);               /* its value as it would be written */
void disasm_quoted(Str text, size_t shown_max, Buf *out);                      /* quoted, escaped, cut */
void disasm_name(Str (*name_of)(const Image *, uint32_t), const Image *image, uint32_t index, uint32_t count, Buf *out);   /* the name, or `?index` */
#endif
