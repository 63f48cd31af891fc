-- v3 -> v4: Files of messages

-- The file of an event's message (pombo_media.id), '' if there is none, and where
-- in data it goes when it is sent with the event.
ALTER TABLE pombo_event ADD COLUMN media_id TEXT NOT NULL DEFAULT '';
ALTER TABLE pombo_event ADD COLUMN media_offset INTEGER NOT NULL DEFAULT 0;

-- Files that came with messages: where they can be fetched. Also of messages that
-- no webhook wanted, since the API gives files by the message's id.
CREATE TABLE pombo_media (
	id          TEXT   PRIMARY KEY,
	instance_id TEXT   NOT NULL,
	message_id  TEXT   NOT NULL,
	info        bytea  NOT NULL, -- JSON of pombo.Media; holds the file's key
	path        TEXT   NOT NULL DEFAULT '', -- where it was uploaded again, if it was
	missed      TEXT   NOT NULL DEFAULT '', -- why deliveries go out without it
	event_id    BIGINT,                     -- NULL: no webhook wanted the event
	created_at  BIGINT NOT NULL
);
CREATE INDEX pombo_media_message ON pombo_media (instance_id, message_id);
CREATE INDEX pombo_media_age ON pombo_media (created_at);
