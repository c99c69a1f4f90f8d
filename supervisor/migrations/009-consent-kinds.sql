-- A downgrade is told from an upgrade, and hosts that the operator sets later are a consent of their own. SQLite changes no CHECK, so the
-- table is made anew; its rows stay as they are.
DROP TRIGGER consents_no_update;
DROP TRIGGER consents_no_delete;
DROP INDEX consents_plugin;
ALTER TABLE consents RENAME TO consents_before;
CREATE TABLE consents (
  seq INTEGER PRIMARY KEY,
  plugin TEXT NOT NULL REFERENCES plugins (id),
  time TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('install', 'upgrade', 'downgrade', 'rollback', 'transfer', 'egress')),
  actor TEXT,
  publisher TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle_sha256 TEXT NOT NULL,
  capabilities TEXT NOT NULL,
  egress TEXT NOT NULL
) STRICT;
INSERT INTO consents SELECT * FROM consents_before ORDER BY seq;
DROP TABLE consents_before;
CREATE INDEX consents_plugin ON consents (plugin, seq);
CREATE TRIGGER consents_no_update BEFORE UPDATE ON consents BEGIN
  SELECT RAISE(ABORT, 'consents are append-only');
END;
CREATE TRIGGER consents_no_delete BEFORE DELETE ON consents BEGIN
  SELECT RAISE(ABORT, 'consents are append-only');
END;
