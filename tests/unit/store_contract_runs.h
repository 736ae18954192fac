/* store_contract_runs.h - runs, claims, journals, timers, mail, events, upkeep. */

static void a_run_comes_back_with_every_field(void **state)
{
    RunRow in = {
        .tenant = STR("acme"), .run_id = STR("r1"), .module_hash = STR("ab"), .func_name = STR("book"), .func = 7, .status = RUN_PARKED, .user = STR("u"), .user_name = STR("Ü"),
        .correlation = STR("c"), .causation = STR("k"), .hops = 3, .input = { "\0\1\377", 3 }, .input_json = STR("{}"), .result_json = STR("1"), .waits_json = STR("[]"),
        .concurrency_key = STR("key"), .limit_key = STR("lim"), .limit_count = 4, .priority = -2, .epoch = UINT64_MAX / 2, .worker = STR("w"), .lease_until_us = 9, .last_seq = 10,
        .snapshot_seq = 5, .created_us = 11, .updated_us = 12, .started_us = 13, .ended_us = 14, .durability = DURABILITY_SESSION, .cancel_requested = true,
        .scopes = STR("a:read a:write"),
    };
    put_run(&in);
    reopen();
    uint32_t count;
    StoreBatch *batch = batch_of("", 0);
    int index = store_get_run(batch, STR("r1"));
    must(batch);
    const RunRow *out = store_runs(batch, index, &count);
    assert_int_equal(count, 1);
    assert_true(str_eq(out->tenant, in.tenant) && str_eq(out->run_id, in.run_id) && str_eq(out->module_hash, in.module_hash) && str_eq(out->func_name, in.func_name));
    assert_true(out->func == 7 && out->status == RUN_PARKED && str_eq(out->user, in.user) && str_eq(out->user_name, in.user_name) && str_eq(out->correlation, in.correlation));
    assert_true(str_eq(out->causation, in.causation) && out->hops == 3 && str_eq(out->input, in.input) && str_eq(out->input_json, in.input_json));
    assert_true(str_eq(out->result_json, in.result_json) && str_eq(out->waits_json, in.waits_json) && str_eq(out->concurrency_key, in.concurrency_key));
    assert_true(str_eq(out->limit_key, in.limit_key) && out->limit_count == 4 && out->priority == -2 && out->epoch == in.epoch && str_eq(out->worker, in.worker));
    assert_true(out->lease_until_us == 9 && out->last_seq == 10 && out->snapshot_seq == 5 && out->created_us == 11 && out->updated_us == 12 && out->started_us == 13);
    assert_true(out->ended_us == 14 && out->durability == DURABILITY_SESSION && out->cancel_requested && str_eq(out->scopes, in.scopes));
    store_batch_free(batch);
}

static void a_second_run_of_one_id_conflicts_unless_it_is_ignored(void **state)
{
    new_run("r1");
    RunRow again = run_row("r1");
    again.func_name = STR("other");
    StoreBatch *batch = batch_of("r1", 0);
    store_put_run(batch, &again);
    fails_with(batch, ERR_CONFLICT, "run `r1` exists already");
    batch = batch_of("r1", 0);
    store_put_run_or_ignore(batch, &again);
    must_go(batch);
    batch = batch_of("", 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = -1, .func_name = STR("other") });
    uint32_t count;
    must(batch);
    store_runs(batch, index, &count);
    assert_int_equal(count, 0);
    store_batch_free(batch);
}

static void an_unambiguous_prefix_is_enough_to_find_a_run(void **state)
{
    new_run("abc1"), new_run("abd2"), new_run("ab");
    assert_true(get_run("abc").created_us == 100);
    StoreBatch *batch = batch_of("", 0);
    int index = store_get_run(batch, STR("ab"));            /* exact wins over being a prefix of others */
    uint32_t count;
    must(batch);
    assert_str(store_runs(batch, index, &count)->run_id, "ab");
    store_batch_free(batch);
    batch = batch_of("", 0), store_get_run(batch, STR("a")), fails_with(batch, ERR_CONFLICT, "ambiguous");
    batch = batch_of("", 0), store_get_run(batch, STR("ab%")), fails_with(batch, ERR_NOT_FOUND, "no run");
    batch = batch_of("", 0), store_get_run(batch, STR("")), fails_with(batch, ERR_NOT_FOUND, "no run");
}

static uint32_t list_ids(const char *tenant, RunFilter filter, char *ids)
{
    StoreBatch *batch = store_batch(contract_store, str_of(tenant), (Str){ 0 }, 0);
    int index = store_list_runs(batch, &filter);
    uint32_t count;
    must(batch);
    const RunRow *rows = store_runs(batch, index, &count);
    ids[0] = 0;
    for (uint32_t i = 0; i < count; i++) strncat(strncat(ids, rows[i].run_id.ptr, rows[i].run_id.len), " ", 2);
    store_batch_free(batch);
    return count;
}

static void runs_are_listed_newest_first_through_every_filter(void **state)
{
    char ids[200];
    for (int i = 1; i <= 5; i++) {
        char id[4] = { 'r', (char)('0' + i), 0 };
        RunRow row = run_row(id);
        row.created_us = i * 10;
        row.status = i == 3 ? RUN_COMPLETED : i == 4 ? RUN_PARKED : RUN_READY;
        row.correlation = i > 3 ? STR("trip") : (Str){ 0 };
        row.func_name = i == 5 ? STR("cancel") : STR("book");
        row.user = i == 3 || i == 2 ? STR("ann") : (Str){ 0 };
        if (i == 2) row.tenant = STR("other");
        put_run(&row);
    }
    RunRow works = run_row("r6");
    works.created_us = 35;
    works.status = RUN_RUNNING;
    works.worker = STR("w");
    works.epoch = 1;
    put_run(&works);
    list_ids("acme", (RunFilter){ .status = -1 }, ids), assert_string_equal(ids, "r5 r4 r6 r3 r1 ");
    list_ids("acme", (RunFilter){ .status = -1, .any_tenant = true }, ids), assert_string_equal(ids, "r5 r4 r6 r3 r2 r1 ");
    list_ids("acme", (RunFilter){ .status = -1, .limit = 2 }, ids), assert_string_equal(ids, "r5 r4 ");
    list_ids("acme", (RunFilter){ .status = -1, .limit = 3 }, ids), assert_string_equal(ids, "r5 r4 r6 ");
    list_ids("acme", (RunFilter){ .status = -1, .unended = true }, ids), assert_string_equal(ids, "r5 r4 r6 r1 ");
    list_ids("acme", (RunFilter){ .status = RUN_RUNNING }, ids), assert_string_equal(ids, "r6 ");
    list_ids("acme", (RunFilter){ .status = -1, .worker = STR("w") }, ids), assert_string_equal(ids, "r6 ");
    list_ids("acme", (RunFilter){ .status = RUN_COMPLETED }, ids), assert_string_equal(ids, "r3 ");
    list_ids("acme", (RunFilter){ .status = RUN_READY }, ids), assert_string_equal(ids, "r5 r1 ");
    list_ids("acme", (RunFilter){ .status = -1, .correlation = STR("trip") }, ids), assert_string_equal(ids, "r5 r4 ");
    list_ids("acme", (RunFilter){ .status = -1, .correlation = STR("r1") }, ids), assert_string_equal(ids, "r1 ");       /* a root is its own */
    list_ids("acme", (RunFilter){ .status = -1, .func_name = STR("cancel") }, ids), assert_string_equal(ids, "r5 ");
    list_ids("acme", (RunFilter){ .status = -1, .user = STR("ann") }, ids), assert_string_equal(ids, "r3 ");
    list_ids("acme", (RunFilter){ .status = -1, .until_us = 35 }, ids), assert_string_equal(ids, "r6 r3 r1 ");         /* made then or before */
    list_ids("acme", (RunFilter){ .status = -1, .until_us = 34, .limit = 1 }, ids), assert_string_equal(ids, "r3 ");
    list_ids("", (RunFilter){ .status = -1 }, ids), assert_string_equal(ids, "");
}

static void an_update_needs_its_run_and_gives_the_lease_back(void **state)
{
    StoreBatch *batch = batch_of("gone", 0);
    store_update_run(batch, &(RunRow){ .status = RUN_PARKED });
    fails_with(batch, ERR_NOT_FOUND, "gone");
    new_run("r1");
    assert_int_equal(claim(5, 1), 1);
    batch = batch_of("r1", 1);
    store_update_run(batch, &(RunRow){ .status = RUN_RUNNING, .lease_until_us = 777, .last_seq = 4, .snapshot_seq = 2, .updated_us = 3, .started_us = 6 });
    must_go(batch);
    RunRow row = get_run("r1");
    assert_true(row.status == RUN_RUNNING && row.lease_until_us == 777 && row.last_seq == 4 && row.snapshot_seq == 2 && row.updated_us == 3 && row.started_us == 6 && row.epoch == 1);
    batch = batch_of("r1", 1), store_renew(batch, 888), must_go(batch);
    assert_int_equal(get_run("r1").lease_until_us, 888);
    batch = batch_of("r1", 1), store_release(batch, RUN_READY), must_go(batch);
    row = get_run("r1");
    assert_true(row.status == RUN_READY && row.lease_until_us == 0 && row.epoch == 1 && row.last_seq == 4);
    batch = batch_of("r1", 1), store_renew(batch, 999), must_go(batch);
    assert_int_equal(get_run("r1").lease_until_us, 0);
}

static void one_tenant_sees_and_writes_nothing_of_another(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    must_go(mail_batch("r1", "m", MAIL_SIGNAL));
    StoreBatch *batch = batch_of("r1", 0);
    store_put_snapshot(batch, 1, STR("state"));
    store_put_blob(batch, STR("b1"), STR("bytes"));
    store_put_event(batch, &(EventRow){ .event_id = STR("e1"), .name = STR("Booked") });
    store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = 1 });
    must_go(batch);
    batch = store_batch(contract_store, STR("evil"), STR("r1"), 0);
    int journal = store_get_journal(batch, STR("r1"), 0, 0), mail = store_get_mail(batch, 0), snapshot = store_get_snapshot(batch), blob = store_get_blob(batch, STR("b1"));
    int events = store_list_events(batch, (Str){ 0 }, (Str){ 0 }, 0), waits = store_get_waits(batch, (Str){ 0 }, STR("Booked"));
    uint32_t count;
    bool found;
    must(batch);
    assert_true((store_journal(batch, journal, &count), count == 0) && (store_mail(batch, mail, &count), count == 0));
    assert_true((store_bytes(batch, snapshot, NULL, &found), !found) && (store_bytes(batch, blob, NULL, &found), !found));
    assert_true((store_events(batch, events, &count), count == 0) && (store_waits(batch, waits, &count), count == 0));
    store_batch_free(batch);
    batch = store_batch(contract_store, STR("evil"), (Str){ 0 }, 0), store_get_run(batch, STR("r1")), fails_with(batch, ERR_NOT_FOUND, "no run");
    batch = store_batch(contract_store, STR("evil"), (Str){ 0 }, 0), store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = STR("r1"), .mail_id = STR("x") });
    fails_with(batch, ERR_INVALID, "tenant");
    RunRow row = run_row("r9");
    batch = store_batch(contract_store, STR("evil"), (Str){ 0 }, 0), store_put_run(batch, &row), fails_with(batch, ERR_INVALID, "tenant");
    assert_int_equal(claim_as(contract_store, "evil", "w", 5, 9, "", NULL), 0);
    assert_int_equal(claim_as(contract_store, "evil", "w", 5, 9, "r1", NULL), 0);
}

/* ---- claims ---- */

static void of_two_workers_one_gets_a_run(void **state)
{
    new_run("r1"), new_run("r2"), new_run("r3");
    Store *other = open_again();
    RunRow first, second;
    assert_int_equal(claim_as(contract_store, "", "w1", 10, 2, "", &first), 2);
    assert_int_equal(claim_as(other, "", "w2", 10, 9, "", &second), 1);
    assert_int_equal(claim_as(contract_store, "", "w1", 10, 9, "", NULL), 0);
    assert_true(first.epoch == 1 && first.status == RUN_RUNNING && first.lease_until_us == 1010);
    store_close(other);
}

static void an_expired_lease_is_taken_with_a_new_epoch_that_fences_the_old_worker(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    assert_int_equal(claim(999, 1), 0);
    Store *other = open_again();
    RunRow row;
    assert_int_equal(claim_as(other, "", "w2", 1000, 1, "", &row), 1);
    assert_int_equal(row.epoch, 2);
    fails_with(journal_batch("r1", 1, 1), ERR_FENCED, "epoch 2, not 1");
    must_go(journal_batch("r1", 2, 1));
    assert_int_equal(journal_count(other, "acme", "r1"), 1);
    store_close(other);
}

static void a_stale_epoch_changes_nothing_at_all(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    uint64_t commits = store_commits(contract_store);
    StoreBatch *batch = journal_batch("r1", 7, 1);
    store_put_event(batch, &(EventRow){ .event_id = STR("e1"), .name = STR("Booked") });
    store_update_run(batch, &(RunRow){ .status = RUN_COMPLETED });
    assert_int_equal(go(batch), ERR_FENCED);
    assert_int_equal(go(journal_batch("nobody", 1, 1)), ERR_FENCED);
    assert_int_equal(store_commits(contract_store), commits);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(get_run("r1").status, RUN_RUNNING);
    batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
    int index = store_get_outbox(batch, 0);
    uint32_t count;
    must(batch);
    store_events(batch, index, &count);
    assert_int_equal(count, 0);
    store_batch_free(batch);
}

static void runs_of_one_key_go_one_after_the_other(void **state)
{
    for (const char *const *id = (const char *const[]){ "r1", "r2", "r3", NULL }; *id; id++) {
        RunRow row = run_row(*id);
        row.concurrency_key = **id && (*id)[1] == '3' ? STR("") : STR("user-1");
        put_run(&row);
    }
    RunRow foreign = run_row("r4");
    foreign.tenant = STR("other"), foreign.concurrency_key = STR("user-1");
    put_run(&foreign);
    assert_int_equal(claim(0, 9), 3);                       /* one of the key, the one without, the other tenant's */
    set_status("r1", 1, RUN_PARKED);
    assert_int_equal(claim(1, 9), 0);                       /* a parked run holds its key */
    set_status("r1", 1, RUN_READY);
    assert_int_equal(claim_as(contract_store, "acme", "w", 2, 9, "r2", NULL), 0);
    assert_int_equal(claim_as(contract_store, "acme", "w", 2, 9, "r1", NULL), 1);
    set_status("r1", 2, RUN_COMPLETED);
    assert_int_equal(claim(3, 9), 1);
    assert_int_equal(get_run("r2").status, RUN_RUNNING);
}

static void a_limit_counts_the_runs_that_have_begun(void **state)
{
    for (int i = 0; i < 5; i++) {
        char id[4] = { 'r', (char)('0' + i), 0 };
        RunRow row = run_row(id);
        row.limit_key = STR("acme"), row.limit_count = 2;
        put_run(&row);
    }
    assert_int_equal(claim(0, 9), 2);
    assert_int_equal(claim(0, 9), 0);
    set_status("r0", 1, RUN_FAILED);
    assert_int_equal(claim(0, 9), 1);
}

static void the_urgent_and_then_the_oldest_run_is_claimed_first(void **state)
{
    RunRow old = run_row("old"), fresh = run_row("new"), urgent = run_row("urgent");
    old.created_us = 1, fresh.created_us = 2, urgent.created_us = 3, urgent.priority = 5;
    put_run(&fresh), put_run(&urgent), put_run(&old);
    assert_int_equal(claim(0, 1), 1);
    assert_int_equal(get_run("urgent").status, RUN_RUNNING);
    assert_int_equal(claim(0, 1), 1);
    assert_int_equal(get_run("old").status, RUN_RUNNING);
    assert_int_equal(get_run("new").status, RUN_READY);
}

static void a_parked_run_is_claimed_when_its_timer_is_due_and_not_before(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    set_timer("r1", 3, 500), set_timer("r1", 0, 900);
    set_status("r1", 1, RUN_PARKED);
    assert_int_equal(claim(499, 9), 0);
    assert_int_equal(claim_as(contract_store, "acme", "w", 499, 9, "r1", NULL), 0);
    assert_int_equal(claim(900, 9), 1);                     /* two timers are due: claimed once */
    assert_int_equal(get_run("r1").epoch, 2);
}

static void ended_runs_are_never_claimed(void **state)
{
    for (int i = RUN_COMPLETED; i <= RUN_CANCELLED; i++) {
        char id[4] = { 'e', (char)('0' + i), 0 };
        new_run(id);
        set_timer(id, 1, 1);
        set_status(id, 0, (RunStatus)i);
    }
    assert_int_equal(claim(INT64_MAX / 2, 9), 0);
}

/* ---- timers, mail, waits ---- */

static void the_next_due_time_is_that_of_the_earliest_timer(void **state)
{
    assert_true(next_due() == INT64_MAX);
    new_run("r1"), new_run("r2");
    set_timer("r1", 1, 500), set_timer("r2", 1, 300), set_timer("r2", 2, 800);
    assert_int_equal(next_due(), 300);
    set_timer("r2", 1, 900);                                /* replaces */
    assert_int_equal(next_due(), 500);
    StoreBatch *batch = batch_of("r1", 0);
    store_clear_timer(batch, 1), store_clear_timer(batch, 99);
    must_go(batch);
    assert_int_equal(next_due(), 800);
    set_status("r2", 0, RUN_COMPLETED);                     /* ends: its timers go */
    assert_true(next_due() == INT64_MAX);
}

static uint32_t waiting_mail(const char *run, char *ids)
{
    StoreBatch *batch = batch_of(run, 0);
    int index = store_get_mail(batch, 0);
    uint32_t count;
    must(batch);
    const MailRow *rows = store_mail(batch, index, &count);
    ids[0] = 0;
    for (uint32_t i = 0; i < count; i++) strncat(strncat(ids, rows[i].mail_id.ptr, rows[i].mail_id.len), " ", 2);
    store_batch_free(batch);
    return count;
}

static void mail_is_kept_once_and_taken_once(void **state)
{
    char ids[100];
    new_run("r1");
    must_go(mail_batch("r1", "b", MAIL_SIGNAL)), must_go(mail_batch("r1", "a", MAIL_ANSWER));
    fails_with(mail_batch("r1", "a", MAIL_ANSWER), ERR_CONFLICT, "mail `a`");
    assert_int_equal(waiting_mail("r1", ids), 2);
    assert_string_equal(ids, "b a ");                       /* oldest first */
    StoreBatch *batch = batch_of("r1", 0);
    store_take_mail(batch, STR("b"));
    must_go(batch);
    waiting_mail("r1", ids), assert_string_equal(ids, "a ");
    batch = batch_of("r1", 0), store_take_mail(batch, STR("b")), fails_with(batch, ERR_NOT_FOUND, "no mail `b`");
    fails_with(mail_batch("r1", "b", MAIL_SIGNAL), ERR_CONFLICT, "mail `b`");      /* also after it was taken */
    fails_with(mail_batch("gone", "b", MAIL_SIGNAL), ERR_NOT_FOUND, "no run");
}

static void mail_wakes_a_parked_run_once(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    set_status("r1", 1, RUN_PARKED);
    must_go(mail_batch("r1", "a", MAIL_SIGNAL));
    assert_int_equal(get_run("r1").status, RUN_READY);
    assert_int_equal(claim(1, 1), 1);
    set_status("r1", 2, RUN_PARKED);                        /* the program does not want it yet */
    assert_int_equal(claim(2, 1), 0);
    assert_int_equal(claim_as(contract_store, "acme", "w", 2, 1, "r1", NULL), 0);
}

static void mail_that_comes_while_a_run_works_wakes_it_after_it_parked(void **state)
{
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    must_go(mail_batch("r1", "a", MAIL_EVENT));
    assert_int_equal(get_run("r1").status, RUN_RUNNING);
    set_status("r1", 1, RUN_PARKED);
    assert_int_equal(claim(1, 9), 1);
}

static void a_cancel_is_remembered_in_the_run(void **state)
{
    new_run("r1");
    must_go(mail_batch("r1", "s", MAIL_SIGNAL));
    assert_false(get_run("r1").cancel_requested);
    must_go(mail_batch("r1", "c", MAIL_CANCEL));
    assert_true(get_run("r1").cancel_requested);
}

static void a_run_that_ended_takes_no_mail_and_holds_nothing(void **state)
{
    char ids[100];
    new_run("r1");
    must_go(mail_batch("r1", "a", MAIL_SIGNAL));
    StoreBatch *batch = batch_of("r1", 0);
    store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = 1 });
    must_go(batch);
    set_status("r1", 0, RUN_COMPLETED);
    assert_int_equal(waiting_mail("r1", ids), 0);
    fails_with(mail_batch("r1", "b", MAIL_ANSWER), ERR_CONFLICT, "has ended");
    must_go(mail_batch("r1", "c", MAIL_EVENT));             /* nobody waits for it any more */
    assert_int_equal(waiting_mail("r1", ids), 0);
    batch = batch_of("", 0);
    int index = store_get_waits(batch, (Str){ 0 }, STR("Booked"));
    uint32_t count;
    must(batch);
    store_waits(batch, index, &count);
    assert_int_equal(count, 0);
    store_batch_free(batch);
}

static void waits_are_found_by_event_and_cleared_by_request(void **state)
{
    new_run("r1"), new_run("r2");
    for (int i = 0; i < 3; i++) {
        StoreBatch *batch = batch_of(i < 2 ? "r1" : "r2", 0);
        store_put_wait(batch, &(WaitRow){ .event = i == 1 ? STR("Other") : STR("Booked"), .request = (uint64_t)i + 1 });
        must_go(batch);
    }
    StoreBatch *batch = batch_of("r1", 0);
    int before = store_get_waits(batch, STR("acme"), STR("Booked"));
    store_clear_wait(batch, 1);
    int after = store_get_waits(batch, STR("acme"), STR("Booked"));
    uint32_t count;
    must(batch);
    const WaitRow *rows = store_waits(batch, before, &count);
    assert_int_equal(count, 2);
    assert_str(rows[0].run_id, "r1");
    assert_int_equal(rows[1].request, 3);
    assert_str(store_waits(batch, after, &count)->run_id, "r2");
    assert_int_equal(count, 1);
    store_batch_free(batch);
}

static StoreBatch *event_at(const char *id, const char *name, const char *correlation, int64_t created_us)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_event(batch, &(EventRow){ .event_id = str_of(id), .name = str_of(name), .payload = STR("{}"), .correlation = str_of(correlation), .created_us = created_us });
    return batch;
}

static void a_new_wait_brings_what_happened_since_the_run_was_made(void **state)
{
    uint32_t count;
    StoreBatch *batch = batch_of("r1", 0);
    store_put_run(batch, &(RunRow){ .run_id = STR("r1"), .module_hash = STR("m"), .correlation = STR("c1"), .causation = STR("cause"), .created_us = 10 });
    must_go(batch);
    must_go(event_at("before", "Booked", "c1", 9)), must_go(event_at("foreign", "Booked", "c2", 10)), must_go(event_at("cause", "Booked", "c1", 10));
    must_go(event_at("first", "Booked", "c1", 10)), must_go(event_at("other", "Paid", "c1", 11)), must_go(event_at("second", "Booked", "c2", 11));
    for (int round = 0; round < 3; round++) {               /* the wait, the same wait once more, a later wait after `first` was delivered and `second` dropped */
        batch = batch_of("r1", 0);
        if (round == 2) store_take_mail(batch, STR("first")), store_drop_mail(batch, STR("second")), store_clear_wait(batch, 1);
        store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = round == 2 ? 2 : 1 });
        int index = store_get_mail(batch, 0);
        must(batch);
        const MailRow *rows = store_mail(batch, index, &count);
        assert_int_equal(count, round == 2 ? 1 : 2);
        assert_str(rows[0].mail_id, round == 2 ? "second" : "first");
        assert_int_equal(rows[0].kind, MAIL_EVENT);
        assert_str(rows[count - 1].mail_id, "second");
        store_batch_free(batch);
    }
}

static void wait_for_field(const char *run, uint64_t request, const char *field, const char *value)
{
    StoreBatch *batch = batch_of(run, 0);
    store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = request, .field = str_of(field), .value = str_of(value) });
    must_go(batch);
}

/* The ids of the runs that an event with this payload wakes. */
static void assert_wakes(const char *payload, const char *expected)
{
    uint32_t count;
    Buf ids = { 0 };
    StoreBatch *batch = batch_of("", 0);
    int index = store_get_waits_for(batch, (Str){ 0 }, STR("Booked"), str_of(payload));
    must(batch);
    const WaitRow *rows = store_waits(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) buf_put_str(&ids, rows[i].run_id), buf_put_char(&ids, ' ');
    if (!str_is(buf_str(&ids), expected)) fail_msg("%s wakes `%s`, expected `%s`", payload, buf_cstr(&ids), expected);
    buf_free(&ids);
    store_batch_free(batch);
}

static void an_event_wakes_those_whose_field_it_has(void **state)
{
    new_run("any"), new_run("five"), new_run("red"), new_run("six");
    wait_for_field("any", 1, "", ""), wait_for_field("five", 1, "n", "5"), wait_for_field("six", 1, "n", "6"), wait_for_field("red", 1, "name", "r\u00e9d \"x\"");
    assert_wakes("{\"n\":5,\"name\":\"blue\"}", "any five ");
    assert_wakes("{\"n\":6,\"name\":\"r\\u00e9d \\\"x\\\"\"}", "any red six ");       /* however the text is escaped */
    assert_wakes("{\"n\":7}", "any ");
    assert_wakes("{\"m\":5,\"n\":null,\"l\":[5]}", "any ");
    assert_wakes("{}", "any ");
    assert_wakes("no json", "any five red six ");                                             /* who knows what it says */
    Buf wide = { 0 };
    buf_put_text(&wide, "{\"n\":7");
    for (int i = 0; i < 100; i++) buf_printf(&wide, ",\"f%d\":%d", i, i);
    buf_put_char(&wide, '}');
    assert_wakes(buf_cstr(&wide), "any five red six ");                                       /* more fields than count */
    buf_free(&wide);
    StoreBatch *batch = batch_of("five", 0);
    store_clear_wait(batch, 1);
    must_go(batch);
    assert_wakes("{\"n\":5}", "any ");
}

static void event_with(const char *id, const char *payload, int64_t created_us)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_event(batch, &(EventRow){ .event_id = str_of(id), .name = STR("Booked"), .payload = str_of(payload), .correlation = STR("c2"), .created_us = created_us });
    must_go(batch);
}

static void assert_mail_of(const char *run, const char *expected)
{
    uint32_t count;
    Buf ids = { 0 };
    StoreBatch *batch = batch_of(run, 0);
    int index = store_get_mail(batch, 0);
    must(batch);
    const MailRow *rows = store_mail(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) buf_put_str(&ids, rows[i].mail_id), buf_put_char(&ids, ' ');
    assert_str(buf_str(&ids), expected);
    buf_free(&ids);
    store_batch_free(batch);
}

/* What it left aside for one key it finds for another, also when the first key's cursor has gone on. */
static void a_wait_with_a_key_brings_what_has_it(void **state)
{
    enum { MANY = 1200 };
    new_run("r1");
    char id[16], payload[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "e%04d", i), snprintf(payload, sizeof payload, "{\"n\":%d}", i);
        StoreBatch *batch = batch_of("", 0);
        store_put_event(batch, &(EventRow){ .event_id = str_of(id), .name = STR("Booked"), .payload = str_of(payload), .created_us = 200 + i });
        store_submit(batch, NULL, NULL);
    }
    event_with("late", "{\"n\":1100}", 200 + MANY + STORE_EVENT_LAG_US);
    wait_for_field("r1", 1, "n", "1100");
    assert_mail_of("r1", "e1100 late ");
    StoreBatch *batch = batch_of("r1", 0);
    store_take_mail(batch, STR("e1100")), store_take_mail(batch, STR("late")), store_clear_wait(batch, 1);
    must_go(batch);
    wait_for_field("r1", 2, "n", "1100");                    /* its cursor moves */
    assert_mail_of("r1", "");
    wait_for_field("r1", 3, "n", "3");
    assert_mail_of("r1", "e0003 ");
}

static void what_belongs_to_a_run_needs_the_run(void **state)
{
    StoreBatch *batch = batch_of("gone", 1);
    store_set_timer(batch, &(TimerRow){ .request = 1, .due_us = 1 }), fails_with(batch, ERR_FENCED, "gone");
    batch = batch_of("gone", 1), store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = 1 }), fails_with(batch, ERR_FENCED, "gone");
    batch = batch_of("gone", 1), store_put_snapshot(batch, 1, STR("s")), fails_with(batch, ERR_FENCED, "gone");
    batch = batch_of("gone", 0), store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = STR("gone"), .mail_id = STR("m"), .name = STR("go") }), fails_with(batch, ERR_NOT_FOUND, "run");
}

/* ---- journal, snapshots, modules, blobs, events ---- */

static void a_journal_comes_back_in_order_and_in_pages(void **state)
{
    new_run("r1");
    JournalRow in = { .seq = 2, .request = 9, .fiber = 1, .span = 2, .parent_span = 3, .entry = JOURNAL_ERROR, .effect = 4, .target = NO_INDEX, .agent = 5, .name = STR("n"),
                      .args_json = STR("[1]"), .payload = { "\0x", 2 }, .detail_json = STR("{}"), .started_us = -1, .ended_us = 6 };
    StoreBatch *batch = batch_of("r1", 0);
    store_append_journal(batch, &in);
    for (uint64_t seq = 3; seq <= 12; seq++) store_append_journal(batch, &(JournalRow){ .seq = seq });
    store_append_journal(batch, &(JournalRow){ .seq = 1 });
    must_go(batch);
    batch = batch_of("r1", 0);
    int page = store_get_journal(batch, STR("r1"), 1, 3), rest = store_get_journal(batch, (Str){ 0 }, 10, 0);
    uint32_t count;
    must(batch);
    const JournalRow *out = store_journal(batch, page, &count);
    assert_int_equal(count, 3);
    assert_true(out->seq == 2 && out->request == 9 && out->fiber == 1 && out->span == 2 && out->parent_span == 3 && out->entry == JOURNAL_ERROR && out->effect == 4);
    assert_true(out->target == NO_INDEX && out->agent == 5 && str_eq(out->name, in.name) && str_eq(out->args_json, in.args_json) && str_eq(out->payload, in.payload));
    assert_true(str_eq(out->detail_json, in.detail_json) && out->started_us == -1 && out->ended_us == 6 && out[2].seq == 4);
    assert_int_equal(store_journal(batch, rest, &count)->seq, 11);
    assert_int_equal(count, 2);
    store_batch_free(batch);
    fails_with(journal_batch("r1", 0, 7), ERR_CONFLICT, "journal row 7 of run `r1`");
}

static void what_the_trace_shows_of_arguments_is_bounded(void **state)
{
    static char big[JOURNAL_ARGS_MAX + 1];
    memset(big, 'x', sizeof big);
    new_run("r1");
    for (int more = 0; more < 2; more++) {
        StoreBatch *batch = batch_of("r1", 0);
        store_append_journal(batch, &(JournalRow){ .seq = 1, .args_json = { big, JOURNAL_ARGS_MAX + (size_t)more } });
        if (more) fails_with(batch, ERR_LIMIT, "JOURNAL_ARGS_MAX");
        else must_go(batch);
    }
}

static void a_newer_snapshot_replaces_the_older(void **state)
{
    new_run("r1");
    Buf big = { 0 };
    for (int i = 0; i < 300000; i++) buf_put_u32(&big, (uint32_t)i);
    StoreBatch *batch = batch_of("r1", 0);
    store_put_snapshot(batch, 3, STR("old"));
    store_put_snapshot(batch, 9, buf_str(&big));
    must_go(batch);
    reopen();
    batch = batch_of("r1", 0);
    int index = store_get_snapshot(batch);
    uint64_t seq;
    bool found;
    must(batch);
    assert_true(str_eq(store_bytes(batch, index, &seq, &found), buf_str(&big)) && found && seq == 9);
    store_batch_free(batch);
    buf_free(&big);
}

static void modules_and_blobs_are_kept_by_hash(void **state)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_module(batch, STR("aa"), STR("code")), store_put_module(batch, STR("aa"), STR("code"));
    store_put_blob(batch, STR("bb"), STR("")), store_put_blob(batch, STR("bb"), STR(""));
    must_go(batch);
    batch = store_batch(contract_store, STR("other"), (Str){ 0 }, 0);
    int module = store_get_module(batch, STR("aa")), none = store_get_module(batch, STR("a")), foreign = store_get_blob(batch, STR("bb"));
    bool found;
    must(batch);
    assert_str(store_bytes(batch, module, NULL, &found), "code");      /* programs belong to no tenant */
    assert_true(found && (store_bytes(batch, none, NULL, &found), !found) && (store_bytes(batch, foreign, NULL, &found), !found));
    store_batch_free(batch);
}

static void events_leave_the_outbox_in_order_and_stay_listed(void **state)
{
    StoreBatch *batch = batch_of("r1", 0);
    for (int i = 0; i < 4; i++) {
        char id[3] = { 'e', (char)('0' + i), 0 };
        EventRow row = { .event_id = str_of(id), .name = i % 2 ? STR("Paid") : STR("Booked"), .payload = STR("{}"), .correlation = i < 2 ? STR("c1") : STR("c2"), .hops = 2, .seq = 8, .created_us = 5 };
        store_put_event(batch, &row);
    }
    int outbox = store_get_outbox(batch, 3);
    uint32_t count;
    must(batch);
    const EventRow *rows = store_events(batch, outbox, &count);
    assert_int_equal(count, 3);
    assert_true(rows[0].position < rows[1].position && rows[1].position < rows[2].position && !rows[0].dispatched && rows[0].hops == 2 && rows[0].seq == 8);
    assert_str(rows[0].tenant, "acme");
    uint64_t first = rows[0].position;
    store_batch_free(batch);
    batch = store_batch(contract_store, STR("other"), (Str){ 0 }, 0), store_event_dispatched(batch, first), fails_with(batch, ERR_NOT_FOUND, "no event");
    batch = batch_of("", 0);
    store_event_dispatched(batch, first);
    outbox = store_get_outbox(batch, 1);
    must(batch);
    assert_str(store_events(batch, outbox, &count)->event_id, "e1");
    store_batch_free(batch);
    batch = batch_of("", 0);                                                /* delivered once more, then out again */
    store_event_redeliver(batch, first);
    outbox = store_get_outbox(batch, 1);
    store_event_dispatched(batch, first);
    must(batch);
    assert_str(store_events(batch, outbox, &count)->event_id, "e0");
    store_batch_free(batch);
    batch = batch_of("", 0), store_event_redeliver(batch, 999), fails_with(batch, ERR_NOT_FOUND, "999");
    batch = batch_of("", 0);
    int newest = store_list_events(batch, (Str){ 0 }, (Str){ 0 }, 3), named = store_list_events(batch, STR("Booked"), (Str){ 0 }, 0), of_root = store_list_events(batch, STR("Paid"), STR("c2"), 0);
    must(batch);
    assert_str(store_events(batch, newest, &count)->event_id, "e1");
    assert_int_equal(count, 3);
    rows = store_events(batch, named, &count);
    assert_true(count == 2 && rows[0].dispatched && !rows[1].dispatched);
    assert_str(store_events(batch, of_root, &count)->event_id, "e3");
    assert_int_equal(count, 1);
    store_batch_free(batch);
    batch = batch_of("", 0), store_put_event(batch, &(EventRow){ .event_id = STR("e1"), .name = STR("Paid") }), fails_with(batch, ERR_CONFLICT, "event `e1`");
    batch = batch_of("", 0), store_event_dispatched(batch, 999), fails_with(batch, ERR_NOT_FOUND, "999");
}

static void a_dead_delivery_is_listed_with_its_last_error(void **state)
{
    for (uint32_t i = 1; i <= 2; i++) {
        StoreBatch *batch = batch_of("", 0);
        store_put_dead(batch, &(DeadRow){ .event_id = STR("e1"), .subscriber = STR("s"), .error = i == 1 ? STR("first") : STR("second"), .attempts = i });
        must_go(batch);
    }
    StoreBatch *batch = batch_of("", 0);
    int index = store_list_dead(batch, 0);
    uint32_t count;
    must(batch);
    const DeadRow *rows = store_dead(batch, index, &count);
    assert_true(count == 1 && rows->attempts == 2);
    assert_str(rows->error, "second");
    store_batch_free(batch);
}

/* ---- upkeep ---- */

static uint64_t problems(const char *part)
{
    FsckReport report;
    Buf out = { 0 };
    Error error = { 0 };
    if (store_fsck(contract_store, &report, &out, &error)) fail_msg("fsck: %s", error.text);
    if (*part && !strstr(buf_cstr(&out), part)) fail_msg("`%s` does not say `%s`", buf_cstr(&out), part);
    buf_free(&out);
    return report.problems;
}

static void fsck_finds_nothing_in_a_sound_store(void **state)
{
    StoreBatch *batch = batch_of("r1", 0);
    RunRow row = run_row("r1");
    store_put_module(batch, STR("00ff"), STR("code"));
    store_put_run(batch, &row);
    for (uint64_t seq = 4; seq <= 6; seq++) store_append_journal(batch, &(JournalRow){ .seq = seq });
    store_put_snapshot(batch, 3, STR("s"));
    store_update_run(batch, &(RunRow){ .status = RUN_READY, .last_seq = 6, .snapshot_seq = 3 });
    must_go(batch);
    assert_int_equal(problems(""), 0);
    FsckReport report;
    Buf out = { 0 };
    assert_int_equal(store_fsck(contract_store, &report, &out, NULL), ERR_OK);
    assert_true(report.runs == 1 && report.journal_rows == 3 && report.snapshots == 1);
    buf_free(&out);
}

static void fsck_names_what_is_broken(void **state)
{
    new_run("r1");
    assert_int_equal(problems("run acme/r1: its module is not in the store"), 1);
    StoreBatch *batch = batch_of("r1", 0);
    store_put_module(batch, STR("00ff"), STR("code"));
    store_append_journal(batch, &(JournalRow){ .seq = 1 }), store_append_journal(batch, &(JournalRow){ .seq = 3 });
    must_go(batch);
    assert_int_equal(problems("journal has a hole"), 1);
    must_go(journal_batch("r1", 0, 2));
    assert_int_equal(problems(""), 0);
    batch = batch_of("r1", 0), store_update_run(batch, &(RunRow){ .status = RUN_READY, .last_seq = 4 }), must_go(batch);
    assert_int_equal(problems("lacks its last row 4"), 1);
    batch = batch_of("r1", 0), store_update_run(batch, &(RunRow){ .status = RUN_READY, .last_seq = 3, .snapshot_seq = 2 }), must_go(batch);
    assert_int_equal(problems("no snapshot at 2"), 1);
    batch = batch_of("r1", 0), store_put_snapshot(batch, 2, STR("s")), must_go(batch);
    assert_int_equal(problems(""), 0);
    set_status("r1", 0, RUN_COMPLETED);
    set_timer("r1", 5, 1);
    assert_true(problems("ended and holds a timer for request 5") >= 1);
    must_go(journal_batch("nobody", 0, 1));
    assert_true(problems("run acme/nobody: there is no such run") >= 1);
}

static void a_fork_has_the_history_up_to_its_point(void **state)
{
    RunRow row = run_row("r1");
    row.input = STR("in"), row.concurrency_key = STR("k");
    put_run(&row);
    assert_int_equal(claim(0, 1), 1);
    for (uint64_t seq = 1; seq <= 5; seq++) must_go(journal_batch("r1", 1, seq));
    set_status("r1", 1, RUN_COMPLETED);
    Error error;
    assert_int_equal(store_fork(contract_store, STR("acme"), STR("r1"), 3, STR("r2"), 50, &error), ERR_OK);
    assert_int_equal(journal_count(contract_store, "acme", "r2"), 3);
    RunRow copy = get_run("r2");
    assert_true(copy.status == RUN_READY && copy.epoch == 0 && copy.last_seq == 3 && copy.snapshot_seq == 0 && copy.created_us == 50 && copy.ended_us == 0);
    assert_int_equal(get_run("r1").status, RUN_COMPLETED);
    assert_int_equal(store_fork(contract_store, STR("acme"), STR("r1"), 6, STR("r3"), 50, &error), ERR_NOT_FOUND);
    assert_int_equal(store_fork(contract_store, STR("acme"), STR("r1"), 3, STR("r2"), 50, &error), ERR_CONFLICT);
    assert_int_equal(store_fork(contract_store, STR("other"), STR("r1"), 3, STR("r4"), 50, &error), ERR_NOT_FOUND);
}

/* What every store keeps that keeps runs. */
#define CONTRACT_BARE_RUN_TESTS \
    CONTRACT_TEST(a_run_comes_back_with_every_field), CONTRACT_TEST(a_second_run_of_one_id_conflicts_unless_it_is_ignored), \
    CONTRACT_TEST(an_unambiguous_prefix_is_enough_to_find_a_run), CONTRACT_TEST(runs_are_listed_newest_first_through_every_filter), \
    CONTRACT_TEST(an_update_needs_its_run_and_gives_the_lease_back), CONTRACT_TEST(of_two_workers_one_gets_a_run), \
    CONTRACT_TEST(an_expired_lease_is_taken_with_a_new_epoch_that_fences_the_old_worker), CONTRACT_TEST(runs_of_one_key_go_one_after_the_other), \
    CONTRACT_TEST(a_limit_counts_the_runs_that_have_begun), CONTRACT_TEST(the_urgent_and_then_the_oldest_run_is_claimed_first), \
    CONTRACT_TEST(a_parked_run_is_claimed_when_its_timer_is_due_and_not_before), CONTRACT_TEST(ended_runs_are_never_claimed), \
    CONTRACT_TEST(the_next_due_time_is_that_of_the_earliest_timer), CONTRACT_TEST(mail_is_kept_once_and_taken_once), \
    CONTRACT_TEST(mail_wakes_a_parked_run_once), CONTRACT_TEST(mail_that_comes_while_a_run_works_wakes_it_after_it_parked), \
    CONTRACT_TEST(a_cancel_is_remembered_in_the_run), CONTRACT_TEST(a_journal_comes_back_in_order_and_in_pages), \
    CONTRACT_TEST(what_the_trace_shows_of_arguments_is_bounded), CONTRACT_TEST(a_newer_snapshot_replaces_the_older),
/* And what is said of modules, events, waits and upkeep. */
#define CONTRACT_RUN_TESTS CONTRACT_BARE_RUN_TESTS \
    CONTRACT_TEST(one_tenant_sees_and_writes_nothing_of_another), CONTRACT_TEST(a_stale_epoch_changes_nothing_at_all), \
    CONTRACT_TEST(a_run_that_ended_takes_no_mail_and_holds_nothing), \
    CONTRACT_TEST(waits_are_found_by_event_and_cleared_by_request), CONTRACT_TEST(a_new_wait_brings_what_happened_since_the_run_was_made), \
    CONTRACT_TEST(an_event_wakes_those_whose_field_it_has), CONTRACT_TEST(a_wait_with_a_key_brings_what_has_it), CONTRACT_TEST(what_belongs_to_a_run_needs_the_run), \
    CONTRACT_TEST(modules_and_blobs_are_kept_by_hash), CONTRACT_TEST(events_leave_the_outbox_in_order_and_stay_listed), \
    CONTRACT_TEST(a_dead_delivery_is_listed_with_its_last_error), CONTRACT_TEST(fsck_finds_nothing_in_a_sound_store), \
    CONTRACT_TEST(fsck_names_what_is_broken), CONTRACT_TEST(a_fork_has_the_history_up_to_its_point),
