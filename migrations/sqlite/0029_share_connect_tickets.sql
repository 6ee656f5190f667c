-- A process that has the file for itself keeps tickets for sockets in memory. The number is used by
-- PostgreSQL, where several nodes share them.
SELECT 1;
