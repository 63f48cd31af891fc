-- v5 -> v6: Webhooks with filters and secrets, and deliveries that are seen and replayed

-- A webhook that was removed keeps its row as long as it has deliveries, with a
-- position below 0. filter is a CEL expression, '' for none; secrets a JSON array
-- of signing keys, the newest first: secret.
ALTER TABLE pombo_webhook ADD COLUMN filter TEXT NOT NULL DEFAULT '';
ALTER TABLE pombo_webhook ADD COLUMN secrets TEXT NOT NULL DEFAULT '[]';

-- A replay makes a delivery pending again: from then on its horizon counts, and
-- its retries begin anew. Its attempts are numbered on.
ALTER TABLE pombo_delivery ADD COLUMN replayed_at BIGINT;
ALTER TABLE pombo_delivery ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;

-- Lists of deliveries, by the time of appending. Not by id: the clock may jump
-- back, and a range of time must then miss nothing. SQLite's indexes end in the id
-- by themselves.
-- only: sqlite
CREATE INDEX pombo_delivery_seen ON pombo_delivery (webhook_id, instance_id, created_at);
-- only: postgres
CREATE INDEX pombo_delivery_seen ON pombo_delivery (webhook_id, instance_id, created_at, id);
-- Dead ones are few, and asked for most. Partial: the others cost nothing here.
-- only: sqlite
CREATE INDEX pombo_delivery_dead ON pombo_delivery (webhook_id, instance_id, created_at) WHERE state = 'dead';
-- only: postgres
CREATE INDEX pombo_delivery_dead ON pombo_delivery (webhook_id, instance_id, created_at, id) WHERE state = 'dead';

-- What happened in one chat.
CREATE INDEX pombo_event_chat ON pombo_event (instance_id, chat) WHERE chat <> '';

-- Attempts of a webhook by the hour (since 1970), counted in memory and written
-- down every few seconds; kept for 7 days.
CREATE TABLE pombo_tally (
	webhook_id TEXT   NOT NULL,
	hour       BIGINT NOT NULL,
	succeeded  BIGINT NOT NULL,
	failed     BIGINT NOT NULL,
	last_success BIGINT,
	PRIMARY KEY (webhook_id, hour)
);
