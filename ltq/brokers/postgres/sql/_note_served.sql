-- note_served: which lanes were served last, and how many starts count against their limits.
--
-- p_lanes          of each task that was claimed
-- p_level          its priority
-- p_token          of the first of them
-- p_takes_turns    whether other lanes are served as well
-- p_limited, p_intervals, p_bursts   see `claim`
-- RETURNS          nothing
CREATE FUNCTION @schema@.note_served(
    p_lanes text[], p_level integer, p_token bigint, p_takes_turns boolean, p_limited text[],
    p_intervals float8[], p_bursts float8[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_lane text;
    v_count bigint;
    v_last bigint;
    v_place integer;
    v_now float8 := extract(epoch FROM clock_timestamp());
BEGIN
    IF NOT p_takes_turns AND p_limited = '{}' THEN
        RETURN;
    END IF;
    FOR v_lane, v_count, v_last IN
        SELECT lane, count(*), p_token + max(number) - 1
        FROM unnest(p_lanes) WITH ORDINALITY AS given (lane, number) GROUP BY lane ORDER BY lane
    LOOP
        v_place := array_position(p_limited, v_lane);
        IF v_place IS NULL THEN
            CONTINUE WHEN NOT p_takes_turns;
            -- Others may claim from it at this moment: their turn is as good.
            PERFORM FROM @schema@.lanes WHERE name = v_lane FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        UPDATE @schema@.lanes SET
            served_high = CASE WHEN p_level = 0 THEN v_last ELSE served_high END,
            served_normal = CASE WHEN p_level = 1 THEN v_last ELSE served_normal END,
            served_low = CASE WHEN p_level = 2 THEN v_last ELSE served_low END,
            used = CASE WHEN p_intervals[v_place] IS NULL THEN used
                ELSE @schema@.left_of(used, used_at, p_intervals[v_place], p_bursts[v_place], v_now)
                    + v_count END,
            used_at = CASE WHEN p_intervals[v_place] IS NULL THEN used_at ELSE v_now END
        WHERE name = v_lane;
    END LOOP;
END
$$;
