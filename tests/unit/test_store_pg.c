/* test_store_pg.c - the contract, met by PostgreSQL, and what is PostgreSQL's own. Needs FLOW_TEST_POSTGRES. */
#define CONTRACT_CONCURRENT 1
#include "tests/unit/store_contract.h"

static int schemas;

static const char *server(void) { return getenv("FLOW_TEST_POSTGRES"); }

static const char *fresh_url(void)
{
    static char url[256];
    snprintf(url, sizeof url, "%s%cschema=test_%d_%d", server(), strchr(server(), '?') ? '&' : '?', (int)getpid(), ++schemas);
    return url;
}

int main(void)
{
    if (!server()) {
        puts("test_store_pg: skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return 0;
    }
    const struct CMUnitTest tests[] = { STORE_CONTRACT_TESTS };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
