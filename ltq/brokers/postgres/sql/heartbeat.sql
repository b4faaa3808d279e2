-- heartbeat: let leases of a namespace last longer.
--
-- p_namespace      of all of them
-- p_ids, p_tokens  of the leases
-- p_seconds        from now
-- RETURNS          for each, whether it still held. One whose row somebody holds is left as it is
CREATE FUNCTION @schema@.heartbeat(
    p_namespace text, p_ids text[], p_tokens bigint[], p_seconds float8
) RETURNS boolean[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now float8 := @schema@.enter(p_namespace);
    v_held integer[];
    v_places tid[];
BEGIN
    SELECT array_agg(number), array_agg(place) INTO v_held, v_places FROM (
        SELECT given.number, task.place
        FROM (
            SELECT * FROM unnest(p_ids, p_tokens) WITH ORDINALITY AS given (id, token, number)
            ORDER BY id
        ) AS given
        CROSS JOIN LATERAL (
            SELECT ctid AS place, token, status FROM @schema@.tasks AS tasks
            WHERE tasks.id = given.id AND namespace = p_namespace FOR NO KEY UPDATE SKIP LOCKED
        ) AS task
        WHERE task.token = given.token AND task.status + 0 = 2  -- so that it goes by the ids
    ) AS held;
    v_now := extract(epoch FROM clock_timestamp());  -- after the locks: see `raise_moments`
    UPDATE @schema@.tasks SET moment = v_now + p_seconds WHERE ctid = ANY(v_places);
    RETURN ARRAY(
        SELECT number = ANY(coalesce(v_held, '{}')) OR EXISTS (
            SELECT FROM @schema@.tasks
            WHERE id = p_ids[number] AND namespace = p_namespace AND token = p_tokens[number]
            AND status + 0 = 2
        )
        FROM generate_subscripts(p_ids, 1) AS number);
END
$$;
