/* store_pg_log.h - the log of a worker on PostgreSQL: what lies in it is part of the journals for whoever reads them, goes into them in the end whatever becomes of
 * the worker, and nothing of it stays behind. Part of test_store_pg.c, behind store_pg_group.h. */
#ifndef TESTS_STORE_PG_LOG_H
#define TESTS_STORE_PG_LOG_H

#include "interpreter/store/journal_row.h"

enum { LOG_STEPS = 5, RESTS = 0 };

static int log_rows(void) { return raw_int("SELECT COUNT(*) FROM %s.flow_log"); }
static int chunks(void) { return raw_int("SELECT COUNT(*) FROM %s.flow_journal"); }

static void put_module(void)
{
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    store_put_module(batch, STR("00ff"), STR("module"));
    must_go(batch);
}

static int pg_log_setup(void **state)
{
    raw_setup(state);
    put_module();
    return 0;
}

static void nothing_is_wrong(Store *store)
{
    FsckReport report = { 0 };
    Buf text = { 0 };
    assert_int_equal(store_fsck(store, &report, &text, NULL), ERR_OK);
    if (report.problems) fail_msg("%.*s", (int)text.len, text.ptr);
    buf_free(&text);
}

/* One group: the next row of each of the runs. What is fenced or crashes may fail. */
static int step_all(uint64_t seq, int from, bool may_fail)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    int well = 0;
    for (int i = from; i < GROUP; i++) {
        slots[i] = (Slot){ &outcome, i };
        store_submit(journal_batch(run_name(i), 1, seq), note, &slots[i]);
    }
    finish_all_of(&outcome, GROUP - from);
    for (int i = from; i < GROUP; i++) {
        if (!may_fail) assert_int_equal(outcome.err[i], ERR_OK);
        well += outcome.err[i] == ERR_OK;
    }
    return well;
}

static StoreBatch *end_batch(const char *run, uint64_t epoch, uint64_t seq)
{
    StoreBatch *batch = journal_batch(run, epoch, seq);
    RunRow row = run_row(run);
    row.status = RUN_COMPLETED;
    row.last_seq = seq;
    row.result_json = STR("7");
    store_update_run(batch, &row);
    return batch;
}

static void end_all(uint64_t seq, int from)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    for (int i = from; i < GROUP; i++) {
        slots[i] = (Slot){ &outcome, i };
        store_submit(end_batch(run_name(i), 1, seq), note, &slots[i]);
    }
    finish_all_of(&outcome, GROUP - from);
    for (int i = from; i < GROUP; i++) assert_int_equal(outcome.err[i], ERR_OK);
}

/* Rows 1 to n, each once. */
static void journal_is_whole(Store *store, const char *run, uint64_t n)
{
    uint32_t count, page_count;
    StoreBatch *batch = batch_of("", 0);
    if (store != contract_store) store_batch_free(batch), batch = store_batch(store, STR("acme"), (Str){ 0 }, 0);
    int all = store_get_journal(batch, str_of(run), 0, 0), page = store_get_journal(batch, str_of(run), 2, 2);
    must(batch);
    const JournalRow *rows = store_journal(batch, all, &count);
    assert_int_equal(count, n);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].seq, i + 1);
        assert_str(rows[i].payload, "p");
    }
    rows = store_journal(batch, page, &page_count);
    assert_int_equal(page_count, n < 2 ? 0 : n - 2 < 2 ? n - 2 : 2);
    for (uint32_t i = 0; i < page_count; i++) assert_int_equal(rows[i].seq, i + 3);
    store_batch_free(batch);
}

static void a_group_is_one_row_of_the_log(void **state)
{
    Store *other = open_again();
    hold_runs();
    step_all(1, 0, false);
    step_all(2, 0, false);
    assert_int_equal(log_rows(), 2);
    assert_int_equal(chunks(), 0);
    for (int i = 0; i < GROUP; i++) {
        journal_is_whole(contract_store, run_name(i), 2);
        journal_is_whole(other, run_name(i), 2);
    }
    nothing_is_wrong(other);
    store_close(other);
}

static void an_end_leaves_one_row_of_its_journal_and_nothing_of_the_log(void **state)
{
    hold_runs();
    for (uint64_t seq = 1; seq <= LOG_STEPS; seq++) step_all(seq, 0, false);
    end_all(LOG_STEPS + 1, 0);
    assert_int_equal(log_rows(), 0);
    assert_int_equal(chunks(), GROUP);
    for (int i = 0; i < GROUP; i++) journal_is_whole(contract_store, run_name(i), LOG_STEPS + 1);
    fails_with(journal_batch(run_name(0), 0, 3), ERR_CONFLICT, "journal row 3");
    nothing_is_wrong(contract_store);
}

static void a_chunk_is_never_longer_than_it_may_be(void **state)
{
    hold_runs();
    uint64_t steps = 3 * JOURNAL_CHUNK_ROWS + 5;
    for (uint64_t seq = 1; seq <= steps; seq++) step_all(seq, 0, false);
    assert_int_equal(raw_int("SELECT MAX(COALESCE(last_seq, seq) - seq + 1) FROM %s.flow_journal") <= JOURNAL_CHUNK_ROWS, 1);
    assert_int_equal(raw_int("SELECT MAX(length(body)) FROM %s.flow_journal") <= PG_TAIL_BYTES_MAX + 1, 1);
    end_all(steps + 1, 0);
    for (int i = 0; i < GROUP; i++) journal_is_whole(contract_store, run_name(i), steps + 1);
    assert_int_equal(log_rows(), 0);
}

static void each_tenant_has_rows_of_its_own_in_the_log(void **state)
{
    static const char *const tenants[] = { "acme", "other" };
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    for (int i = 0; i < GROUP; i++) {
        RunRow row = run_row(run_name(i));
        row.tenant = str_of(tenants[i % 2]);
        put_run(&row);
    }
    for (uint32_t got = 0; got < GROUP;) got += claim_as(contract_store, "", "w", 1000, GROUP, "", NULL);
    for (int i = 0; i < GROUP; i++) {
        StoreBatch *batch = store_batch(contract_store, str_of(tenants[i % 2]), str_of(run_name(i)), 1);
        store_append_journal(batch, &(JournalRow){ .seq = 1, .name = STR("now"), .payload = STR("p") });
        slots[i] = (Slot){ &outcome, i };
        store_submit(batch, note, &slots[i]);
    }
    finish_all_of(&outcome, GROUP);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_log WHERE tenant = 'acme'"), 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_log WHERE tenant = 'other'"), 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_log WHERE tenant = 'acme' AND position('run-01' IN body) > 0"), 0);
    assert_int_equal(journal_count(contract_store, "other", run_name(1)), 1);
    assert_int_equal(journal_count(contract_store, "acme", run_name(1)), 0);
}

/* A row that is big, and groups that are small, go into the journal at once. */
static void what_would_gain_nothing_is_not_logged(void **state)
{
    hold_runs();
    for (int i = 0; i < PG_LOG_SHARE_MIN - 1; i++) store_submit(journal_batch(run_name(i), 1, 1), NULL, NULL);
    store_wait(contract_store);
    assert_true(log_rows() == 0 && chunks() == PG_LOG_SHARE_MIN - 1);
    char *big = malloc(PG_LOG_ENTRY_MAX);
    memset(big, 'x', PG_LOG_ENTRY_MAX);
    for (int i = 4; i < GROUP; i++) {
        StoreBatch *batch = batch_of(run_name(i), 1);
        store_append_journal(batch, &(JournalRow){ .seq = 1, .payload = { big, PG_LOG_ENTRY_MAX } });
        store_submit(batch, NULL, NULL);
    }
    store_wait(contract_store);
    free(big);
    assert_true(log_rows() == 0 && chunks() == PG_LOG_SHARE_MIN - 1 + GROUP - 4);
}

static void a_renewal_folds_and_so_does_whoever_is_asked_to(void **state)
{
    hold_runs();
    step_all(1, 0, false);
    StoreBatch *batch = batch_of(run_name(0), 1);
    store_renew(batch, 2500);
    must_go(batch);
    batch = batch_of(run_name(1), 1);
    store_settle(batch);
    must_go(batch);
    assert_int_equal(chunks(), 2);
    for (int i = 0; i < 3; i++) journal_is_whole(contract_store, run_name(i), 1);
}

/* One run rests, the others go on for so long that the log would not end. */
static void a_run_that_rests_does_not_keep_the_log(void **state)
{
    hold_runs();
    step_all(1, RESTS, false);
    int most = 0;
    for (uint64_t seq = 2; seq <= 2 * PG_LOG_ROWS_MAX; seq++) {
        step_all(seq, RESTS + 1, false);
        if (seq % 32 == 0 && log_rows() > most) most = log_rows();
    }
    if (most > PG_LOG_ROWS_MAX + 64) fail_msg("%d rows in the log", most);
    store_wait(contract_store);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_journal WHERE run_id = 'run-00'"), 1);
    journal_is_whole(contract_store, run_name(RESTS), 1);
    journal_is_whole(contract_store, run_name(RESTS + 1), 2 * PG_LOG_ROWS_MAX);
    nothing_is_wrong(contract_store);
}

static void take_all(Store *taker, uint32_t wanted)
{
    for (uint32_t got = 0; got < wanted;) {
        uint32_t more = claimed(taker, "other", 3000, GROUP);
        assert_true(more > 0);
        got += more;
    }
}

/* Whoever takes the runs of a worker that is gone finds their journals whole, and its log is gone. */
static void a_takeover_brings_the_log_along(void **state)
{
    hold_runs();
    for (uint64_t seq = 1; seq <= LOG_STEPS; seq++) step_all(seq, 0, false);
    Store *taker = open_again();
    take_all(taker, GROUP);
    assert_int_equal(log_rows(), 0);
    for (int i = 0; i < GROUP; i++) {
        journal_is_whole(taker, run_name(i), LOG_STEPS);
        StoreBatch *batch = store_batch(taker, STR("acme"), str_of(run_name(i)), 2);
        store_append_journal(batch, &(JournalRow){ .seq = LOG_STEPS + 1, .payload = STR("p") });
        must_go(batch);
        journal_is_whole(taker, run_name(i), LOG_STEPS + 1);
    }
    assert_int_equal(step_all(LOG_STEPS + 1, 0, true), 0);          /* who lost them writes nothing more */
    assert_int_equal(log_rows(), 0);
    nothing_is_wrong(taker);
    store_close(taker);
}

/* Some of the runs of a worker that was only slow: it goes on with the others, and in the end every journal is whole. */
static void a_worker_that_lost_some_of_its_runs_goes_on_with_the_others(void **state)
{
    hold_runs();
    for (uint64_t seq = 1; seq <= LOG_STEPS; seq++) step_all(seq, 0, false);
    Store *taker = open_again();
    assert_int_equal(claimed(taker, "other", 3000, 5), 5);
    assert_int_equal(log_rows(), LOG_STEPS);
    assert_int_equal(step_all(LOG_STEPS + 1, 0, true), GROUP - 5);
    int ended = 0;
    for (int i = 0; i < GROUP; i++) ended += go(end_batch(run_name(i), 1, LOG_STEPS + 2)) == ERR_OK;
    assert_int_equal(ended, GROUP - 5);
    for (int i = 0; i < GROUP; i++) journal_is_whole(taker, run_name(i), get_run(run_name(i)).status == RUN_COMPLETED ? LOG_STEPS + 2 : LOG_STEPS);
    must_go(journal_batch("none", 0, 1));                           /* behind its commit nothing is left of the log */
    assert_int_equal(log_rows(), 0);
    store_close(taker);
}

/* After an outage a worker takes its own runs again: what the log says counts, not what it remembers. */
static void a_worker_that_takes_its_own_runs_again_finds_them_whole(void **state)
{
    hold_runs();
    for (uint64_t seq = 1; seq <= LOG_STEPS; seq++) step_all(seq, 0, false);
    for (int i = 0; i < GROUP; i++) {
        uint32_t count;
        StoreBatch *batch = batch_of("", 0);
        int index = store_claim_again(batch, STR("w"), 1500, 1000, str_of(run_name(i)));
        must(batch);
        store_runs(batch, index, &count);
        assert_int_equal(count, 1);
        store_batch_free(batch);
    }
    assert_int_equal(chunks(), GROUP);
    for (int i = 0; i < GROUP; i++) {
        must_go(journal_batch(run_name(i), 2, LOG_STEPS + 1));
        must_go(end_batch(run_name(i), 2, LOG_STEPS + 2));
        journal_is_whole(contract_store, run_name(i), LOG_STEPS + 2);
    }
    assert_int_equal(log_rows(), 0);
}

static void a_damaged_log_is_said_and_nothing_is_taken(void **state)
{
    hold_runs();
    step_all(1, 0, false);
    raw_do("UPDATE %s.flow_log SET body = substr(body, 1, length(body) - 3)");
    Store *taker = open_again();
    StoreBatch *batch = store_batch(taker, STR("acme"), (Str){ 0 }, 0);
    store_claim(batch, STR("other"), 3000, 1000, GROUP, (Str){ 0 });
    fails_with(batch, ERR_CORRUPT, "log of worker `w` is damaged");
    assert_int_equal(get_run(run_name(0)).epoch, 1);
    store_close(taker);
}

/* A worker was killed behind its last commit: no run is left to claim, but rows of its log are. What is in no journal yet goes there, the rest is dropped. */
static void the_log_of_nobody_is_collected(void **state)
{
    hold_runs();
    step_all(1, 0, false);
    raw_do("CREATE TABLE %s.kept AS SELECT * FROM %s.flow_log");
    step_all(2, 0, false);
    end_all(3, 0);
    assert_int_equal(log_rows(), 0);
    raw_do("DELETE FROM %s.flow_journal WHERE run_id = 'run-03'");
    raw_do("DELETE FROM %s.flow_runs WHERE run_id = 'run-04'");
    raw_do("DELETE FROM %s.flow_journal WHERE run_id = 'run-04'");
    raw_do("INSERT INTO %s.flow_log SELECT tenant, 'ghost', id, body FROM %s.kept");
    GcReport report = { 0 };
    assert_int_equal(store_gc(contract_store, 0, &report, NULL, NULL, NULL), ERR_OK);
    assert_int_equal(log_rows(), 0);
    journal_is_whole(contract_store, "run-03", 1);
    journal_is_whole(contract_store, "run-04", 0);
    journal_is_whole(contract_store, "run-05", 3);
}

/* The worker dies at its first, second, third … durable operation, before or after it: what it was told stands, each row is there once, and the others can go on. */
static void whatever_was_acknowledged_survives_a_crash_at_every_operation(void **state)
{
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
        bool hit = true;
        for (uint64_t nth = 1; hit; nth++) {
            Error error;
            int told[GROUP] = { 0 };
            hold_runs();
            store_crash_at(contract_store, nth, (CrashSide)side, false);
            for (uint64_t seq = 1; seq <= LOG_STEPS; seq++) {
                Outcome outcome = { 0 };
                Slot slots[GROUP];
                for (int i = 0; i < GROUP; i++) {
                    slots[i] = (Slot){ &outcome, i };
                    bool ends = seq == LOG_STEPS || (seq == 3 && i % 4 == 0);
                    StoreBatch *batch = ends ? end_batch(run_name(i), 1, seq) : journal_batch(run_name(i), 1, seq);
                    store_submit(batch, note, &slots[i]);
                }
                finish_all_of(&outcome, GROUP);
                for (int i = 0; i < GROUP; i++) told[i] += told[i] + 1 == (int)seq && outcome.err[i] == ERR_OK;
            }
            hit = store_crash_at(contract_store, 0, CRASH_BEFORE, false) == 0;
            store_close(contract_store);
            contract_store = open_again();
            while (claimed(contract_store, "other", 3000, GROUP)) continue;
            for (int i = 0; i < GROUP; i++) {
                uint32_t count = journal_count(contract_store, "acme", run_name(i));
                if ((int)count < told[i]) fail_msg("crash %s %d: run %d was told %d rows, and has %u", side ? "after" : "before", (int)nth, i, told[i], count);
                journal_is_whole(contract_store, run_name(i), count);
            }
            assert_int_equal(log_rows(), 0);
            nothing_is_wrong(contract_store);
            if (store_clear(contract_store, &error)) fail_msg("%s", error.text);
            put_module();
        }
    }
}

#define PG_LOG_TEST(name) cmocka_unit_test_setup_teardown(name, pg_log_setup, raw_teardown)
#define PG_LOG_TESTS \
    PG_LOG_TEST(a_group_is_one_row_of_the_log), PG_LOG_TEST(an_end_leaves_one_row_of_its_journal_and_nothing_of_the_log), PG_LOG_TEST(a_chunk_is_never_longer_than_it_may_be), \
    PG_LOG_TEST(each_tenant_has_rows_of_its_own_in_the_log), PG_LOG_TEST(what_would_gain_nothing_is_not_logged), PG_LOG_TEST(a_renewal_folds_and_so_does_whoever_is_asked_to), \
    PG_LOG_TEST(a_run_that_rests_does_not_keep_the_log), PG_LOG_TEST(a_takeover_brings_the_log_along), PG_LOG_TEST(a_worker_that_lost_some_of_its_runs_goes_on_with_the_others), \
    PG_LOG_TEST(a_worker_that_takes_its_own_runs_again_finds_them_whole), PG_LOG_TEST(a_damaged_log_is_said_and_nothing_is_taken), PG_LOG_TEST(the_log_of_nobody_is_collected), \
    PG_LOG_TEST(whatever_was_acknowledged_survives_a_crash_at_every_operation)
#endif
