-- v4 -> v5: Polls; which JWT of an instance can be refreshed

-- Polls that came or were sent, kept a while to read the votes in them. Who wrote
-- a message chooses its ID, so it says nothing without the chat.
CREATE TABLE pombo_poll (
	instance_id TEXT   NOT NULL,
	chat        TEXT   NOT NULL,
	id          TEXT   NOT NULL,
	author      TEXT   NOT NULL,
	secret      bytea  NOT NULL, -- secret: opens the votes
	options     TEXT   NOT NULL, -- JSON array of names, in the poll's order
	at          BIGINT NOT NULL,
	PRIMARY KEY (instance_id, id, chat)
);
CREATE INDEX pombo_poll_age ON pombo_poll (at);
CREATE INDEX pombo_poll_instance ON pombo_poll (instance_id, at);

-- AUTHENTICATION_TYPE=jwt: '' until the instance got its first token.
ALTER TABLE pombo_instance ADD COLUMN jwt_id TEXT NOT NULL DEFAULT '';
