-- known: remember the queue and the lanes of tasks that were sent.
--
-- p_namespace          of all of them
-- p_is_joined          whether the transaction is one of a user's, that may stay open: nobody shall
--                      wait for it
-- p_queues, p_lanes    of each task
-- RETURNS              nothing. The lanes stay as long as the transaction lasts
CREATE FUNCTION @schema@.known(
    p_namespace text, p_is_joined boolean, p_queues text[], p_lanes text[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_lanes text[] := ARRAY(SELECT DISTINCT unnest(p_lanes) ORDER BY 1);
    v_kept text[];
BEGIN
    v_kept := ARRAY(
        SELECT name FROM @schema@.lanes
        WHERE name = ANY(ARRAY(SELECT lane FROM unnest(v_lanes) AS lane WHERE strpos(lane, '/') > 0))
        ORDER BY name FOR KEY SHARE);
    IF p_is_joined THEN
        -- A queue's own lane is never left, others only by steps that see no task in them.
        INSERT INTO @schema@.arrivals (namespace, lane, queue)
        SELECT p_namespace, one, split_part(one, '/', 1) FROM unnest(v_lanes) AS one
        WHERE one <> ALL(v_kept) AND (strpos(one, '/') > 0 OR NOT EXISTS (
            SELECT FROM @schema@.lanes WHERE name = one
        ) AND NOT EXISTS (
            SELECT FROM @schema@.arrivals WHERE namespace = p_namespace AND lane = one));
        RETURN;
    END IF;
    INSERT INTO @schema@.queues (name, namespace)
    SELECT DISTINCT queue, p_namespace FROM unnest(p_queues) AS queue
    WHERE NOT EXISTS (SELECT FROM @schema@.queues WHERE name = queue) ORDER BY queue
    ON CONFLICT DO NOTHING;
    INSERT INTO @schema@.lanes (name, queue)
    SELECT lane, split_part(lane, '/', 1) FROM unnest(v_lanes) AS lane
    WHERE NOT EXISTS (SELECT FROM @schema@.lanes WHERE name = lane)
    ON CONFLICT DO NOTHING;
END
$$;
