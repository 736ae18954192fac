/* store_contract_claims.h - who gets a worker when many want one: tenants, keys, floods, leases. */
#ifndef TESTS_STORE_CONTRACT_CLAIMS_H
#define TESTS_STORE_CONTRACT_CLAIMS_H
#include "tests/unit/store_contract.h"

typedef struct Claimed { uint32_t count, of_small, taken_over; bool more; } Claimed;

static Claimed claim_up_to(const char *worker, int64_t now, uint32_t max)
{
    Claimed out = { 0 };
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    int index = store_claim(batch, str_of(worker), now, 1000, max, STR(""));
    must(batch);
    const RunRow *rows = store_runs(batch, index, &out.count);
    for (uint32_t i = 0; i < out.count; i++) out.of_small += str_is(rows[i].tenant, "small");
    out.more = store_claim_more(batch, index);
    out.taken_over = store_taken_over(batch, index);
    store_batch_free(batch);
    return out;
}

static void put_runs(const char *tenant, const char *prefix, int count, Str key, Str limit_key, uint32_t limit, int64_t created_us)
{
    StoreBatch *batch = store_batch(contract_store, str_of(tenant), (Str){ 0 }, 0);
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%05d", prefix, i);
        RunRow row = run_row(id);
        row.tenant = str_of(tenant), row.concurrency_key = key, row.limit_key = limit_key, row.limit_count = limit, row.created_us = created_us + i;
        store_put_run(batch, &row);
    }
    must_go(batch);
}

static void a_tenant_with_many_ready_runs_starves_nobody(void **state)
{
    put_runs("big", "b", 3000, STR(""), STR(""), 0, 1);
    put_runs("small", "s", 3, STR(""), STR(""), 0, 1000000);
    Claimed first = claim_up_to("w", 5, 8);
    assert_int_equal(first.count, 8);
    assert_int_equal(first.of_small, 3);
    assert_true(first.more);
    put_runs("small", "t", 2, STR(""), STR(""), 0, 2000000);
    assert_int_equal(claim_up_to("w", 6, 1).of_small + claim_up_to("w", 6, 1).of_small, 1);      /* one place at a time: in turn */
    assert_int_equal(claim_up_to("w", 7, 64).count, 64);
}

static void priority_counts_within_a_tenant_and_not_beyond(void **state)
{
    RunRow urgent = run_row("urgent");
    urgent.tenant = STR("big"), urgent.priority = 100, urgent.created_us = 9000000;
    put_runs("big", "b", 100, STR(""), STR(""), 0, 1);
    put_run(&urgent);
    put_runs("small", "s", 1, STR(""), STR(""), 0, 1000000);
    Claimed first = claim_up_to("w", 5, 2);
    assert_int_equal(first.count, 2);
    assert_int_equal(first.of_small, 1);
    StoreBatch *batch = store_batch(contract_store, STR("big"), (Str){ 0 }, 0);
    int index = store_get_run(batch, STR("urgent"));
    uint32_t count;
    must(batch);
    assert_int_equal(store_runs(batch, index, &count)->status, RUN_RUNNING);
    store_batch_free(batch);
}

static void those_behind_a_key_hide_nobody_and_come_in_order(void **state)
{
    put_runs("acme", "k", 2000, STR("one"), STR(""), 0, 1);
    put_runs("acme", "z", 1, STR(""), STR(""), 0, 5000000);
    uint32_t claimed = 0;
    int rounds = 0;
    for (bool more = true; more; rounds++) {
        Claimed got = claim_up_to("w", 5, 64);
        claimed += got.count;
        more = got.more;
        assert_true(rounds < 100);
    }
    assert_int_equal(claimed, 2);                           /* the first of the key, and the one without */
    assert_int_equal(get_run("k00000").status, RUN_RUNNING);
    assert_int_equal(get_run("z00000").status, RUN_RUNNING);
    assert_false(claim_up_to("w", 6, 64).more);             /* the others are not looked at any more */
    for (int i = 0; i < 20; i++) {
        char id[16], next[16];
        snprintf(id, sizeof id, "k%05d", i);
        snprintf(next, sizeof next, "k%05d", i + 1);
        set_status(id, 1, i % 2 ? RUN_FAILED : RUN_COMPLETED);
        Claimed got = claim_up_to("w", 7, 64);
        assert_int_equal(got.count, 1);
        assert_int_equal(get_run(next).status, RUN_RUNNING);
    }
}

static void who_ended_while_waiting_for_a_key_takes_nobodys_place(void **state)
{
    put_runs("acme", "k", 3, STR("one"), STR(""), 0, 1);
    assert_int_equal(claim_up_to("w", 5, 9).count, 1);
    set_status("k00001", 0, RUN_CANCELLED);
    set_status("k00000", 1, RUN_COMPLETED);
    assert_int_equal(claim_up_to("w", 6, 9).count, 1);
    assert_int_equal(get_run("k00002").status, RUN_RUNNING);
}

static void a_run_with_a_key_and_a_limit_waits_for_both(void **state)
{
    put_runs("acme", "a", 2, STR("one"), STR("two"), 2, 1);
    put_runs("acme", "b", 2, STR(""), STR("two"), 2, 100);
    assert_int_equal(claim_up_to("w", 5, 9).count, 2);      /* a0 has key and place, b0 the other place */
    assert_int_equal(claim_up_to("w", 5, 9).count, 0);
    set_status("b00000", 1, RUN_COMPLETED);
    assert_int_equal(claim_up_to("w", 6, 9).count, 1);      /* a1 still waits for its key: the place is b1's */
    assert_int_equal(get_run("b00001").status, RUN_RUNNING);
    set_status("a00000", 1, RUN_COMPLETED);
    assert_int_equal(claim_up_to("w", 7, 9).count, 1);
    assert_int_equal(get_run("a00001").status, RUN_RUNNING);
}

static void a_flood_of_timers_holds_up_no_ready_run(void **state)
{
    put_runs("big", "p", 500, STR(""), STR(""), 0, 1);
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    for (int i = 0; i < 500; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%05d", i);
        store_set_timer(batch, &(TimerRow){ .tenant = STR("big"), .run_id = str_of(id), .request = 1, .due_us = 10 });
    }
    must_go(batch);
    while (claim_up_to("w", 1, 256).count) continue;
    for (int i = 0; i < 500; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%05d", i);
        batch = store_batch(contract_store, STR("big"), str_of(id), 1);
        store_release(batch, RUN_PARKED);
        store_submit(batch, NULL, NULL);
    }
    while (store_busy(contract_store)) store_wait(contract_store);
    put_runs("small", "s", 1, STR(""), STR(""), 0, 1);
    assert_int_equal(claim_up_to("w", 20, 16).of_small, 1);
    uint32_t fired = 15;
    for (uint32_t got; (got = claim_up_to("w", 21, 256).count);) fired += got;
    assert_int_equal(fired, 500);                           /* each once */
}

static void ended_leases_are_counted_and_what_comes_next_is_known(void **state)
{
    new_run("r1"), new_run("r2"), new_run("r3");
    assert_int_equal(claim_as(contract_store, "", "w1", 0, 2, "", NULL), 2);
    set_timer("r3", 1, 5000);
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    int other = store_next_claim(batch, STR("w2")), own = store_next_claim(batch, STR("w1"));
    must(batch);
    assert_int_equal(store_time(batch, other), 1000);
    assert_true(store_time(batch, own) == INT64_MAX);       /* its own leases do not wake it, nor the timer of a run that is not parked */
    store_batch_free(batch);
    Claimed got = claim_up_to("w2", 2000, 9);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.taken_over, 2);
}

static void a_worker_takes_again_what_it_is_said_to_hold(void **state)
{
    new_run("r1");
    assert_int_equal(claim_as(contract_store, "", "w1", 0, 1, "", NULL), 1);
    assert_int_equal(claim_as(contract_store, "acme", "w1", 1, 1, "r1", NULL), 0);
    StoreBatch *batch = store_batch(contract_store, STR("acme"), (Str){ 0 }, 0);
    int foreign = store_claim_again(batch, STR("w2"), 1, 1000, STR("r1")), index = store_claim_again(batch, STR("w1"), 1, 1000, STR("r1"));
    uint32_t count;
    must(batch);
    store_runs(batch, foreign, &count);
    assert_int_equal(count, 0);
    const RunRow *row = store_runs(batch, index, &count);
    assert_int_equal(count, 1);
    assert_int_equal(row->epoch, 2);
    store_batch_free(batch);
    assert_int_equal(go(journal_batch("r1", 1, 1)), ERR_FENCED);
    set_status("r1", 2, RUN_COMPLETED);
    batch = store_batch(contract_store, STR("acme"), (Str){ 0 }, 0);
    index = store_claim_again(batch, STR("w1"), 1, 1000, STR("r1"));
    must(batch);
    store_runs(batch, index, &count);
    assert_int_equal(count, 0);                             /* it ended: that commit stood */
    store_batch_free(batch);
}

static void a_worker_is_told_which_of_its_runs_have_mail(void **state)
{
    new_run("r1"), new_run("r2");
    assert_int_equal(claim_as(contract_store, "", "w1", 0, 2, "", NULL), 2);
    must_go(mail_batch("r2", "m1", MAIL_SIGNAL));
    StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    const RunFilter ours = { .any_tenant = true, .status = -1, .worker = STR("w1"), .called = true }, theirs = { .any_tenant = true, .status = -1, .worker = STR("w2"), .called = true },
                    all = { .any_tenant = true, .status = -1, .worker = STR("w1") };
    int mine = store_list_runs(batch, &ours), other = store_list_runs(batch, &theirs), held = store_list_runs(batch, &all);
    uint32_t count;
    must(batch);
    assert_str(store_runs(batch, mine, &count)->run_id, "r2");
    assert_int_equal(count, 1);
    store_runs(batch, other, &count);
    assert_int_equal(count, 0);
    store_runs(batch, held, &count);
    assert_int_equal(count, 2);
    store_batch_free(batch);
}

/* ---- what claimed runs need to go on ------------------------------------------------------------------ */

enum { LOADED_RUNS = 70 /* more than one turn reads */, STALE_RUN = 10, LOST_RUN = 11, LOADED_MAILS_MAX = 2 };
typedef struct Loaded { Err err; int journal, mail, snapshot; uint32_t rows, mails; uint64_t first_seq, snapshot_seq; bool told; char text[8]; } Loaded;

static void note_loaded(const StoreResult *result, void *arg)
{
    Loaded *l = arg;
    bool found;
    l->told = true;
    l->err = result->err;
    if (result->err) return;
    const JournalRow *rows = store_journal(result->batch, l->journal, &l->rows);
    l->first_seq = l->rows ? rows[0].seq : 0;
    if (l->rows) assert_true(str_is(rows[0].name, "now") && str_is(rows[0].payload, "p"));
    const MailRow *mail = store_mail(result->batch, l->mail, &l->mails);
    if (l->mails) snprintf(l->text, sizeof l->text, "%.*s", STR_ARG(mail[0].payload));
    if (l->snapshot >= 0 && str_is(store_bytes(result->batch, l->snapshot, &l->snapshot_seq, &found), "state")) assert_true(found);
}

static const char *run_id_of(int i, char id[8])
{
    snprintf(id, 8, "r%02d", i);
    return id;
}

/* Run i has i % 3 journal rows, i % 4 mails if i is even, a snapshot if i % 7 is 0. */
static void make_loaded_run(int i)
{
    char id[8], text[8];
    snprintf(text, sizeof text, "m%d", i);
    for (int seq = 1; seq <= i % 3; seq++) must_go(journal_batch(run_id_of(i, id), 1, (uint64_t)seq));
    StoreBatch *batch = batch_of(run_id_of(i, id), 1);
    if (i % 7 == 0) store_put_snapshot(batch, (uint64_t)i, STR("state"));
    store_renew(batch, 5000);
    must_go(batch);
    for (int k = 0; i % 2 == 0 && k < i % 4; k++) {
        char mail_id[8];
        snprintf(mail_id, sizeof mail_id, "%d", k);
        batch = batch_of(id, 0);
        store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = str_of(id), .mail_id = str_of(mail_id), .kind = MAIL_SIGNAL, .name = STR("go"), .payload = str_of(text) });
        must_go(batch);
    }
}

static void what_many_runs_need_to_go_on_is_read_for_each(void **state)
{
    Loaded loaded[LOADED_RUNS] = { 0 };
    char id[8], text[8];
    for (int i = 0; i < LOADED_RUNS; i++)
        if (i != LOST_RUN) new_run(run_id_of(i, id));
    assert_int_equal(claim(5, LOADED_RUNS), LOADED_RUNS - 1);
    for (int i = 0; i < LOADED_RUNS; i++)
        if (i != LOST_RUN) make_loaded_run(i);
    reopen();
    for (int i = 0; i < LOADED_RUNS; i++) {
        StoreBatch *batch = batch_of(run_id_of(i, id), i == STALE_RUN ? 2 : 1);
        loaded[i].snapshot = i % 2 ? store_get_snapshot(batch) : -1;
        loaded[i].journal = store_get_journal(batch, str_of(id), i % 5 == 0, UINT32_MAX);
        loaded[i].mail = store_get_mail(batch, LOADED_MAILS_MAX);
        store_submit(batch, note_loaded, &loaded[i]);
    }
    store_wait(contract_store);
    for (int i = 0; i < LOADED_RUNS; i++) {
        const Loaded *l = &loaded[i];
        assert_true(l->told);
        assert_int_equal(l->err, i == STALE_RUN || i == LOST_RUN ? ERR_FENCED : ERR_OK);
        if (l->err) continue;
        uint32_t rows = (uint32_t)(i % 3), skipped = i % 5 == 0 && rows;
        snprintf(text, sizeof text, "m%d", i);
        assert_int_equal(l->rows, rows - skipped);
        assert_int_equal(l->first_seq, rows > skipped ? 1 + skipped : 0);
        assert_int_equal(l->mails, i % 2 ? 0 : i % 4);
        assert_string_equal(l->text, l->mails ? text : "");
        assert_int_equal(l->snapshot_seq, i % 2 && i % 7 == 0 ? (uint64_t)i : 0);
    }
}

#define CONTRACT_CLAIM_TESTS CONTRACT_TEST(what_many_runs_need_to_go_on_is_read_for_each), \
    CONTRACT_TEST(a_tenant_with_many_ready_runs_starves_nobody), CONTRACT_TEST(priority_counts_within_a_tenant_and_not_beyond), \
    CONTRACT_TEST(those_behind_a_key_hide_nobody_and_come_in_order), CONTRACT_TEST(a_run_with_a_key_and_a_limit_waits_for_both), \
    CONTRACT_TEST(who_ended_while_waiting_for_a_key_takes_nobodys_place), \
    CONTRACT_TEST(a_flood_of_timers_holds_up_no_ready_run), CONTRACT_TEST(ended_leases_are_counted_and_what_comes_next_is_known), \
    CONTRACT_TEST(a_worker_takes_again_what_it_is_said_to_hold), CONTRACT_TEST(a_worker_is_told_which_of_its_runs_have_mail),
#endif
