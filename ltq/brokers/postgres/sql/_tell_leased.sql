-- tell_leased: tell of tasks that a consumer has claimed, where somebody watches.
--
-- p_namespaces, p_worker       see `claim`
-- p_until                      when their leases end
-- RETURNS                      nothing
CREATE FUNCTION @schema@.tell_leased(p_namespaces text[], p_worker text, p_until float8)
RETURNS void
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
        WHERE status = 2 AND namespace = one AND moment = p_until AND worker = p_worker))
    FROM unnest(p_namespaces) AS one WHERE 'task ' || one = ANY(v_topics);
END
$$;
