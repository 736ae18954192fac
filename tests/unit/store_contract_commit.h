/* store_contract_commit.h - batches, group commit, transactions, crashes, several processes. */

typedef struct Seen { char order[64]; int count; Err last; } Seen;
static void see(const StoreResult *result, void *arg)
{
    Seen *seen = arg;
    seen->order[seen->count++] = result->err == ERR_OK ? 'k' : result->err == ERR_CONFLICT ? 'c' : result->err == ERR_FENCED ? 'f' : result->err == ERR_CRASH ? 'x' : '?';
    seen->last = result->err;
}

static void a_failing_batch_is_undone_alone_and_its_neighbours_stand(void **state)
{
    Seen seen = { 0 };
    new_run("r1"), new_run("r2");
    must_go(journal_batch("r1", 0, 1));
    uint64_t commits = store_commits(contract_store);
    StoreBatch *bad = journal_batch("r2", 0, 1);
    store_append_journal(bad, &(JournalRow){ .seq = 2 });
    store_append_journal(bad, &(JournalRow){ .seq = 1 });
    store_submit(journal_batch("r1", 0, 2), see, &seen);
    store_submit(bad, see, &seen);
    store_submit(journal_batch("r1", 0, 3), see, &seen);
    store_submit(journal_batch("r1", 9, 4), see, &seen);
    assert_int_equal(seen.count, 0);                        /* not before the commit */
    store_wait(contract_store);
    assert_string_equal(seen.order, "kckf");
    assert_int_equal(store_commits(contract_store), commits + 1);
    reopen();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 3);
    assert_int_equal(journal_count(contract_store, "acme", "r2"), 0);
}

static StoreBatch *dispatch_batch(uint64_t position, const char *first, const char *second)
{
    StoreBatch *batch = batch_of("", 0);
    RunRow one = run_row(first), two = run_row(second);
    store_put_run_or_ignore(batch, &one);
    store_put_run_or_ignore(batch, &two);
    store_event_dispatched(batch, position);
    return batch;
}

static void events_are_dispatched_each_for_itself(void **state)
{
    Seen seen = { 0 };
    uint32_t count;
    StoreBatch *batch = batch_of("r1", 0);
    for (int i = 0; i < 4; i++) {
        char id[3] = { 'e', (char)('0' + i), 0 };
        store_put_event(batch, &(EventRow){ .event_id = str_of(id), .name = STR("Booked"), .payload = STR("{}") });
    }
    int outbox = store_get_outbox(batch, 4);
    must(batch);
    const EventRow *rows = store_events(batch, outbox, &count);
    assert_int_equal(count, 4);
    store_submit(dispatch_batch(rows[0].position, "h0", "h1"), see, &seen);
    store_submit(dispatch_batch(rows[2].position, "h1", "h1"), see, &seen);                 /* a run that is there is left as it is */
    store_submit(dispatch_batch(999, "h8", "h9"), see, &seen);                               /* no such event: none of its runs either */
    store_submit(dispatch_batch(rows[3].position, "h2", "h3"), see, &seen);
    store_batch_free(batch);
    store_wait(contract_store);
    assert_string_equal(seen.order, "kk?k");
    batch = batch_of("", 0);
    outbox = store_get_outbox(batch, 4);
    int runs = store_list_runs(batch, &(RunFilter){ .status = -1 });
    must(batch);
    assert_str(store_events(batch, outbox, &count)->event_id, "e1");
    assert_int_equal(count, 1);
    store_runs(batch, runs, &count);
    assert_int_equal(count, 4);
    store_batch_free(batch);
}

static void a_batch_sees_what_stands_before_it_in_the_same_commit(void **state)
{
    new_run("r1");
    StoreBatch *batch = batch_of("r1", 0);
    int before = store_get_journal(batch, STR("r1"), 0, 0);
    store_append_journal(batch, &(JournalRow){ .seq = 1 });
    int after = store_get_journal(batch, STR("r1"), 0, 0);
    uint32_t count;
    store_submit(journal_batch("r1", 0, 2), NULL, NULL);
    must(batch);
    assert_true((store_journal(batch, before, &count), count == 1) && (store_journal(batch, after, &count), count == 2));
    store_batch_free(batch);
}

static void reading_and_changing_nothing_is_no_durable_operation(void **state)
{
    new_run("r1");
    uint64_t commits = store_commits(contract_store);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(claim_as(contract_store, "acme", "w", 1, 1, "nobody", NULL), 0);
    StoreBatch *batch = batch_of("r1", 0);
    store_clear_timer(batch, 4);
    must_go(batch);
    fails_with(journal_batch("r1", 5, 1), ERR_FENCED, "epoch");
    assert_int_equal(store_commits(contract_store), commits);
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(store_commits(contract_store), commits + 1);
}

static void again(const StoreResult *result, void *arg)
{
    Seen *seen = arg;
    see(result, arg);
    if (seen->count < 5) store_submit(journal_batch("r1", 0, (uint64_t)seen->count + 1), again, arg);
}

static void a_flush_does_what_was_submitted_and_not_what_callbacks_add(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    store_submit(journal_batch("r1", 0, 1), again, &seen);
    store_wait(contract_store);
    assert_int_equal(seen.count, 1);
    store_wait(contract_store), store_wait(contract_store);
    assert_int_equal(seen.count, 3);
    store_close(contract_store);                            /* closing does all of it */
    assert_string_equal(seen.order, "kkkkk");
    contract_store = open_again();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 5);
}

static void the_loop_commits_what_waits_together(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    store_close(contract_store);
    struct event_base *loop = event_base_new();
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .loop = loop }, &contract_store, NULL), ERR_OK);
    for (uint64_t seq = 10; seq < 20; seq++) store_submit(journal_batch("r1", 0, seq), see, &seen);
    store_submit(journal_batch("r1", 0, 1), again, &seen);
    event_base_dispatch(loop);                              /* returns when nothing is left to do */
    assert_string_equal(seen.order, "kkkkkkkkkkk");
    assert_int_equal(store_commits(contract_store), 1);
    store_close(contract_store);
    event_base_free(loop);
    contract_store = open_again();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 11);
}

static void a_store_open_for_reading_refuses_to_write(void **state)
{
    new_run("r1");
    store_close(contract_store);
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .read_only = true }, &contract_store, NULL), ERR_OK);
    fails_with(journal_batch("r1", 0, 1), ERR_UNSUPPORTED, "open for reading");
    assert_int_equal(get_run("r1").created_us, 100);
}

static void the_snapshot_key_stays_with_the_store(void **state)
{
    uint32_t id, id_again;
    uint8_t key[32], key_again[32], none[32] = { 0 };
    store_snapshot_key(contract_store, &id, key);
    reopen();
    store_snapshot_key(contract_store, &id_again, key_again);
    assert_true(id == id_again && id > 0);
    assert_memory_equal(key, key_again, 32);
    assert_memory_not_equal(key, none, 32);
}

/* ---- interactive transactions ---- */

typedef struct TxnSeen { StoreTxn *txn; Err err; int count; } TxnSeen;
static void txn_ready(Err err, StoreTxn *txn, void *arg) { *(TxnSeen *)arg = (TxnSeen){ txn, err, ((TxnSeen *)arg)->count + 1 }; }
static StoreTxn *begin(const char *run, uint64_t epoch)
{
    TxnSeen seen = { 0 };
    store_txn_begin(contract_store, STR("acme"), str_of(run), epoch, txn_ready, &seen);
    assert_int_equal(seen.count, 0);
    store_wait(contract_store);
    assert_true(seen.count == 1 && seen.err == ERR_OK && seen.txn);
    return seen.txn;
}

/* Where transactions have connections of their own nobody waits for one. */
static void a_transaction_is_one_commit_and_others_wait_for_it(void **state)
{
    Seen inside = { 0 }, outside = { 0 };
    new_run("r1"), new_run("r2");
    uint64_t commits = store_commits(contract_store);
    StoreTxn *txn = begin("r1", 0);
    store_submit(journal_batch("r2", 0, 1), see, &outside);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &inside);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &inside);       /* fails alone, the transaction lives on */
    store_txn_run(txn, journal_batch("r1", 0, 2), see, &inside);
    store_wait(contract_store);
    assert_string_equal(inside.order, "kck");
    assert_int_equal(outside.count, CONTRACT_CONCURRENT);
    assert_int_equal(store_commits(contract_store), commits + CONTRACT_CONCURRENT);
    assert_int_equal(CONTRACT_CONCURRENT ? journal_count(contract_store, "acme", "r1") : 0, 0);
    store_txn_commit(txn, journal_batch("r1", 0, 3), see, &inside);
    store_wait(contract_store), store_wait(contract_store);
    assert_string_equal(inside.order, "kckk");
    assert_string_equal(outside.order, "k");
    assert_int_equal(store_commits(contract_store), commits + 2);
    reopen();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 3);
}

static void a_transaction_rolled_back_leaves_nothing(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
    store_wait(contract_store);
    store_txn_run(txn, journal_batch("r1", 0, 2), see, &seen);
    store_txn_rollback(txn);
    store_wait(contract_store);
    assert_true(seen.count == 2 && seen.last == ERR_INVALID);           /* what was still waiting is told */
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    must_go(journal_batch("r1", 0, 1));
}

static void a_transaction_whose_last_batch_fails_is_rolled_back(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
    store_txn_commit(txn, journal_batch("r1", 0, 1), see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "kc");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    txn = begin("r1", 0);                                   /* and one without a last batch commits */
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
    store_txn_commit(txn, NULL, see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "kckk");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
}

static void a_transaction_is_fenced_when_it_begins(void **state)
{
    TxnSeen seen = { 0 };
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    store_txn_begin(contract_store, STR("acme"), STR("r1"), 9, txn_ready, &seen);
    store_wait(contract_store);
    assert_true(seen.count == 1 && seen.err == ERR_FENCED && !seen.txn);
    must_go(journal_batch("r1", 1, 1));
}

static void a_batch_that_cannot_wait_for_an_open_transaction_says_so(void **state)
{
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    if (CONTRACT_CONCURRENT) must_go(journal_batch("r1", 0, 1));        /* it need not wait */
    else fails_with(journal_batch("r1", 0, 1), ERR_IO, "transaction is open");
    store_txn_rollback(txn);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), CONTRACT_CONCURRENT);
    must_go(journal_batch("r1", 0, 2));
}

static void a_store_that_is_closed_rolls_an_open_transaction_back(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
    store_submit(journal_batch("r1", 0, 7), see, &seen);
    reopen();
    assert_int_equal(seen.count, 2);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
}

/* ---- crashes ---- */

static void crash_case(CrashSide side, uint32_t rows_after)
{
    Seen seen = { 0 };
    store_crash_at(contract_store, 2, side, false);
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);  /* a read is not counted */
    store_submit(journal_batch("r1", 0, 2), see, &seen);
    store_submit(journal_batch("r1", 0, 3), see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "xx");
    StoreBatch *read = batch_of("r1", 0);
    store_get_snapshot(read);
    assert_int_equal(go(read), ERR_CRASH);                  /* and everything after it */
    reopen();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), rows_after);
}

static void a_crash_before_the_commit_loses_the_whole_group(void **state) { new_run("r1"), crash_case(CRASH_BEFORE, 1); }
static void a_crash_after_the_commit_loses_nothing_of_it(void **state) { new_run("r1"), crash_case(CRASH_AFTER, 3); }

static void a_transaction_crashes_at_its_commit_on_either_side(void **state)
{
    new_run("r1");
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
        Seen seen = { 0 };
        TxnSeen late = { 0 };
        StoreTxn *txn = begin("r1", 0);
        store_crash_at(contract_store, 1, (CrashSide)side, false);
        store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
        store_txn_commit(txn, NULL, see, &seen);
        if (CONTRACT_CONCURRENT) store_wait(contract_store);
        store_txn_begin(contract_store, STR("acme"), STR("r1"), 0, txn_ready, &late);
        store_wait(contract_store);
        assert_string_equal(seen.order, "kx");
        assert_true(late.count == 1 && late.err == ERR_CRASH);
        reopen();
        assert_int_equal(journal_count(contract_store, "acme", "r1"), side == CRASH_AFTER);
    }
}

static void killed_child(const char *when, uint32_t rows_after)
{
    new_run("r1");
    store_close(contract_store);
    pid_t child = fork();
    if (child == 0) {
        setenv("FLOW_CRASH_AT", when, 1);
        contract_store = NULL;
        if (store_open(contract_url, NULL, &contract_store, NULL)) _exit(3);
        for (uint64_t seq = 1; seq <= 5; seq++)
            if (go(journal_batch("r1", 0, seq))) _exit(4);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    contract_store = open_again();
    assert_int_equal(journal_count(contract_store, "acme", "r1"), rows_after);
}

static void a_process_killed_before_its_third_commit_left_two(void **state) { killed_child("3:before", 2); }
static void a_process_killed_after_its_third_commit_left_three(void **state) { killed_child("3:after", 3); }

static void a_crash_point_that_is_none_is_refused(void **state)
{
    static const char *const BAD[] = { "x", "3", "3:", "3:later", "-1:before", ":after" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        Store *store = NULL;
        Error error;
        setenv("FLOW_CRASH_AT", BAD[i], 1);
        assert_int_equal(store_open(contract_url, NULL, &store, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "FLOW_CRASH_AT"));
    }
    unsetenv("FLOW_CRASH_AT");
}

/* ---- several processes ---- */

static void write_some(const char *run, int count)
{
    for (int i = 1; i <= count; i++)
        if (go(journal_batch(run, 0, (uint64_t)i))) _exit(5);
}

static void two_processes_write_the_same_store_and_lose_nothing(void **state)
{
    enum { ROWS = 60 };
    new_run("r1"), new_run("r2");
    store_close(contract_store);
    pid_t child = fork();
    contract_store = NULL;
    if (child == 0) {
        if (store_open(contract_url, NULL, &contract_store, NULL)) _exit(3);
        write_some("r2", ROWS);
        store_close(contract_store);
        _exit(0);
    }
    contract_store = open_again();
    for (int i = 1; i <= ROWS; i++) must_go(journal_batch("r1", 0, (uint64_t)i));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), ROWS);
    assert_int_equal(journal_count(contract_store, "acme", "r2"), ROWS);
}

/* ---- waking ---- */

enum { PATIENCE_S = 20 };               /* never over: a test that waits so long has failed */
typedef struct Alarm { struct event_base *loop; int calls; } Alarm;
static void on_wake(void *arg)
{
    Alarm *alarm = arg;
    alarm->calls++;
    event_base_loopbreak(alarm->loop);
}
static void too_late(evutil_socket_t fd, short what, void *arg) { event_base_loopbreak(arg); }

static void wait_for_wake(Alarm *alarm)
{
    struct event *patience = evtimer_new(alarm->loop, too_late, alarm->loop);
    event_add(patience, &(struct timeval){ PATIENCE_S, 0 });
    event_base_dispatch(alarm->loop);
    event_free(patience);
    assert_int_equal(alarm->calls, 1);
    alarm->calls = 0;
}

/* A store may wake for nothing when it begins to listen. */
static void a_commit_of_another_connection_wakes_the_loop(void **state)
{
    Alarm alarm = { .loop = event_base_new() };
    Store *listener = NULL;
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .loop = alarm.loop }, &listener, NULL), ERR_OK);
    store_on_wake(listener, on_wake, &alarm);
    if (CONTRACT_CONCURRENT) wait_for_wake(&alarm);
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "r%d", i);
        new_run(name);
        wait_for_wake(&alarm);
    }
    store_on_wake(listener, NULL, NULL);
    new_run("late");
    assert_int_equal(event_base_loop(alarm.loop, EVLOOP_NONBLOCK) >= 0, 1);
    assert_int_equal(alarm.calls, 0);
    store_close(listener);
    event_base_free(alarm.loop);
}

static void an_unknown_kind_of_store_is_refused(void **state)
{
    Store *store = NULL;
    Error error;
    assert_int_equal(store_open("mongo:here", NULL, &store, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "mongo:here"));
}

/* What every store does with batches. */
#define CONTRACT_BATCH_TESTS \
    CONTRACT_TEST(a_failing_batch_is_undone_alone_and_its_neighbours_stand), CONTRACT_TEST(a_batch_sees_what_stands_before_it_in_the_same_commit), \
    CONTRACT_TEST(reading_and_changing_nothing_is_no_durable_operation), \
    CONTRACT_TEST(the_loop_commits_what_waits_together), CONTRACT_TEST(a_store_open_for_reading_refuses_to_write), \
    CONTRACT_TEST(the_snapshot_key_stays_with_the_store), CONTRACT_TEST(a_crash_point_that_is_none_is_refused), \
    CONTRACT_TEST(two_processes_write_the_same_store_and_lose_nothing), CONTRACT_TEST(a_commit_of_another_connection_wakes_the_loop), CONTRACT_TEST(an_unknown_kind_of_store_is_refused),
/* And one whose commit is one, with interactive transactions. */
#define CONTRACT_COMMIT_TESTS CONTRACT_BATCH_TESTS CONTRACT_TEST(events_are_dispatched_each_for_itself), \
    CONTRACT_TEST(a_flush_does_what_was_submitted_and_not_what_callbacks_add), \
    CONTRACT_TEST(a_transaction_is_one_commit_and_others_wait_for_it), \
    CONTRACT_TEST(a_transaction_rolled_back_leaves_nothing), CONTRACT_TEST(a_transaction_whose_last_batch_fails_is_rolled_back), \
    CONTRACT_TEST(a_transaction_is_fenced_when_it_begins), CONTRACT_TEST(a_batch_that_cannot_wait_for_an_open_transaction_says_so), \
    CONTRACT_TEST(a_store_that_is_closed_rolls_an_open_transaction_back), CONTRACT_TEST(a_crash_before_the_commit_loses_the_whole_group), \
    CONTRACT_TEST(a_crash_after_the_commit_loses_nothing_of_it), CONTRACT_TEST(a_transaction_crashes_at_its_commit_on_either_side), \
    CONTRACT_TEST(a_process_killed_before_its_third_commit_left_two), CONTRACT_TEST(a_process_killed_after_its_third_commit_left_three),
