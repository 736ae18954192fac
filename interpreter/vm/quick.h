/* quick.h - the numbers of quick.def; they lie above those of opcodes.def. */
#ifndef VM_QUICK_H
#define VM_QUICK_H

typedef enum {
#define QUICK(num, NAME) QUICK_##NAME = num,
#include "interpreter/vm/quick.def"
#undef QUICK
    QUICK_END
} QuickOp;
#endif
