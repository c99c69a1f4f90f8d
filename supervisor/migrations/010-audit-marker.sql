-- Up to which row the front of the audit was removed, and that row's hash: what the chain goes on from.
CREATE TABLE audit_marker (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_marker_forward BEFORE UPDATE ON audit_marker WHEN NEW.seq <= OLD.seq BEGIN
  SELECT RAISE(ABORT, 'the marker of the audit only moves forward');
END;
DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN NOT EXISTS (SELECT 1 FROM audit_marker WHERE seq >= OLD.seq) BEGIN
  SELECT RAISE(ABORT, 'the audit is append-only');
END;
