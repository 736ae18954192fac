/* pg_schema.c - the engine's tables in PostgreSQL, made by numbered migrations, and the dialect of its SQL.
 *
 * Text is compared byte by byte (COLLATE "C"), as in every store. Every key leads with the tenant. What a run's row changes at each step is in
 * no index, so with room left on its page (fillfactor) such an update touches no index at all.
 *
 * To change the schema: append to MIGRATIONS, never edit a row that was released.
 */
#include "interpreter/store/pg.h"

#include "interpreter/store/text_case.h"

#include <stdio.h>
#include <utf8proc.h>

#define T "text COLLATE \"C\""

/* What the planner should know before there are rows: that a tenant has many, so that no index which has only the tenant in common with a condition is taken for
   that of the key. A table that has rows is left to ANALYZE. */
#define KNOWN_RUNS \
    "INSERT INTO flow_runs (tenant, run_id, module_hash, func_name, func, status, user_id, user_name, correlation, causation, hops, input, input_json, result_json, waits_json," \
    " concurrency_key, limit_key, limit_count, priority, epoch, worker, lease_until_us, last_seq, snapshot_seq, created_us, updated_us, started_us, ended_us, durability, cancel_requested)" \
    " SELECT 'planner statistics', 'r' || n, '', '', 0, 3, '', '', 'r' || n, '', 0, '', '', '', '', '', '', 0, 0, 1, '', 0, 0, 0, n, n, n, n, 0, 0 FROM generate_series(1, 200) AS n" \
    " WHERE NOT EXISTS (SELECT 1 FROM flow_runs);"
#define LET_PLANNER_KNOW KNOWN_RUNS \
    "INSERT INTO flow_timers SELECT tenant, run_id, 1, created_us FROM flow_runs WHERE tenant = 'planner statistics';" \
    "INSERT INTO flow_waits SELECT tenant, 'e', run_id, 1 FROM flow_runs WHERE tenant = 'planner statistics';" \
    "INSERT INTO flow_mail (tenant, run_id, mail_id, kind, request, name, payload, created_us, taken, fresh)" \
    " SELECT tenant, run_id, 'm', 0, 1, '', '', 0, 1, 0 FROM flow_runs WHERE tenant = 'planner statistics';" \
    "ANALYZE flow_runs, flow_timers, flow_waits, flow_mail;" \
    "DELETE FROM flow_mail WHERE tenant = 'planner statistics'; DELETE FROM flow_waits WHERE tenant = 'planner statistics';" \
    "DELETE FROM flow_timers WHERE tenant = 'planner statistics'; DELETE FROM flow_runs WHERE tenant = 'planner statistics';"

/* An update of a run looks at each column that stands in an index, in the old row and in the new: those come first, the ones of fixed length before all others, and what may
   be null last, so that their places in a row are known and not counted out each time. Every column is named wherever it is used: a table that was partitioned keeps its order. */
#define RUN_COLUMNS_FIRST \
    "row_no BIGINT GENERATED ALWAYS AS IDENTITY, created_us BIGINT NOT NULL, epoch BIGINT NOT NULL, updated_us BIGINT NOT NULL, started_us BIGINT NOT NULL, priority INTEGER NOT NULL," \
    " func INTEGER NOT NULL, status SMALLINT NOT NULL, blocked SMALLINT NOT NULL DEFAULT 0, tenant " T " NOT NULL, run_id " T " NOT NULL, concurrency_key " T " NOT NULL, limit_key " T " NOT NULL"
#define RUN_COLUMNS_LAST \
    "module_hash BYTEA NOT NULL, func_name " T " NOT NULL, user_id " T " NOT NULL, user_name " T " NOT NULL, scopes " T " NOT NULL DEFAULT '', causation " T " NOT NULL, input BYTEA NOT NULL," \
    " input_json " T " NOT NULL, result_json " T " NOT NULL, waits_json " T " NOT NULL, worker " T " NOT NULL, correlation " T ", hops BIGINT, limit_count BIGINT, lease_until_us BIGINT," \
    " last_seq BIGINT, snapshot_seq BIGINT, ended_us BIGINT, durability BIGINT, cancel_requested BIGINT"
#define RUN_NAMES \
    "row_no, created_us, epoch, updated_us, started_us, priority, func, status, blocked, tenant, run_id, concurrency_key, limit_key, module_hash, func_name, user_id, user_name, scopes, causation," \
    " input, input_json, result_json, waits_json, worker, correlation, hops, limit_count, lease_until_us, last_seq, snapshot_seq, ended_us, durability, cancel_requested"

static const char *const MIGRATIONS[] = {
    /* 1 */
    "CREATE TABLE flow_meta (name " T " PRIMARY KEY, value BYTEA NOT NULL);"
    "CREATE TABLE flow_modules (hash " T " PRIMARY KEY, bytes BYTEA NOT NULL);"
    "CREATE TABLE flow_blobs (tenant " T " NOT NULL, hash " T " NOT NULL, bytes BYTEA NOT NULL, PRIMARY KEY (tenant, hash));"
    "CREATE TABLE flow_runs (row_no BIGINT GENERATED ALWAYS AS IDENTITY, tenant " T " NOT NULL, run_id " T " NOT NULL, module_hash " T " NOT NULL, func_name " T " NOT NULL, func BIGINT NOT NULL,"
    " status BIGINT NOT NULL, user_id " T " NOT NULL, user_name " T " NOT NULL, correlation " T " NOT NULL, causation " T " NOT NULL, hops BIGINT NOT NULL, input BYTEA NOT NULL,"
    " input_json " T " NOT NULL, result_json " T " NOT NULL, waits_json " T " NOT NULL, concurrency_key " T " NOT NULL, limit_key " T " NOT NULL, limit_count BIGINT NOT NULL,"
    " priority BIGINT NOT NULL, epoch BIGINT NOT NULL, worker " T " NOT NULL, lease_until_us BIGINT NOT NULL, last_seq BIGINT NOT NULL, snapshot_seq BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, started_us BIGINT NOT NULL, ended_us BIGINT NOT NULL, durability BIGINT NOT NULL, cancel_requested BIGINT NOT NULL,"
    " PRIMARY KEY (tenant, run_id)) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);"
    "CREATE INDEX flow_runs_ready ON flow_runs (priority DESC, created_us, row_no) WHERE status = 0;"
    "CREATE INDEX flow_runs_running ON flow_runs (tenant, run_id) WHERE status = 1;"
    "CREATE INDEX flow_runs_unended ON flow_runs (created_us) WHERE status < 3;"
    "CREATE INDEX flow_runs_key ON flow_runs (tenant, concurrency_key) WHERE concurrency_key <> '' AND status < 3 AND epoch > 0;"
    "CREATE INDEX flow_runs_limit ON flow_runs (tenant, limit_key) WHERE limit_key <> '' AND status < 3 AND epoch > 0;"
    "CREATE INDEX flow_runs_created ON flow_runs (tenant, created_us);"
    "CREATE INDEX flow_runs_correlation ON flow_runs (tenant, correlation, created_us);"
    "CREATE TABLE flow_journal (tenant " T " NOT NULL, run_id " T " NOT NULL, seq BIGINT NOT NULL, request BIGINT NOT NULL, fiber BIGINT NOT NULL, span BIGINT NOT NULL,"
    " parent_span BIGINT NOT NULL, entry BIGINT NOT NULL, effect BIGINT NOT NULL, target BIGINT NOT NULL, agent BIGINT NOT NULL, name " T " NOT NULL, args_json " T " NOT NULL,"
    " payload BYTEA NOT NULL, detail_json " T " NOT NULL, started_us BIGINT NOT NULL, ended_us BIGINT NOT NULL, PRIMARY KEY (tenant, run_id, seq));"
    "CREATE TABLE flow_snapshots (tenant " T " NOT NULL, run_id " T " NOT NULL, seq BIGINT NOT NULL, bytes BYTEA NOT NULL, PRIMARY KEY (tenant, run_id),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE TABLE flow_timers (tenant " T " NOT NULL, run_id " T " NOT NULL, request BIGINT NOT NULL, due_us BIGINT NOT NULL, PRIMARY KEY (tenant, run_id, request),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE INDEX flow_timers_due ON flow_timers (due_us);"
    "CREATE TABLE flow_waits (tenant " T " NOT NULL, event " T " NOT NULL, run_id " T " NOT NULL, request BIGINT NOT NULL, PRIMARY KEY (tenant, event, run_id, request),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE INDEX flow_waits_run ON flow_waits (tenant, run_id, request);"
    "CREATE TABLE flow_events (position BIGINT GENERATED ALWAYS AS IDENTITY, tenant " T " NOT NULL, event_id " T " NOT NULL, name " T " NOT NULL, payload " T " NOT NULL, module_hash " T " NOT NULL,"
    " user_id " T " NOT NULL, correlation " T " NOT NULL, causation " T " NOT NULL, hops BIGINT NOT NULL, run_id " T " NOT NULL, seq BIGINT NOT NULL, created_us BIGINT NOT NULL,"
    " dispatched BIGINT NOT NULL, PRIMARY KEY (tenant, position), UNIQUE (tenant, event_id));"
    "CREATE INDEX flow_events_outbox ON flow_events (position) WHERE dispatched = 0;"
    "CREATE INDEX flow_events_name ON flow_events (tenant, name, position);"
    "CREATE INDEX flow_events_correlation ON flow_events (tenant, correlation, position);"
    "CREATE TABLE flow_dead (tenant " T " NOT NULL, event_id " T " NOT NULL, subscriber " T " NOT NULL, error " T " NOT NULL, attempts BIGINT NOT NULL, created_us BIGINT NOT NULL,"
    " PRIMARY KEY (tenant, event_id, subscriber));"
    "CREATE TABLE flow_mail (position BIGINT GENERATED ALWAYS AS IDENTITY, tenant " T " NOT NULL, run_id " T " NOT NULL, mail_id " T " NOT NULL, kind BIGINT NOT NULL, request BIGINT NOT NULL,"
    " name " T " NOT NULL, payload " T " NOT NULL, created_us BIGINT NOT NULL, taken BIGINT NOT NULL, fresh BIGINT NOT NULL, PRIMARY KEY (tenant, position), UNIQUE (tenant, run_id, mail_id),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE INDEX flow_mail_fresh ON flow_mail (position) WHERE fresh = 1;"
    "CREATE TABLE flow_tables (name " T " PRIMARY KEY, agent " T " NOT NULL, table_name " T " NOT NULL, shared BIGINT NOT NULL);"
    "CREATE TABLE flow_columns (table_name " T " NOT NULL, column_name " T " NOT NULL, type " T " NOT NULL, PRIMARY KEY (table_name, column_name));"
    "CREATE TABLE flow_indexes (table_name " T " NOT NULL, index_name " T " NOT NULL, PRIMARY KEY (table_name, index_name));"
    /* The quotient of a sum and a count, exact where it ends within 28 digits, else rounded half to even: decimal_div. */
    "CREATE FUNCTION flow_decimal_div(total numeric, n bigint) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$"
    " SELECT (q + CASE WHEN 2 * abs(r) > n OR (2 * abs(r) = n AND mod(q, 2) <> 0) THEN sign(r) ELSE 0 END) * 1e-28"
    " FROM (SELECT div(total * 1e28, n) AS q, mod(total * 1e28, n) AS r) AS x $$;",
    /* 2 */
    "CREATE TABLE flow_hot (tenant " T " NOT NULL, hot_key " T " NOT NULL, ends_us BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (tenant, hot_key))"
    " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);"
    "CREATE INDEX flow_hot_ends ON flow_hot (ends_us);",
    /* 3: events over streams: leases on the outbox, who subscribes, who has had what */
    "ALTER TABLE flow_events ADD COLUMN leased_until_us BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE flow_dead ADD COLUMN published BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX flow_dead_unpublished ON flow_dead (created_us) WHERE published = 0;"
    "CREATE INDEX flow_events_since ON flow_events (tenant, name, created_us);"
    "CREATE TABLE flow_deliveries (tenant " T " NOT NULL, event_id " T " NOT NULL, subscriber " T " NOT NULL, PRIMARY KEY (tenant, event_id, subscriber));"
    "CREATE TABLE flow_subscriptions (subscriber " T " PRIMARY KEY, owner " T " NOT NULL, event " T " NOT NULL, module_hash " T " NOT NULL);"
    "CREATE INDEX flow_subscriptions_event ON flow_subscriptions (event);"
    "CREATE INDEX flow_subscriptions_owner ON flow_subscriptions (owner);",
    /* 4: tables that are append only */
    "CREATE FUNCTION flow_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the table is append only'; END $$;",
    /* 5: ready runs by tenant; those that wait for a key leave the index */
    "ALTER TABLE flow_runs ADD COLUMN blocked BIGINT NOT NULL DEFAULT 0;"
    "DROP INDEX flow_runs_ready;"
    "CREATE INDEX flow_runs_ready ON flow_runs (tenant, priority DESC, created_us, row_no) WHERE status = 0 AND blocked = 0;"
    "CREATE INDEX flow_runs_blocked_key ON flow_runs (tenant, concurrency_key, priority DESC, created_us, row_no) WHERE blocked = 1;"
    "CREATE INDEX flow_runs_blocked_limit ON flow_runs (tenant, limit_key, priority DESC, created_us, row_no) WHERE blocked = 1;",
    /* 6: a mailbox is read without what was taken from it */
    "CREATE INDEX flow_mail_untaken ON flow_mail (tenant, run_id, position) WHERE taken = 0;",
    /* 7 */
    LET_PLANNER_KNOW,
    /* 8: an update that changes the status is never in place, since partial indexes look at it; only renewals need the room */
    "ALTER TABLE flow_runs SET (fillfactor = 90);",
    /* 9: starts of flows with a rate; both rows are updated in place */
    "CREATE TABLE flow_rates (tenant " T " NOT NULL, rate_key " T " NOT NULL, starts BIGINT NOT NULL, ends_us BIGINT NOT NULL, PRIMARY KEY (tenant, rate_key)) WITH (fillfactor = 50);"
    "CREATE TABLE flow_rate_starts (tenant " T " NOT NULL, rate_key " T " NOT NULL, slot BIGINT NOT NULL, at_us BIGINT NOT NULL, PRIMARY KEY (tenant, rate_key, slot)) WITH (fillfactor = 70);",
    /* 10: logins that were begun, sessions that were given or revoked */
    "CREATE TABLE flow_auth_logins (state_hash " T " PRIMARY KEY, visitor " T " NOT NULL, nonce " T " NOT NULL, verifier " T " NOT NULL, created_us BIGINT NOT NULL, expires_us BIGINT NOT NULL);"
    "CREATE INDEX flow_auth_logins_ends ON flow_auth_logins (expires_us);"
    "CREATE TABLE flow_auth_sessions (tenant " T " NOT NULL, session_id " T " NOT NULL, user_id " T " NOT NULL, run_id " T " NOT NULL, claims_json " T " NOT NULL, issued_us BIGINT NOT NULL,"
    " expires_us BIGINT NOT NULL, revoked_us BIGINT NOT NULL, PRIMARY KEY (tenant, session_id));"
    "CREATE INDEX flow_auth_sessions_ends ON flow_auth_sessions (expires_us);",
    /* 11: waits that compare a field of their event */
    "ALTER TABLE flow_waits ADD COLUMN wait_key " T " NOT NULL DEFAULT '';"
    "ALTER TABLE flow_waits DROP CONSTRAINT flow_waits_pkey, ADD PRIMARY KEY (tenant, event, wait_key, run_id, request);",
    /* 12: who asks, for the policies of tables that are `visible by`; whoever forgets to say so is refused instead of shown nothing */
    "CREATE FUNCTION flow_user() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$ DECLARE told text := current_setting('flow.user', true); BEGIN"
    " IF COALESCE(told, '') = '' THEN RAISE EXCEPTION 'flow.user is not set, and rows are visible by user' USING ERRCODE = '" PG_UNTOLD "'; END IF;"
    " RETURN CASE WHEN told = '" PG_NOBODY "' THEN '' ELSE told END; END $$;",
    /* 13: a narrow journal (journal_row.h); fewer indexes on runs, since an end makes a new entry in each; no references to runs from what only their owner
       writes, under its fence, since each insert would lock the run's row for them */
    "ALTER TABLE flow_journal RENAME TO flow_journal_wide; ALTER INDEX flow_journal_pkey RENAME TO flow_journal_wide_pkey;"
    "CREATE TABLE flow_journal (tenant " T " NOT NULL, run_id " T " NOT NULL, seq BIGINT NOT NULL, ended_us BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (tenant, run_id, seq));"
    "CREATE FUNCTION flow_varint(value bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE packed bytea := ''; rest bigint := value; BEGIN"
    " WHILE rest NOT BETWEEN 0 AND 127 LOOP packed := packed || set_byte('\\x00', 0, CAST((rest & 127) | 128 AS int)); rest := (rest >> 7) & 144115188075855871; END LOOP;"
    " RETURN packed || set_byte('\\x00', 0, CAST(rest AS int)); END $$;"
    "CREATE FUNCTION flow_packed(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT flow_varint(octet_length(value)) || value $$;"
    "INSERT INTO flow_journal SELECT tenant, run_id, seq, ended_us, CAST('\\x01' AS bytea) || flow_varint(request) || flow_varint(fiber) || flow_varint(span) || flow_varint(parent_span) || flow_varint(entry)"
    " || flow_varint(effect) || flow_varint(target) || flow_varint(agent) || flow_varint(((ended_us - started_us) << 1) # ((ended_us - started_us) >> 63)) || flow_packed(convert_to(name, 'UTF8'))"
    " || flow_packed(convert_to(args_json, 'UTF8')) || flow_packed(payload) || flow_packed(convert_to(detail_json, 'UTF8')) FROM flow_journal_wide;"
    "DROP TABLE flow_journal_wide; DROP FUNCTION flow_packed(bytea); DROP FUNCTION flow_varint(bigint);"
    "DROP INDEX flow_runs_running; DROP INDEX flow_runs_unended; DROP INDEX flow_runs_correlation;"
    "CREATE INDEX flow_runs_unended ON flow_runs (status, created_us) WHERE status < 3;"
    "CREATE INDEX flow_runs_correlation ON flow_runs (tenant, correlation, created_us) WHERE correlation <> run_id;"
    "ALTER TABLE flow_snapshots DROP CONSTRAINT flow_snapshots_tenant_run_id_fkey; ALTER TABLE flow_timers DROP CONSTRAINT flow_timers_tenant_run_id_fkey;"
    "ALTER TABLE flow_waits DROP CONSTRAINT flow_waits_tenant_run_id_fkey;"
    /* How often runs were taken from a worker of that name: what it has written down about its own runs holds while this does not move (pg_group.c). */
    "CREATE TABLE flow_workers (worker " T " PRIMARY KEY, taken BIGINT NOT NULL);"
    "CREATE FUNCTION flow_note_taken() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO flow_workers AS w VALUES (old.worker, 1) ON CONFLICT (worker) DO UPDATE SET taken = w.taken + 1;"
    " RETURN NULL; END $$;"
    "CREATE TRIGGER flow_taken AFTER UPDATE OF epoch ON flow_runs FOR EACH ROW WHEN (old.status = 1 AND old.epoch <> new.epoch) EXECUTE FUNCTION flow_note_taken();"
    /* A step that is nothing but journal rows, as one statement that is its own transaction. Each statement in here sees what was committed when it began,
       so the count is read behind the lock. */
    "CREATE FUNCTION flow_append(worker_name text, known bigint, tenants text[], run_ids text[], seqs bigint[], ends bigint[], bodies bytea[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
    " IF pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '/' || worker_name, 0)) IS NULL THEN RETURN; END IF;"     /* it never is; as a condition it is no query of its own */
    " INSERT INTO flow_journal SELECT * FROM unnest(tenants, run_ids, seqs, ends, bodies) WHERE (SELECT w.taken FROM flow_workers w WHERE w.worker = worker_name) IS NOT DISTINCT FROM known;"
    " IF NOT FOUND THEN RAISE EXCEPTION 'runs were taken from this worker' USING ERRCODE = 'division_by_zero'; END IF; END $$;"
    LET_PLANNER_KNOW
    "INSERT INTO flow_journal SELECT 'planner statistics', 'r' || n / 10, n, n, '' FROM generate_series(1, 2000) AS n WHERE NOT EXISTS (SELECT 1 FROM flow_journal);"
    "ANALYZE flow_journal; DELETE FROM flow_journal WHERE tenant = 'planner statistics';",
    /* 14: what the caller of a run may do, for plans */
    "ALTER TABLE flow_runs ADD COLUMN scopes " T " NOT NULL DEFAULT '';",
    /* 15: the count of takeovers is a sequence, so a step is one insert (pg_group.c) and no function */
    "DROP FUNCTION flow_append(text, bigint, text[], text[], bigint[], bigint[], bytea[]); DROP TABLE flow_workers;"
    "CREATE SEQUENCE flow_takeovers;"
    "CREATE OR REPLACE FUNCTION flow_note_taken() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN PERFORM nextval('flow_takeovers'); RETURN NULL; END $$;",
    /* 16: a smaller row of a run: a hash as bytes, numbers as long as they need be, and null for those that are nothing in most runs */
    "DROP TRIGGER flow_taken ON flow_runs;"
    "ALTER TABLE flow_runs ALTER COLUMN module_hash TYPE bytea USING CASE WHEN module_hash ~ '^[0-9a-f]{64}$' THEN decode(module_hash, 'hex') ELSE convert_to(module_hash, 'UTF8') END,"
    " ALTER COLUMN func TYPE integer, ALTER COLUMN status TYPE smallint, ALTER COLUMN priority TYPE integer, ALTER COLUMN blocked TYPE smallint,"
    " ALTER COLUMN hops DROP NOT NULL, ALTER COLUMN limit_count DROP NOT NULL, ALTER COLUMN lease_until_us DROP NOT NULL, ALTER COLUMN last_seq DROP NOT NULL,"
    " ALTER COLUMN snapshot_seq DROP NOT NULL, ALTER COLUMN ended_us DROP NOT NULL, ALTER COLUMN durability DROP NOT NULL, ALTER COLUMN cancel_requested DROP NOT NULL,"
    " ALTER COLUMN correlation DROP NOT NULL, SET (fillfactor = 95);"             /* no correlation: its own */
    "DROP INDEX flow_runs_unended; CREATE INDEX flow_runs_unended ON flow_runs (status) WHERE status < 3;"       /* equal keys take next to no room */
    "CREATE TRIGGER flow_taken AFTER UPDATE OF epoch ON flow_runs FOR EACH ROW WHEN (old.status = 1 AND old.epoch <> new.epoch) EXECUTE FUNCTION flow_note_taken();",
    /* 17: a row of the journal may hold several, up to last_seq (sql_journal.c); the rows of many runs as one, until each is in its own journal (pg_log.c).
       A log row is small, short-lived and read by no index but its key, so nothing is compressed. Who knows neither must not work beside it: he would not see
       a run's newest rows and repeat what they say was done. */
    "DO $$ DECLARE held bigint; BEGIN SELECT COUNT(*) INTO held FROM flow_runs WHERE status = 1 AND lease_until_us > extract(epoch FROM clock_timestamp()) * 1000000;"
    " IF held > 0 THEN RAISE EXCEPTION 'workers of an older version hold % run(s) and could not read what this one writes: stop all of them, then migrate', held; END IF; END $$;"
    "ALTER TABLE flow_journal ADD COLUMN last_seq BIGINT;"
    "CREATE TABLE flow_log (tenant " T " NOT NULL, worker " T " NOT NULL, id BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (tenant, worker, id));"
    "ALTER TABLE flow_log ALTER COLUMN body SET STORAGE EXTERNAL;",
    /* 18: columns in the order that updates like; a run that works is not in the order of its beginning yet: it is found among the few that work, and comes into that
       index when it parks or ends, once instead of twice */
    "DROP INDEX IF EXISTS flow_runs_created;"                                     /* the indexes of partitioned tables have names of their own */
    "DO $$ BEGIN IF (SELECT relkind FROM pg_class WHERE oid = 'flow_runs'::regclass) = 'r' THEN"
    " ALTER TABLE flow_mail DROP CONSTRAINT flow_mail_tenant_run_id_fkey;"
    " ALTER TABLE flow_runs RENAME TO flow_runs_before; ALTER INDEX flow_runs_pkey RENAME TO flow_runs_before_pkey;"
    " CREATE TABLE flow_runs (" RUN_COLUMNS_FIRST ", " RUN_COLUMNS_LAST ") WITH (fillfactor = 95, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);"
    " INSERT INTO flow_runs (" RUN_NAMES ") OVERRIDING SYSTEM VALUE SELECT " RUN_NAMES " FROM flow_runs_before;"
    " PERFORM setval(pg_get_serial_sequence('flow_runs', 'row_no'), COALESCE(MAX(row_no), 1), MAX(row_no) IS NOT NULL) FROM flow_runs;"
    " DROP TABLE flow_runs_before;"
    " ALTER TABLE flow_runs ADD PRIMARY KEY (tenant, run_id);"
    " CREATE INDEX flow_runs_ready ON flow_runs (tenant, priority DESC, created_us, row_no) WHERE status = 0 AND blocked = 0;"
    " CREATE INDEX flow_runs_unended ON flow_runs (status) WHERE status < 3;"
    " CREATE INDEX flow_runs_key ON flow_runs (tenant, concurrency_key) WHERE concurrency_key <> '' AND status < 3 AND epoch > 0;"
    " CREATE INDEX flow_runs_limit ON flow_runs (tenant, limit_key) WHERE limit_key <> '' AND status < 3 AND epoch > 0;"
    " CREATE INDEX flow_runs_blocked_key ON flow_runs (tenant, concurrency_key, priority DESC, created_us, row_no) WHERE blocked = 1;"
    " CREATE INDEX flow_runs_blocked_limit ON flow_runs (tenant, limit_key, priority DESC, created_us, row_no) WHERE blocked = 1;"
    " CREATE INDEX flow_runs_correlation ON flow_runs (tenant, correlation, created_us) WHERE correlation <> run_id;"
    " ALTER TABLE flow_mail ADD FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id);"
    " CREATE TRIGGER flow_taken AFTER UPDATE OF epoch ON flow_runs FOR EACH ROW WHEN (old.status = 1 AND old.epoch <> new.epoch) EXECUTE FUNCTION flow_note_taken(); END IF; END $$;"
    "CREATE INDEX flow_runs_created ON flow_runs (tenant, created_us) WHERE status <> 1;"
    KNOWN_RUNS "ANALYZE flow_runs; DELETE FROM flow_runs WHERE tenant = 'planner statistics';",
};
enum { SCHEMA_VERSION = sizeof MIGRATIONS / sizeof *MIGRATIONS };

static const char *const append_only[] = {
    "CREATE TRIGGER flow_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON @t FOR EACH STATEMENT EXECUTE FUNCTION flow_refuse_change()",
    NULL,
};

/* Restrictive: both these and the policy of the tenant must allow a row. */
static const char *const secure_visible[] = {
    "CREATE POLICY flow_read ON @t AS RESTRICTIVE FOR SELECT USING (@r)",
    "CREATE POLICY flow_insert ON @t AS RESTRICTIVE FOR INSERT WITH CHECK (@o)",
    "CREATE POLICY flow_update ON @t AS RESTRICTIVE FOR UPDATE USING (@w)",
    "CREATE POLICY flow_delete ON @t AS RESTRICTIVE FOR DELETE USING (@w)",
    NULL,
};

const SqlDialect PG_DIALECT = {
    .name = "postgresql", .placeholder = '$', .name_max = 63,
    .type_bool = "boolean", .type_int = "bigint", .type_float = "double precision", .type_decimal = "numeric", .type_text = T, .type_blob = "bytea",
    .row_no = "bigint GENERATED ALWAYS AS IDENTITY",
    .same = "IS NOT DISTINCT FROM", .differs = "IS DISTINCT FROM",
    .decimal_order = "@a", .decimal_of_int = "CAST(@a AS numeric)",
    .decimal_add = "(@a + @b)", .decimal_sub = "(@a - @b)", .decimal_mul = "(@a * @b)",
    .decimal_sum = "COALESCE(SUM(@a), 0)", .decimal_avg = "flow_decimal_div(SUM(@a), COUNT(@a))",
    .int_add = "(@a + @b)", .int_sub = "(@a - @b)", .int_mul = "(@a * @b)", .int_sum = "CAST(COALESCE(SUM(@a), 0) AS bigint)", .avg = "CAST(AVG(@a) AS double precision)",
    .int_of_float = "CAST(TRUNC(@a) AS bigint)", .float_of_int = "CAST(@a AS double precision)",
    .date_shift = "(@a + CAST(FLOOR(CAST(@b AS numeric) / 86400000000) AS bigint))",
    .contains = "(strpos(@a, @b) > 0)", .starts = "starts_with(@a, @b)", .ends = "(right(@a, length(@b)) = @b)", .lower = "flow_lower(@a)", .upper = "flow_upper(@a)",
    .in_list = "(@a IN (SELECT CAST(item AS @c) FROM jsonb_array_elements_text(@b) AS item))",
    .in_text_list = "(@a IN (SELECT item FROM jsonb_array_elements_text(@b) AS item))",
    .in_blob_list = "(upper(encode(@a, 'hex')) IN (SELECT item FROM jsonb_array_elements_text(@b) AS item))",
    .cast = "CAST(@a AS @c)", .cast_text = "(CAST(@a AS text) COLLATE \"C\")",
    .quote = "SELECT quote_literal(CAST($1 AS text))", .quote_blob = "SELECT quote_literal(CAST(CAST($1 AS bytea) AS text))",
    .lock_rows = " FOR NO KEY UPDATE OF s0", .skip_locked = " FOR NO KEY UPDATE SKIP LOCKED",
    .lock_name = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.' || ?1, 0))",
    .share_name = "SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '*' || ?1, 0))",
    .pass_name = "SELECT pg_advisory_lock(k), pg_advisory_unlock(k) FROM (SELECT hashtextextended(current_schema() || '*' || ?1, 0) AS k) AS x",
    .append_only = append_only, .packs_hashes = true, .running_apart = true,
    .module_of_run = "CASE WHEN octet_length(r.module_hash) = 32 THEN encode(r.module_hash, 'hex') ELSE convert_from(r.module_hash, 'UTF8') END",
    .log_of_run = "EXISTS (SELECT 1 FROM flow_log AS l WHERE l.tenant = r.tenant AND l.worker = r.worker AND position(convert_to(r.run_id, 'UTF8') IN l.body) > 0)",
    .lone_worker = "pg_try_advisory_xact_lock(" PG_WORKER_LOCK("r.worker") ")",
    .secure_table = "ALTER TABLE @a ENABLE ROW LEVEL SECURITY; ALTER TABLE @a FORCE ROW LEVEL SECURITY;"
                    "CREATE POLICY flow_tenant ON @a USING (tenant_id = (SELECT current_setting('flow.tenant', true)))",
    .secure_visible = secure_visible, .scope_tenant = "(SELECT current_setting('flow.tenant', true))", .scope_user = "(SELECT flow_user())",
};

void pg_quote(Buf *out, const char *name)
{
    buf_put_char(out, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_put_char(out, '"');
        buf_put_char(out, *name);
    }
    buf_put_char(out, '"');
}

/* ---- letters ------------------------------------------------------------------------------------------- */

/* `lower` and `upper` inside a query must be what they are in the machine, on every server: the whole mapping goes into the function. */
static void put_case_function(Buf *out, const char *name, const char *ascii, void (*change)(Str text, Buf *out))
{
    Buf from = { 0 }, to = { 0 }, one = { 0 };
    for (utf8proc_int32_t c = 128; c < 0x20000; c++) {            /* the planes behind have no letters with case */
        utf8proc_uint8_t bytes[4];
        if (!utf8proc_codepoint_valid(c))
            continue;
        Str letter = { (const char *)bytes, (size_t)utf8proc_encode_char(c, bytes) };
        buf_clear(&one);
        change(letter, &one);
        if (str_eq(buf_str(&one), letter))
            continue;
        buf_put_str(&from, letter);
        buf_put_str(&to, buf_str(&one));
    }
    buf_printf(out, "CREATE FUNCTION %s(t text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT CASE WHEN octet_length(t) = length(t) THEN %s(t COLLATE \"C\") "
                    "ELSE translate(%s(t COLLATE \"C\"), '%s', '%s') END $$;", name, ascii, ascii, buf_cstr(&from), buf_cstr(&to));
    buf_free(&from);
    buf_free(&to);
    buf_free(&one);
}

/* ---- migrations ---------------------------------------------------------------------------------------- */

/* 0: nothing is there yet. */
static Err schema_version(PgConn *c, int64_t *version, Error *error)
{
    SqlRows rows;
    Arena *arena = arena_new();
    const Cell args[] = { cell_text(str_of(c->store->schema)) };
    *version = 0;
    Err err = pg_query(c, STR("SELECT 1 FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = ?1 AND t.relname = 'flow_schema'"), args, 1, arena, &rows, error);
    if (!err && rows.set.rows && !(err = pg_query(c, STR("SELECT MAX(version) FROM flow_schema"), NULL, 0, arena, &rows, error)))
        *version = rows.set.cells[0].i;
    if (!err && *version > SCHEMA_VERSION)
        err = err_set(error, ERR_UNSUPPORTED, "cannot open the store: its schema is version %lld, this program knows %d", (long long)*version, SCHEMA_VERSION);
    arena_free(arena);
    return err;
}

static Err make_key(PgConn *c, Error *error)
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    const Cell args[] = { cell_text(STR("snapshot_key")), cell_blob((Str){ (const char *)key, sizeof key }) };
    Err err = pg_query(c, STR("INSERT INTO flow_meta (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING"), args, 2, NULL, NULL, error);
    explicit_bzero(key, sizeof key);
    return err;
}

static Err lock_schema(PgConn *c, bool lock, Error *error)
{
    const Cell args[] = { cell_text(str_of(c->store->schema)) };
    return lock ? pg_query(c, STR("SELECT pg_advisory_lock(hashtextextended('flow migration ' || ?1, 0))"), args, 1, NULL, NULL, error)
                : pg_query(c, STR("SELECT pg_advisory_unlock(hashtextextended('flow migration ' || ?1, 0))"), args, 1, NULL, NULL, error);
}

void pg_put_migrations(Buf *sql, int64_t from, int64_t to)
{
    for (int64_t v = from; v < to; v++) {
        buf_put_text(sql, MIGRATIONS[v]);
        if (v == 0) {
            put_case_function(sql, "flow_lower", "lower", text_lower);
            put_case_function(sql, "flow_upper", "upper", text_upper);
        }
    }
    buf_printf(sql, "CREATE TABLE IF NOT EXISTS flow_schema (version bigint NOT NULL); DELETE FROM flow_schema; INSERT INTO flow_schema VALUES (%lld);", (long long)to);
}

/* One script, one transaction: all of it or nothing. */
static Err apply_migrations(PgConn *c, int64_t version, Error *error)
{
    Buf sql = { 0 };
    buf_put_text(&sql, "BEGIN; ");
    if (version == 0) {                                     /* a role that may not make schemas can be given one */
        buf_put_text(&sql, "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = current_setting('flow.schema')) THEN EXECUTE format('CREATE SCHEMA %I', current_setting('flow.schema')); END IF; END $$;");
    }
    pg_put_migrations(&sql, version, SCHEMA_VERSION);
    buf_put_text(&sql, "COMMIT");
    const Cell name = cell_text(str_of(c->store->schema));
    Err err = pg_query(c, STR("SELECT set_config('flow.schema', ?1, false)"), &name, 1, NULL, NULL, error);
    if (!err)
        err = pg_execute(c, buf_cstr(&sql), error);
    if (err && !c->lost)
        pg_execute(c, "ROLLBACK", NULL);
    buf_free(&sql);
    return err ? err : make_key(c, error);
}

Err pg_migrate(PgConn *c, const StoreOptions *options, Error *error)
{
    int64_t version;
    Err err = schema_version(c, &version, error);
    if (options->schema)
        *options->schema = (StoreSchema){ version, SCHEMA_VERSION };
    if (err || version == SCHEMA_VERSION)
        return err;
    if (version && !options->migrate && !options->read_only)
        return err_set(error, ERR_UNSUPPORTED, "cannot open the store: its schema is version %lld, this program wants %d; `flowd migrate` brings it up to date", (long long)version, SCHEMA_VERSION);
    if (options->read_only)
        return err_set(error, ERR_UNSUPPORTED, "cannot read the store: its schema is version %lld, expected %d; `flowd migrate` brings it up to date", (long long)version, SCHEMA_VERSION);
    if ((err = lock_schema(c, true, error)))
        return err;
    err = schema_version(c, &version, error);
    if (!err && version < SCHEMA_VERSION)
        err = apply_migrations(c, version, error);
    lock_schema(c, false, NULL);
    return err;
}

/* ---- for tests ----------------------------------------------------------------------------------------- */

/* Every row of every table but those that say what tables there are, and the key. A truncation makes new files, which takes longer than to delete a few rows;
   but where row security or a trigger guards the rows, it is the one way. Those that refer to runs go before the runs. */
Err pg_clear(void *conn, Error *error)
{
    PgStore *store = ((PgConn *)conn)->store;
    pg_log_free(store);
    pg_runs_drop(store);
    return pg_query(conn, STR(
        "DO $$ DECLARE t record; BEGIN FOR t IN SELECT c.relname, c.relrowsecurity AS secured,"
        " EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'flow_append_only') AS guarded"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND pg_relation_size(c.oid) > 0"
        " AND c.relname NOT IN ('flow_meta', 'flow_schema', 'flow_tables', 'flow_columns', 'flow_indexes') ORDER BY c.relname = 'flow_runs'"
        " LOOP IF t.guarded THEN EXECUTE format('ALTER TABLE %I DISABLE TRIGGER flow_append_only', t.relname); END IF;"
        " IF t.guarded OR t.secured THEN EXECUTE format('TRUNCATE TABLE %I CASCADE', t.relname); ELSE EXECUTE format('DELETE FROM %I', t.relname); END IF;"
        " IF t.guarded THEN EXECUTE format('ALTER TABLE %I ENABLE TRIGGER flow_append_only', t.relname); END IF; END LOOP; END $$"), NULL, 0, NULL, NULL, error);
}
