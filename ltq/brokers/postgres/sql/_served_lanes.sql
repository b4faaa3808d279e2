-- served_lanes: the lanes of a namespace that a consumer claims from, none of a queue that is paused.
--
-- p_namespace          its name
-- p_lanes, p_knows     see `claim`
-- RETURNS              lanes that have, or had, tasks, in the order of their queues
CREATE FUNCTION @schema@.served_lanes(p_namespace text, p_lanes text[], p_knows text[])
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT lanes.name
        FROM (
            SELECT split_part(one, '/', 1) AS name, min(number) AS number
            FROM unnest(p_lanes) WITH ORDINALITY AS served (one, number) GROUP BY 1
        ) AS given
        JOIN @schema@.queues AS queues ON queues.name = given.name
        JOIN @schema@.lanes AS lanes ON lanes.queue = queues.name
        WHERE queues.namespace = p_namespace AND NOT queues.paused AND (
            lanes.name = ANY(p_lanes)
            OR queues.name = ANY(p_lanes)
            AND substr(lanes.name, length(lanes.queue) + 2) = ANY(p_knows)
        )
        ORDER BY given.number, lanes.name
    );
END
$$;
