-- The hosts that the operator lets a plugin reach whose manifest has no field for them (v1 and v2), as a JSON array of host:port.
ALTER TABLE plugins ADD COLUMN operator_egress TEXT NOT NULL DEFAULT '[]';
