/* pages.h - docs/errors/NAME.md as C strings; $(BUILD)/compiler/pages.c is made from the files. Ends with name NULL. */
#ifndef COMPILER_PAGES_H
#define COMPILER_PAGES_H
typedef struct Page { const char *name, *text; } Page;
extern const Page pages[];
#endif
