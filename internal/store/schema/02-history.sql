-- v1 -> v2: History that is to be fetched

-- Parts of accounts' histories: announced, and not told in full. One that was
-- told stays a while without its content, since its announcement can come again.
CREATE TABLE pombo_history (
	-- only: sqlite
	seq             INTEGER PRIMARY KEY AUTOINCREMENT,
	-- only: postgres
	seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	instance_id     TEXT    NOT NULL,
	id              TEXT    NOT NULL, -- of the message that announced it
	notification    bytea   NOT NULL, -- waE2E.HistorySyncNotification; holds a key
	told            BIGINT  NOT NULL DEFAULT 0,
	attempts        INTEGER NOT NULL DEFAULT 0,
	next_attempt_at BIGINT,
	created_at      BIGINT  NOT NULL,
	ended_at        BIGINT,
	UNIQUE (instance_id, id)
);
CREATE INDEX pombo_history_waiting ON pombo_history (instance_id, seq) WHERE ended_at IS NULL;
CREATE INDEX pombo_history_ended ON pombo_history (ended_at) WHERE ended_at IS NOT NULL;
