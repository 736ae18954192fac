-- partition.sql - the engine's tables, partitioned by tenant. Once, on a new schema, after `flowd migrate` and before the first run:
--     psql "$DATABASE" -v schema=flow -v parts=16 -f scripts/partition.sql
-- Every key of these tables leads with the tenant, so each row of a tenant lies in one partition, and every statement that names a tenant looks into one.
-- Tables that hold no tenant's rows (modules, the schema's version, the list of programs' tables, subscriptions) stay whole. Tables of programs are made by the
-- engine as they come; their keys lead with the tenant, too.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL search_path = :"schema";
SELECT set_config('flow.parts', :'parts', true) AS parts;
DO $$
DECLARE
    parts CONSTANT int := current_setting('flow.parts')::int;
    name text; key record; n int; filled bigint; again text[] := '{}'; statement text;
BEGIN
    IF parts < 1 OR parts > 1024 THEN RAISE EXCEPTION 'parts: from 1 to 1024'; END IF;
    FOR name IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
                WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname LIKE 'flow\_%' LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I LIMIT 1) AS one', name) INTO filled;
        IF filled > 0 THEN RAISE EXCEPTION '% holds rows: partition a new schema', name; END IF;
    END LOOP;
    -- foreign keys and triggers are made again when their tables are
    FOR key IN SELECT conrelid::regclass AS own, conname, pg_get_constraintdef(oid) AS meaning FROM pg_constraint
               WHERE contype = 'f' AND connamespace = current_schema()::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.own, key.conname);
        again := again || format('ALTER TABLE %s ADD CONSTRAINT %I %s', key.own, key.conname, key.meaning);
    END LOOP;
    FOR name IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
                WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'flow\_%' ORDER BY 1 LOOP
        FOR key IN SELECT pg_get_triggerdef(oid) AS meaning FROM pg_trigger WHERE tgrelid = name::regclass AND NOT tgisinternal LOOP
            again := again || key.meaning;
        END LOOP;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, name || '_whole');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES INCLUDING CONSTRAINTS) PARTITION BY HASH (tenant)', name, name || '_whole');
        FOR n IN 0 .. parts - 1 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s)', name || '_' || n, name, parts, n);
        END LOOP;
        EXECUTE format('DROP TABLE %I', name || '_whole');
    END LOOP;
    FOREACH statement IN ARRAY again LOOP EXECUTE statement; END LOOP;
END $$;
COMMIT;
