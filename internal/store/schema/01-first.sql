-- v0 -> v1: First schema
--
-- Conventions. Times are milliseconds since 1970-01-01 UTC; NULL is "never" or
-- "at once". JSON that only Go reads is TEXT. What is sent to a webhook is
-- bytes, so that no database reformats it.
--
-- Where SQLite and PostgreSQL differ:
--   * ids: AUTOINCREMENT and an identity column are the two spellings of "a
--     number that is never given out twice". A reused delivery id would repeat
--     a webhook-id, and receivers drop repeats.
--   * pombo_attempt is WITHOUT ROWID in SQLite, which saves a second copy of its
--     key; PostgreSQL has no such choice.

-- Facts about this database. "uid" is random; it makes a delivery's MessageID
-- ("msg_" + uid + "_" + id in base 36) unique among all gateways.
CREATE TABLE pombo_meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
);

-- Instances. Deleted ones stay as long as their webhook has deliveries to make.
CREATE TABLE pombo_instance (
	id                   TEXT PRIMARY KEY,
	name                 TEXT NOT NULL CHECK (name <> ''),
	token                TEXT NOT NULL, -- secret: the instance's API key
	integration          TEXT NOT NULL,
	number               TEXT NOT NULL,
	jid                  TEXT NOT NULL, -- '' until a phone has linked it
	lid                  TEXT NOT NULL,
	profile_name         TEXT NOT NULL,
	profile_picture_url  TEXT NOT NULL,
	settings             TEXT NOT NULL, -- JSON of pombo.Settings
	disconnection_code   INTEGER NOT NULL,
	disconnection_object TEXT NOT NULL,
	disconnected_at      BIGINT,
	created_at           BIGINT NOT NULL,
	updated_at           BIGINT NOT NULL,
	deleted_at           BIGINT
);

-- A name is free again as soon as its instance is deleted.
CREATE UNIQUE INDEX pombo_instance_name ON pombo_instance (name) WHERE deleted_at IS NULL;

-- Webhooks. instance_id is NULL for the global one. Position 0 is the webhook of
-- POST /webhook/set; other positions are reserved for more webhooks of one
-- instance. Signing secrets and filters come with the migration that uses them.
CREATE TABLE pombo_webhook (
	id          TEXT PRIMARY KEY,
	instance_id TEXT REFERENCES pombo_instance (id),
	position    INTEGER NOT NULL DEFAULT 0,
	url         TEXT NOT NULL,
	enabled     BOOLEAN NOT NULL,
	events      TEXT NOT NULL, -- JSON array of names; [] is all
	by_events   BOOLEAN NOT NULL,
	base64      BOOLEAN NOT NULL,
	headers     TEXT NOT NULL, -- JSON object; may hold secrets
	-- Deliveries up to this id that still read pending are dead: disabled. So a
	-- webhook with a long backlog is switched off in an instant; housekeeping
	-- then writes it down row by row, and sets this back to 0.
	dead_through BIGINT NOT NULL DEFAULT 0,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	CHECK (instance_id IS NOT NULL OR id = 'global'),
	UNIQUE (instance_id, position)
);

-- Events, as they are sent: never changed after they are written, and written
-- once however many webhooks want them. instance_id has no foreign key: an event
-- may outlive its instance.
CREATE TABLE pombo_event (
	-- only: sqlite
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	-- only: postgres
	id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	instance_id TEXT   NOT NULL,
	name        TEXT   NOT NULL,
	key         TEXT   NOT NULL, -- of the occurrence
	chat        TEXT   NOT NULL, -- '' for events of the instance as a whole
	sender      TEXT   NOT NULL,
	time        BIGINT NOT NULL,
	data        bytea  NOT NULL, -- JSON
	created_at  BIGINT NOT NULL,
	UNIQUE (instance_id, name, key) -- a second append of an occurrence is none
);

-- Deliveries: one event on its way to one webhook. The lane (instance_id, chat)
-- is copied from the event, so that one index answers "what is next in this
-- lane".
CREATE TABLE pombo_delivery (
	-- only: sqlite
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	-- only: postgres
	id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id        BIGINT  NOT NULL REFERENCES pombo_event (id),
	webhook_id      TEXT    NOT NULL REFERENCES pombo_webhook (id),
	instance_id     TEXT    NOT NULL,
	chat            TEXT    NOT NULL,
	state           TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
	reason          TEXT    NOT NULL DEFAULT '' CHECK (reason IN ('', 'rejected', 'exhausted', 'disabled')),
	attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
	next_attempt_at BIGINT,
	parked          BOOLEAN NOT NULL DEFAULT FALSE,
	created_at      BIGINT  NOT NULL,
	ended_at        BIGINT, -- when it left pending
	CHECK ((state = 'dead') = (reason <> '')),
	CHECK (state = 'pending' OR (NOT parked AND next_attempt_at IS NULL)),
	CHECK ((state = 'pending') = (ended_at IS NULL)),
	UNIQUE (event_id, webhook_id)
);

-- What is pending, oldest first, of a webhook and of a lane. Partial: what is
-- done costs nothing here. "id + 0" is there for PostgreSQL's planner: with plain
-- "id" it would rather walk along the primary key, past any number of rows that
-- are done, as long as its statistics say that most are pending.
CREATE INDEX pombo_delivery_pending ON pombo_delivery (webhook_id, (id + 0)) WHERE state = 'pending';
CREATE INDEX pombo_delivery_lane ON pombo_delivery (webhook_id, instance_id, chat, (id + 0)) WHERE state = 'pending';

-- Attempts: one row for each POST.
CREATE TABLE pombo_attempt (
	delivery_id BIGINT  NOT NULL REFERENCES pombo_delivery (id) ON DELETE CASCADE,
	number      INTEGER NOT NULL CHECK (number >= 1),
	at          BIGINT  NOT NULL,
	duration_us BIGINT  NOT NULL, -- microseconds
	address     TEXT    NOT NULL, -- connected to, "ip:port"
	status      INTEGER NOT NULL, -- 0 if no answer came
	error_code  TEXT    NOT NULL,
	error       TEXT    NOT NULL,
	response    bytea,            -- the first KiB of the answer's body
	PRIMARY KEY (delivery_id, number)
-- only: sqlite
) WITHOUT ROWID;
-- only: postgres
);

-- Messages we sent, kept a while to answer recipients who could not decrypt them.
CREATE TABLE pombo_sent (
	instance_id TEXT   NOT NULL,
	id          TEXT   NOT NULL,
	chat        TEXT   NOT NULL,
	message     bytea  NOT NULL, -- waE2E protobuf
	sent_at     BIGINT NOT NULL,
	PRIMARY KEY (instance_id, id)
);
CREATE INDEX pombo_sent_age ON pombo_sent (sent_at);
CREATE INDEX pombo_sent_instance ON pombo_sent (instance_id, sent_at);
