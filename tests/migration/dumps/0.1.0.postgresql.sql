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
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.penstock_assignment (
    app character varying(200) NOT NULL,
    setting character varying(200) NOT NULL,
    service character varying(200) NOT NULL
);
CREATE TABLE public.penstock_journal (
    id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    who text NOT NULL,
    action character varying(100) NOT NULL,
    subject text NOT NULL,
    result text NOT NULL,
    seconds double precision NOT NULL,
    detail json NOT NULL
);
CREATE SEQUENCE public.penstock_journal_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.penstock_journal_id_seq OWNED BY public.penstock_journal.id;
CREATE TABLE public.penstock_known_store (
    service character varying(400) NOT NULL,
    database character varying(400) NOT NULL,
    app character varying(200) NOT NULL,
    name character varying(400) NOT NULL,
    dynamic boolean NOT NULL,
    connection character varying(200) NOT NULL,
    initializer text NOT NULL,
    spatial boolean NOT NULL,
    state character varying(20) NOT NULL,
    problem text NOT NULL
);
CREATE TABLE public.penstock_registry (
    format integer NOT NULL
);
CREATE SEQUENCE public.penstock_registry_format_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.penstock_registry_format_seq OWNED BY public.penstock_registry.format;
CREATE TABLE public.penstock_service (
    name character varying(200) NOT NULL,
    url text NOT NULL,
    password text,
    admin_url text,
    admin_password text
);
ALTER TABLE ONLY public.penstock_journal ALTER COLUMN id SET DEFAULT nextval('public.penstock_journal_id_seq'::regclass);
ALTER TABLE ONLY public.penstock_registry ALTER COLUMN format SET DEFAULT nextval('public.penstock_registry_format_seq'::regclass);
INSERT INTO public.penstock_assignment VALUES ('lab', 'gages', 'main');
INSERT INTO public.penstock_assignment VALUES ('lab', 'basins', 'main');
INSERT INTO public.penstock_assignment VALUES ('lab', 'servers', 'files');
INSERT INTO public.penstock_journal VALUES (1, '2026-11-21 04:34:40.19028+00', 'ada', 'add service', 'main', 'done', 0.242041, '{"url": "postgresql+psycopg://provisioner@db.example.org:5432"}');
INSERT INTO public.penstock_journal VALUES (2, '2026-11-21 04:34:40.193771+00', 'ada', 'add service', 'files', 'done', 0.001773, '{"url": "sqlite+pysqlite:////srv/stores"}');
INSERT INTO public.penstock_journal VALUES (3, '2026-11-21 04:34:40.195879+00', 'ada', 'add service', 'old one', 'done', 0.001404, '{"url": "postgresql+psycopg://me@[::1]:5433"}');
INSERT INTO public.penstock_journal VALUES (4, '2026-11-21 04:34:40.197642+00', 'ada', 'add service', 'gone', 'done', 0.001149, '{"url": "sqlite+pysqlite:////srv/gone"}');
INSERT INTO public.penstock_journal VALUES (5, '2026-11-21 04:34:40.200069+00', 'ada', 'edit service', 'files', 'done', 0.001837, '{"url": "sqlite+pysqlite:////srv/new-stores"}');
INSERT INTO public.penstock_journal VALUES (6, '2026-11-21 04:34:40.203573+00', 'ada', 'remove service', 'gone', 'done', 0.002754, '{"force": "False"}');
INSERT INTO public.penstock_journal VALUES (7, '2026-11-21 04:34:40.206809+00', 'ada', 'link', 'lab:gages', 'done', 0.002138, '{"service": "files"}');
INSERT INTO public.penstock_journal VALUES (8, '2026-11-21 04:34:40.209964+00', 'ada', 'link', 'lab:gages', 'done', 0.001831, '{"service": "main"}');
INSERT INTO public.penstock_journal VALUES (9, '2026-11-21 04:34:40.211914+00', 'ada', 'link', 'lab:basins', 'done', 0.000853, '{"service": "main"}');
INSERT INTO public.penstock_journal VALUES (10, '2026-11-21 04:34:40.213759+00', 'ada', 'link', 'lab:servers', 'done', 0.000764, '{"service": "files"}');
INSERT INTO public.penstock_journal VALUES (11, '2026-01-02 03:04:05.678901+00', 'grace', 'sync store', 'lab:gages', 'server-refused: no', 1.25, '{"service": "main", "database": "lab_gages"}');
INSERT INTO public.penstock_known_store VALUES ('files', 'lab_gages', 'lab', 'gages', false, '', '', false, 'LEFT', '');
INSERT INTO public.penstock_known_store VALUES ('main', 'lab_gages', 'lab', 'gages', false, '', '', false, 'READY', '');
INSERT INTO public.penstock_known_store VALUES ('main', 'lab_basins_logan', 'lab', 'basins.logan', true, '', '', false, 'READY', '');
INSERT INTO public.penstock_known_store VALUES ('main', 'lab_basins_bear', 'lab', 'basins.bear', true, '', '', false, 'FAILED', 'Initializer lab.seed failed. It''s "dry"; 100%: no water');
INSERT INTO public.penstock_known_store VALUES ('files', 'lab_plain', 'lab', 'plain', true, 'servers', 'lab.init:seed', true, 'PENDING', '');
INSERT INTO public.penstock_known_store VALUES ('old one', 'Odd Näme', 'other', 'things', false, '', '', false, 'READY', '');
INSERT INTO public.penstock_registry VALUES (1);
INSERT INTO public.penstock_service VALUES ('main', 'postgresql+psycopg://provisioner@db.example.org:5432', 'env:MAIN_PW', 'postgresql+psycopg://dba@db.example.org:5432/postgres', 'file:/run/secrets/admin');
INSERT INTO public.penstock_service VALUES ('old one', 'postgresql+psycopg://me@[::1]:5433', 'file:/srv/çoğ/''pw''', NULL, NULL);
INSERT INTO public.penstock_service VALUES ('files', 'sqlite+pysqlite:////srv/new-stores', NULL, NULL, NULL);
SELECT pg_catalog.setval('public.penstock_journal_id_seq', 11, true);
SELECT pg_catalog.setval('public.penstock_registry_format_seq', 1, false);
ALTER TABLE ONLY public.penstock_assignment
    ADD CONSTRAINT penstock_assignment_pkey PRIMARY KEY (app, setting);
ALTER TABLE ONLY public.penstock_journal
    ADD CONSTRAINT penstock_journal_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.penstock_known_store
    ADD CONSTRAINT penstock_known_store_app_name_service_database_key UNIQUE (app, name, service, database);
ALTER TABLE ONLY public.penstock_known_store
    ADD CONSTRAINT penstock_known_store_pkey PRIMARY KEY (service, database);
ALTER TABLE ONLY public.penstock_registry
    ADD CONSTRAINT penstock_registry_pkey PRIMARY KEY (format);
ALTER TABLE ONLY public.penstock_service
    ADD CONSTRAINT penstock_service_pkey PRIMARY KEY (name);
CREATE INDEX ix_penstock_known_store_app ON public.penstock_known_store USING btree (app);
