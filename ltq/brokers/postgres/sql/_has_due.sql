-- has_due: whether delayed tasks of a namespace are due.
--
-- p_namespace      its name
-- p_now            Unix seconds
-- RETURNS          true or false. Rows that somebody holds do not count: nobody can move them
CREATE FUNCTION @schema@.has_due(p_namespace text, p_now float8) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_from float8 := (@schema@.moments_from(p_namespace)).delayed;
BEGIN
    IF NOT EXISTS (
        SELECT FROM @schema@.tasks
        WHERE status = 1 AND namespace = p_namespace AND moment >= v_from AND moment <= p_now
    ) THEN
        RETURN false;
    END IF;
    PERFORM FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace AND moment >= v_from AND moment <= p_now
    LIMIT 1 FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;
