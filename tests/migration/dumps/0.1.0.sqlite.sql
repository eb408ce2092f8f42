BEGIN TRANSACTION;
CREATE TABLE penstock_assignment (
	app VARCHAR(200) NOT NULL, 
	setting VARCHAR(200) NOT NULL, 
	service VARCHAR(200) NOT NULL, 
	PRIMARY KEY (app, setting)
);
INSERT INTO "penstock_assignment" VALUES('lab','gages','main');
INSERT INTO "penstock_assignment" VALUES('lab','basins','main');
INSERT INTO "penstock_assignment" VALUES('lab','servers','files');
CREATE TABLE penstock_journal (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	who TEXT NOT NULL, 
	action VARCHAR(100) NOT NULL, 
	subject TEXT NOT NULL, 
	result TEXT NOT NULL, 
	seconds FLOAT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "penstock_journal" VALUES(1,'2026-11-21 04:34:38.824082','ada','add service','main','done',0.008398,'{"url": "postgresql+psycopg://provisioner@db.example.org:5432"}');
INSERT INTO "penstock_journal" VALUES(2,'2026-11-21 04:34:38.825694','ada','add service','files','done',0.000932,'{"url": "sqlite+pysqlite:////srv/stores"}');
INSERT INTO "penstock_journal" VALUES(3,'2026-11-21 04:34:38.826616','ada','add service','old one','done',0.000627,'{"url": "postgresql+psycopg://me@[::1]:5433"}');
INSERT INTO "penstock_journal" VALUES(4,'2026-11-21 04:34:38.827465','ada','add service','gone','done',0.000634,'{"url": "sqlite+pysqlite:////srv/gone"}');
INSERT INTO "penstock_journal" VALUES(5,'2026-11-21 04:34:38.828169','ada','edit service','files','done',0.000505,'{"url": "sqlite+pysqlite:////srv/new-stores"}');
INSERT INTO "penstock_journal" VALUES(6,'2026-11-21 04:34:38.829618','ada','remove service','gone','done',0.001303,'{"force": "False"}');
INSERT INTO "penstock_journal" VALUES(7,'2026-11-21 04:34:38.830995','ada','link','lab:gages','done',0.001011,'{"service": "files"}');
INSERT INTO "penstock_journal" VALUES(8,'2026-11-21 04:34:38.832049','ada','link','lab:gages','done',0.000602,'{"service": "main"}');
INSERT INTO "penstock_journal" VALUES(9,'2026-11-21 04:34:38.832615','ada','link','lab:basins','done',0.000227,'{"service": "main"}');
INSERT INTO "penstock_journal" VALUES(10,'2026-11-21 04:34:38.833162','ada','link','lab:servers','done',0.000229,'{"service": "files"}');
INSERT INTO "penstock_journal" VALUES(11,'2026-01-02 03:04:05.678901','grace','sync store','lab:gages','server-refused: no',1.25,'{"service": "main", "database": "lab_gages"}');
CREATE TABLE penstock_known_store (
	service VARCHAR(400) NOT NULL, 
	"database" VARCHAR(400) NOT NULL, 
	app VARCHAR(200) NOT NULL, 
	name VARCHAR(400) NOT NULL, 
	dynamic BOOLEAN NOT NULL, 
	connection VARCHAR(200) NOT NULL, 
	initializer TEXT NOT NULL, 
	spatial BOOLEAN NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	problem TEXT NOT NULL, 
	PRIMARY KEY (service, "database"), 
	UNIQUE (app, name, service, "database")
);
INSERT INTO "penstock_known_store" VALUES('files','lab_gages','lab','gages',0,'','',0,'LEFT','');
INSERT INTO "penstock_known_store" VALUES('main','lab_gages','lab','gages',0,'','',0,'READY','');
INSERT INTO "penstock_known_store" VALUES('main','lab_basins_logan','lab','basins.logan',1,'','',0,'READY','');
INSERT INTO "penstock_known_store" VALUES('main','lab_basins_bear','lab','basins.bear',1,'','',0,'FAILED','Initializer lab.seed failed. It''s "dry"; 100%: no water');
INSERT INTO "penstock_known_store" VALUES('files','lab_plain','lab','plain',1,'servers','lab.init:seed',1,'PENDING','');
INSERT INTO "penstock_known_store" VALUES('old one','Odd Näme','other','things',0,'','',0,'READY','');
CREATE TABLE penstock_registry (
	format INTEGER NOT NULL, 
	PRIMARY KEY (format)
);
INSERT INTO "penstock_registry" VALUES(1);
CREATE TABLE penstock_service (
	name VARCHAR(200) NOT NULL, 
	url TEXT NOT NULL, 
	password TEXT, 
	admin_url TEXT, 
	admin_password TEXT, 
	PRIMARY KEY (name)
);
INSERT INTO "penstock_service" VALUES('main','postgresql+psycopg://provisioner@db.example.org:5432','env:MAIN_PW','postgresql+psycopg://dba@db.example.org:5432/postgres','file:/run/secrets/admin');
INSERT INTO "penstock_service" VALUES('old one','postgresql+psycopg://me@[::1]:5433','file:/srv/çoğ/''pw''',NULL,NULL);
INSERT INTO "penstock_service" VALUES('files','sqlite+pysqlite:////srv/new-stores',NULL,NULL,NULL);
CREATE INDEX ix_penstock_known_store_app ON penstock_known_store (app);
COMMIT;
