-- ready_lines: the priorities of which tasks wait in some lanes, the highest first.
--
-- p_lanes      lanes
-- RETURNS      for each the lanes with such tasks, the one served longest ago first; and of each of
--              them its floor, see `raise_floor`
CREATE FUNCTION @schema@.ready_lines(p_lanes text[])
RETURNS TABLE (level integer, lanes text[], floors bigint[])
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- The limits keep the planner from reading all tasks that wait.
    RETURN QUERY
    SELECT turns.one, array_agg(turns.name ORDER BY served, number),
        array_agg(turns.floor ORDER BY served, number)
    FROM (
        SELECT one, known.name, number, known.floors[one + 1] AS floor,
            CASE one WHEN 0 THEN served_high WHEN 1 THEN served_normal ELSE served_low END AS served
        FROM unnest(p_lanes) WITH ORDINALITY AS given (lane, number)
        JOIN @schema@.lanes AS known ON known.name = given.lane
        CROSS JOIN generate_series(0, 2) AS one
    ) AS turns
    CROSS JOIN LATERAL (
        (
            SELECT FROM @schema@.tasks AS tasks
            WHERE tasks.status = 0 AND tasks.lane = turns.name AND priority = one AND position < 0
            LIMIT 1
        )
        UNION ALL
        (
            SELECT FROM @schema@.tasks AS tasks
            WHERE tasks.status = 0 AND tasks.lane = turns.name AND priority = one
            AND position >= turns.floor LIMIT 1
        )
        LIMIT 1
    ) AS head
    GROUP BY one ORDER BY one;
END
$$;
