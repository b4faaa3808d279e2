-- tell_finished: tell who watches tasks, and who waits for the limit of a lane.
--
-- p_namespace       of the tasks
-- p_ids             of the outcomes
-- p_held, p_ended   which of them have changed, and which of those have ended
-- RETURNS           nothing
CREATE FUNCTION @schema@.tell_finished(
    p_namespace text, p_ids text[], p_held integer[], p_ended integer[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_topics text[] := @schema@.awaited(
        ARRAY['task ' || p_namespace, 'freed ' || p_namespace]);
BEGIN
    IF v_topics = '{}' THEN
        RETURN;
    END IF;
    IF 'task ' || p_namespace = ANY(v_topics) THEN
        IF p_ended <> '{}' THEN
            PERFORM @schema@.tell('end', p_namespace, ARRAY(
                SELECT p_ids[number] FROM unnest(p_ended) AS number));
        END IF;
        IF cardinality(p_ended) < cardinality(p_held) THEN
            PERFORM @schema@.tell('task', p_namespace, ARRAY(
                SELECT p_ids[number] FROM unnest(p_held) AS number));
        END IF;
    END IF;
    IF 'freed ' || p_namespace = ANY(v_topics) THEN
        PERFORM @schema@.tell('freed', p_namespace, '{}');
    END IF;
END
$$;
