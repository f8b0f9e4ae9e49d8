--
-- PostgreSQL database cluster dump
--

\restrict wliSHFUvqc3pkgZoEkRqf9V8aaAUfWH4NQOh47UF64byaf6T2qTHLIW4D40Zzbu

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








\unrestrict wliSHFUvqc3pkgZoEkRqf9V8aaAUfWH4NQOh47UF64byaf6T2qTHLIW4D40Zzbu

--
-- Databases
--

--
-- Database "template1" dump
--

\connect template1

--
-- PostgreSQL database dump
--

\restrict UoMoB5meDKBbsqZhgLSGZgW0MQk3vlHxJEOz2Yoi0pLhKVh6gBhQMjWb6uYtEHD

-- Dumped from database version 18.6 (Debian 18.6-3)
-- Dumped by pg_dump version 18.6 (Debian 18.6-3)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict UoMoB5meDKBbsqZhgLSGZgW0MQk3vlHxJEOz2Yoi0pLhKVh6gBhQMjWb6uYtEHD

--
-- Database "Mixed-Name's" dump
--

--
-- PostgreSQL database dump
--

\restrict BmWaF1XzogvQiPwPgjbbCChelHcwzqov7t8JKc3pXnLqmhyeT8QMV9kHj7rXLl0

-- Dumped from database version 18.6 (Debian 18.6-3)
-- Dumped by pg_dump version 18.6 (Debian 18.6-3)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: Mixed-Name's; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE "Mixed-Name's" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE "Mixed-Name's" OWNER TO postgres;

\unrestrict BmWaF1XzogvQiPwPgjbbCChelHcwzqov7t8JKc3pXnLqmhyeT8QMV9kHj7rXLl0
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='Mixed-Name\'s'"
\restrict BmWaF1XzogvQiPwPgjbbCChelHcwzqov7t8JKc3pXnLqmhyeT8QMV9kHj7rXLl0

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict BmWaF1XzogvQiPwPgjbbCChelHcwzqov7t8JKc3pXnLqmhyeT8QMV9kHj7rXLl0

--
-- Database "app" dump
--

--
-- PostgreSQL database dump
--

\restrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV

-- Dumped from database version 18.6 (Debian 18.6-3)
-- Dumped by pg_dump version 18.6 (Debian 18.6-3)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: app; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE app OWNER TO postgres;

\unrestrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV
\connect app
\restrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE app; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON DATABASE app IS 'x';


--
-- Name: app; Type: DATABASE PROPERTIES; Schema: -; Owner: postgres
--

ALTER DATABASE app CONNECTION LIMIT = 5;
ALTER DATABASE app SET work_mem TO '8MB';
ALTER DATABASE app SET search_path TO 'public', 'B c';
ALTER ROLE r IN DATABASE app SET work_mem TO '9MB';


\unrestrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV
\connect app
\restrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    AS $$select 1; -- x
$$;


ALTER FUNCTION public.f() OWNER TO postgres;

--
-- Name: g(integer); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.g(integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN ($1 > 0) THEN 1
             ELSE 2
         END AS "case";
 SELECT 3;
END;


ALTER FUNCTION public.g(integer) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: b; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.b (
    x bit(3)
);


ALTER TABLE public.b OWNER TO postgres;

--
-- Name: t; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.t (
    id integer NOT NULL,
    v text DEFAULT 'a;b'::text
);


ALTER TABLE public.t OWNER TO postgres;

--
-- Name: t_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

ALTER TABLE public.t ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.t_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: z; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.z (
);


ALTER TABLE public.z OWNER TO postgres;

--
-- Data for Name: b; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.b VALUES (B'101');


--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.t VALUES (1, 'x');
INSERT INTO public.t VALUES (2, '\.');


--
-- Data for Name: z; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.z DEFAULT VALUES;


--
-- Name: t_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.t_id_seq', 2, true);


--
-- Name: 16400; Type: BLOB METADATA; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('16400');

ALTER LARGE OBJECT 16400 OWNER TO postgres;

--
-- Data for Name: 16400; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('16400', 131072);
SELECT pg_catalog.lowrite(0, '\x616263');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- PostgreSQL database dump complete
--

\unrestrict 7tDtErMFa8mDpOWfq7cJDP8CU6DdRBRb23fZAwMpAGuZqeSh4nLI2U0E74yvaDV

--
-- Database "postgres" dump
--

\connect postgres

--
-- PostgreSQL database dump
--

\restrict x4M9YjisZD1upbXJ9Kdsu8jnGSccUrgRrgAMHHtG6Sspai2MURfdDes8SfJVa3m

-- Dumped from database version 18.6 (Debian 18.6-3)
-- Dumped by pg_dump version 18.6 (Debian 18.6-3)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict x4M9YjisZD1upbXJ9Kdsu8jnGSccUrgRrgAMHHtG6Sspai2MURfdDes8SfJVa3m

--
-- PostgreSQL database cluster dump complete
--

