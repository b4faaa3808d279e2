-- answer_send: whether a task with an id, a fingerprint or a limit of its own may be sent.
--
-- It keeps the fingerprint of one that may be.
--
-- p_namespace, p_id, p_queue, p_task_name, p_fingerprint, p_unique_for, p_max_pending
--                      as in the envelope
-- p_now                Unix seconds
-- RETURNS              'created' for one that may be sent; or 'exists', 'id_conflict', 'duplicate',
--                      'full'
CREATE FUNCTION @schema@.answer_send(
    p_namespace text, p_id text, p_queue text, p_task_name text, p_fingerprint text,
    p_unique_for float8, p_max_pending integer, p_now float8
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
    v_waiting bigint;
BEGIN
    SELECT task_name INTO v_name FROM @schema@.tasks WHERE id = p_id AND namespace = p_namespace;
    IF NOT FOUND THEN
        SELECT task_name INTO v_name FROM @schema@.final
        WHERE id = p_id AND namespace = p_namespace AND moment > p_now;
    END IF;
    IF v_name IS NOT NULL THEN
        RETURN CASE WHEN v_name = p_task_name THEN 'exists' ELSE 'id_conflict' END;
    END IF;
    IF p_fingerprint <> '' AND EXISTS (
        SELECT FROM @schema@.fingerprints
        WHERE fingerprint = p_fingerprint AND namespace = p_namespace AND expires > p_now
    ) THEN
        RETURN 'duplicate';
    END IF;
    IF p_max_pending IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(@lock@ + 1, hashtext(p_queue));
        SELECT count(*) INTO v_waiting FROM (
            (
                SELECT FROM @schema@.every_lane() AS lanes
                JOIN @schema@.tasks AS tasks ON tasks.status = 0 AND tasks.lane = lanes.name
                WHERE lanes.queue = p_queue LIMIT p_max_pending
            )
            UNION ALL
            (
                SELECT FROM @schema@.tasks WHERE status = 1 AND queue = p_queue LIMIT p_max_pending
            )
        ) AS waiting;
        IF v_waiting >= p_max_pending THEN
            RETURN 'full';
        END IF;
    END IF;
    IF p_fingerprint <> '' THEN
        INSERT INTO @schema@.fingerprints AS known (namespace, fingerprint, id, expires)
        VALUES (p_namespace, p_fingerprint, p_id, p_now + p_unique_for)
        ON CONFLICT (fingerprint, namespace)
        DO UPDATE SET id = excluded.id, expires = excluded.expires WHERE known.expires <= p_now;
        IF NOT FOUND THEN
            RETURN 'duplicate';
        END IF;
    END IF;
    RETURN 'created';
END
$$;
