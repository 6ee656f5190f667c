-- A process that has the file for itself knows what became of its commits. The number is used by
-- PostgreSQL, where the answer to a commit may be lost on its way.
SELECT 1;
