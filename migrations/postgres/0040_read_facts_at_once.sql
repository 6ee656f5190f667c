-- Locks what a group of writes changes and reads what its plan needs, in one round trip. A later
-- version that needs other facts makes a function of another name: nodes of both write meanwhile.
--
-- Each statement within sees what was committed before it began. So what belongs to a locked row is
-- read by a statement after the one that has waited for the lock. The locks come in the order that
-- all groups keep: keys, tickets, projects, inboxes.
CREATE FUNCTION group_facts(
    -- Whether the client waits for a sign of life before anything is locked.
    shows_life BOOLEAN DEFAULT FALSE,
    -- Idempotency keys, and the advisory locks of their class.
    key_class INTEGER DEFAULT 0,
    key_locks INTEGER[] DEFAULT '{}',
    key_owners BIGINT[] DEFAULT '{}',
    key_names TEXT[] DEFAULT '{}',
    -- Accounts that a request names.
    named BIGINT[] DEFAULT '{}',
    -- Tickets and projects that change.
    tickets_of BIGINT[] DEFAULT '{}',
    projects_of BIGINT[] DEFAULT '{}',
    -- Whether all admins are notified, or the super admins.
    all_admins BOOLEAN DEFAULT FALSE,
    super_admins BOOLEAN DEFAULT FALSE,
    -- Users that are notified, and those whose inboxes change only.
    notified BIGINT[] DEFAULT '{}',
    touched BIGINT[] DEFAULT '{}',
    -- Events, projects whose webhooks may be called, and which channels there are.
    events_of TEXT[] DEFAULT '{}',
    hooks_of BIGINT[] DEFAULT '{}',
    has_webhooks BOOLEAN DEFAULT FALSE,
    has_push BOOLEAN DEFAULT FALSE,
    -- Users with marks, and the rows that marks name.
    marked BIGINT[] DEFAULT '{}',
    row_places BIGINT[] DEFAULT '{}',
    row_users BIGINT[] DEFAULT '{}',
    row_ids BIGINT[] DEFAULT '{}',
    -- How long it has waited for rows.
    OUT locked_us BIGINT,
    -- Each a JSON array of rows, which are arrays; NULL for none.
    OUT keys TEXT,
    OUT accounts TEXT,
    OUT tickets TEXT,
    OUT projects TEXT,
    OUT members TEXT,
    OUT inboxes TEXT,
    OUT policies TEXT,
    OUT hooks TEXT,
    OUT recipients TEXT,
    OUT with_steps TEXT,
    OUT named_rows TEXT
) LANGUAGE plpgsql AS $$
DECLARE
    begun TIMESTAMPTZ;
    chosen BIGINT[];
BEGIN
    IF shows_life THEN
        -- A message is sent at once.
        RAISE INFO 'alive';
    END IF;
    IF cardinality(key_locks) > 0 THEN
        PERFORM pg_advisory_xact_lock(key_class, v.key) FROM unnest(key_locks) AS v (key);
        SELECT json_agg(json_build_array(k.owner_id, k.key, encode(k.body_hash, 'hex'), k.made,
            coalesce(k.made_id, k.send_id))) INTO keys
        FROM unnest(key_owners, key_names) AS w (owner_id, key)
        JOIN idempotency_keys k ON k.owner_id = w.owner_id AND k.key = w.key;
    END IF;
    IF cardinality(named) > 0 THEN
        SELECT json_agg(json_build_array(u.id, u.is_active)) INTO accounts
        FROM users u WHERE u.id = ANY (named);
    END IF;

    begun := clock_timestamp();
    IF cardinality(tickets_of) > 0 THEN
        PERFORM 1 FROM (SELECT 1 FROM tickets t WHERE t.id = ANY (tickets_of)
            ORDER BY t.id FOR NO KEY UPDATE) AS l;
    END IF;
    IF cardinality(projects_of) > 0 THEN
        SELECT json_agg(json_build_array(l.id, l.key, l.name, l.is_open, l.last_number))
        INTO projects FROM (SELECT p.id, p.key, p.name, p.is_open, p.last_number FROM projects p
            WHERE p.id = ANY (projects_of) ORDER BY p.id FOR NO KEY UPDATE) AS l;
    END IF;
    locked_us := extract(microseconds FROM clock_timestamp() - begun);
    IF cardinality(tickets_of) > 0 THEN
        SELECT json_agg(json_build_array(t.id, t.version, t.deleted_at IS NOT NULL,
            EXISTS (SELECT 1 FROM deliveries d WHERE d.until_seen = t.id AND d.status = 'QUEUED'),
            ARRAY(SELECT a.user_id FROM ticket_assignees a WHERE a.ticket_id = t.id
                ORDER BY a.position))) INTO tickets
        FROM tickets t WHERE t.id = ANY (tickets_of);
    END IF;
    IF all_admins OR super_admins THEN
        SELECT array_agg(u.id) FILTER (WHERE all_admins OR u.role = 'super_admin'),
            json_agg(json_build_array(u.id, u.role = 'super_admin') ORDER BY u.id)
        INTO chosen, members FROM users u
        WHERE u.role IN ('admin', 'super_admin') AND u.is_active;
        notified := notified || coalesce(chosen, '{}');
    END IF;

    IF cardinality(notified || touched) > 0 THEN
        begun := clock_timestamp();
        SELECT json_agg(json_build_array(l.user_id, l.last_seq, l.unread_count, l.delivered_seq))
        INTO inboxes FROM (SELECT i.user_id, i.last_seq, i.unread_count, i.delivered_seq
            FROM inboxes i WHERE i.user_id = ANY (notified || touched)
            ORDER BY i.user_id FOR NO KEY UPDATE) AS l;
        locked_us := locked_us + extract(microseconds FROM clock_timestamp() - begun);
    END IF;
    IF cardinality(events_of) > 0 THEN
        SELECT json_agg(json_build_array(e.event, e.steps)) INTO policies
        FROM escalations e WHERE e.event = ANY (events_of);
    END IF;
    IF has_webhooks AND cardinality(notified || hooks_of) > 0 THEN
        SELECT json_agg(json_build_array(h.user_id, h.project_id, h.id, h.lane, h.events)
            ORDER BY h.id) INTO hooks
        FROM webhooks h
        WHERE h.is_active AND (h.user_id = ANY (notified) OR h.project_id = ANY (hooks_of));
    END IF;
    IF cardinality(notified) > 0 THEN
        SELECT json_agg(json_build_array(u.id, u.email_verified, p.body,
            (SELECT string_agg(a.channel, ',') FROM addresses a WHERE a.user_id = u.id),
            CASE WHEN has_push THEN (SELECT json_agg(json_build_array(s.id, s.lane) ORDER BY s.id)
                FROM push_subscriptions s WHERE s.user_id = u.id) END)) INTO recipients
        FROM users u LEFT JOIN preferences p ON p.user_id = u.id WHERE u.id = ANY (notified);
    END IF;
    IF cardinality(marked) > 0 THEN
        SELECT json_agg(DISTINCT d.recipient_id) INTO with_steps FROM deliveries d
        WHERE d.recipient_id = ANY (marked) AND d.until_seen IS NOT NULL
            AND d.status = 'QUEUED' AND d.leased_until IS NULL;
    END IF;
    IF cardinality(row_ids) > 0 THEN
        SELECT json_agg(json_build_array(n.seq, n.id, n.read_at IS NOT NULL,
            n.deleted_at IS NULL, w.place)) INTO named_rows
        FROM unnest(row_places, row_users, row_ids) AS w (place, user_id, id)
        JOIN notifications n ON n.id = w.id AND n.recipient_id = w.user_id;
    END IF;
END $$;
