-- is_ready: whether tasks wait in any of some lanes.
--
-- p_lanes      lanes
-- RETURNS      true or false
CREATE FUNCTION @schema@.is_ready(p_lanes text[]) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM unnest(p_lanes) AS given (lane)
        JOIN @schema@.lanes AS known ON known.name = given.lane
        CROSS JOIN generate_series(0, 2) AS level
        CROSS JOIN LATERAL (
            (
                SELECT FROM @schema@.tasks AS tasks
                WHERE tasks.status = 0 AND tasks.lane = known.name AND priority = level
                AND position < 0 LIMIT 1
            )
            UNION ALL
            (
                SELECT FROM @schema@.tasks AS tasks
                WHERE tasks.status = 0 AND tasks.lane = known.name AND priority = level
                AND position >= known.floors[level + 1] LIMIT 1
            )
            LIMIT 1
        ) AS head)
$$;
