CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  plugin TEXT NOT NULL,
  channel TEXT NOT NULL,
  title TEXT NOT NULL,
  text TEXT NOT NULL,
  severity TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_ms INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given-up')),
  last_error TEXT
) STRICT;
CREATE INDEX outbox_waiting ON outbox (next_ms) WHERE state = 'waiting';
CREATE INDEX outbox_due ON outbox (plugin, next_ms) WHERE state = 'waiting';
