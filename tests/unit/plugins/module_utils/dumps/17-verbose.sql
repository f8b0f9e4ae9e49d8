--
-- PostgreSQL database cluster dump
--

-- Started on 2026-11-22 14:52:59 UTC

\restrict lqBinImMla5Lnsj2r6fCZTUXj2jd4armO7N8DtQk67NijDnhJw3OyQVxqVjPBxl

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








\unrestrict lqBinImMla5Lnsj2r6fCZTUXj2jd4armO7N8DtQk67NijDnhJw3OyQVxqVjPBxl

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

\restrict wnzFr7u66WE09iWGEQV0Swlc1YDferckapsLZv88iBIGGeZzVV63cOx9SCn6NwF

-- Dumped from database version 17.11 (Debian 17.11-0+deb13u1)
-- Dumped by pg_dump version 17.11 (Debian 17.11-0+deb13u1)

-- Started on 2026-11-22 14:52:59 UTC

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

-- Completed on 2026-11-22 14:52:59 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict wnzFr7u66WE09iWGEQV0Swlc1YDferckapsLZv88iBIGGeZzVV63cOx9SCn6NwF

--
-- Database "Mixed-Name's" dump
--

--
-- PostgreSQL database dump
--

\restrict 6bqW9fXHlNgThZLpO23e5xvhDWoJfLNVkymbC0MQdS0dhGKMTTg5LdOSVPizuy8

-- Dumped from database version 17.11 (Debian 17.11-0+deb13u1)
-- Dumped by pg_dump version 17.11 (Debian 17.11-0+deb13u1)

-- Started on 2026-11-22 14:52:59 UTC

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
-- TOC entry 3417 (class 1262 OID 16384)
-- Name: Mixed-Name's; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE "Mixed-Name's" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE "Mixed-Name's" OWNER TO postgres;

\unrestrict 6bqW9fXHlNgThZLpO23e5xvhDWoJfLNVkymbC0MQdS0dhGKMTTg5LdOSVPizuy8
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='Mixed-Name\'s'"
\restrict 6bqW9fXHlNgThZLpO23e5xvhDWoJfLNVkymbC0MQdS0dhGKMTTg5LdOSVPizuy8

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

-- Completed on 2026-11-22 14:52:59 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict 6bqW9fXHlNgThZLpO23e5xvhDWoJfLNVkymbC0MQdS0dhGKMTTg5LdOSVPizuy8

--
-- Database "app" dump
--

--
-- PostgreSQL database dump
--

\restrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs

-- Dumped from database version 17.11 (Debian 17.11-0+deb13u1)
-- Dumped by pg_dump version 17.11 (Debian 17.11-0+deb13u1)

-- Started on 2026-11-22 14:52:59 UTC

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
-- TOC entry 3439 (class 1262 OID 16385)
-- Name: app; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE app OWNER TO postgres;

\unrestrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs
\connect app
\restrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs

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
-- TOC entry 3440 (class 0 OID 0)
-- Dependencies: 3439
-- Name: DATABASE app; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON DATABASE app IS 'x';


--
-- TOC entry 3441 (class 0 OID 0)
-- Name: app; Type: DATABASE PROPERTIES; Schema: -; Owner: postgres
--

ALTER DATABASE app CONNECTION LIMIT = 5;
ALTER DATABASE app SET work_mem TO '8MB';
ALTER DATABASE app SET search_path TO 'public', 'B c';
ALTER ROLE r IN DATABASE app SET work_mem TO '9MB';


\unrestrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs
\connect app
\restrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs

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
-- TOC entry 221 (class 1255 OID 16397)
-- Name: f(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    AS $$select 1; -- x
$$;


ALTER FUNCTION public.f() OWNER TO postgres;

--
-- TOC entry 222 (class 1255 OID 16398)
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
-- TOC entry 220 (class 1259 OID 16400)
-- Name: b; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.b (
    x bit(3)
);


ALTER TABLE public.b OWNER TO postgres;

--
-- TOC entry 218 (class 1259 OID 16388)
-- Name: t; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.t (
    id integer NOT NULL,
    v text DEFAULT 'a;b'::text
);


ALTER TABLE public.t OWNER TO postgres;

--
-- TOC entry 217 (class 1259 OID 16387)
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
-- TOC entry 219 (class 1259 OID 16394)
-- Name: z; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.z (
);


ALTER TABLE public.z OWNER TO postgres;

--
-- TOC entry 3431 (class 0 OID 16400)
-- Dependencies: 220
-- Data for Name: b; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.b (x) FROM stdin;
101
\.


--
-- TOC entry 3429 (class 0 OID 16388)
-- Dependencies: 218
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.t (id, v) FROM stdin;
1	x
2	\\.
\.


--
-- TOC entry 3430 (class 0 OID 16394)
-- Dependencies: 219
-- Data for Name: z; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.z  FROM stdin;

\.


--
-- TOC entry 3442 (class 0 OID 0)
-- Dependencies: 217
-- Name: t_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.t_id_seq', 2, true);


--
-- TOC entry 3432 (class 2613 OID 16399)
-- Name: 16399; Type: BLOB METADATA; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('16399');

ALTER LARGE OBJECT 16399 OWNER TO postgres;

--
-- TOC entry 3433 (class 0 OID 0)
-- Dependencies: 3432 3434
-- Data for Name: 16399; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('16399', 131072);
SELECT pg_catalog.lowrite(0, '\x616263');
SELECT pg_catalog.lo_close(0);

COMMIT;

-- Completed on 2026-11-22 14:52:59 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict m7bzeJf7AOImxYpuI1kZ5LbJjoOF5xinq6PndQp4PPz6GMN9m2a6QnBtgaXxxHs

--
-- Database "postgres" dump
--

\connect postgres

--
-- PostgreSQL database dump
--

\restrict mHR9VkE1H6O6anI7dQ0vaxJtJY9YYAmoWpF2o5BqotWAdxrGYOQ1xxkPVpTs4dU

-- Dumped from database version 17.11 (Debian 17.11-0+deb13u1)
-- Dumped by pg_dump version 17.11 (Debian 17.11-0+deb13u1)

-- Started on 2026-11-22 14:52:59 UTC

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

-- Completed on 2026-11-22 14:53:00 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict mHR9VkE1H6O6anI7dQ0vaxJtJY9YYAmoWpF2o5BqotWAdxrGYOQ1xxkPVpTs4dU

-- Completed on 2026-11-22 14:53:00 UTC

--
-- PostgreSQL database cluster dump complete
--

