-- The edition of the rules of local time by which a callback's window was last looked at, as long as it has not ended;
-- NULL: its window was not said in local time. A start reads those of other editions only. What was written before this
-- column was here, or by a node that does not know it, has the empty edition, and is looked at once.
ALTER TABLE callbacks ADD COLUMN local_edition TEXT COLLATE "C" DEFAULT '';
CREATE INDEX callbacks_in_local_time ON callbacks (tenant, local_edition, id)
    WHERE ended_at IS NULL AND local_edition IS NOT NULL;
