/* test_store_sqlite.c - the contract, met by SQLite, and what is SQLite's own: the file. */
#include "tests/unit/store_contract.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/flow_store_XXXXXX";
static int files;

static const char *fresh_url(void)
{
    static char url[128];
    snprintf(url, sizeof url, "sqlite:%s/%d.db", folder, ++files);
    return url;
}

static const char *path(void) { return contract_url + strlen("sqlite:"); }

static void a_file_that_is_no_database_is_refused(void **state)
{
    char name[160];
    Store *store = NULL;
    snprintf(name, sizeof name, "sqlite:%s/text", folder);
    FILE *file = fopen(name + strlen("sqlite:"), "w");
    for (int i = 0; i < 500; i++) fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(store_open(name, NULL, &store, NULL), ERR_CORRUPT);
    snprintf(name, sizeof name, "sqlite:%s/no/such/folder/x.db", folder);
    assert_int_equal(store_open(name, NULL, &store, NULL), ERR_IO);
    assert_int_equal(store_open("sqlite:", NULL, &store, NULL), ERR_INVALID);
}

static void a_file_of_a_newer_program_is_refused(void **state)
{
    sqlite3 *handle;
    Store *store = NULL;
    Error error;
    assert_int_equal(sqlite3_open(path(), &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, "UPDATE flow_schema SET version = 1000", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
    assert_int_equal(store_open(contract_url, NULL, &store, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "version 1000"));
}

static void a_dropped_store_leaves_nothing(void **state)
{
    new_run("r1");
    assert_int_equal(access(path(), F_OK), 0);
    assert_int_equal(store_clear(contract_store, NULL), ERR_UNSUPPORTED);
    store_close(contract_store);
    assert_int_equal(store_drop(contract_url, NULL), ERR_OK);
    assert_int_equal(access(path(), F_OK), -1);
    assert_int_equal(store_drop(contract_url, NULL), ERR_OK);
    assert_int_equal(store_drop("nothing:x", NULL), ERR_UNSUPPORTED);
    assert_int_equal(store_open(contract_url, NULL, &contract_store, NULL), ERR_OK);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
}

static void the_file_is_its_owners_alone(void **state)
{
    struct stat info;
    assert_int_equal(stat(path(), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_store_in_memory_works_the_same(void **state)
{
    store_close(contract_store);
    assert_int_equal(store_open("sqlite::memory:", NULL, &contract_store, NULL), ERR_OK);
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
    assert_string_equal(store_kind(contract_store), "sqlite");
}

static void own_commits_wake_nobody(void **state)
{
    Alarm alarm = { .loop = event_base_new() };
    new_run("r1");
    store_close(contract_store);
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .loop = alarm.loop }, &contract_store, NULL), ERR_OK);
    store_on_wake(contract_store, on_wake, &alarm);
    for (uint64_t seq = 1; seq < 4; seq++) {
        must_go(journal_batch("r1", 0, seq));               /* the kernel has told of it before the commit returns */
        event_base_loop(alarm.loop, EVLOOP_NONBLOCK);
        assert_int_equal(alarm.calls, 0);
    }
    store_close(contract_store);
    event_base_free(alarm.loop);
    contract_store = open_again();
}

static void statements_beyond_the_cache_still_run(void **state)
{
    char text[80];
    new_run("r1");
    for (int i = 0; i < 600; i++) {                         /* each filter has its own text only by its kind, so names of tables must differ */
        Image *image = image_new();
        uint16_t agent = IMAGE_ADD(image, agent);
        image->agents[agent].name = STR("a");
        uint16_t table = IMAGE_ADD(image, table);
        snprintf(text, sizeof text, "t%d", i);
        image->tables[table] = (ImageTable){ .name = arena_str(image->arena, str_of(text)), .id_column = NO_INDEX };
        StoreBatch *batch = batch_of("", 0);
        store_ensure_tables(batch, image);
        must_go(batch);
        image_free(image);
    }
    must_go(journal_batch("r1", 0, 1));
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        STORE_CONTRACT_TESTS
        CONTRACT_TEST(a_file_that_is_no_database_is_refused), CONTRACT_TEST(a_file_of_a_newer_program_is_refused),
        CONTRACT_TEST(a_dropped_store_leaves_nothing), CONTRACT_TEST(the_file_is_its_owners_alone),
        CONTRACT_TEST(a_store_in_memory_works_the_same), CONTRACT_TEST(own_commits_wake_nobody), CONTRACT_TEST(statements_beyond_the_cache_still_run),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) || failed;
}
