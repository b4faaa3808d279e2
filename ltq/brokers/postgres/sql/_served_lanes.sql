-- served_lanes: the lanes of a namespace that a consumer claims from, none of a queue that is paused.
--
-- p_namespaces         all that it serves
-- p_namespace          one of them
-- p_lanes, p_knows     see `claim`
-- RETURNS              lanes, in their order; some may never have had tasks
CREATE FUNCTION @schema@.served_lanes(
    p_namespaces text[], p_namespace text, p_lanes text[], p_knows text[]
) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_paused text[] := ARRAY(SELECT name FROM @schema@.queues WHERE namespace = p_namespace AND paused);
    v_lanes text[] := p_lanes;
    v_named jsonb;
    v_known jsonb;
BEGIN
    -- A consumer may serve very many: nothing looks at each of them without need.
    IF v_paused <> '{}' OR cardinality(p_namespaces) > 1 THEN
        v_lanes := ARRAY(
            SELECT lane FROM unnest(p_lanes) WITH ORDINALITY AS given (lane, number)
            WHERE split_part(lane, '/', 1) <> ALL(v_paused)
            AND @schema@.namespace_of(lane) = p_namespace ORDER BY number);
    END IF;
    IF p_knows IS NULL OR NOT EXISTS (SELECT FROM @schema@.lanes WHERE name <> queue) THEN
        RETURN v_lanes;
    END IF;
    -- One is found in an object sooner than in an array.
    v_named := jsonb_object(v_lanes, v_lanes);
    v_known := jsonb_object(p_knows, p_knows);
    RETURN v_lanes || ARRAY(
        SELECT name FROM @schema@.lanes
        WHERE name <> queue AND queue = ANY(v_lanes) AND NOT v_named ? name
        AND v_known ? substr(name, length(queue) + 2) ORDER BY name);
END
$$;
