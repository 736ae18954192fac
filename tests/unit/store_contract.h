/* store_contract.h - what every store must do, said against store.h alone. A store's test defines fresh_url() and includes this.
 *
 * fresh_url() names a new, empty store; opening the same URL again finds what was left there.
 */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "interpreter/store/store.h"

#ifndef CONTRACT_CONCURRENT
#define CONTRACT_CONCURRENT 0            /* 1: transactions have connections of their own */
#endif

static const char *fresh_url(void);

static char contract_url[256];
static Store *contract_store;

static Store *open_again(void)
{
    Store *store = NULL;
    Error error = { 0 };
    Err err = store_open(contract_url, NULL, &store, &error);
    if (err) fail_msg("store_open: %s", error.text);
    return store;
}

static int contract_setup(void **state)
{
    (void)state;
    unsetenv("FLOW_CRASH_AT");
    snprintf(contract_url, sizeof contract_url, "%s", fresh_url());
    contract_store = open_again();
    return 0;
}

static int contract_teardown(void **state)
{
    (void)state;
    Error error = { 0 };
    store_close(contract_store);
    contract_store = NULL;
    if (store_drop(contract_url, &error)) fail_msg("store_drop: %s", error.text);
    return 0;
}

static void reopen(void)
{
    store_close(contract_store);
    contract_store = open_again();
}

/* ---- short words ---- */

static StoreBatch *batch_of(const char *run, uint64_t epoch) { return store_batch(contract_store, STR("acme"), str_of(run), epoch); }
static Err go(StoreBatch *batch)
{
    Err err = store_run_batch(batch, NULL);
    store_batch_free(batch);
    return err;
}
static void must(StoreBatch *batch)
{
    Error error = { 0 };
    if (store_run_batch(batch, &error)) fail_msg("batch: %s", error.text);
}
static void must_go(StoreBatch *batch) { must(batch); store_batch_free(batch); }
static void assert_str(Str a, const char *b)
{
    if (!str_is(a, b)) fail_msg("found `%.*s`, expected `%s`", STR_ARG(a), b);
}
static void fails_with(StoreBatch *batch, Err code, const char *part)
{
    Error error = { 0 };
    Err err = store_run_batch(batch, &error);
    store_batch_free(batch);
    if (err != code || !strstr(error.text, part)) fail_msg("found %s `%s`, expected %s `%s`", err_name(err), error.text, err_name(code), part);
}

static RunRow run_row(const char *id) { return (RunRow){ .tenant = STR("acme"), .run_id = str_of(id), .module_hash = STR("00ff"), .func_name = STR("book"), .created_us = 100 }; }
static void put_run(const RunRow *row)
{
    StoreBatch *batch = store_batch(contract_store, row->tenant, row->run_id, 0);
    store_put_run(batch, row);
    must_go(batch);
}
static void new_run(const char *id) { RunRow row = run_row(id); put_run(&row); }
static StoreBatch *journal_batch(const char *run, uint64_t epoch, uint64_t seq)
{
    StoreBatch *batch = batch_of(run, epoch);
    store_append_journal(batch, &(JournalRow){ .seq = seq, .name = STR("now"), .payload = STR("p") });
    return batch;
}
static uint32_t journal_count(Store *store, const char *tenant, const char *run)
{
    uint32_t count;
    StoreBatch *batch = store_batch(store, str_of(tenant), str_of(run), 0);
    int index = store_get_journal(batch, str_of(run), 0, 0);
    must(batch);
    store_journal(batch, index, &count);
    store_batch_free(batch);
    return count;
}
/* The run's numbers; its texts are gone with the batch. */
static RunRow get_run(const char *id)
{
    uint32_t count;
    StoreBatch *batch = batch_of("", 0);
    int index = store_get_run(batch, str_of(id));
    must(batch);
    RunRow row = *store_runs(batch, index, &count);
    store_batch_free(batch);
    return row;
}
static uint32_t claim_as(Store *store, const char *tenant, const char *worker, int64_t now, uint32_t max, const char *only, RunRow *first)
{
    uint32_t count;
    StoreBatch *batch = store_batch(store, str_of(tenant), (Str){ 0 }, 0);
    int index = store_claim(batch, str_of(worker), now, 1000, max, str_of(only));
    must(batch);
    const RunRow *rows = store_runs(batch, index, &count);
    if (first && count) *first = rows[0];
    store_batch_free(batch);
    return count;
}
static uint32_t claim(int64_t now, uint32_t max) { return claim_as(contract_store, "", "w1", now, max, "", NULL); }
static void set_status(const char *run, uint64_t epoch, RunStatus status)
{
    StoreBatch *batch = batch_of(run, epoch);
    RunRow row = { .status = status };
    store_update_run(batch, &row);
    must_go(batch);
}
static StoreBatch *mail_batch(const char *run, const char *id, MailKind kind)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_mail(batch, &(MailRow){ .run_id = str_of(run), .mail_id = str_of(id), .kind = kind, .name = STR("note"), .payload = STR("{}"), .created_us = 7 });
    return batch;
}
static void set_timer(const char *run, uint64_t request, int64_t due)
{
    StoreBatch *batch = batch_of(run, 0);
    store_set_timer(batch, &(TimerRow){ .request = request, .due_us = due });
    must_go(batch);
}
static int64_t next_due(void)
{
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    int index = store_next_due(batch);
    must(batch);
    int64_t due = store_time(batch, index);
    store_batch_free(batch);
    return due;
}

#include "tests/unit/store_contract_runs.h"
#include "tests/unit/store_contract_events.h"
#include "tests/unit/store_contract_claims.h"
#include "tests/unit/store_contract_rates.h"
#include "tests/unit/store_contract_auth.h"
#include "tests/unit/store_contract_commit.h"
#include "tests/unit/store_contract_rows.h"
#include "tests/unit/store_contract_log.h"

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)
#define STORE_CONTRACT_TESTS CONTRACT_RUN_TESTS CONTRACT_EVENT_TESTS CONTRACT_CLAIM_TESTS CONTRACT_RATE_TESTS CONTRACT_AUTH_TESTS CONTRACT_COMMIT_TESTS CONTRACT_ROW_TESTS CONTRACT_LOG_TESTS
#endif
