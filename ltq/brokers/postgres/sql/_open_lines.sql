-- open_lines: some lanes in which tasks of a priority wait, the one served longest ago first.
--
-- Of very many it looks at some first, at others each time, so that it need not read all of them.
--
-- p_namespace  of all of them
-- p_lanes      lanes
-- p_level      the priority
-- p_seen       those that it gave before: it gives 8 lanes at first, then four times as many in all
-- OUT lanes    these; null if there are none
-- OUT floors   of each of them, see `raise_floor`
CREATE FUNCTION @schema@.open_lines(
    p_namespace text, p_lanes text[], p_level integer, p_seen text[], OUT lanes text[], OUT floors bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_all integer := cardinality(p_lanes);
    v_some text[] := p_lanes;
    v_first integer;
BEGIN
    -- Mostly no task has another priority than the normal one: an index of the others tells that at
    -- once. For few lanes it would take longer than a look at each, and it may have entries of tasks
    -- that have left and cannot be cleaned up, see `raise_floor`.
    IF p_level <> 1 AND v_all > 2 * @LANES_AT_ONCE@ AND NOT EXISTS (
        SELECT FROM @schema@.tasks
        WHERE status = 0 AND priority <> 1 AND namespace = p_namespace AND priority = p_level
    ) OR cardinality(p_seen) >= v_all THEN
        RETURN;
    END IF;
    IF p_seen = '{}' AND v_all > 2 * @LANES_READ@ THEN
        v_first := 1 + floor(random() * v_all);
        v_some := p_lanes[v_first:v_first + @LANES_READ@ - 1]
            || p_lanes[1:v_first + @LANES_READ@ - 1 - v_all];
    END IF;
    -- They are tried one by one until there are enough. The limits keep the planner from reading all
    -- tasks that wait.
    LOOP
        SELECT array_agg(found.name ORDER BY served, number), array_agg(found.floor ORDER BY served, number)
        INTO open_lines.lanes, open_lines.floors
        FROM (
            SELECT turns.* FROM (
                SELECT known.name, number, known.floors[p_level + 1] AS floor,
                    CASE p_level WHEN 0 THEN served_high WHEN 1 THEN served_normal ELSE served_low END
                        AS served
                FROM unnest(v_some) WITH ORDINALITY AS given (lane, number)
                JOIN @schema@.lanes AS known ON known.name = given.lane
                WHERE p_seen = '{}' OR known.name <> ALL(p_seen)
                ORDER BY served, number
            ) AS turns
            CROSS JOIN LATERAL (
                (
                    SELECT FROM @schema@.tasks AS tasks
                    WHERE tasks.status = 0 AND tasks.lane = turns.name AND priority = p_level
                    AND position >= turns.floor LIMIT 1
                )
                UNION ALL
                (
                    SELECT FROM @schema@.tasks AS tasks
                    WHERE tasks.status = 0 AND tasks.lane = turns.name AND priority = p_level
                    AND position < 0 LIMIT 1
                )
                LIMIT 1
            ) AS head
            LIMIT greatest(@LANES_AT_ONCE@, 3 * cardinality(p_seen))
        ) AS found;
        EXIT WHEN open_lines.lanes IS NOT NULL OR cardinality(v_some) = v_all;
        v_some := p_lanes;
    END LOOP;
END
$$;
