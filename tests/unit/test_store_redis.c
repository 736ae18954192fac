/* test_store_redis.c - what the contract says of runs and batches, met by the session store, and what is its own: time to live, a server that is gone, what it does not keep. */
#pragma GCC diagnostic ignored "-Wunused-function"             /* of the contract only what is said of runs and batches is run */
#define CONTRACT_CONCURRENT 1
#include "tests/unit/store_contract.h"
#include "interpreter/store/hot.h"
#include "tests/unit/redis_server.h"

static const char *fresh_url(void)
{
    if (!strstr(redis_say("FLUSHALL"), "+OK")) abort();
    return redis_url;
}

static void runs_stand_where_they_are_promised(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    assert_non_null(strstr(redis_say("HGET {acme}:session:r1:state func_name"), "book"));
    static const char *const KEYS[] = { "PTTL {acme}:session:r1:state", "PTTL {acme}:session:r1:journal", "PTTL {acme}:session:r1:mail" };
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        long long left = atoll(redis_say(KEYS[i]) + 1);
        assert_true(left > 86300000 && left <= 86400000);
    }
    assert_string_equal(store_kind(contract_store), "redis");
}

static void every_write_prolongs_a_run(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_non_null(strstr(redis_say("HSET {acme}:session:r1:state renewed 5"), ":0"));     /* as if more than a minute had passed */
    assert_non_null(strstr(redis_say("PEXPIRE {acme}:session:r1:state 5000"), ":1"));
    assert_non_null(strstr(redis_say("PEXPIRE {acme}:session:r1:journal 5000"), ":1"));
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
    assert_true(atoll(redis_say("PTTL {acme}:session:r1:state") + 1) <= 5000);           /* reading does not */
    must_go(journal_batch("r1", 0, 2));
    assert_true(atoll(redis_say("PTTL {acme}:session:r1:state") + 1) > 86300000);
    assert_true(atoll(redis_say("PTTL {acme}:session:r1:journal") + 1) > 86300000);
}

static void an_expired_run_is_not_there(void **state)
{
    RunRow row = run_row("r2");
    row.concurrency_key = STR("k");
    put_run(&row);
    new_run("r1");
    assert_int_equal(claim_as(contract_store, "acme", "w", 0, 1, "r2", NULL), 1);
    set_timer("r1", 1, 5);
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    redis_say("UNLINK {acme}:session:r1:state {acme}:session:r1:journal {acme}:session:r1:mail {acme}:session:r2:state");
    StoreBatch *batch = batch_of("", 0);
    store_get_run(batch, STR("r1"));
    fails_with(batch, ERR_NOT_FOUND, "no run `r1`");
    fails_with(mail_batch("r1", "n", MAIL_ANSWER), ERR_NOT_FOUND, "no run `r1`");
    fails_with(journal_batch("r2", 1, 1), ERR_FENCED, "not there");                      /* whoever holds it gives it up */
    assert_int_equal(claim(INT64_C(1) << 50, 9), 0);
    assert_true(next_due() == INT64_MAX);
    RunRow third = run_row("r3");
    third.concurrency_key = STR("k");
    put_run(&third);
    assert_int_equal(claim(0, 9), 1);                                                    /* its key is free */
    assert_non_null(strstr(redis_say("ZCARD flow:session:ready:{acme}"), ":0"));                /* and what found it is cleaned */
    assert_non_null(strstr(redis_say("ZCARD flow:session:due"), ":0"));
}

/* Nobody says that a holder's time ended, so those who wait for its key look again now and then. */
static void a_key_whose_holder_expired_is_free_again(void **state)
{
    RunRow holder = run_row("r1"), waiting = run_row("r2");
    holder.concurrency_key = waiting.concurrency_key = STR("k");
    put_run(&holder);
    assert_int_equal(claim(0, 9), 1);
    put_run(&waiting);
    assert_int_equal(claim(0, 9), 0);
    assert_non_null(strstr(redis_say("ZCARD flow:session:key:{acme}:k:blocked"), ":1"));
    redis_say("UNLINK {acme}:session:r1:state {acme}:session:r1:journal");
    assert_int_equal(claim(0, 9), 0);
    assert_non_null(strstr(redis_say("ZADD flow:session:held 5 flow:session:key:{acme}:k"), ":0"));      /* as if a minute had passed */
    assert_int_equal(claim(0, 9), 1);
    assert_int_equal(get_run("r2").status, RUN_RUNNING);
}

static void a_flushed_server_has_no_runs_and_goes_on(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    redis_say("FLUSHALL");
    redis_say("SCRIPT FLUSH");
    fails_with(journal_batch("r1", 1, 1), ERR_FENCED, "not there");
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(claim(0, 9), 1);
}

static void of_a_run_whose_time_ended_nothing_is_left_to_the_next_of_its_id(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    redis_say("UNLINK {acme}:session:r1:state");
    new_run("r1");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
}

static void a_server_that_is_killed_ends_batches_and_is_found_again(void **state)
{
    new_run("r1");
    kill(redis_pid, SIGSTOP);                               /* so that it dies with the batch under way */
    Seen seen = { 0 };
    store_submit(journal_batch("r1", 0, 1), see, &seen);
    store_flush(contract_store);
    redis_kill();
    store_wait(contract_store);
    assert_int_equal(seen.last, ERR_IO);
    assert_false(store_is_up(contract_store));
    fails_with(journal_batch("r1", 0, 1), ERR_IO, "could not reach Redis");
    redis_start("--databases", "16");
    Err err = ERR_IO;
    for (time_t until = time(NULL) + 30; err == ERR_IO && time(NULL) < until;) {
        RunRow row = run_row("r1");
        StoreBatch *batch = store_batch(contract_store, row.tenant, row.run_id, 0);
        store_put_run(batch, &row);
        err = go(batch);
    }
    assert_int_equal(err, ERR_OK);
    must_go(journal_batch("r1", 0, 1));
    assert_true(store_is_up(contract_store));
    redis_kill();
    redis_start("--databases", "16");                       /* lost while nothing was under way: nobody notices */
    new_run("r1");
}

static void a_full_server_refuses_a_batch_alone(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_non_null(strstr(redis_say("CONFIG SET maxmemory 1"), "+OK"));
    fails_with(journal_batch("r1", 0, 2), ERR_IO, "OOM");
    RunRow row = run_row("r2");
    StoreBatch *batch = store_batch(contract_store, row.tenant, row.run_id, 0);
    store_put_run(batch, &row);
    fails_with(batch, ERR_IO, "OOM");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
    assert_non_null(strstr(redis_say("CONFIG SET maxmemory 0"), "+OK"));
    must_go(journal_batch("r1", 0, 2));
    assert_int_equal(claim(0, 9), 1);
}

static void a_server_that_is_no_primary_is_left(void **state)
{
    new_run("r1");
    assert_non_null(strstr(redis_say("REPLICAOF 127.0.0.1 1"), "+OK"));
    fails_with(journal_batch("r1", 0, 1), ERR_IO, "READONLY");
    assert_false(store_is_up(contract_store));
    assert_non_null(strstr(redis_say("REPLICAOF NO ONE"), "+OK"));
    Err err = ERR_IO;
    for (time_t until = time(NULL) + 30; err == ERR_IO && time(NULL) < until;) err = go(journal_batch("r1", 0, 1));
    assert_int_equal(err, ERR_OK);
}

static void without_a_server_it_opens_and_answers_at_once(void **state)
{
    redis_kill();
    Store *store = open_again();
    uint32_t id;
    uint8_t key[32];
    store_snapshot_key(store, &id, key);
    assert_int_equal(id, 0);
    StoreBatch *batch = store_batch(store, STR("acme"), (Str){ 0 }, 0);
    store_get_run(batch, STR("r1"));
    fails_with(batch, ERR_IO, "could not reach Redis");
    store_close(store);
    redis_start("--databases", "16");
}

static void one_tenants_runs_are_not_anothers(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    StoreBatch *batch = batch_of("r1", 0);
    store_put_snapshot(batch, 1, STR("state"));
    must_go(batch);
    static const char *const OTHERS[] = { "evil", "acme}", "{acme", "acme:session:r1", "acme%7D", "*", "" };
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        batch = store_batch(contract_store, str_of(OTHERS[i]), STR("r1"), 0);
        int journal = store_get_journal(batch, STR("r1"), 0, 0), mail = store_get_mail(batch, 0), snapshot = store_get_snapshot(batch), list = store_list_runs(batch, &(RunFilter){ .status = -1 });
        uint32_t count;
        bool found;
        must(batch);
        assert_true((store_journal(batch, journal, &count), count == 0) && (store_mail(batch, mail, &count), count == 0));
        assert_true((store_bytes(batch, snapshot, NULL, &found), !found) && (store_runs(batch, list, &count), count == 0));
        store_batch_free(batch);
        batch = store_batch(contract_store, str_of(OTHERS[i]), (Str){ 0 }, 0), store_get_run(batch, STR("r1")), fails_with(batch, ERR_NOT_FOUND, "no run");
        if (!*OTHERS[i]) continue;
        batch = store_batch(contract_store, str_of(OTHERS[i]), (Str){ 0 }, 0), store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = STR("r1"), .mail_id = STR("x") });
        fails_with(batch, ERR_INVALID, "tenant");
        assert_int_equal(claim_as(contract_store, OTHERS[i], "w", 5, 9, "", NULL), 0);
        assert_int_equal(claim_as(contract_store, OTHERS[i], "w", 5, 9, "r1", NULL), 0);
    }
    assert_int_equal(claim_as(contract_store, "acme", "w", 5, 9, "", NULL), 1);
}

static void a_stale_epoch_changes_nothing_of_a_run(void **state)
{
    char ids[100];
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    uint64_t commits = store_commits(contract_store);
    StoreBatch *batch = journal_batch("r1", 7, 1);
    store_put_snapshot(batch, 1, STR("state"));
    store_put_mail(batch, &(MailRow){ .mail_id = STR("m"), .kind = MAIL_SIGNAL });
    store_set_timer(batch, &(TimerRow){ .request = 1, .due_us = 1 });
    store_update_run(batch, &(RunRow){ .status = RUN_COMPLETED });
    assert_int_equal(go(batch), ERR_FENCED);
    assert_int_equal(store_commits(contract_store), commits);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(waiting_mail("r1", ids), 0);
    assert_int_equal(get_run("r1").status, RUN_RUNNING);
    assert_true(next_due() == INT64_MAX);
}

/* The last operation does not fit: nothing of those before it may be there. */
static void a_batch_that_fails_at_its_end_left_nothing(void **state)
{
    char ids[100];
    new_run("r1");
    StoreBatch *batch = journal_batch("r1", 0, 1);
    RunRow other = run_row("r2");
    store_put_run(batch, &other);
    store_put_snapshot(batch, 1, STR("state"));
    store_put_mail(batch, &(MailRow){ .mail_id = STR("m"), .kind = MAIL_SIGNAL });
    store_set_timer(batch, &(TimerRow){ .request = 1, .due_us = 1 });
    store_update_run(batch, &(RunRow){ .status = RUN_PARKED });
    store_claim(batch, STR("w"), 50, 10, 9, (Str){ 0 });
    store_take_mail(batch, STR("nobody"));
    fails_with(batch, ERR_NOT_FOUND, "no mail `nobody`");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(waiting_mail("r1", ids), 0);
    assert_true(next_due() == INT64_MAX);
    assert_int_equal(get_run("r1").status, RUN_READY);
    assert_int_equal(get_run("r1").epoch, 0);
    batch = batch_of("", 0), store_get_run(batch, STR("r2")), fails_with(batch, ERR_NOT_FOUND, "no run");
    assert_int_equal(claim(0, 9), 1);
}

static void a_run_that_ended_holds_nothing(void **state)
{
    char ids[100];
    new_run("r1");
    must_go(mail_batch("r1", "a", MAIL_SIGNAL));
    set_timer("r1", 1, 5);
    set_status("r1", 0, RUN_COMPLETED);
    assert_int_equal(waiting_mail("r1", ids), 0);
    assert_true(next_due() == INT64_MAX);
    fails_with(mail_batch("r1", "b", MAIL_ANSWER), ERR_CONFLICT, "has ended");
    must_go(mail_batch("r1", "c", MAIL_EVENT));
    assert_int_equal(waiting_mail("r1", ids), 0);
    StoreBatch *batch = batch_of("gone", 0);
    store_set_timer(batch, &(TimerRow){ .request = 1, .due_us = 1 }), fails_with(batch, ERR_NOT_FOUND, "run");
    batch = batch_of("gone", 0), store_put_snapshot(batch, 1, STR("s")), fails_with(batch, ERR_NOT_FOUND, "run");
    fails_with(journal_batch("gone", 0, 1), ERR_NOT_FOUND, "run");
}

static void what_is_no_part_of_a_run_is_refused(void **state)
{
    FsckReport report;
    Buf out = { 0 };
    Error error;
    StoreBatch *batch = batch_of("r1", 0);
    new_run("r1");
    store_append_journal(batch, &(JournalRow){ .seq = 1 });
    store_put_event(batch, &(EventRow){ .event_id = STR("e"), .name = STR("Booked") });
    fails_with(batch, ERR_UNSUPPORTED, "keeps runs alone");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    batch = batch_of("r1", 0), store_put_module(batch, STR("aa"), STR("x")), fails_with(batch, ERR_UNSUPPORTED, "keeps runs alone");
    batch = batch_of("r1", 0), store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = 1 }), fails_with(batch, ERR_UNSUPPORTED, "keeps runs alone");
    batch = batch_of("r1", 0), store_clear_wait(batch, 1), must_go(batch);
    assert_int_equal(store_fsck(contract_store, &report, &out, &error), ERR_UNSUPPORTED);
    TxnSeen seen = { 0 };
    store_txn_begin(contract_store, STR("acme"), STR("r1"), 0, txn_ready, &seen);
    store_wait(contract_store);
    assert_true(seen.count == 1 && seen.err == ERR_UNSUPPORTED && !seen.txn);
}

static void see_hot(const HotResult *result, void *arg)
{
    Seen *seen = arg;
    seen->order[seen->count++] = result->err == ERR_INVALID ? 'i' : result->err ? '?' : 'k';
}

static void count_wake(void *arg) { ++*(int *)arg; }

/* Turns the loop until the condition holds; a deadline ends the test. */
static void out_of_time(evutil_socket_t fd, short what, void *arg) { abort(); }
static void until_woken(struct event_base *loop, const int *wakes, int expected)
{
    struct event *tick = event_new(loop, -1, EV_PERSIST, out_of_time, NULL);
    event_add(tick, &(struct timeval){ 30, 0 });
    while (*wakes < expected) event_base_loop(loop, EVLOOP_ONCE);
    event_free(tick);
}

static void another_workers_work_wakes_and_ones_own_does_not(void **state)
{
    struct event_base *loop = event_base_new();
    int wakes = 0;
    Store *listener = NULL;
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .loop = loop }, &listener, NULL), ERR_OK);
    store_on_wake(listener, count_wake, &wakes);
    until_woken(loop, &wakes, 1);                           /* once it listens, for what was before */
    RunRow row = run_row("mine");
    StoreBatch *batch = store_batch(listener, row.tenant, row.run_id, 0);
    store_put_run(batch, &row);
    assert_int_equal(go(batch), ERR_OK);
    new_run("r1");
    until_woken(loop, &wakes, 2);
    event_base_loop(loop, EVLOOP_NONBLOCK);
    assert_int_equal(wakes, 2);
    assert_int_equal(claim(0, 9), 2);                       /* a claim is no work for others */
    set_status("r1", 1, RUN_PARKED);
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    until_woken(loop, &wakes, 3);
    redis_kill();
    redis_start("--databases", "16");
    until_woken(loop, &wakes, 4);                           /* listens again, and looks */
    store_close(listener);
    event_base_free(loop);
}

/* A session called `state` with the id of a run has the run's key. */
static void hot_state_keeps_its_hands_off_a_run(void **state)
{
    struct event_base *loop = event_base_new();
    Hot *hot = NULL;
    Seen seen = { 0 };
    assert_int_equal(hot_open(contract_url, NULL, loop, &hot, NULL), ERR_OK);
    new_run("r1");
    hot_read(hot, STR("acme"), STR("session:r1:state"), 5, see_hot, &seen);
    hot_put(hot, STR("acme"), STR("session:r1:state"), &(HotField){ STR("status"), STR("3") }, 1, 5, 5, see_hot, &seen);
    hot_add(hot, STR("acme"), STR("session:r1:state"), 1, 5, 5, see_hot, &seen);
    hot_erase(hot, STR("acme"), STR("session:r1:state"), see_hot, &seen);
    while (hot_busy(hot)) hot_wait(hot);
    assert_string_equal(seen.order, "iiii");
    assert_int_equal(get_run("r1").status, RUN_READY);
    hot_put(hot, STR("acme"), STR("session:r2:state"), &(HotField){ STR("month"), STR("may") }, 1, 5, 5, see_hot, &seen);
    while (hot_busy(hot)) hot_wait(hot);
    new_run("r2");
    assert_non_null(strstr(redis_say("HEXISTS {acme}:session:r2:state month"), ":0"));
    hot_close(hot);
    event_base_free(loop);
}

static void a_store_that_was_dropped_left_nothing_of_its_own(void **state)
{
    RunRow row = run_row("r1");
    row.concurrency_key = STR("k"), row.limit_key = STR("l"), row.limit_count = 3;
    put_run(&row);
    set_timer("r1", 1, 5);
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    assert_int_equal(claim(0, 1), 1);
    assert_non_null(strstr(redis_say("SET foreign 1"), "+OK"));
    assert_int_equal(store_drop(contract_url, NULL), ERR_OK);
    assert_non_null(strstr(redis_say("DBSIZE"), ":1"));
    assert_non_null(strstr(redis_say("GET foreign"), "1"));
}

static void many_runs_are_claimed_in_pages(void **state)
{
    for (int i = 0; i < 300; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        RunRow row = run_row(id);
        row.tenant = i % 2 ? STR("acme") : STR("other");
        row.created_us = i;
        StoreBatch *batch = store_batch(contract_store, row.tenant, row.run_id, 0);
        store_put_run(batch, &row);
        store_submit(batch, NULL, NULL);
    }
    store_wait(contract_store);
    assert_int_equal(claim_as(contract_store, "acme", "w", 0, 1000, "", NULL), 150);
    assert_int_equal(claim(0, 100), 100);
    assert_int_equal(claim(0, 100), 50);
    assert_int_equal(claim(2000, 1000), 300);               /* every lease ran out */
}

/* ---- the same as in SQLite ---- */

enum { MODEL_RUNS = 8, MODEL_STEPS = 1500 };
static uint64_t model_seed;
static uint32_t pick(uint32_t below)
{
    model_seed ^= model_seed << 13, model_seed ^= model_seed >> 7, model_seed ^= model_seed << 17;
    return (uint32_t)(model_seed >> 33) % below;
}

/* What is drawn for a step, so that both stores are asked the same. */
typedef struct Step { char id[16], other[16]; uint32_t kind, epoch, what[4]; int64_t now; bool begun; } Step;
typedef struct Outcome { Err err; Buf said; } Outcome;

static void put_step(StoreBatch *batch, const Step *step, uint32_t kind, const char *id, uint64_t seq)
{
    char mail[8];
    snprintf(mail, sizeof mail, "m%u", step->what[1] % 5);
    RunRow row = run_row(id);
    switch (kind) {
    case 0:
        row.priority = (int)step->what[0] % 3, row.created_us = step->now;
        row.concurrency_key = step->what[1] % 3 ? STR("") : STR("key");
        row.limit_key = step->what[2] % 3 ? STR("") : STR("limit"), row.limit_count = 2;
        if (step->what[3] % 4) store_put_run_or_ignore(batch, &row);
        else store_put_run(batch, &row);
        break;
    case 1: store_append_journal(batch, &(JournalRow){ .seq = seq, .name = STR("n") }); break;
    case 2: store_put_mail(batch, &(MailRow){ .run_id = str_of(id), .mail_id = str_of(mail), .kind = (MailKind)(step->what[0] % 4), .created_us = step->now }); break;
    case 3: store_take_mail(batch, str_of(mail)); break;
    case 4: store_drop_mail(batch, str_of(mail)); break;
    case 5: store_set_timer(batch, &(TimerRow){ .request = step->what[0] % 3, .due_us = step->now + step->what[1] % 50 }); break;
    case 6: store_clear_timer(batch, step->what[0] % 3); break;
    case 7: store_update_run(batch, &(RunRow){ .status = step->begun && step->what[0] % 5 ? RUN_PARKED : RUN_COMPLETED, .last_seq = seq, .updated_us = step->now }); break;
    case 8: store_release(batch, RUN_READY); break;
    case 9: store_renew(batch, step->now + 100); break;
    default: store_put_snapshot(batch, seq, STR("bytes")); break;
    }
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* In no order: which class and which tenant come first is each store's own. */
static void say_runs(Buf *said, const char *what, const RunRow *rows, uint32_t count)
{
    char *lines[4 * MODEL_RUNS];
    assert_true(count <= sizeof lines / sizeof *lines);
    for (uint32_t i = 0; i < count; i++)
        if (asprintf(&lines[i], "%.*s %s epoch %llu lease %lld cancel %d; ", STR_ARG(rows[i].run_id), run_status_name(rows[i].status), (unsigned long long)rows[i].epoch,
                     (long long)rows[i].lease_until_us, rows[i].cancel_requested) < 0) abort();
    qsort(lines, count, sizeof *lines, by_text);
    buf_printf(said, "%s: ", what);
    for (uint32_t i = 0; i < count; i++) buf_put_text(said, lines[i]), free(lines[i]);
}

static void take_step(Store *store, const Step *step, uint64_t epoch, Outcome *out)
{
    const char *id = step->id;
    uint32_t count;
    Error error = { 0 };
    StoreBatch *batch = store_batch(store, STR("acme"), str_of(id), epoch);
    int claimed = -1, mail, list, due;
    if (step->kind == 11) claimed = store_claim(batch, STR("w"), step->now, 30, 100, (Str){ 0 });
    else if (step->kind == 12) claimed = store_claim(batch, STR("w"), step->now, 30, 1, str_of(step->other));
    else {
        put_step(batch, step, step->kind, id, step->what[2] % 40 + 1);
        if (step->what[3] >= 600) put_step(batch, step, step->what[3] % 11, id, step->what[1] % 40 + 1);
    }
    mail = store_get_mail(batch, 0);
    out->err = store_run_batch(batch, &error);
    if (claimed >= 0 && !out->err) {
        const RunRow *rows = store_runs(batch, claimed, &count);
        say_runs(&out->said, "claimed", rows, count);
    }
    const MailRow *waiting = out->err ? NULL : store_mail(batch, mail, &count);
    for (uint32_t i = 0; waiting && i < count; i++) buf_printf(&out->said, "mail %.*s ", STR_ARG(waiting[i].mail_id));
    store_batch_free(batch);
    batch = store_batch(store, STR("acme"), (Str){ 0 }, 0);
    list = store_list_runs(batch, &(RunFilter){ .status = -1, .unended = true }), due = store_next_due(batch);
    int next = store_next_claim(batch, STR("w")), journal = store_get_journal(batch, str_of(id), 0, 0);
    must(batch);
    const RunRow *rows = store_runs(batch, list, &count);
    say_runs(&out->said, "all", rows, count);
    store_journal(batch, journal, &count);
    buf_printf(&out->said, "journal %u due %lld next %lld", count, (long long)store_time(batch, due), (long long)store_time(batch, next));
    store_batch_free(batch);
}

/* FLOW_TEST_SEED makes another walk. Whatever engines ask, in any order: the same answers, errors and states. A run is written to while it has not ended, as engines do. */
static void whatever_is_asked_it_answers_as_sqlite_does(void **state)
{
    const char *seed = getenv("FLOW_TEST_SEED");
    uint64_t begun = seed ? strtoull(seed, NULL, 10) : 20261122;
    Store *model = NULL;
    model_seed = begun;
    assert_int_equal(store_open("sqlite::memory:", NULL, &model, NULL), ERR_OK);
    uint32_t generation[MODEL_RUNS] = { 0 }, outcomes[ERR_UNSUPPORTED + 1] = { 0 };
    for (int i = 0; i < MODEL_STEPS; i++) {
        uint32_t count, run = pick(MODEL_RUNS), other = pick(MODEL_RUNS);
        Step step = { .kind = pick(13), .epoch = pick(6), .what = { pick(1000), pick(1000), pick(1000), pick(1000) }, .now = 10 * i };
        snprintf(step.id, sizeof step.id, "r%ug%u", run, generation[run]);
        snprintf(step.other, sizeof step.other, "r%ug%u", other, generation[other]);
        const char *id = step.id;
        StoreBatch *batch = store_batch(model, STR("acme"), (Str){ 0 }, 0);
        int index = store_get_run(batch, str_of(id));
        Err there = store_run_batch(batch, NULL);
        RunRow row = there ? (RunRow){ 0 } : *store_runs(batch, index, &count);
        store_batch_free(batch);
        step.begun = row.epoch > 0;                         /* none parks before its first claim */
        if (there || run_status_ended(row.status)) {
            step.kind = there ? 0 : 2;                      /* it is made, or gets mail too late */
            step.what[3] = 0;
            generation[run] += !there;
        }
        uint64_t epoch = there || step.kind > 10 ? 0 : step.epoch < 3 ? row.epoch : step.epoch == 3 ? row.epoch + 1 : 0;
        Outcome a = { 0 }, b = { 0 };
        take_step(model, &step, epoch, &a);
        take_step(contract_store, &step, epoch, &b);
        if (a.err != b.err || !str_eq(buf_str(&a.said), buf_str(&b.said)))
            fail_msg("FLOW_TEST_SEED=%llu: step %d, kind %u then %u of %s: SQLite %s `%s`, Redis %s `%s`", (unsigned long long)begun, i, step.kind, step.what[3] % 11, step.id, err_name(a.err),
                     buf_cstr(&a.said), err_name(b.err), buf_cstr(&b.said));
        outcomes[a.err]++;
        buf_free(&a.said);
        buf_free(&b.said);
    }
    store_close(model);
    assert_true(outcomes[ERR_OK] > MODEL_STEPS / 4 && outcomes[ERR_CONFLICT] > 20 && outcomes[ERR_NOT_FOUND] > 20 && outcomes[ERR_FENCED] > 20);
}

int main(void)
{
    if (!redis_available("test_store_redis")) return 0;
    redis_start("--databases", "16");
    const struct CMUnitTest tests[] = {
        CONTRACT_BARE_RUN_TESTS
        CONTRACT_CLAIM_TESTS
        CONTRACT_BATCH_TESTS
        CONTRACT_TEST(runs_stand_where_they_are_promised), CONTRACT_TEST(every_write_prolongs_a_run), CONTRACT_TEST(an_expired_run_is_not_there),
        CONTRACT_TEST(a_key_whose_holder_expired_is_free_again), CONTRACT_TEST(a_flushed_server_has_no_runs_and_goes_on), CONTRACT_TEST(of_a_run_whose_time_ended_nothing_is_left_to_the_next_of_its_id),
        CONTRACT_TEST(a_server_that_is_killed_ends_batches_and_is_found_again), CONTRACT_TEST(a_full_server_refuses_a_batch_alone), CONTRACT_TEST(a_server_that_is_no_primary_is_left), CONTRACT_TEST(without_a_server_it_opens_and_answers_at_once),
        CONTRACT_TEST(one_tenants_runs_are_not_anothers), CONTRACT_TEST(a_stale_epoch_changes_nothing_of_a_run), CONTRACT_TEST(a_batch_that_fails_at_its_end_left_nothing),
        CONTRACT_TEST(a_run_that_ended_holds_nothing), CONTRACT_TEST(what_is_no_part_of_a_run_is_refused), CONTRACT_TEST(another_workers_work_wakes_and_ones_own_does_not),
        CONTRACT_TEST(hot_state_keeps_its_hands_off_a_run), CONTRACT_TEST(a_store_that_was_dropped_left_nothing_of_its_own), CONTRACT_TEST(many_runs_are_claimed_in_pages), CONTRACT_TEST(whatever_is_asked_it_answers_as_sqlite_does),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return redis_remove() || failed;
}
