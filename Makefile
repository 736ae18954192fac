# Fidus Flow. `make help` lists the targets; everything built lies under $(BUILD).
.DEFAULT_GOAL := all
BUILD   ?= build
Q       := $(if $(V),,@)
say      = $(if $(V),,@echo "  $(1)")
ifeq ($(origin CC),default)
CC := gcc
endif
SAN     ?=
JOBS    ?= $(shell nproc)
OPT     ?= -O2
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CPPFLAGS := -I. -I$(BUILD) -D_GNU_SOURCE -isystem /usr/include/postgresql
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) $(SAN)
LDFLAGS := $(SAN)
LIBS    := -levent -lsqlite3 -lpq -lhiredis -lcurl -ljose -ljansson -lpcre2-8 -lcrypto -lgmp -lzstd -lxxhash -lutf8proc -lm

# Libraries, lowest first. A folder may include only what stands before it (see `make layers`).
DIRS    := base dsl/syntax interpreter/bytecode interpreter/vm interpreter/store interpreter/net interpreter/identity interpreter/effect interpreter/sched interpreter/gateway compiler compiler/plan compiler/lint
FLOWC_SRC := $(wildcard compiler/flowc.c compiler/cmd*.c)
FLOWD_SRC := $(wildcard interpreter/flowd.c interpreter/cmd*.c)
PROGRAM_SRC := $(FLOWC_SRC) $(FLOWD_SRC)
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(foreach d,$(DIRS),$(wildcard $(d)/*.c)))
GRAMMARS := flow condition
GEN_SRC := $(foreach g,$(GRAMMARS),$(BUILD)/dsl/grammar/$(g).tab.c $(BUILD)/dsl/grammar/$(g).lex.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(GEN_SRC:.c=.o)
# The tokens are generated; whoever includes them waits for bison.
$(LIB_OBJ): | $(GRAMMARS:%=$(BUILD)/dsl/grammar/%.tab.c)
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/bench_*.c))
TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(BUILD)/flowc $(BUILD)/flowd

$(BUILD)/libflow.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^
$(BUILD)/flowc: $(FLOWC_SRC:%.c=$(BUILD)/%.o) $(BUILD)/compiler/pages.o $(BUILD)/libflow.a
	$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/flowd: $(FLOWD_SRC:%.c=$(BUILD)/%.o) $(BUILD)/libflow.a
	$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/compiler/pages.c: $(wildcard docs/errors/*.md) scripts/pages.sh
	@mkdir -p $(@D)
	$(Q)sh scripts/pages.sh > $@
$(BUILD)/compiler/pages.o: $(BUILD)/compiler/pages.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
# A script for a server, as the text of a C literal.
$(BUILD)/%.lua.h: %.lua
	@mkdir -p $(@D)
	$(Q)sed -e 's/[\\"]/\\&/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@
$(BUILD)/interpreter/store/redis_runs.o: $(BUILD)/interpreter/store/redis_runs.lua.h
# The page for people is part of flowd.
UI_FILES := $(sort $(wildcard interpreter/gateway/ui/*))
$(BUILD)/interpreter/gateway/ui_files.h: $(UI_FILES) scripts/embed.sh
	@mkdir -p $(@D)
	$(Q)sh scripts/embed.sh $(UI_FILES) > $@
$(BUILD)/interpreter/gateway/ui.o: $(BUILD)/interpreter/gateway/ui_files.h
$(BUILD)/dsl/grammar/%.o: $(BUILD)/dsl/grammar/%.c
	$(call say,cc $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -Wno-unused-function -Wno-shadow -Wno-sign-compare -Wno-unused-but-set-variable -MMD -MP -c -o $@ $<
$(GRAMMARS:%=$(BUILD)/dsl/grammar/%.tab.c): $(BUILD)/dsl/grammar/%.tab.c: dsl/grammar/%.y
	@mkdir -p $(@D)
	$(call say,bison $<)
	$(Q)bison -Wall -Werror --header=$(@:.c=.h) -o $@ $<
$(GRAMMARS:%=$(BUILD)/dsl/grammar/%.lex.c): $(BUILD)/dsl/grammar/%.lex.c: dsl/grammar/%.l $(BUILD)/dsl/grammar/%.tab.c
	$(call say,flex $<)
	$(Q)flex -o $@ $<
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libflow.a
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(BUILD)/libflow.a -lcmocka $(LIBS)
$(BUILD)/tests/bench/%: tests/bench/%.c $(BUILD)/libflow.a
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(BUILD)/libflow.a $(LIBS)

# The machine's side of the comparison with Node, see tests/plans/condition_diff.mjs.
CONDITION_EVAL := $(BUILD)/tests/plans/condition_eval
$(BUILD)/tests/plans/%: tests/plans/%.c $(BUILD)/libflow.a
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(BUILD)/libflow.a $(LIBS)

.PHONY: unit
unit: $(TESTS)
	@for t in $(TESTS); do echo "== $$t"; $$t || exit 1; done
.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- what people call ---------------------------------------------------------------------------------------
.PHONY: run test bench asan clang fuzz layers help deps fmt bless
deps:
	@sh scripts/deps.sh build
# STORE=postgres: the same on a PostgreSQL and a Redis of its own.
run:
	@sh scripts/deps.sh $(if $(filter postgres,$(STORE)),run-postgres,build)
	@$(MAKE) -j$(JOBS) --no-print-directory all
	@BUILD=$(BUILD) STORE=$(STORE) sh scripts/run.sh
test:
	@sh scripts/deps.sh test
	@$(MAKE) -j$(JOBS) --no-print-directory all $(TESTS) $(CONDITION_EVAL)
	@BUILD=$(BUILD) sh scripts/test.sh
# The tests with AddressSanitizer and UndefinedBehaviorSanitizer. By clang, and with what the fuzzers want, so that they take the same objects.
SAN_CC  ?= clang
SANITIZE := CC='$(SAN_CC)' OPT=-O1 SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
asan:
	@$(MAKE) -j$(JOBS) --no-print-directory BUILD=build/asan $(SANITIZE) all tests
	@BUILD=build/asan FLOW_TEST_QUICK=1 sh scripts/test.sh
clang:
	@$(MAKE) -j$(JOBS) --no-print-directory BUILD=build/clang CC=clang all tests
.PHONY: tests
tests: $(TESTS) $(CONDITION_EVAL)
# A folder includes only what stands before it in DIRS (programs may include anything).
layers:
	@sh scripts/layers.sh
fuzz:
	@sh scripts/deps.sh test
	@$(MAKE) -j$(JOBS) --no-print-directory BUILD=build/asan $(SANITIZE) build/asan/libflow.a
	@BUILD=build/asan sh scripts/fuzz.sh $(or $(FUZZ_SECONDS),120)
bench:
	@sh scripts/deps.sh bench
	@$(MAKE) -j$(JOBS) --no-print-directory all $(BENCHES)
	@BUILD=$(BUILD) sh scripts/bench.sh
.PHONY: bench-durable
bench-durable:
	@sh scripts/deps.sh bench
	@$(MAKE) -j$(JOBS) --no-print-directory all $(BUILD)/tests/bench/bench_durable
	@BUILD=$(BUILD) sh scripts/bench_durable.sh
.PHONY: bench-http
bench-http:
	@sh scripts/deps.sh bench
	@$(MAKE) -j$(JOBS) --no-print-directory all $(BUILD)/tests/bench/bench_http
	@BUILD=$(BUILD) sh scripts/bench_http.sh
.PHONY: bench-plan
bench-plan:
	@sh scripts/deps.sh bench
	@$(MAKE) -j$(JOBS) --no-print-directory all $(BENCHES)
	@BUILD=$(BUILD) sh scripts/bench_plan.sh
fmt: all
	$(BUILD)/flowc fmt $(shell find flows stdlib tests/flows -name '*.flow')
bless: all
	@BLESS=1 BUILD=$(BUILD) sh scripts/golden.sh
help:
	@echo "make run      install what is missing, build, run the main job and show it; STORE=postgres: on a PostgreSQL and a Redis of its own"
	@echo "make test     install what is missing, build, run every test"
	@echo "make asan     the tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make clang    build everything with clang, warnings are errors"
	@echo "make fuzz     each fuzz target for FUZZ_SECONDS (120)"
	@echo "make bench    measure against lua5.4, luajit and luac5.4 beside it"
	@echo "make bench-durable  durable steps on a private PostgreSQL beside what pgbench reaches there"
	@echo "make bench-http  requests, latencies and idle streams of the server, beside libevent's own"
	@echo "make bench-plan  what plans cost: conditions beside Node, Duktape, MuJS and QuickJS"
	@echo "make layers   no include points up"
	@echo "make bless    rewrite the golden files; review the diff"
