-- lease: let a consumer have tasks that are locked.
--
-- p_namespace      of the tasks
-- p_places         where they are, in the order of the claim
-- p_token          of the first of them; each next one gets the next number
-- p_worker         the consumer's name
-- p_until          when the leases end
-- p_now            Unix seconds
-- RETURNS          the tasks, in their order
CREATE FUNCTION @schema@.lease(
    p_namespace text, p_places tid[], p_token bigint, p_worker text, p_until float8, p_now float8
) RETURNS SETOF @schema@.tasks
LANGUAGE plpgsql ROWS 100 AS $$
BEGIN
    RETURN QUERY WITH leased AS (
        UPDATE @schema@.tasks AS tasks SET
            status = 2, moment = p_until, token = greatest(tasks.token + 1, p_token + number - 1),
            dequeue_count = dequeue_count + 1, last_dequeue_time = p_now, worker = p_worker
        FROM unnest(p_places) WITH ORDINALITY AS given (place, number)
        WHERE tasks.ctid = given.place
        RETURNING tasks.*
    )
    SELECT * FROM leased ORDER BY token;
    IF @schema@.awaited(ARRAY['task ' || p_namespace]) <> '{}' THEN
        PERFORM @schema@.tell('task', p_namespace, ARRAY(
            SELECT id FROM @schema@.tasks
            WHERE status = 2 AND namespace = p_namespace AND moment = p_until AND worker = p_worker));
    END IF;
END
$$;
