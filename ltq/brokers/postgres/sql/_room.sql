-- room: how many tasks of a lane may start now, by its limits. The lane stays locked.
--
-- p_lane           its name
-- p_interval       seconds between starts, null without a limit of the rate
-- p_burst          how many starts may come at once
-- p_running        how many may run at once, or null
-- p_most           how many are asked for
-- OUT room         how many
-- OUT next_start   when the next one may start, '-infinity' if it is now
CREATE FUNCTION @schema@.room(
    p_lane text, p_interval float8, p_burst float8, p_running integer, p_most integer,
    OUT room integer, OUT next_start float8
) LANGUAGE plpgsql AS $$
DECLARE
    v_used float8;
    v_used_at float8;
    v_working bigint := 0;
    v_now float8;
BEGIN
    SELECT used, used_at INTO v_used, v_used_at FROM @schema@.lanes
    WHERE name = p_lane FOR NO KEY UPDATE;
    v_now := extract(epoch FROM clock_timestamp());  -- others may have had the lane until now
    IF p_running IS NOT NULL THEN
        SELECT count(*) INTO v_working FROM @schema@.tasks
        WHERE status = 2 AND namespace = @schema@.namespace_of(p_lane) AND lane = p_lane;
    END IF;
    room := 0;
    LOOP
        next_start := '-infinity';
        IF v_working + room >= p_running THEN
            next_start := v_now + @RECHECK@;
        ELSIF p_interval IS NOT NULL AND v_used_at <= v_now THEN
            next_start := v_used_at + (least(v_used, p_burst) - (p_burst - 1)) * p_interval;
        END IF;
        EXIT WHEN next_start > v_now OR room >= p_most;
        room := room + 1;
        IF p_interval IS NOT NULL THEN
            v_used := 1 + @schema@.left_of(v_used, v_used_at, p_interval, p_burst, v_now);
            v_used_at := v_now;
        END IF;
    END LOOP;
END
$$;
