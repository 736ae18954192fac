/* store_contract_events.h - the outbox with leases, subscriptions, deliveries, the dead. */

static StoreBatch *engines_batch(void) { return store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0); }

static void emit(const char *id, const char *name)
{
    StoreBatch *batch = batch_of("", 0);
    store_put_event(batch, &(EventRow){ .event_id = str_of(id), .name = str_of(name), .payload = STR("{\"n\":1}"), .correlation = STR("c1"), .created_us = 5 });
    must_go(batch);
}

/* The claimed events' ids, each followed by a space. */
static uint32_t claim_events(int64_t now, int64_t until, uint32_t limit, char *ids)
{
    StoreBatch *batch = engines_batch();
    int index = store_claim_outbox(batch, now, until, limit);
    uint32_t count;
    must(batch);
    const EventRow *rows = store_events(batch, index, &count);
    ids[0] = 0;
    for (uint32_t i = 0; i < count; i++) strncat(strncat(ids, rows[i].event_id.ptr, rows[i].event_id.len), " ", 2);
    store_batch_free(batch);
    return count;
}

static EventRow get_event(const char *tenant, const char *id, uint32_t *count)
{
    StoreBatch *batch = engines_batch();
    int index = store_get_event(batch, str_of(tenant), str_of(id));
    must(batch);
    const EventRow *rows = store_events(batch, index, count);
    EventRow row = *count ? (EventRow){ .position = rows->position, .dispatched = rows->dispatched, .created_us = rows->created_us } : (EventRow){ 0 };
    store_batch_free(batch);
    return row;
}

static void a_claimed_event_is_nobody_elses_until_its_lease_ends(void **state)
{
    char ids[100];
    emit("e1", "Booked"), emit("e2", "Booked"), emit("e3", "Paid");
    assert_int_equal(claim_events(10, 20, 2, ids), 2);
    assert_string_equal(ids, "e1 e2 ");
    assert_int_equal(claim_events(10, 20, 9, ids), 1);
    assert_string_equal(ids, "e3 ");
    assert_int_equal(claim_events(19, 30, 9, ids), 0);
    assert_int_equal(claim_events(20, 30, 9, ids), 3);
    uint64_t commits = store_commits(contract_store);
    assert_int_equal(claim_events(21, 30, 9, ids), 0);
    assert_int_equal(store_commits(contract_store), commits);              /* an empty claim is no durable operation */
    StoreBatch *batch = engines_batch();
    store_republish(batch);
    must_go(batch);
    reopen();
    assert_int_equal(claim_events(21, 30, 9, ids), 3);
    uint32_t count;
    batch = batch_of("", 0);
    store_event_dispatched(batch, get_event("acme", "e2", &count).position);
    store_republish(batch);
    must_go(batch);
    assert_int_equal(claim_events(21, 30, 9, ids), 2);
    assert_string_equal(ids, "e1 e3 ");
    get_event("other", "e1", &count), assert_int_equal(count, 0);
    get_event("acme", "e9", &count), assert_int_equal(count, 0);
}

static void subscribe(const char *subscriber, const char *owner, const char *event, const char *module)
{
    StoreBatch *batch = engines_batch();
    store_put_subscription(batch, &(SubscriptionRow){ str_of(subscriber), str_of(owner), str_of(event), str_of(module) });
    must_go(batch);
}

static void subscribers(const char *event, char *out)
{
    StoreBatch *batch = engines_batch();
    int index = store_get_subscriptions(batch, str_of(event));
    uint32_t count;
    must(batch);
    const SubscriptionRow *rows = store_subscriptions(batch, index, &count);
    Buf text = { 0 };
    for (uint32_t i = 0; i < count; i++) buf_printf(&text, "%.*s=%.*s ", STR_ARG(rows[i].subscriber), STR_ARG(rows[i].module_hash));
    snprintf(out, 100, "%s", buf_cstr(&text));
    buf_free(&text);
    store_batch_free(batch);
}

static void the_newest_module_of_a_subscriber_is_the_one_that_hears(void **state)
{
    char found[100];
    subscribe("travel.on_Booked", "travel", "Booked", "m1"), subscribe("finance.on_Booked", "finance", "Booked", "m1"), subscribe("finance.on_Paid", "finance", "Paid", "m1");
    subscribe("finance.on_Booked", "finance", "Booked", "m2");
    subscribers("Booked", found), assert_string_equal(found, "finance.on_Booked=m2 travel.on_Booked=m1 ");
    StoreBatch *batch = engines_batch();
    store_drop_subscriptions(batch, STR("finance"), STR("m2"));            /* m2 hears no Paid any more */
    must_go(batch);
    subscribers("", found), assert_string_equal(found, "finance.on_Booked=m2 travel.on_Booked=m1 ");
    uint64_t commits = store_commits(contract_store);
    subscribe("finance.on_Booked", "finance", "Booked", "m2");
    assert_int_equal(store_commits(contract_store), commits);              /* deploying the same again changes nothing */
}

static void deliver_to(const char *event, const char *subscriber, const char *run)
{
    RunRow row = run_row(run ? run : "");
    StoreBatch *batch = batch_of("", 0);
    store_deliver(batch, STR("acme"), str_of(event), str_of(subscriber), run ? &row : NULL);
    must_go(batch);
}

static bool settle(const char *event)
{
    uint32_t count;
    StoreBatch *batch = engines_batch();
    store_settle_event(batch, STR("acme"), get_event("acme", event, &count).position);
    must_go(batch);
    return get_event("acme", event, &count).dispatched;
}

static void an_event_is_settled_when_every_subscriber_has_it(void **state)
{
    subscribe("a.on_Booked", "a", "Booked", "m1"), subscribe("b.on_Booked", "b", "Booked", "m1"), subscribe("b.on_Paid", "b", "Paid", "m1");
    emit("e1", "Booked"), emit("e2", "Booked");
    assert_false(settle("e1"));
    deliver_to("e1", "a.on_Booked", "h1");
    assert_false(settle("e1"));
    deliver_to("e1", "b.on_Booked", NULL);                                  /* its condition did not hold */
    assert_true(settle("e1"));
    assert_false(settle("e2"));
    assert_int_equal(get_run("h1").status, RUN_READY);
    RunRow other = run_row("h1");
    StoreBatch *batch = batch_of("", 0);
    store_deliver(batch, STR("other"), STR("e2"), STR("a.on_Booked"), &other);
    fails_with(batch, ERR_INVALID, "tenant");
}

static void a_delivery_makes_its_run_once(void **state)
{
    subscribe("a.on_Booked", "a", "Booked", "m1"), subscribe("b.on_Booked", "b", "Booked", "m1");
    emit("e1", "Booked");
    deliver_to("e1", "a.on_Booked", "h1"), deliver_to("e1", "a.on_Booked", "h1"), deliver_to("e1", "a.on_Booked", "h2");
    char ids[100];
    assert_int_equal(list_ids("acme", (RunFilter){ .status = -1 }, ids), 1);
    assert_string_equal(ids, "h1 ");
    assert_false(settle("e1"));
}

static void take_dead(const char *subscriber, Err expected)
{
    StoreBatch *batch = batch_of("", 0);
    store_take_dead(batch, STR("e1"), str_of(subscriber));
    assert_int_equal(go(batch), expected);
}

static uint32_t unpublished(void)
{
    StoreBatch *batch = engines_batch();
    int index = store_get_unpublished_dead(batch, 0);
    uint32_t count;
    must(batch);
    store_dead(batch, index, &count);
    store_batch_free(batch);
    return count;
}

static void a_dead_letter_is_taken_once_and_published_until_it_is_known(void **state)
{
    DeadRow dead = { .tenant = STR("acme"), .event_id = STR("e1"), .subscriber = STR("s"), .error = STR("no"), .attempts = 5 };
    StoreBatch *batch = batch_of("", 0);
    store_put_dead(batch, &dead);
    must_go(batch);
    assert_int_equal(unpublished(), 1);
    batch = batch_of("", 0), store_dead_published(batch, &dead), must_go(batch);
    assert_int_equal(unpublished(), 0);
    dead.attempts = 10;
    batch = batch_of("", 0), store_put_dead(batch, &dead), must_go(batch);
    assert_int_equal(unpublished(), 1);
    take_dead("t", ERR_NOT_FOUND), take_dead("s", ERR_OK), take_dead("s", ERR_NOT_FOUND);
    assert_int_equal(unpublished(), 0);
}

static void end_run(const char *id, int64_t ended_us)
{
    RunRow row = run_row(id);
    row.status = RUN_COMPLETED;
    row.ended_us = ended_us;
    StoreBatch *batch = batch_of(id, 0);
    store_update_run(batch, &row);
    must_go(batch);
}

static void upkeep_takes_what_is_old_and_over_and_nothing_else(void **state)
{
    Error error;
    GcReport report;
    RunRow waits = run_row("parked");
    waits.created_us = 3;
    new_run("old"), new_run("young"), put_run(&waits);
    must_go(journal_batch("old", 0, 1)), must_go(journal_batch("old", 0, 2)), must_go(journal_batch("young", 0, 1));
    end_run("old", 100), end_run("young", 200);
    emit("e1", "Booked"), emit("e2", "Booked");
    uint32_t count;
    StoreBatch *batch = batch_of("", 0);
    store_event_dispatched(batch, get_event("acme", "e1", &count).position);
    must_go(batch);
    assert_int_equal(store_gc(contract_store, 150, &report, NULL, NULL, &error), ERR_OK);
    assert_true(report.runs == 1 && report.journal_rows == 2 && report.events == 0);         /* a run from before the event may want it yet */
    assert_int_equal(journal_count(contract_store, "acme", "old"), 0);
    assert_int_equal(journal_count(contract_store, "acme", "young"), 1);
    batch = batch_of("", 0), store_get_run(batch, STR("old")), fails_with(batch, ERR_NOT_FOUND, "old");
    end_run("parked", 100);
    assert_int_equal(store_gc(contract_store, 150, &report, NULL, NULL, &error), ERR_OK);
    assert_true(report.runs == 1 && report.events == 1);
    get_event("acme", "e1", &count);
    assert_int_equal(count, 0);
    get_event("acme", "e2", &count);
    assert_int_equal(count, 1);                                                                 /* not dispatched: it stays, however old */
}

static void upkeep_goes_page_by_page_to_the_end(void **state)
{
    Error error;
    GcReport report;
    char id[16];
    for (int i = 0; i < GC_PAGE + 20; i++) {
        snprintf(id, sizeof id, "r%04d", i);
        RunRow row = run_row(id);
        row.status = RUN_COMPLETED;
        row.ended_us = i % 10 ? 100 : 200;
        StoreBatch *batch = batch_of("", 0);
        store_put_run(batch, &row);
        store_submit(batch, NULL, NULL);
    }
    assert_int_equal(store_gc(contract_store, 150, &report, NULL, NULL, &error), ERR_OK);
    assert_int_equal(report.runs, (GC_PAGE + 20) / 10 * 9);
}

/* The ids of the events in the mailbox of r1 after a new wait, which is ended, and they are dropped again but the one that is taken. */
static void wait_and_look(uint64_t request, const char *take, char *ids)
{
    uint32_t count;
    StoreBatch *batch = batch_of("r1", 0);
    store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = request });
    int index = store_get_mail(batch, 0);
    must(batch);
    const MailRow *rows = store_mail(batch, index, &count);
    StoreBatch *after = batch_of("r1", 0);
    ids[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        strncat(strncat(ids, rows[i].mail_id.ptr, rows[i].mail_id.len), " ", 2);
        if (str_is(rows[i].mail_id, take)) store_take_mail(after, rows[i].mail_id);
        else store_drop_mail(after, rows[i].mail_id);
    }
    store_clear_wait(after, request);
    must_go(after);
    store_batch_free(batch);
}

/* Cursors: what was taken is not looked at again, what was dropped is, and what is late within the lag is found. */
static void a_wait_of_an_old_run_begins_where_its_events_end(void **state)
{
    char ids[200];
    StoreBatch *batch = batch_of("r1", 0);
    store_put_run(batch, &(RunRow){ .run_id = STR("r1"), .module_hash = STR("m"), .correlation = STR("c1"), .created_us = 10 });
    must_go(batch);
    must_go(event_at("e1", "Booked", "c", 11));
    wait_and_look(1, "e1", ids), assert_string_equal(ids, "e1 ");
    must_go(event_at("e2", "Booked", "c", 111 + STORE_EVENT_LAG_US)), must_go(event_at("paid", "Paid", "c", 5 * STORE_EVENT_LAG_US));
    wait_and_look(2, "", ids), assert_string_equal(ids, "e2 ");
    must_go(event_at("too late", "Booked", "c", 110)), must_go(event_at("late", "Booked", "c", 112));
    wait_and_look(3, "e2", ids), assert_string_equal(ids, "e2 late ");
    must_go(event_at("e3", "Booked", "c", 3 * STORE_EVENT_LAG_US));
    wait_and_look(4, "", ids), assert_string_equal(ids, "late e3 ");      /* dropped, so it comes again, however old it is */
    wait_and_look(5, "late", ids), assert_string_equal(ids, "late e3 ");
    wait_and_look(6, "e3", ids), assert_string_equal(ids, "e3 ");
    wait_and_look(7, "", ids), assert_string_equal(ids, "");
}

#define CONTRACT_EVENT_TESTS \
    CONTRACT_TEST(a_wait_of_an_old_run_begins_where_its_events_end), \
    CONTRACT_TEST(upkeep_takes_what_is_old_and_over_and_nothing_else), CONTRACT_TEST(upkeep_goes_page_by_page_to_the_end), \
    CONTRACT_TEST(a_claimed_event_is_nobody_elses_until_its_lease_ends), CONTRACT_TEST(the_newest_module_of_a_subscriber_is_the_one_that_hears), \
    CONTRACT_TEST(an_event_is_settled_when_every_subscriber_has_it), CONTRACT_TEST(a_delivery_makes_its_run_once), \
    CONTRACT_TEST(a_dead_letter_is_taken_once_and_published_until_it_is_known),
