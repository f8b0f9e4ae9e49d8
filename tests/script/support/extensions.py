# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Databases with extensions of other projects, each with data that a restore must handle specially.

Debian's TimescaleDB is the Apache edition: it has hypertables, and neither compressed chunks nor continuous aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass

from .programs import Programs, root_filesystem, wrap
from .sample import quoted
from .server import Server
from .workspace import Workspace

VERSION = "18"
SCHEDULED = "scheduled"
"""The database of pg_cron, which can only be in one."""

_SETTINGS = (
    "shared_preload_libraries = 'timescaledb,pg_cron'",
    "timescaledb.telemetry_level = off",
    f"cron.database_name = '{SCHEDULED}'",
    # A test that lets a job run finds more rows than these databases have.
    "cron.launch_active_jobs = off",
)


@dataclass(frozen=True)
class Case:
    """A database: the SQL that fills it, and a query whose result a restored copy must share."""

    fill: str
    query: str


CASES = {
    # Without timescaledb_pre_restore() the foreign key fails: "table ... is not a hypertable".
    "series": Case(
        """
        CREATE EXTENSION timescaledb;
        CREATE TABLE devices (id int PRIMARY KEY, name text);
        INSERT INTO devices VALUES (1, 'roof'), (2, 'cellar'), (3, 'garden');
        CREATE TABLE measured (at timestamptz NOT NULL, device int NOT NULL REFERENCES devices, value float8);
        SELECT create_hypertable('measured', 'at', chunk_time_interval => interval '1 day');
        SELECT add_dimension('measured', 'device', number_partitions => 2);
        INSERT INTO measured SELECT at, device, device + extract(hour FROM at)
            FROM generate_series('2026-01-01Z'::timestamptz, '2026-01-04 23:00Z', '1 hour') at,
                generate_series(1, 3) device;
        CREATE INDEX measured_value ON measured (value);
        CREATE VIEW daily AS SELECT time_bucket('1 day', at) AS day, device, avg(value) FROM measured GROUP BY 1, 2;
        """,
        "SELECT count(*), sum(value), (SELECT count(*) FROM daily), (SELECT count(*) FROM show_chunks('measured'))"
        " FROM measured;",
    ),
    # The first job would run every second, on the live server: its row names that server's port.
    SCHEDULED: Case(
        """
        CREATE EXTENSION pg_cron;
        CREATE TABLE ticks (at timestamptz DEFAULT now());
        SELECT cron.schedule('tick', '1 seconds', 'INSERT INTO ticks DEFAULT VALUES');
        SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM');
        SELECT cron.schedule_in_database('other', '5 3 * * *', 'VACUUM', 'postgres');
        INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message)
            SELECT 2, nextval('cron.runid_seq'), 'scheduled', 'postgres', 'VACUUM', 'succeeded', E'tab\\tand "quotes"'
            FROM generate_series(1, 20);
        CREATE ROLE cron_reader;
        GRANT USAGE ON SCHEMA cron TO cron_reader;
        GRANT EXECUTE ON FUNCTION cron.schedule(text, text, text) TO cron_reader;
        CREATE VIEW failed AS SELECT * FROM cron.job_run_details WHERE status = 'failed';
        GRANT SELECT ON failed TO cron_reader;
        CREATE FUNCTION plan() RETURNS bigint LANGUAGE plpgsql
            AS 'BEGIN RETURN cron.schedule(''weekly'', ''0 4 * * 0'', ''ANALYZE''); END';
        """,
        "SELECT (SELECT count(*) FROM ticks), (SELECT count(*) FROM cron.job WHERE active),"
        " (SELECT max(runid) FROM cron.job_run_details), (SELECT last_value FROM cron.jobid_seq);",
    ),
    "vectors": Case(
        """
        CREATE EXTENSION vector;
        CREATE TABLE items (id int PRIMARY KEY, embedding vector(3), half halfvec(3), sparse sparsevec(5));
        INSERT INTO items SELECT i, ARRAY[i % 17, i % 7, i % 5]::vector, ARRAY[i, 1, 2]::halfvec, '{1:1,3:2}/5'
            FROM generate_series(1, 500) i;
        CREATE INDEX items_hnsw ON items USING hnsw (embedding vector_l2_ops) WITH (m = 8, ef_construction = 32);
        CREATE INDEX items_half ON items USING hnsw (half halfvec_ip_ops);
        CREATE INDEX items_ivfflat ON items USING ivfflat (embedding vector_cosine_ops) WITH (lists = 10);
        """,
        "SELECT count(*), sum(embedding) FROM items;"
        " SELECT relname FROM pg_class WHERE relname LIKE 'items_%' ORDER BY 1;",
    ),
    # The dump holds the one added row of spatial_ref_sys, and the table has thousands.
    "maps": Case(
        """
        CREATE EXTENSION postgis;
        CREATE EXTENSION postgis_topology;
        INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text)
            VALUES (990001, 'ours', 1, 'LOCAL_CS["ours"]', '+proj=merc +lon_0=10 +datum=WGS84 +units=m +no_defs');
        CREATE TABLE places (id int PRIMARY KEY, at geometry(Point, 4326), area geography(Polygon, 4326),
            x float8 GENERATED ALWAYS AS (ST_X(at)) STORED, CHECK (ST_IsValid(at)));
        INSERT INTO places SELECT i, ST_SetSRID(ST_MakePoint(i, i % 50), 4326),
            ST_GeogFromText('POLYGON((0 0,0 1,1 1,0 0))') FROM generate_series(1, 100) i;
        CREATE INDEX places_at ON places USING gist (at);
        CREATE INDEX places_ours ON places USING gist (ST_Transform(at, 990001));
        CREATE MATERIALIZED VIEW near AS SELECT id, ST_Distance(at::geography, ST_MakePoint(1, 1)::geography) AS metres
            FROM places;
        SELECT topology.CreateTopology('city', 4326);
        SELECT topology.TopoGeo_AddPoint('city', ST_SetSRID(ST_MakePoint(1, 1), 4326));
        """,
        "SELECT count(*), sum(ST_X(ST_Transform(at, 990001)))::int FROM places"
        " WHERE at && ST_MakeEnvelope(1, 1, 20, 20, 4326); SELECT count(*) FROM spatial_ref_sys;"
        " SELECT count(*), sum(metres)::int FROM near; SELECT count(*) FROM city.node;",
    ),
    "partitions": Case(
        """
        CREATE SCHEMA partman;
        CREATE EXTENSION pg_partman SCHEMA partman;
        CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, what text)
            PARTITION BY RANGE (at);
        SELECT partman.create_partition(p_parent_table => 'public.events', p_control => 'at', p_interval => '1 day');
        INSERT INTO events (at, what) SELECT now() + i * interval '3 hours', 'event ' || i
            FROM generate_series(-40, 40) i;
        SELECT partman.run_maintenance();
        UPDATE partman.part_config SET retention = '3 days', retention_keep_table = false;
        """,
        "SELECT count(*), min(id), max(id) FROM events; SELECT count(*) FROM partman.show_partitions('public.events');"
        " SELECT parent_table, retention FROM partman.part_config;",
    ),
}

# Restored with the search_path of the dump, which is empty, each of these fails.
NEEDS_SEARCH_PATH = {
    # NetBox: 42883, operator does not exist: public.ltree = public.ltree.
    "regions": Case(
        """
        CREATE EXTENSION ltree;
        CREATE TABLE region (id int, path ltree);
        CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER moved BEFORE UPDATE ON region FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path)
            EXECUTE FUNCTION moved();
        INSERT INTO region VALUES (1, 'a.b'), (2, 'a.c');
        """,
        "SELECT count(*) FROM region; SELECT tgname FROM pg_trigger WHERE NOT tgisinternal;",
    ),
    # 42883, in COPY: a generated column is calculated again, with the session's search_path.
    "people": Case(
        """
        CREATE EXTENSION unaccent;
        CREATE FUNCTION plain(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN unaccent($1); END';
        CREATE TABLE person (name text, plain text GENERATED ALWAYS AS (plain(name)) STORED);
        INSERT INTO person VALUES ('Zoë'), ('Søren');
        """,
        "SELECT name, plain FROM person ORDER BY 1;",
    ),
}

# The same on servers before version 17 only. Since then CREATE INDEX and REFRESH MATERIALIZED VIEW take no notice of
# the session's search_path (release notes of PostgreSQL 17, "Migration"): such objects can only come from an old dump,
# and the source has to be changed.
NEEDS_SEARCH_PATH_BEFORE_17 = {
    # Immich: 42704, type "earth" does not exist. earthdistance 1.2, which PostgreSQL 17 has, needs no search_path.
    "distances": Case(
        """
        CREATE EXTENSION cube;
        CREATE EXTENSION earthdistance;
        CREATE TABLE place (lat float8, lon float8, earth earth GENERATED ALWAYS AS (ll_to_earth(lat, lon)) STORED);
        INSERT INTO place VALUES (48, 11), (52, 13);
        CREATE INDEX place_near ON place USING gist (ll_to_earth(lat, lon));
        """,
        "SELECT lat, lon, earth FROM place ORDER BY 1;",
    ),
    # 42883, function unaccent(text) does not exist, in CREATE INDEX.
    "names": Case(
        """
        CREATE EXTENSION unaccent;
        CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)';
        CREATE TABLE person (name text);
        INSERT INTO person VALUES ('Zoë'), ('Søren');
        CREATE INDEX person_plain ON person (plain(name));
        """,
        "SELECT name FROM person ORDER BY plain(name);",
    ),
    # 42P01, relation "document" does not exist, in REFRESH MATERIALIZED VIEW.
    "words": Case(
        """
        CREATE TABLE document (words tsvector);
        INSERT INTO document VALUES ('a b c'), ('b');
        CREATE MATERIALIZED VIEW word AS SELECT * FROM ts_stat('SELECT words FROM document');
        """,
        "SELECT word, ndoc FROM word ORDER BY 1;",
    ),
}


def programs(workspace: Workspace) -> Programs:
    """PostgreSQL's programs with the extensions of `CASES`."""
    root = workspace.show(root_filesystem(f"{VERSION}-extensions"))
    return wrap(root, VERSION, workspace.directory("postgresql-extensions"))


def make_server(workspace: Workspace) -> Server:
    """A server, not started, that has what the extensions of `CASES` need."""
    server = Server(programs(workspace), workspace.directory("extensions", mode=0o777)).create()
    server.configure(*_SETTINGS)
    return server


def fill(server: Server, cases: dict[str, Case]) -> None:
    """Create a database for each case."""
    for name, case in cases.items():
        server.sql(f"CREATE DATABASE {quoted(name)} STRATEGY file_copy;")
        server.sql(case.fill, name)
