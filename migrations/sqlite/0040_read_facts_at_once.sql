-- A process that has the file for itself reads without a way to the server. The number is used by
-- PostgreSQL, where each statement is a round trip.
SELECT 1;
