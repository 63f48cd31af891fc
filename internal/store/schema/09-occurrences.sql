-- v8 -> v9: Digests of events in a table of their own, filled in batches

-- Two thirds of the pages that an event wrote were those of two indexes over digests: each
-- event changes another page of them, so that each was written for each event, twice.
--
-- Which event has an occurrence's number (see schema 07) stands here. Those of the newest
-- events are in the memory of who writes; thousands of them then move here in the order of
-- their numbers, a few with each transaction; "occurrences" is an event up to which all are here, and above
-- which the IDs of new events are.
CREATE TABLE pombo_occurrence (
	-- only: sqlite
	number   INTEGER PRIMARY KEY,
	-- only: postgres
	number   BIGINT PRIMARY KEY,
	event_id BIGINT NOT NULL
);
INSERT INTO pombo_occurrence (number, event_id) SELECT occurrence, id FROM pombo_event ORDER BY occurrence;

-- only: sqlite until "end only"
INSERT INTO pombo_meta (key, value)
	SELECT 'occurrences', MAX(COALESCE((SELECT MAX(id) FROM pombo_event), 0), COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'pombo_event'), 0));
-- As in 07, all three are written anew to be rid of a UNIQUE. IDs are given out by who
-- writes, so that AUTOINCREMENT goes, too.
CREATE TABLE pombo_event_9 (
	id           INTEGER PRIMARY KEY,
	occurrence   BIGINT  NOT NULL,
	instance_id  TEXT    NOT NULL,
	name         TEXT    NOT NULL,
	key          TEXT    NOT NULL,
	chat         TEXT    NOT NULL,
	chat_digest  BIGINT  NOT NULL,
	sender       TEXT    NOT NULL,
	time         BIGINT  NOT NULL,
	data         bytea   NOT NULL,
	created_at   BIGINT  NOT NULL,
	media_id     TEXT    NOT NULL DEFAULT '',
	media_offset INTEGER NOT NULL DEFAULT 0,
	targets      TEXT    NOT NULL DEFAULT ''
);
INSERT INTO pombo_event_9 (id, occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset, targets)
	SELECT id, occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset, targets
	FROM pombo_event ORDER BY id;
CREATE TABLE pombo_delivery_9 (
	id              INTEGER PRIMARY KEY,
	event_id        BIGINT  NOT NULL REFERENCES pombo_event_9 (id),
	webhook_id      TEXT    NOT NULL REFERENCES pombo_webhook (id),
	instance_id     TEXT    NOT NULL,
	chat            TEXT    NOT NULL,
	state           TEXT    NOT NULL DEFAULT 'pending',
	reason          TEXT    NOT NULL DEFAULT '',
	attempts        INTEGER NOT NULL DEFAULT 0,
	next_attempt_at BIGINT,
	parked          BOOLEAN NOT NULL DEFAULT FALSE,
	created_at      BIGINT  NOT NULL,
	ended_at        BIGINT,
	replayed_at     BIGINT,
	attempts_before INTEGER NOT NULL DEFAULT 0,
	UNIQUE (event_id, webhook_id)
);
INSERT INTO pombo_delivery_9 (id, event_id, webhook_id, instance_id, chat, state, reason, attempts, next_attempt_at, parked, created_at, ended_at, replayed_at, attempts_before)
	SELECT id, event_id, webhook_id, instance_id, chat, state, reason, attempts, next_attempt_at, parked, created_at, ended_at, replayed_at, attempts_before
	FROM pombo_delivery ORDER BY id;
CREATE TABLE pombo_attempt_9 (
	delivery_id BIGINT  NOT NULL REFERENCES pombo_delivery_9 (id) ON DELETE CASCADE,
	number      INTEGER NOT NULL,
	at          BIGINT  NOT NULL,
	duration_us BIGINT  NOT NULL,
	address     TEXT    NOT NULL,
	status      INTEGER NOT NULL,
	error_code  TEXT    NOT NULL,
	error       TEXT    NOT NULL,
	response    bytea,
	PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;
INSERT INTO pombo_attempt_9 (delivery_id, number, at, duration_us, address, status, error_code, error, response)
	SELECT delivery_id, number, at, duration_us, address, status, error_code, error, response
	FROM pombo_attempt ORDER BY delivery_id, number;
DROP TABLE pombo_attempt;
DROP TABLE pombo_delivery;
DROP TABLE pombo_event;
ALTER TABLE pombo_event_9 RENAME TO pombo_event;
ALTER TABLE pombo_delivery_9 RENAME TO pombo_delivery;
ALTER TABLE pombo_attempt_9 RENAME TO pombo_attempt;
-- What 01 to 07 say of these indexes holds.
CREATE INDEX pombo_delivery_pending ON pombo_delivery (webhook_id, (id + 0)) WHERE state = 'pending';
CREATE INDEX pombo_delivery_lane ON pombo_delivery (webhook_id, instance_id, chat, (id + 0)) WHERE state = 'pending';
CREATE INDEX pombo_delivery_parked ON pombo_delivery (webhook_id, next_attempt_at, (id + 0)) WHERE state = 'pending' AND parked;
CREATE INDEX pombo_delivery_seen ON pombo_delivery (webhook_id, instance_id, created_at);
CREATE INDEX pombo_delivery_dead ON pombo_delivery (webhook_id, instance_id, created_at) WHERE state = 'dead';
CREATE INDEX pombo_event_name ON pombo_event (instance_id, name) WHERE name <> 'MESSAGES_UPSERT';
-- The digests of a block of 1,024 events are together, so that new ones change few pages.
-- Who looks for a chat looks into each block.
CREATE INDEX pombo_event_chat ON pombo_event ((id / 1024), chat_digest) WHERE chat <> '';
-- end only sqlite

-- only: postgres until "end only"
INSERT INTO pombo_meta (key, value)
	SELECT 'occurrences', CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM pombo_event_id_seq;
ALTER TABLE pombo_event
	DROP CONSTRAINT pombo_event_occurrence_key,
	ALTER COLUMN id DROP IDENTITY;
-- end only postgres
