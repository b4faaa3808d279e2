-- known: remember the queue and the lanes of tasks that were sent.
--
-- p_namespace          of all of them
-- p_queues, p_lanes    of each task
-- RETURNS              nothing. The lanes stay as long as the transaction lasts
CREATE FUNCTION @schema@.known(p_namespace text, p_queues text[], p_lanes text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_queues text[] := ARRAY(SELECT DISTINCT unnest(p_queues));
    v_lanes text[] := ARRAY(SELECT DISTINCT unnest(p_lanes) ORDER BY 1);
    v_others text[];
BEGIN
    INSERT INTO @schema@.queues (name, namespace)
    SELECT queue, p_namespace FROM unnest(v_queues) AS queue
    WHERE NOT EXISTS (SELECT FROM @schema@.queues WHERE name = queue)
    ON CONFLICT DO NOTHING;
    v_others := ARRAY(SELECT lane FROM unnest(v_lanes) AS lane WHERE strpos(lane, '/') > 0);
    IF v_others <> '{}' THEN
        PERFORM FROM @schema@.lanes WHERE name = ANY(v_others) ORDER BY name FOR KEY SHARE;
    END IF;
    INSERT INTO @schema@.lanes (name, queue)
    SELECT lane, split_part(lane, '/', 1) FROM unnest(v_lanes) AS lane
    WHERE NOT EXISTS (SELECT FROM @schema@.lanes WHERE name = lane)
    ON CONFLICT DO NOTHING;
END
$$;
