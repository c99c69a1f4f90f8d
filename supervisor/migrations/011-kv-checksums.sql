-- SQLite has no checksum for what a cell holds. The first covers the value; the second covers the rest of the row and the first, so that a
-- listing and a compare-and-set can trust a row without reading its value. They stand before the value, which may be pages long. The program
-- fills them in for the entries that are there, in the same transaction.
ALTER TABLE kv_entries RENAME TO kv_entries_before;
CREATE TABLE kv_entries (
  bucket TEXT NOT NULL REFERENCES kv_buckets (bucket),
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  value_crc INTEGER NOT NULL,
  entry_crc INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT;
INSERT INTO kv_entries SELECT bucket, key, revision, bytes, 0, 0, value FROM kv_entries_before ORDER BY bucket, key;
DROP TABLE kv_entries_before;
