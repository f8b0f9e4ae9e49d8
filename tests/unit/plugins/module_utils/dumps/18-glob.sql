--
-- PostgreSQL database cluster dump
--

\restrict dbMt60K2VvZmzmbrlcTr67EgMqDTXMpX6d1n5hiqrRVk5Jd716PbkezLrdylqbY

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD NULL;
CREATE ROLE r;
ALTER ROLE r WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;

--
-- User Configurations
--








\unrestrict dbMt60K2VvZmzmbrlcTr67EgMqDTXMpX6d1n5hiqrRVk5Jd716PbkezLrdylqbY

--
-- PostgreSQL database cluster dump complete
--

