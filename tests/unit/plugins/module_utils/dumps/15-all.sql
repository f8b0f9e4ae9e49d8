--
-- PostgreSQL database cluster dump
--

\restrict yWCfolpy0WkLNpgcKgckxjUVrc71u753AhNfudPYuMWaY7TKwqDt9SJxeA2w6zZ

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








\unrestrict yWCfolpy0WkLNpgcKgckxjUVrc71u753AhNfudPYuMWaY7TKwqDt9SJxeA2w6zZ

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

\restrict selP8A112yUXXwBxOcrgATOilTj4fSdCVJ25lByAh1RrfE9YgbZ63wnnWeuC59f

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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

\unrestrict selP8A112yUXXwBxOcrgATOilTj4fSdCVJ25lByAh1RrfE9YgbZ63wnnWeuC59f

--
-- Database "Mixed-Name's" dump
--

--
-- PostgreSQL database dump
--

\restrict IeF5y78JYzqVchZ4LALRzlJsEZrHayiUKLmr826ZNoMIyaoZL1KGhRX8aJJ0w7y

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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

\unrestrict IeF5y78JYzqVchZ4LALRzlJsEZrHayiUKLmr826ZNoMIyaoZL1KGhRX8aJJ0w7y
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='Mixed-Name\'s'"
\restrict IeF5y78JYzqVchZ4LALRzlJsEZrHayiUKLmr826ZNoMIyaoZL1KGhRX8aJJ0w7y

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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

\unrestrict IeF5y78JYzqVchZ4LALRzlJsEZrHayiUKLmr826ZNoMIyaoZL1KGhRX8aJJ0w7y

--
-- Database "app" dump
--

--
-- PostgreSQL database dump
--

\restrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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

\unrestrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i
\connect app
\restrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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


\unrestrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i
\connect app
\restrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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
-- Name: 16399; Type: BLOB; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('16399');


ALTER LARGE OBJECT 16399 OWNER TO postgres;

--
-- Data for Name: b; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.b (x) FROM stdin;
101
\.


--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.t (id, v) FROM stdin;
1	x
2	\\.
\.


--
-- Data for Name: z; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.z  FROM stdin;

\.


--
-- Name: t_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.t_id_seq', 2, true);


--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open('16399', 131072);
SELECT pg_catalog.lowrite(0, '\x616263');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- PostgreSQL database dump complete
--

\unrestrict tHLLRLqMOoBHqatgPQ81ElSQnb7Z81Nh2JC6eLoMe5NMgOywJ8N0LFWj1Uytj6i

--
-- Database "postgres" dump
--

\connect postgres

--
-- PostgreSQL database dump
--

\restrict 2Gobbd1leGB98GvjlIhHni4pfAVc07XHMKh1LLxmeQp9W2hyGfTp0lbgfCA3qC2

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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

\unrestrict 2Gobbd1leGB98GvjlIhHni4pfAVc07XHMKh1LLxmeQp9W2hyGfTp0lbgfCA3qC2

--
-- PostgreSQL database cluster dump complete
--

