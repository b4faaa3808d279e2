-- progress: show how far a task is, if its lease holds.
--
-- p_namespace, p_id, p_token   of the lease
-- p_progress                   as the column
-- RETURNS                      whether it holds
CREATE FUNCTION @schema@.progress(p_namespace text, p_id text, p_token bigint, p_progress bytea)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM @schema@.enter(p_namespace);
    UPDATE @schema@.tasks SET progress = p_progress
    WHERE id = p_id AND namespace = p_namespace AND token = p_token
    AND status + 0 = 2;  -- so that it goes by the id
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @schema@.tell_finished(p_namespace, ARRAY[p_id], '{1}', '{}');
    RETURN true;
END
$$;
