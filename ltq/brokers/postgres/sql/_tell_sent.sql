-- tell_sent: wake those who may claim tasks that were sent.
--
-- p_namespace, p_is_joined, p_ids, p_lanes, p_delays, p_etas
--                  see `send`: of what was taken
-- p_first          when the first delayed task was due before, or null
-- p_now            Unix seconds
-- RETURNS          nothing
CREATE FUNCTION @schema@.tell_sent(
    p_namespace text, p_is_joined boolean, p_ids text[], p_lanes text[], p_delays float8[],
    p_etas float8[], p_first float8, p_now float8
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_topics text[];
    v_lanes text[] := ARRAY(
        SELECT DISTINCT lane FROM (
            SELECT lane, greatest(p_now + delay, coalesce(eta, 0)) AS due
            FROM unnest(p_lanes, p_delays, p_etas) AS sent (lane, delay, eta)
        ) AS sent WHERE due <= p_now OR p_first IS NULL OR due < p_first
    );
BEGIN
    IF NOT p_is_joined THEN
        v_topics := @schema@.awaited(
            ARRAY(SELECT 'lane ' || split_part(lane, '/', 1) FROM unnest(v_lanes) AS lane));
        v_lanes := ARRAY(
            SELECT lane FROM unnest(v_lanes) AS lane
            WHERE 'lane ' || split_part(lane, '/', 1) = ANY(v_topics));
    END IF;
    IF v_lanes <> '{}' THEN
        PERFORM @schema@.tell('lane', '', v_lanes);
    END IF;
    IF @schema@.awaited(ARRAY['task ' || p_namespace]) <> '{}' THEN
        PERFORM @schema@.tell('task', p_namespace, p_ids);
    END IF;
END
$$;
