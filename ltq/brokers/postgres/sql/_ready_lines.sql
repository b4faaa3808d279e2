-- ready_lines: the priorities of which tasks wait in some lanes, the highest first.
--
-- p_lanes      lanes
-- RETURNS      for each the lanes with such tasks, the one served longest ago first
CREATE FUNCTION @schema@.ready_lines(p_lanes text[]) RETURNS TABLE (level integer, lanes text[])
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- The limit keeps the planner from reading all tasks that wait.
    RETURN QUERY
    SELECT one, array_agg(known.name ORDER BY (
        CASE one WHEN 0 THEN served_high WHEN 1 THEN served_normal ELSE served_low END), number)
    FROM unnest(p_lanes) WITH ORDINALITY AS given (lane, number)
    JOIN @schema@.lanes AS known ON known.name = given.lane
    CROSS JOIN generate_series(0, 2) AS one
    CROSS JOIN LATERAL (
        SELECT FROM @schema@.tasks AS tasks
        WHERE tasks.status = 0 AND tasks.lane = known.name AND priority = one LIMIT 1
    ) AS head
    GROUP BY one ORDER BY one;
END
$$;
