BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE arrays (
	number INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	metric VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	meta JSON NOT NULL, 
	npy BLOB NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	CONSTRAINT pk_arrays PRIMARY KEY (number), 
	CONSTRAINT fk_arrays_run_runs FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
);
INSERT INTO "arrays" VALUES(1,2,'samples','joint/a','{"target": "a"}',X'934E554D5059010076007B276465736372273A20277C7531272C2027666F727472616E5F6F72646572273A2046616C73652C20277368617065273A2028312C2032292C207D202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020200A01FF',0);
CREATE TABLE curves (
	number INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	steps BLOB NOT NULL, 
	points BLOB NOT NULL, 
	CONSTRAINT pk_curves PRIMARY KEY (number), 
	CONSTRAINT fk_curves_run_runs FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
);
INSERT INTO "curves" VALUES(1,2,'loss',X'01000000000000000000000000010000',X'9A9999999999B93F000000000000F87F');
CREATE TABLE runs (
	number INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	fit_key VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	error TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	spec JSON NOT NULL, 
	provenance JSON NOT NULL, 
	facts JSON NOT NULL, 
	timings JSON NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (number), 
	CONSTRAINT uq_runs_id UNIQUE (id)
);
INSERT INTO "runs" VALUES(1,'golden-1','0e','interrupted','stopped by Ctrl-C at step 7.','2026-01-02 03:04:05.678901',1,'{"model": "meme", "dataset": "digits", "f": 0.25, "seed": 3, "settings": {"train": {"clip": null}}}','{"note": "na\u00efve \u00b1"}','{"partial": true}','{"train_s": 1.5}');
INSERT INTO "runs" VALUES(2,'golden-2','0e','done','','2026-01-02 03:04:05.678901',0,'{"model": "meme", "dataset": "digits", "f": 0.25, "seed": 3, "settings": {"train": {"clip": null}}}','{"note": "na\u00efve \u00b1"}','{"partial": true}','{"train_s": 1.5}');
INSERT INTO "runs" VALUES(3,'golden-3','0f','diverged','training diverged at step 2.','2026-01-02 03:04:05.678901',0,'{"model": "meme", "dataset": "digits", "f": 0.25, "seed": 3, "settings": {"train": {"clip": null}}}','{"note": "na\u00efve \u00b1"}','{"partial": true}','{"train_s": 1.5}');
CREATE TABLE scores (
	number INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	given VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	estimator VARCHAR NOT NULL, 
	params JSON NOT NULL, 
	details JSON NOT NULL, 
	value DOUBLE, 
	stderr DOUBLE, 
	n INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	CONSTRAINT pk_scores PRIMARY KEY (number), 
	CONSTRAINT fk_scores_run_runs FOREIGN KEY(run) REFERENCES runs (number) ON DELETE CASCADE
);
INSERT INTO "scores" VALUES(1,2,'73f2a711821d583b','cross_coherence',1,'a','b','micro','{}','{"ess": 2.5}',0.5,0.25,4,'ok','',1);
INSERT INTO "scores" VALUES(2,2,'9f06f191a1422283','joint_coherence',1,'','','','{}','{}',NULL,NULL,0,'skipped','no prior',0);
INSERT INTO "scores" VALUES(3,2,'73f2a711821d583b','cross_coherence',1,'a','b','micro','{}','{"ess": 7.5}',0.75,NULL,8,'ok','',0);
CREATE INDEX ix_runs_fit_key ON runs (fit_key);
CREATE UNIQUE INDEX one_current_run ON runs (fit_key) WHERE superseded IS 0;
CREATE INDEX ix_scores_metric ON scores (metric);
CREATE UNIQUE INDEX one_current_score ON scores (run, "key") WHERE superseded IS 0;
CREATE UNIQUE INDEX one_curve ON curves (run, name);
CREATE UNIQUE INDEX one_current_array ON arrays (run, metric, name) WHERE superseded IS 0;
COMMIT;
