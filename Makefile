# Fidus Flow. `make help` lists the targets; everything built lies under $(BUILD).
BUILD   ?= build
CC      ?= gcc
SAN     ?=
OPT     ?= -O2
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CPPFLAGS := -I. -I$(BUILD) -D_GNU_SOURCE
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) $(SAN)
LDFLAGS := $(SAN)
LIBS    := -levent -lsqlite3 -lcurl -ljansson -lpcre2-8 -lcrypto -lgmp -lzstd -lxxhash -lutf8proc -lm

# Libraries, lowest first. A folder may include only what stands before it (see `make layers`).
DIRS    := base dsl/syntax interpreter/bytecode interpreter/vm interpreter/store interpreter/net interpreter/effect interpreter/sched compiler compiler/lint
PROGRAM_SRC := $(wildcard compiler/flowc.c compiler/cmd_*.c interpreter/flowd.c interpreter/cmd_*.c)
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(foreach d,$(DIRS),$(wildcard $(d)/*.c)))
GEN_SRC := $(BUILD)/dsl/grammar/flow.tab.c $(BUILD)/dsl/grammar/flow.lex.c
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(GEN_SRC:.c=.o)
TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(BUILD)/flowc $(BUILD)/flowd

$(BUILD)/libflow.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^
$(BUILD)/flowc: $(patsubst %.c,$(BUILD)/%.o,$(wildcard compiler/flowc.c compiler/cmd_*.c)) $(BUILD)/libflow.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/flowd: $(patsubst %.c,$(BUILD)/%.o,$(wildcard interpreter/flowd.c interpreter/cmd_*.c)) $(BUILD)/libflow.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/dsl/grammar/%.o: $(BUILD)/dsl/grammar/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -Wno-unused-function -Wno-shadow -Wno-sign-compare -Wno-unused-but-set-variable -MMD -MP -c -o $@ $<
$(BUILD)/dsl/grammar/flow.tab.c: dsl/grammar/flow.y
	@mkdir -p $(@D)
	bison -Wall -Werror --header=$(@:.c=.h) -o $@ $<
$(BUILD)/dsl/grammar/flow.lex.c: dsl/grammar/flow.l $(BUILD)/dsl/grammar/flow.tab.c
	flex -o $@ $<
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libflow.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(BUILD)/libflow.a -lcmocka $(LIBS)

.PHONY: unit
unit: $(TESTS)
	@for t in $(TESTS); do echo "== $$t"; $$t || exit 1; done
.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
