-- The counters of a bucket outlive its entries: a revision is never used twice.
CREATE TABLE kv_buckets (
  bucket TEXT PRIMARY KEY,
  keys INTEGER NOT NULL CHECK (keys >= 0),
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The value stands last, so that listing reads no page that holds only values.
CREATE TABLE kv_entries (
  bucket TEXT NOT NULL REFERENCES kv_buckets (bucket),
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT;
