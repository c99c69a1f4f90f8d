-- The newest plugin index that was accepted from each place. Nothing older is accepted from there again.
CREATE TABLE market_index (
  place TEXT PRIMARY KEY, -- SHA-256 of where it was read from, which may be a path of this host
  signed INTEGER NOT NULL CHECK (signed IN (0, 1)),
  generated_at TEXT NOT NULL,
  version INTEGER,
  payload_sha256 TEXT NOT NULL,
  body BLOB NOT NULL,
  fetched_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
