-- tell_leased: tell of tasks that a consumer has claimed, where somebody watches.
--
-- p_namespaces, p_worker, p_lease   see `claim`
-- p_now                             when it claimed them, in Unix seconds
-- RETURNS                           nothing
CREATE FUNCTION @schema@.tell_leased(
    p_namespaces text[], p_worker text, p_lease float8, p_now float8
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_topics text[] := @schema@.awaited(
        ARRAY(SELECT 'task ' || one FROM unnest(p_namespaces) AS one));
BEGIN
    IF v_topics = '{}' THEN
        RETURN;
    END IF;
    PERFORM @schema@.tell('task', one, ARRAY(
        SELECT id FROM @schema@.tasks
        WHERE status = 2 AND namespace = one AND moment >= p_now + p_lease  -- not all that run
        AND worker = p_worker AND last_dequeue_time = p_now))
    FROM unnest(p_namespaces) AS one WHERE 'task ' || one = ANY(v_topics);
END
$$;
