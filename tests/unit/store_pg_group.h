/* store_pg_group.h - groups of batches on PostgreSQL: what fails in one fails alone, the order of a run's batches stands, and nobody takes a run
 * away from a worker that has a transaction under way. Part of test_store_pg.c. */
#ifndef TESTS_STORE_PG_GROUP_H
#define TESTS_STORE_PG_GROUP_H

#include "interpreter/store/store_queue.h"

enum { GROUP = 20 };

typedef struct Outcome { Err err[GROUP + 2]; int done; } Outcome;
typedef struct Slot { Outcome *outcome; int at; } Slot;

static void note(const StoreResult *result, void *arg)
{
    Slot *slot = arg;
    slot->outcome->err[slot->at] = result->err;
    slot->outcome->done++;
}

static const char *run_name(int i)
{
    static char name[16];
    snprintf(name, sizeof name, "run-%02d", i);
    return name;
}

static uint32_t claimed(Store *store, const char *worker, int64_t now_us, uint32_t max)
{
    uint32_t count;
    StoreBatch *batch = store_batch(store, STR("acme"), (Str){ 0 }, 0);
    int index = store_claim(batch, str_of(worker), now_us, 1000, max, (Str){ 0 });
    must(batch);
    store_runs(batch, index, &count);
    store_batch_free(batch);
    return count;
}

/* GROUP runs at epoch 1, held by worker `w` from 1000 to 2000. */
static void hold_runs(void)
{
    for (int i = 0; i < GROUP; i++) new_run(run_name(i));
    uint32_t count = 0;
    while (count < GROUP) {
        uint32_t more = claimed(contract_store, "w", 1000, GROUP);
        assert_true(more > 0);
        count += more;
    }
}

static void submit_steps(Outcome *outcome, Slot *slots, int odd, uint64_t odd_epoch, uint64_t odd_seq)
{
    for (int i = 0; i < GROUP; i++) {
        slots[i] = (Slot){ outcome, i };
        store_submit(journal_batch(run_name(i), i == odd ? odd_epoch : 1, i == odd ? odd_seq : 1), note, &slots[i]);
    }
}

static void finish_all_of(Outcome *outcome, int wanted)
{
    while (outcome->done < wanted && store_busy(contract_store)) store_wait(contract_store);
    assert_int_equal(outcome->done, wanted);
}

static void a_group_is_one_commit(void **state)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    hold_runs();
    uint64_t before = store_commits(contract_store);
    submit_steps(&outcome, slots, -1, 0, 0);
    finish_all_of(&outcome, GROUP);
    assert_int_equal(store_commits(contract_store) - before, 1);
    for (int i = 0; i < GROUP; i++) {
        assert_int_equal(outcome.err[i], ERR_OK);
        assert_int_equal(journal_count(contract_store, "acme", run_name(i)), 1);
    }
}

static void one_is_fenced_and_the_others_stand(void **state)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    hold_runs();
    submit_steps(&outcome, slots, 7, 9, 1);
    finish_all_of(&outcome, GROUP);
    for (int i = 0; i < GROUP; i++) {
        assert_int_equal(outcome.err[i], i == 7 ? ERR_FENCED : ERR_OK);
        assert_int_equal(journal_count(contract_store, "acme", run_name(i)), i != 7);
    }
}

static void one_conflicts_and_the_others_stand(void **state)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    hold_runs();
    must_go(journal_batch(run_name(3), 1, 1));
    submit_steps(&outcome, slots, 3, 1, 1);
    finish_all_of(&outcome, GROUP);
    for (int i = 0; i < GROUP; i++) {
        assert_int_equal(outcome.err[i], i == 3 ? ERR_CONFLICT : ERR_OK);
        assert_int_equal(journal_count(contract_store, "acme", run_name(i)), 1);
    }
}

/* Ended in the first of its two batches, it takes no second one in the same group that says it works. */
static void the_batches_of_one_run_keep_their_order(void **state)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP + 2];
    hold_runs();
    submit_steps(&outcome, slots, -1, 0, 0);
    for (int k = 0; k < 2; k++) {
        StoreBatch *batch = journal_batch(run_name(5), 1, 2 + (uint64_t)k);
        RunRow row = run_row(run_name(5));
        row.status = RUN_RUNNING;
        row.last_seq = 2 + (uint64_t)k;
        row.updated_us = 1100 + k;
        store_update_run(batch, &row);
        slots[GROUP + k] = (Slot){ &outcome, GROUP + k };
        store_submit(batch, note, &slots[GROUP + k]);
    }
    finish_all_of(&outcome, GROUP + 2);
    for (int i = 0; i < GROUP + 2; i++) assert_int_equal(outcome.err[i], ERR_OK);
    assert_int_equal(journal_count(contract_store, "acme", run_name(5)), 3);
    uint32_t count;
    StoreBatch *batch = batch_of("", 0);
    int index = store_get_run(batch, str_of(run_name(5)));
    must(batch);
    assert_int_equal(store_runs(batch, index, &count)->last_seq, 3);
    store_batch_free(batch);
}

/* Everything that an end and a park write, against what the ordinary way leaves. */
static void parks_and_ends_leave_what_they_should(void **state)
{
    Outcome outcome = { 0 };
    Slot slots[GROUP];
    hold_runs();
    for (int i = 0; i < GROUP; i++) {
        bool ends = i % 2;
        StoreBatch *batch = journal_batch(run_name(i), 1, 1);
        RunRow row = run_row(run_name(i));
        row.status = ends ? RUN_COMPLETED : RUN_PARKED;
        row.last_seq = 1;
        row.snapshot_seq = ends ? 0 : 1;
        row.result_json = ends ? STR("7") : (Str){ 0 };
        if (!ends) store_put_snapshot(batch, 1, STR("state"));
        store_set_timer(batch, &(TimerRow){ .tenant = STR("acme"), .run_id = row.run_id, .request = 4, .due_us = 5000 + i });
        store_update_run(batch, &row);
        store_release(batch, row.status);
        slots[i] = (Slot){ &outcome, i };
        store_submit(batch, note, &slots[i]);
    }
    finish_all_of(&outcome, GROUP);
    for (int i = 0; i < GROUP; i++) {
        assert_int_equal(outcome.err[i], ERR_OK);
        uint32_t count;
        bool found;
        StoreBatch *batch = batch_of(run_name(i), 0);
        int index = store_get_run(batch, str_of(run_name(i))), snapshot = store_get_snapshot(batch);
        must(batch);
        const RunRow *row = store_runs(batch, index, &count);
        assert_int_equal(row->status, i % 2 ? RUN_COMPLETED : RUN_PARKED);
        assert_int_equal(row->worker.len, 0);
        assert_int_equal(row->lease_until_us, 0);
        assert_str(row->result_json, i % 2 ? "7" : "");
        store_bytes(batch, snapshot, NULL, &found);
        assert_int_equal(found, i % 2 == 0);
        store_batch_free(batch);
    }
    assert_int_equal(claimed(contract_store, "w", 4999, GROUP), 0);
    assert_int_equal(claimed(contract_store, "w", 5000, GROUP), 1);      /* the timers of the ended are gone */
    assert_int_equal(claimed(contract_store, "w", 5500, GROUP), GROUP / 2 - 1);
    FsckReport report;
    Buf text = { 0 };
    assert_int_equal(store_fsck(contract_store, &report, &text, NULL), ERR_OK);
    buf_free(&text);
}

/* A transaction of the worker that is under way at the server, as its last one is when its process dies. */
static void a_takeover_waits_for_what_the_worker_has_under_way(void **state)
{
    hold_runs();
    char sql[256];
    PGconn *other = PQconnectdb(getenv("FLOW_TEST_POSTGRES"));
    snprintf(sql, sizeof sql, "SELECT pg_advisory_xact_lock_shared(hashtextextended('%s/w', 0))", strstr(contract_url, "schema=") + 7);
    PQclear(PQexec(other, "BEGIN"));
    PGresult *result = PQexec(other, sql);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    Store *taker = open_again();
    assert_int_equal(claimed(taker, "other", 3000, GROUP), 0);
    PQclear(PQexec(other, "COMMIT"));
    uint32_t count = 0;
    while (count < GROUP) {
        uint32_t more = claimed(taker, "other", 3000, GROUP);
        assert_true(more > 0);
        count += more;
    }
    assert_int_equal(go(journal_batch(run_name(0), 1, 1)), ERR_FENCED);
    assert_int_equal(journal_count(taker, "acme", run_name(0)), 0);
    store_close(taker);
    PQfinish(other);
}

/* Runs that were compared once are fenced by the count of takeovers alone: it moves for all when one is taken, and only that one is lost. */
static void a_run_taken_between_two_steps_is_fenced_and_no_other(void **state)
{
    hold_runs();
    for (int i = 0; i < GROUP; i++) must_go(journal_batch(run_name(i), 1, 1));
    uint64_t commits = store_commits(contract_store);
    must_go(journal_batch(run_name(3), 1, 2));
    assert_int_equal(store_commits(contract_store), commits + 1);
    Store *taker = open_again();
    assert_int_equal(claimed(taker, "other", 3000, 1), 1);
    int fenced = 0;
    for (int i = 0; i < GROUP; i++) {
        Err err = go(journal_batch(run_name(i), 1, 3));
        assert_true(err == ERR_OK || err == ERR_FENCED);
        fenced += err == ERR_FENCED;
    }
    assert_int_equal(fenced, 1);
    store_close(taker);
}

enum { STREAM_RUNS = 2 * STORE_SPLIT_MIN + 44, STREAM_STEPS = 5 };

static void count_done(const StoreResult *result, void *arg)
{
    assert_int_equal(result->err, ERR_OK);
    ++*(int *)arg;
}

/* A batch of no run. */
static void submit_event(const char *id, int *done)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_event(batch, &(EventRow){ .tenant = STR("acme"), .event_id = str_of(id), .name = STR("Went") });
    store_submit(batch, count_done, done);
}

/* Much work is two groups at a time on two connections; what is promised is promised across them. */
static void two_groups_at_a_time_keep_every_order(void **state)
{
    int done = 0;
    for (int i = 0; i < STREAM_RUNS; i++) new_run(run_name(i));
    for (int step = 1; step <= STREAM_STEPS; step++)
        for (int i = 0; i < STREAM_RUNS; i++) {
            StoreBatch *batch = journal_batch(run_name(i), 0, (uint64_t)step);
            store_update_run(batch, &(RunRow){ .last_seq = (uint64_t)step, .status = RUN_READY });
            store_submit(batch, count_done, &done);
            if (i == STREAM_RUNS / 2) submit_event(run_name(step), &done);
        }
    StoreBatch *read = batch_of("", 0);                      /* behind all of it, though it was submitted before any was done */
    int index = store_list_runs(read, &(RunFilter){ .status = -1, .limit = STREAM_RUNS });
    must(read);
    uint32_t count;
    const RunRow *rows = store_runs(read, index, &count);
    assert_int_equal(count, STREAM_RUNS);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(rows[i].last_seq, STREAM_STEPS);
    store_batch_free(read);
    store_wait(contract_store);
    assert_int_equal(done, STREAM_RUNS * STREAM_STEPS + STREAM_STEPS);
}

#define GROUP_TEST(test) cmocka_unit_test_setup_teardown(test, contract_setup, contract_teardown)
#define GROUP_TESTS \
    GROUP_TEST(a_group_is_one_commit), \
    GROUP_TEST(one_is_fenced_and_the_others_stand), \
    GROUP_TEST(one_conflicts_and_the_others_stand), \
    GROUP_TEST(the_batches_of_one_run_keep_their_order), \
    GROUP_TEST(parks_and_ends_leave_what_they_should), \
    GROUP_TEST(a_takeover_waits_for_what_the_worker_has_under_way), \
    GROUP_TEST(a_run_taken_between_two_steps_is_fenced_and_no_other), \
    GROUP_TEST(two_groups_at_a_time_keep_every_order)
#endif
