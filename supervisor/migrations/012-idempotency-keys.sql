-- Changes that their callers may send again: what was answered, so that nothing is done twice.
CREATE TABLE idempotency_keys (
  id TEXT PRIMARY KEY, -- a hash of the token's id and the key, which is not kept
  token TEXT NOT NULL,
  fingerprint TEXT NOT NULL, -- of the request, by means of the key
  state TEXT NOT NULL CHECK (state IN ('begun', 'changed', 'answered')),
  status INTEGER,
  etag TEXT,
  body TEXT,
  begun_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_token ON idempotency_keys (token, begun_ms);
CREATE INDEX idempotency_keys_age ON idempotency_keys (begun_ms);
