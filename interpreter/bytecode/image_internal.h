/* image_internal.h - what the files of this folder share about images. */
#ifndef BYTECODE_IMAGE_INTERNAL_H
#define BYTECODE_IMAGE_INTERNAL_H
#include "interpreter/bytecode/image.h"

enum { IMAGE_ROWS_MIN = 8, TYPE_TEXT_MAX = 2000 };

void        image_rows_add(Image *image, void **rows, uint16_t *count, size_t more, size_t row_size);      /* zeroed; count + more <= IMAGE_INDEX_MAX */
size_t      image_rows_room(size_t count);                                     /* rows that a table of `count` rows has memory for */
uint64_t    image_counted_mask(const Image *image, const ImageType *record);   /* field types must be in range */
bool        image_type_is_fixed(const Image *image, uint16_t index);           /* the row is what image_new made; index < TYPE_INDEX_FIXED_COUNT */
const char *image_kind_word(TypeKind kind);
#endif
