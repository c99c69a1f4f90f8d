CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  time TEXT NOT NULL,
  kind TEXT NOT NULL,
  plugin TEXT,
  generation INTEGER,
  actor TEXT,
  method TEXT,
  verdict TEXT,
  code TEXT,
  rule TEXT,
  request_id TEXT,
  summary TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

-- Every ask adds a row, so an index must earn its place: a plugin reads its own rows, an operator looks for denials and for rare events.
CREATE INDEX audit_plugin ON audit (plugin) WHERE plugin IS NOT NULL;
CREATE INDEX audit_denied ON audit (verdict) WHERE verdict = 'deny';
CREATE INDEX audit_rare ON audit (kind) WHERE kind NOT IN ('host.decision', 'host.outcome');

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit is append-only');
END;

-- Decisions of methods that act outside this database and whose outcome is not recorded yet. Not part of the record: it follows from it.
CREATE TABLE open_decisions (
  seq INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL
) STRICT;
CREATE INDEX open_decisions_request ON open_decisions (request_id);
