-- served_lanes: the lanes of a namespace that a consumer claims from, none of a queue that is paused.
--
-- p_namespace          its name
-- p_lanes, p_knows     see `claim`
-- RETURNS              lanes that have, or had, tasks, in the order of their queues
CREATE FUNCTION @schema@.served_lanes(p_namespace text, p_lanes text[], p_knows text[])
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- A consumer may serve very many: one is found in an object sooner than in an array.
    v_named jsonb := jsonb_object(p_lanes, p_lanes);
    v_known jsonb := jsonb_object(p_knows, p_knows);
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
            v_named ? lanes.name
            OR v_named ? queues.name AND v_known ? substr(lanes.name, length(lanes.queue) + 2)
        )
        ORDER BY given.number, lanes.name
    );
END
$$;
