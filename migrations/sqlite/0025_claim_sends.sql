-- Which node steps a send, and until when no other node does (`port::LeaseOwner`,
-- `domain::plan::send::claim`). NULL where it is unclaimed. A process that knows no claims leaves
-- them as they are: they end by their time.
ALTER TABLE sends ADD COLUMN claim_owner TEXT;
ALTER TABLE sends ADD COLUMN claim_until INTEGER;
