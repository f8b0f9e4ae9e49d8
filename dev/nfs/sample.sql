-- SPDX-License-Identifier: GPL-3.0-or-later
-- SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
--
-- What the guest's PostgreSQL holds: more than a MiB once it is compressed, so that a dump is written in several parts.
CREATE ROLE app_owner LOGIN PASSWORD 'a password';
CREATE DATABASE app OWNER app_owner STRATEGY file_copy;
\connect app
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users VALUES (1, 'Ada'), (2, E'tab\there'), (3, 'ünï');
ALTER TABLE users OWNER TO app_owner;
CREATE TABLE filler AS SELECT i, md5(i::text) || md5((-i)::text) AS text FROM generate_series(1, 40000) AS i;
