-- Which ids were the last ones when an hour's first message was written. Ids only grow, so what was
-- written in a range of time is a range of ids: reports find it without an index on time, which
-- every write would have to keep.
CREATE TABLE id_marks (
    hour            INTEGER PRIMARY KEY,  -- since 1970
    message_id      INTEGER NOT NULL,
    notification_id INTEGER NOT NULL,
    delivery_id     INTEGER NOT NULL
) STRICT;
-- Of a group's counters that of messages is written first: the others are still the old ones.
CREATE TRIGGER counters_mark AFTER UPDATE OF value ON counters WHEN new.name = 'messages'
BEGIN
    INSERT INTO id_marks (hour, message_id, notification_id, delivery_id)
    SELECT unixepoch() / 3600, old.value,
        ifnull((SELECT value FROM counters WHERE name = 'notifications'), 0),
        ifnull((SELECT value FROM counters WHERE name = 'deliveries'), 0)
    WHERE NOT EXISTS (SELECT 1 FROM id_marks WHERE hour = unixepoch() / 3600);
END;
