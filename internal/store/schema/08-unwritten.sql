-- v7 -> v8: Deliveries whose rows are written when there is something to tell of them

-- Most deliveries are made within milliseconds after their event was stored: to insert
-- their rows first and change them then was a third of what an event costs. targets says
-- what becomes of an event until its deliveries have rows: the ID of the first, and their
-- webhooks, in the order of their IDs, with spaces between. '' if the rows came with it.
ALTER TABLE pombo_event ADD COLUMN targets TEXT NOT NULL DEFAULT '';

-- "rows" is two numbers: an event up to which all deliveries have their rows (or had
-- them: old ones are removed), and the least ID for the next delivery. Who writes gives
-- these IDs out, ascending, and none twice.
-- only: sqlite until "end only"
INSERT INTO pombo_meta (key, value)
	SELECT 'rows', COALESCE((SELECT MAX(id) FROM pombo_event), 0) || ' ' || (COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'pombo_delivery'), 0) + 1);
-- end only sqlite
-- only: postgres until "end only"
INSERT INTO pombo_meta (key, value)
	SELECT 'rows', COALESCE((SELECT MAX(id) FROM pombo_event), 0) || ' ' || (CASE WHEN is_called THEN last_value + 1 ELSE last_value END)
	FROM pombo_delivery_id_seq;
ALTER TABLE pombo_delivery ALTER COLUMN id DROP IDENTITY;
-- end only postgres
