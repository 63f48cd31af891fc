-- v6 -> v7: Events by digests of their occurrence and their chat

-- Indexes over long texts were most of what an event cost: a page for each in another
-- place. A digest (pombo_digest on SQLite) is the first 8 bytes of the SHA-256 of texts
-- with a NUL between them. occurrence is that of (instance_id, name, key), or a number
-- after it if another event has that one already; chat_digest that of (instance_id, chat).
-- MESSAGES_UPSERT is found among the others without an index: it is the most frequent.
--
-- SQLite cannot drop a UNIQUE constraint, or a table that others refer to: events,
-- deliveries and attempts are written anew. An id must not be given out again there
-- either. Their CHECKs are left out: to ask them with each write took an eighth of all
-- that an event costs, and what they say is checked where attempts are taken in (Settle).

-- only: sqlite until "end only"
CREATE TABLE pombo_event_7 (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	occurrence   BIGINT  NOT NULL UNIQUE,
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
	media_offset INTEGER NOT NULL DEFAULT 0
);
INSERT INTO pombo_event_7 (id, occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset)
	SELECT id, pombo_digest(instance_id, name, key), instance_id, name, key, chat, pombo_digest(instance_id, chat),
		sender, time, data, created_at, media_id, media_offset
	FROM pombo_event ORDER BY id;
CREATE TABLE pombo_delivery_7 (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	event_id        BIGINT  NOT NULL REFERENCES pombo_event_7 (id),
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
INSERT INTO pombo_delivery_7 (id, event_id, webhook_id, instance_id, chat, state, reason, attempts, next_attempt_at, parked, created_at, ended_at, replayed_at, attempts_before)
	SELECT id, event_id, webhook_id, instance_id, chat, state, reason, attempts, next_attempt_at, parked, created_at, ended_at, replayed_at, attempts_before
	FROM pombo_delivery ORDER BY id;
CREATE TABLE pombo_attempt_7 (
	delivery_id BIGINT  NOT NULL REFERENCES pombo_delivery_7 (id) ON DELETE CASCADE,
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
INSERT INTO pombo_attempt_7 (delivery_id, number, at, duration_us, address, status, error_code, error, response)
	SELECT delivery_id, number, at, duration_us, address, status, error_code, error, response
	FROM pombo_attempt ORDER BY delivery_id, number;
DELETE FROM sqlite_sequence WHERE name IN ('pombo_event_7', 'pombo_delivery_7');
INSERT INTO sqlite_sequence (name, seq) SELECT name || '_7', seq FROM sqlite_sequence WHERE name IN ('pombo_event', 'pombo_delivery');
DROP TABLE pombo_attempt;
DROP TABLE pombo_delivery;
DROP TABLE pombo_event;
ALTER TABLE pombo_event_7 RENAME TO pombo_event;
ALTER TABLE pombo_delivery_7 RENAME TO pombo_delivery;
ALTER TABLE pombo_attempt_7 RENAME TO pombo_attempt;
-- What 01 to 06 say of these indexes holds.
CREATE INDEX pombo_delivery_pending ON pombo_delivery (webhook_id, (id + 0)) WHERE state = 'pending';
CREATE INDEX pombo_delivery_lane ON pombo_delivery (webhook_id, instance_id, chat, (id + 0)) WHERE state = 'pending';
CREATE INDEX pombo_delivery_parked ON pombo_delivery (webhook_id, next_attempt_at, (id + 0)) WHERE state = 'pending' AND parked;
CREATE INDEX pombo_delivery_seen ON pombo_delivery (webhook_id, instance_id, created_at);
CREATE INDEX pombo_delivery_dead ON pombo_delivery (webhook_id, instance_id, created_at) WHERE state = 'dead';
-- end only sqlite

-- only: postgres until "end only"
DROP INDEX pombo_event_chat;
ALTER TABLE pombo_event
	DROP CONSTRAINT pombo_event_instance_id_name_key_key,
	ADD COLUMN occurrence BIGINT,
	ADD COLUMN chat_digest BIGINT;
UPDATE pombo_event SET
	occurrence = ('x' || encode(substring(sha256(convert_to(instance_id, 'UTF8') || '\x00'::bytea || convert_to(name, 'UTF8') || '\x00'::bytea || convert_to(key, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint,
	chat_digest = ('x' || encode(substring(sha256(convert_to(instance_id, 'UTF8') || '\x00'::bytea || convert_to(chat, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint;
ALTER TABLE pombo_event
	ALTER COLUMN occurrence SET NOT NULL,
	ALTER COLUMN chat_digest SET NOT NULL,
	ADD CONSTRAINT pombo_event_occurrence_key UNIQUE (occurrence);
-- end only postgres

CREATE INDEX pombo_event_chat ON pombo_event (chat_digest) WHERE chat <> '';
CREATE INDEX pombo_event_name ON pombo_event (instance_id, name) WHERE name <> 'MESSAGES_UPSERT';
