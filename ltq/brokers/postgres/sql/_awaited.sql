-- awaited: which of these topics somebody waits for.
--
-- p_topics    'lane QUEUE', 'freed NAMESPACE' or 'task NAMESPACE'
-- RETURNS     those of them
CREATE FUNCTION @schema@.awaited(p_topics text[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT topic FROM @schema@.awaited
        WHERE topic = ANY(p_topics) AND until > extract(epoch FROM clock_timestamp()));
END
$$;
