/* store_pg_rows.h - runs that begin or end in one group of PostgreSQL's: what sets one of them apart stays its own, whatever goes as one value for all (pg_rows.c),
 * and nothing of a run outlives it. Part of test_store_pg.c. */
#ifndef TESTS_STORE_PG_ROWS_H
#define TESTS_STORE_PG_ROWS_H

enum { ALIKE = 3, ODD = 1 };                                /* runs of a group, and the one of them that differs in something */

static RunRow plain_run(int i)
{
    static char names[ALIKE][16];
    snprintf(names[i], sizeof names[i], "alike-%d", i);
    return (RunRow){ .tenant = STR("acme"), .run_id = str_of(names[i]), .module_hash = STR("odd"), .func_name = STR("book"), .func = 2, .status = RUN_READY, .user = STR("u"), .user_name = STR("U"),
                     .correlation = str_of(names[i]), .input = STR("\x01"), .input_json = STR("{}"), .waits_json = STR("[]"), .created_us = 100, .updated_us = 100, .started_us = 100 };
}

/* Of `RunRow`, one after the other; false behind the last. */
static bool set_apart(RunRow *r, int field)
{
    switch (field) {
    case 0: r->tenant = STR("other"); break;
    case 1: r->module_hash = STR("0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"); break;
    case 2: r->func_name = STR("cook"); break;
    case 3: r->func = 65535; break;
    case 4: r->priority = -3; break;
    case 5: r->durability = 3; break;
    case 6: r->user = (Str){ 0 }; break;
    case 7: r->user_name = STR("Ü'\\"); break;
    case 8: r->scopes = STR("read"); break;
    case 9: r->status = RUN_RUNNING, r->epoch = 4, r->worker = STR("w"), r->lease_until_us = 1000; break;
    case 10: r->status = RUN_PARKED, r->last_seq = 7, r->snapshot_seq = 6; break;
    case 11: r->status = RUN_FAILED, r->ended_us = 90; break;
    case 12: r->result_json = STR("{\"a\": null}"); break;
    case 13: r->waits_json = STR("[1]"); break;
    case 14: r->cancel_requested = true; break;
    case 15: r->correlation = STR("trip"); break;
    case 16: r->causation = STR("cause"); break;
    case 17: r->hops = 5; break;
    case 18: r->concurrency_key = STR("k"); break;
    case 19: r->limit_key = STR("l"), r->limit_count = 4000000000u; break;
    case 20: r->input = (Str){ "\0\xff", 2 }; break;
    case 21: r->input_json = STR("[]"); break;
    case 22: r->created_us = 7; break;
    case 23: r->updated_us = 99; break;
    case 24: r->started_us = 0; break;
    default: return false;
    }
    return true;
}

static void assert_same_run(const RunRow *a, const RunRow *b, int field)
{
    bool texts = str_eq(a->tenant, b->tenant) && str_eq(a->run_id, b->run_id) && str_eq(a->module_hash, b->module_hash) && str_eq(a->func_name, b->func_name) && str_eq(a->user, b->user) &&
        str_eq(a->user_name, b->user_name) && str_eq(a->scopes, b->scopes) && str_eq(a->result_json, b->result_json) && str_eq(a->waits_json, b->waits_json) && str_eq(a->worker, b->worker) &&
        str_eq(a->correlation, b->correlation) && str_eq(a->causation, b->causation) && str_eq(a->concurrency_key, b->concurrency_key) && str_eq(a->limit_key, b->limit_key) &&
        str_eq(a->input, b->input) && str_eq(a->input_json, b->input_json);
    bool numbers = a->func == b->func && a->priority == b->priority && a->durability == b->durability && a->status == b->status && a->epoch == b->epoch && a->last_seq == b->last_seq &&
        a->snapshot_seq == b->snapshot_seq && a->ended_us == b->ended_us && a->cancel_requested == b->cancel_requested && a->hops == b->hops && a->limit_count == b->limit_count;
    bool times = a->created_us == b->created_us && a->updated_us == b->updated_us && a->started_us == b->started_us && a->lease_until_us == b->lease_until_us;
    if (!texts || !numbers || !times) fail_msg("run %.*s differs from what was put, with field %d apart", STR_ARG(b->run_id), field);
}

static void assert_run_is(const RunRow *wanted, int field)
{
    uint32_t count;
    StoreBatch *batch = store_batch(contract_store, wanted->tenant, (Str){ 0 }, 0);
    int index = store_get_run(batch, wanted->run_id);
    must(batch);
    assert_same_run(store_runs(batch, index, &count), wanted, field);
    store_batch_free(batch);
}

static void submit_runs(const RunRow *rows, Outcome *outcome, Slot *slots)
{
    for (int i = 0; i < ALIKE; i++) {
        StoreBatch *batch = store_batch(contract_store, rows[i].tenant, rows[i].run_id, 0);
        store_put_run(batch, &rows[i]);
        slots[i] = (Slot){ outcome, i };
        store_submit(batch, note, &slots[i]);
    }
    finish_all_of(outcome, ALIKE);
    for (int i = 0; i < ALIKE; i++) assert_int_equal(outcome->err[i], ERR_OK);
}

static void runs_of_a_group_begin_with_what_sets_them_apart(void **state)
{
    RunRow odd = { 0 };
    for (int field = -1; field < 0 || set_apart(&odd, field); field++) {
        Outcome outcome = { 0 };
        Slot slots[ALIKE];
        RunRow rows[ALIKE];
        uint64_t before = store_commits(contract_store);
        for (int i = 0; i < ALIKE; i++) rows[i] = plain_run(i);
        set_apart(&rows[ODD], field);
        submit_runs(rows, &outcome, slots);
        assert_int_equal(store_commits(contract_store) - before, 1);
        for (int i = 0; i < ALIKE; i++) assert_run_is(&rows[i], field);
        raw_do("DELETE FROM %s.flow_runs");
    }
}

static bool set_end_apart(RunRow *r, int field)
{
    switch (field) {
    case 0: r->status = RUN_FAILED; break;
    case 1: r->status = RUN_PARKED, r->ended_us = 0; break;
    case 2: r->status = RUN_RUNNING, r->ended_us = 0, r->worker = STR("w"), r->lease_until_us = 3000; break;
    case 3: r->ended_us = 301; break;
    case 4: r->waits_json = STR("[2]"); break;
    case 5: r->snapshot_seq = 2; break;
    case 6: r->result_json = STR("8"); break;
    case 7: r->last_seq = 4; break;
    case 8: r->updated_us = 250; break;
    case 9: r->started_us = 250; break;
    default: return false;
    }
    return true;
}

static void runs_of_a_group_end_with_what_sets_them_apart(void **state)
{
    RunRow odd = { 0 };
    for (int field = -1; field < 0 || set_end_apart(&odd, field); field++) {
        Outcome begun = { 0 }, outcome = { 0 };
        Slot slots[ALIKE];
        RunRow rows[ALIKE];
        for (int i = 0; i < ALIKE; i++) rows[i] = plain_run(i), rows[i].status = RUN_RUNNING, rows[i].epoch = 1 + (i == ODD), rows[i].worker = STR("w"), rows[i].lease_until_us = 2000;
        submit_runs(rows, &begun, slots);
        for (int i = 0; i < ALIKE; i++) {
            rows[i].status = RUN_COMPLETED, rows[i].result_json = STR("7"), rows[i].last_seq = 3, rows[i].updated_us = rows[i].ended_us = 300, rows[i].worker = (Str){ 0 }, rows[i].lease_until_us = 0;
            if (i == ODD) set_end_apart(&rows[i], field);
            StoreBatch *batch = store_batch(contract_store, rows[i].tenant, rows[i].run_id, rows[i].epoch);
            store_update_run(batch, &rows[i]);
            slots[i] = (Slot){ &outcome, i };
            store_submit(batch, note, &slots[i]);
        }
        finish_all_of(&outcome, ALIKE);
        for (int i = 0; i < ALIKE; i++) {
            assert_int_equal(outcome.err[i], ERR_OK);
            assert_run_is(&rows[i], field);
        }
        raw_do("DELETE FROM %s.flow_runs");
    }
}

static RunRow held_run(void)
{
    RunRow row = plain_run(0);
    row.status = RUN_RUNNING, row.epoch = 1, row.worker = STR("w"), row.lease_until_us = 2000;
    return row;
}

/* What a run leaves behind goes with its end, whoever made it, and however often it is known to have nothing. */
static void a_run_that_began_here_leaves_no_timer_wait_or_mail(void **state)
{
    enum { PLAIN, TIMER, TIMER_AT_ONCE, WAIT, MAIL, CASES };
    for (int which = 0; which < CASES; which++) {
        RunRow row = held_run();
        const TimerRow timer = { .tenant = row.tenant, .run_id = row.run_id, .request = 4, .due_us = 5000 };
        StoreBatch *batch = batch_of("alike-0", 0);
        store_put_run(batch, &row);
        if (which == TIMER_AT_ONCE) store_set_timer(batch, &timer);
        must_go(batch);
        must_go(journal_batch("alike-0", 1, 1));
        batch = batch_of("alike-0", which == MAIL ? 0 : 1);
        if (which == TIMER) store_set_timer(batch, &timer);
        if (which == WAIT) store_put_wait(batch, &(WaitRow){ .tenant = row.tenant, .run_id = row.run_id, .event = STR("Went"), .request = 5 });
        if (which == MAIL) store_batch_free(batch), must_go(mail_batch("alike-0", "m", MAIL_SIGNAL));
        else must_go(batch);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_timers"), which == TIMER || which == TIMER_AT_ONCE);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_waits"), which == WAIT);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_mail WHERE taken = 0"), which == MAIL);
        must_go(journal_batch("alike-0", 1, 2));
        row.status = RUN_COMPLETED, row.last_seq = 2, row.ended_us = 300;
        batch = batch_of("alike-0", 1);
        store_update_run(batch, &row);
        must_go(batch);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_timers"), 0);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_waits"), 0);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_mail WHERE taken = 0 OR fresh = 1"), 0);
        raw_do("DELETE FROM %s.flow_journal");
        raw_do("DELETE FROM %s.flow_mail");
        raw_do("DELETE FROM %s.flow_runs");
    }
}

/* ---- one batch by itself, with one journal row: one statement ---- */

static void append_row(StoreBatch *batch, uint64_t seq)
{
    store_append_journal(batch, &(JournalRow){ .seq = seq, .name = STR("step"), .started_us = 200, .ended_us = 250 });
}

static void a_run_begins_with_its_first_row(void **state)
{
    RunRow odd = { 0 };
    for (int field = -1; field < 0 || set_apart(&odd, field); field++) {
        RunRow row = plain_run(0);
        set_apart(&row, field);
        StoreBatch *batch = store_batch(contract_store, row.tenant, row.run_id, 0);
        store_put_run(batch, &row);
        append_row(batch, 1);
        must_go(batch);
        assert_run_is(&row, field);
        assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_journal WHERE seq = 1 AND last_seq IS NULL AND ended_us = 250"), 1);
        raw_do("DELETE FROM %s.flow_journal");
        raw_do("DELETE FROM %s.flow_runs");
    }
}

static void begin_held_run(void)
{
    const RunRow row = held_run();
    StoreBatch *batch = batch_of("alike-0", 0);
    store_put_run(batch, &row);
    append_row(batch, 1);
    must_go(batch);
}

static StoreBatch *end_with_row(const RunRow *row)
{
    StoreBatch *batch = store_batch(contract_store, row->tenant, row->run_id, row->epoch);
    append_row(batch, 2);
    store_update_run(batch, row);
    return batch;
}

static void a_run_ends_with_its_last_row(void **state)
{
    RunRow odd = { 0 };
    for (int field = -1; field < 0 || set_end_apart(&odd, field); field++) {
        RunRow row = held_run();
        begin_held_run();
        row.status = RUN_COMPLETED, row.result_json = STR("7"), row.last_seq = 2, row.updated_us = row.ended_us = 300, row.worker = (Str){ 0 }, row.lease_until_us = 0;
        set_end_apart(&row, field);
        must_go(end_with_row(&row));
        assert_run_is(&row, field);
        assert_int_equal(journal_count(contract_store, "acme", "alike-0"), 2);
        raw_do("DELETE FROM %s.flow_journal");
        raw_do("DELETE FROM %s.flow_runs");
    }
}

/* Neither its row nor its mail: all of that is somebody else's now. */
static void the_end_of_a_run_that_was_taken_changes_nothing(void **state)
{
    RunRow row = held_run();
    begin_held_run();
    must_go(mail_batch("alike-0", "m", MAIL_SIGNAL));
    raw_do("UPDATE %s.flow_runs SET epoch = 2, worker = 'other'");
    row.status = RUN_COMPLETED, row.last_seq = 2, row.ended_us = 300;
    assert_int_equal(go(end_with_row(&row)), ERR_FENCED);
    assert_int_equal(journal_count(contract_store, "acme", "alike-0"), 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_mail WHERE taken = 0"), 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_runs WHERE status = 1 AND epoch = 2"), 1);
}

/* A commit whose answer was lost: the run is there, and a second one under its name is refused with the words of any other. */
static void a_run_does_not_begin_twice(void **state)
{
    const RunRow row = held_run();
    begin_held_run();
    StoreBatch *batch = batch_of("alike-0", 0);
    store_put_run(batch, &row);
    append_row(batch, 2);
    assert_int_equal(go(batch), ERR_CONFLICT);
    assert_int_equal(journal_count(contract_store, "acme", "alike-0"), 1);
}

#define ROWS_TESTS \
    RAW_TEST(a_run_begins_with_its_first_row), \
    RAW_TEST(a_run_ends_with_its_last_row), \
    RAW_TEST(the_end_of_a_run_that_was_taken_changes_nothing), \
    RAW_TEST(a_run_does_not_begin_twice), \
    RAW_TEST(runs_of_a_group_begin_with_what_sets_them_apart), \
    RAW_TEST(runs_of_a_group_end_with_what_sets_them_apart), \
    RAW_TEST(a_run_that_began_here_leaves_no_timer_wait_or_mail)
#endif
