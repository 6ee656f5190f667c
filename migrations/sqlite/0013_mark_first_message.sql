-- The very first message has no counter to be updated: without a mark of its own, the next one's
-- would leave it out of a report that begins in its hour.
CREATE TRIGGER counters_mark_first AFTER INSERT ON counters WHEN new.name = 'messages'
BEGIN
    INSERT INTO id_marks (hour, message_id, notification_id, delivery_id)
    SELECT unixepoch() / 3600, 0,
        ifnull((SELECT value FROM counters WHERE name = 'notifications'), 0),
        ifnull((SELECT value FROM counters WHERE name = 'deliveries'), 0)
    WHERE NOT EXISTS (SELECT 1 FROM id_marks WHERE hour = unixepoch() / 3600);
END;
