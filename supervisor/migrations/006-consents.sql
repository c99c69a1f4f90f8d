-- Whose the id is. It differs from the publisher, who signed the accepted bundle, from a transfer to the next upgrade.
ALTER TABLE plugins ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE plugins SET owner = publisher;

-- Who accepted what, and when. A row is a fact: it is never changed or removed.
CREATE TABLE consents (
  seq INTEGER PRIMARY KEY,
  plugin TEXT NOT NULL REFERENCES plugins (id),
  time TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('install', 'upgrade', 'rollback', 'transfer')),
  actor TEXT,
  publisher TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle_sha256 TEXT NOT NULL,
  capabilities TEXT NOT NULL,
  egress TEXT NOT NULL
) STRICT;
CREATE INDEX consents_plugin ON consents (plugin, seq);
CREATE TRIGGER consents_no_update BEFORE UPDATE ON consents BEGIN
  SELECT RAISE(ABORT, 'consents are append-only');
END;
CREATE TRIGGER consents_no_delete BEFORE DELETE ON consents BEGIN
  SELECT RAISE(ABORT, 'consents are append-only');
END;
INSERT INTO consents (plugin, time, kind, actor, publisher, version, bundle_sha256, capabilities, egress)
  SELECT id, coalesce(installed_at, created_at), 'install', accepted_by, publisher, version, bundle_sha256,
    coalesce(manifest -> '$.capabilities', '[]'), coalesce(manifest -> '$.egress', '[]')
  FROM plugins ORDER BY id;

-- The accepted bundles that an upgrade replaced, to go back to: the newest has the highest number.
CREATE TABLE former_bundles (
  seq INTEGER PRIMARY KEY,
  plugin TEXT NOT NULL REFERENCES plugins (id),
  publisher TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle_sha256 TEXT NOT NULL,
  artifact_sha256 TEXT NOT NULL,
  manifest TEXT NOT NULL,
  verified_at TEXT
) STRICT;
CREATE INDEX former_bundles_plugin ON former_bundles (plugin, seq);
