-- What the writer and the reader may do. Run as lake_owner.

-- A whole mart is published by filling a table beside it and swapping the two, which only an owner can do. These
-- functions do it for the writer, with tables of a mart's own shape and name and with nothing else. Waiting for
-- readers is limited by the caller's lock_timeout.

CREATE OR REPLACE FUNCTION lake.find_mart(mart text) RETURNS regclass
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE found regclass;
BEGIN
    SELECT c.oid INTO found FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('marts') AND c.relname = mart AND c.relkind = 'p'
        AND c.relowner = to_regrole('lake_owner');
    IF found IS NULL THEN
        RAISE EXCEPTION 'there is no mart % of lake_owner', quote_ident(mart) USING ERRCODE = 'undefined_table';
    END IF;
    RETURN found;
END $$;

-- The table beside a mart that is no partition of it; two names take turns.
CREATE OR REPLACE FUNCTION lake.find_beside(mart text) RETURNS regclass
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE found regclass;
BEGIN
    SELECT c.oid INTO found FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('lake') AND c.relname IN (mart || '_1', mart || '_2')
        AND c.relkind = 'r' AND NOT c.relispartition AND c.relowner = to_regrole('lake_owner');
    RETURN found;
END $$;

CREATE OR REPLACE FUNCTION lake.make_beside(mart text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent regclass := lake.find_mart(mart);
    fresh text;
BEGIN
    PERFORM lake.drop_beside(mart);  -- of a publish that did not clean up
    SELECT mart || '_' || number INTO fresh FROM generate_series(1, 2) AS number
    WHERE to_regclass(format('lake.%I', mart || '_' || number)) IS NULL ORDER BY number LIMIT 1;
    IF fresh IS NULL THEN
        RAISE EXCEPTION 'both tables beside the mart % are in use', quote_ident(mart) USING ERRCODE = 'duplicate_table';
    END IF;
    EXECUTE format('CREATE TABLE lake.%I (LIKE %s)', fresh, parent);
    EXECUTE format('GRANT SELECT, INSERT ON lake.%I TO lake_writer', fresh);
    RETURN fresh;
END $$;

-- Keys and indexes as the mart has them, built when the rows are there; others than plain ones come with the swap.
CREATE OR REPLACE FUNCTION lake.index_beside(mart text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent regclass := lake.find_mart(mart);
    fresh regclass := lake.find_beside(mart);
    wanted record;
BEGIN
    FOR wanted IN
        SELECT i.indisprimary AS is_key, string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) AS columns
        FROM pg_index AS i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE i.indrelid = parent AND i.indexprs IS NULL AND i.indpred IS NULL AND i.indisunique = i.indisprimary
        GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indexrelid
    LOOP
        IF wanted.is_key THEN
            EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', fresh, wanted.columns);
        ELSE
            EXECUTE format('CREATE INDEX ON %s (%s)', fresh, wanted.columns);
        END IF;
    END LOOP;
    EXECUTE format('ANALYZE %s', fresh);
END $$;

CREATE OR REPLACE FUNCTION lake.swap_beside(mart text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent regclass := lake.find_mart(mart);
    fresh regclass := lake.find_beside(mart);
    old regclass;
    olds regclass[] := ARRAY(SELECT inhrelid FROM pg_inherits WHERE inhparent = parent);
BEGIN
    FOREACH old IN ARRAY olds LOOP
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, old);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', parent, fresh);
    EXECUTE format('REVOKE ALL ON %s FROM lake_writer', fresh);
    FOREACH old IN ARRAY olds LOOP
        EXECUTE format('DROP TABLE %s', old);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION lake.drop_beside(mart text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE fresh regclass := lake.find_beside(mart);
BEGIN
    PERFORM lake.find_mart(mart);
    IF fresh IS NOT NULL THEN
        EXECUTE format('DROP TABLE %s', fresh);
    END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lake FROM PUBLIC, lake_writer, lake_reader;
GRANT EXECUTE ON FUNCTION lake.make_beside(text), lake.index_beside(text), lake.swap_beside(text),
    lake.drop_beside(text) TO lake_writer;

REVOKE ALL ON SCHEMA marts, lake FROM PUBLIC, lake_writer, lake_reader;
GRANT USAGE ON SCHEMA marts TO lake_writer, lake_reader;
GRANT USAGE ON SCHEMA lake TO lake_writer;

-- Marts of tomorrow.
ALTER DEFAULT PRIVILEGES FOR ROLE lake_owner IN SCHEMA marts GRANT SELECT ON TABLES TO lake_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE lake_owner IN SCHEMA marts GRANT SELECT, INSERT, DELETE ON TABLES TO lake_writer;

-- And what is there, anew, so that what somebody granted by hand beyond it goes.
DO $$
DECLARE relation record;
BEGIN
    FOR relation IN
        SELECT c.oid::regclass AS name, n.nspname = 'marts' AS is_read, CASE
            WHEN c.relispartition THEN NULL  -- reached through the mart
            WHEN n.nspname = 'marts' AND c.relname = 'mart_run_history' THEN 'SELECT, INSERT'  -- only ever added to
            WHEN n.nspname = 'marts' AND c.relname IN ('mart_data_quality', 'mart_set_aside')
                THEN 'SELECT, INSERT, UPDATE, DELETE'
            WHEN n.nspname = 'marts' AND c.relkind = 'p' THEN 'SELECT, INSERT, DELETE'
            WHEN n.nspname = 'lake' AND c.relname IN ('identity', 'held', 'sources') THEN 'SELECT, INSERT, DELETE'
            WHEN n.nspname = 'lake' AND c.relname = 'releases' THEN 'SELECT, INSERT'  -- kept for ever
            WHEN n.nspname = 'lake' AND c.relname = 'marts' THEN 'SELECT, INSERT, UPDATE'
        END AS written
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('marts', 'lake') AND c.relkind IN ('r', 'p', 'v', 'm')
            AND c.relowner = to_regrole('lake_owner')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, lake_writer, lake_reader', relation.name);
        IF relation.is_read THEN
            EXECUTE format('GRANT SELECT ON %s TO lake_reader', relation.name);
        END IF;
        IF relation.written IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %s TO lake_writer', relation.written, relation.name);
        END IF;
    END LOOP;
END $$;
