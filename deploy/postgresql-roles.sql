-- The three PostgreSQL roles of `controls`. Run once per server, as a superuser, before the first migration:
--
--   createdb controls
--   psql -v ON_ERROR_STOP=1 -v database=controls -f deploy/postgresql-roles.sql
--
-- then give the service its way to log in, by certificate (pg_hba.conf: hostssl ... cert), or by password:
--
--   psql -c '\password controls_service'
--
--   role              logs in  may
--   controls_owner    no       own the schema and its guards; only a migration acts as it (SET ROLE)
--   controls_service  yes      what each migration run grants, table by table (src/controls/store/rights.py):
--                              on the ledger read and append only. No TRUNCATE, no DDL
--   controls_reader   no       likewise: read the ledger, not the disclosures, API keys and stored answers;
--                              grant it to the logins of auditors and of monitoring
--
-- Why: the triggers that guard the ledger can be switched off by the owner of the tables. So the service
-- never is the owner, nobody can log in as the owner, and an injected statement cannot undo a guard. Against
-- a superuser no guard helps: that is what the signed checkpoints outside the database are for.
--
-- A migration runs as a person who was granted controls_owner for that purpose; it becomes the owner for
-- its one transaction:
--
--   GRANT controls_owner TO maria;       -- and REVOKE it afterwards
--
-- Safe to run again: it makes what is missing and sets the rest to what is written here.

\if :{?database}
\else
  \set database controls
\endif

\connect :"database"

BEGIN;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['controls_owner', 'controls_service', 'controls_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I', wanted);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE controls_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE controls_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE controls_reader NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

-- A stuck service must not hold the ledger's head row for ever; these are limits, not expected times.
ALTER ROLE controls_service SET statement_timeout = '30s';
ALTER ROLE controls_service SET idle_in_transaction_session_timeout = '30s';
-- "No record, no answer" needs the commit on disk (and on the standby, where synchronous_standby_names is set).
ALTER ROLE controls_service SET synchronous_commit = 'on';

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO controls_owner, controls_service, controls_reader;
GRANT CREATE ON DATABASE :"database" TO controls_owner;

-- Tables lie in `public`, owned by controls_owner; nobody else makes anything there.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO controls_owner;
GRANT USAGE ON SCHEMA public TO controls_service, controls_reader;

-- No rights on tables here, and no default ones: each migration grants them table by table, so that a new
-- table starts closed to everybody but its owner.

COMMIT;
