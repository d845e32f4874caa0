-- What belongs to the database. Run by its owner or an administrator.
--
-- Postgres lets everybody make temporary tables, and before version 15 tables in the schema public: a reader must not,
-- and the writer needs the former, for rows on their way into a mart.
DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO lake_writer, lake_reader', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO lake_writer', current_database());
    IF has_schema_privilege('lake_reader', to_regnamespace('public'), 'CREATE') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
    -- One who may not do this is told so by a warning only.
    IF has_database_privilege('lake_reader', current_database(), 'TEMPORARY')
        OR has_database_privilege('lake_reader', current_database(), 'CREATE')
        OR has_database_privilege('lake_writer', current_database(), 'CREATE')
        OR has_schema_privilege('lake_reader', to_regnamespace('public'), 'CREATE')
        OR has_schema_privilege('lake_writer', to_regnamespace('public'), 'CREATE')
        OR NOT has_database_privilege('lake_writer', current_database(), 'TEMPORARY')
    THEN
        RAISE EXCEPTION 'the rights on the database and its schema public could not be set'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;
