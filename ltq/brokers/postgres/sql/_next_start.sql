-- next_start: when a claim may give something without a wake-up.
--
-- p_lanes      the lanes that are served, none that is paused
-- p_namespaces, p_limited ... p_most_running  see `claim`
-- RETURNS      `due` and `start`, in seconds from now: until anything may be ready, and until the
--              limit of a lane lets the next task start; null if that is not known. And `ready`:
--              whether a claim may give something now.
CREATE FUNCTION @schema@.next_start(
    p_namespaces text[], p_lanes text[], p_limited text[], p_intervals float8[], p_bursts float8[],
    p_most_running integer[]
) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now float8 := extract(epoch FROM clock_timestamp());
    v_namespace text;
    v_lane text;
    v_place integer;
    v_moment float8;
    v_first float8;
    v_leases float8;
    v_delayed float8;
    v_start float8;
    v_is_ready boolean := @schema@.is_ready(
        ARRAY(SELECT lane FROM unnest(p_lanes) AS lane WHERE lane <> ALL(p_limited)));
BEGIN
    FOR v_lane IN SELECT lane FROM unnest(p_lanes) AS lane WHERE lane = ANY(p_limited) LOOP
        CONTINUE WHEN NOT @schema@.is_ready(ARRAY[v_lane]);
        v_place := array_position(p_limited, v_lane);
        v_moment := (@schema@.room(
            v_lane, p_intervals[v_place], p_bursts[v_place], p_most_running[v_place], 0
        )).next_start;
        IF v_moment <= v_now THEN
            v_is_ready := true;
        ELSE
            v_start := least(v_start, v_moment);
        END IF;
    END LOOP;
    FOREACH v_namespace IN ARRAY p_namespaces LOOP
        SELECT leases, delayed INTO v_leases, v_delayed FROM @schema@.moments_from(v_namespace);
        SELECT min(moment) INTO v_moment FROM @schema@.tasks
        WHERE status = 1 AND namespace = v_namespace AND moment >= v_delayed;
        IF v_moment <= v_now AND NOT @schema@.has_due(v_namespace, v_now) THEN
            v_moment := v_now + @RECHECK@;  -- somebody holds what is due
        END IF;
        v_first := least(v_first, v_moment);
        SELECT min(moment) INTO v_moment FROM @schema@.tasks
        WHERE status = 2 AND namespace = v_namespace AND moment >= v_leases;
        IF v_moment <= v_now AND NOT @schema@.has_lost(v_namespace, v_now) THEN
            v_moment := v_now + @RECHECK@;
        END IF;
        v_first := least(v_first, v_moment);
    END LOOP;
    v_first := least(v_first, v_start);
    RETURN jsonb_build_object(
        'due', CASE WHEN v_first > v_now THEN v_first - v_now WHEN v_first IS NOT NULL THEN 0 END,
        'start', v_start - v_now, 'ready', v_is_ready);
END
$$;
