-- A record is never deleted: it says whose the id is, and which generations were used.
CREATE TABLE plugins (
  id TEXT PRIMARY KEY,
  publisher TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle_sha256 TEXT NOT NULL,
  artifact_sha256 TEXT NOT NULL,
  manifest TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('installed', 'active', 'disabled')),
  config TEXT NOT NULL DEFAULT '{}',
  accepted_by TEXT,
  verified_at TEXT,
  installed_at TEXT,
  activated_at TEXT,
  disabled_at TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  exits TEXT NOT NULL DEFAULT '[]',
  crash_times_ms TEXT NOT NULL DEFAULT '[]',
  broken INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0
) STRICT;
