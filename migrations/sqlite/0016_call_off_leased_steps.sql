-- A step that is with a provider when its ticket moves on is not tried again: from then on its
-- `until_seen` is -1. So what somebody has leased is in the index too.
DROP INDEX deliveries_until_moved;
CREATE INDEX deliveries_until_moved ON deliveries (until_seen, id)
    WHERE until_seen IS NOT NULL AND status = 'QUEUED';
