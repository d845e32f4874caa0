-- Who the lake is in Postgres. To be run by whoever may create roles, and again whenever he likes.
--
--   lake_owner   owns the schemas, the marts and the lake's state; nobody logs in as it
--   lake_writer  publishes: it reads and writes rows, and can create, alter or drop nothing that stays
--   lake_reader  reads the marts, those of tomorrow too
--
-- Roles belong to the server, not to one database: all lakes of a server share them.

SELECT pg_advisory_xact_lock(hashtext('bioreactor_lake'));

DO $$
DECLARE role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['lake_owner', 'lake_writer', 'lake_reader'] LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    -- Such rights would go past all that follows.
    SELECT rolname INTO role FROM pg_roles AS r
    WHERE rolname IN ('lake_owner', 'lake_writer', 'lake_reader') AND (
        rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
        OR EXISTS (
            SELECT FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
            WHERE m.member = r.oid
                AND (g.rolsuper OR g.rolname LIKE 'pg\_%' OR g.rolname IN ('lake_owner', 'lake_writer'))));
    IF FOUND THEN
        RAISE EXCEPTION '% may do more on this server than the lake needs', role
            USING ERRCODE = 'invalid_role_specification',
                  HINT = 'Take its attributes, or its memberships in other roles, away.';
    END IF;
    -- An administrator who is no superuser acts as the owner by being a member.
    IF NOT pg_has_role('lake_owner', 'USAGE') THEN
        EXECUTE format('GRANT lake_owner TO %I', current_user);
    END IF;
END $$;

-- The schemas and what the lake has made in them, on a server that was used without roles too. What others built in
-- the schema marts stays theirs, and whoever owned the marts may go on reading them: views may be his.
DO $$
DECLARE
    namespace text;
    relation record;
BEGIN
    FOREACH namespace IN ARRAY ARRAY['marts', 'lake'] LOOP
        IF to_regnamespace(namespace) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I AUTHORIZATION lake_owner', namespace);
        ELSIF (SELECT nspowner FROM pg_namespace WHERE nspname = namespace) <> to_regrole('lake_owner') THEN
            EXECUTE format('ALTER SCHEMA %I OWNER TO lake_owner', namespace);
        END IF;
    END LOOP;
    FOR relation IN
        SELECT c.oid::regclass AS name, o.rolname AS owner, o.rolsuper AS is_superuser
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_roles AS o ON o.oid = c.relowner
        WHERE c.relkind IN ('r', 'p') AND c.relowner <> to_regrole('lake_owner') AND (
            n.nspname = 'lake'
            OR n.nspname = 'marts' AND (c.relname IN ('mart_run_history', 'mart_data_quality', 'mart_set_aside') OR EXISTS (
                SELECT FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid
                WHERE i.inhparent = c.oid AND p.relnamespace = to_regnamespace('lake'))))
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO lake_owner', relation.name);
        IF NOT relation.is_superuser AND relation.owner <> 'lake_writer' AND NOT pg_has_role(relation.owner, 'lake_reader', 'MEMBER') THEN
            EXECUTE format('GRANT lake_reader TO %I', relation.owner);
        END IF;
    END LOOP;
END $$;
