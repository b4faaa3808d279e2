-- answer_finish: what to say of an outcome whose lease does not hold.
--
-- p_namespace, p_id, p_token, p_status   see `finish`
-- p_now                                  Unix seconds
-- RETURNS                                'ok' if it was recorded before; 'stale', 'cancelled', 'gone';
--                                        'locked' if the lease holds, and somebody holds its row
CREATE FUNCTION @schema@.answer_finish(
    p_namespace text, p_id text, p_token bigint, p_status smallint, p_now float8
) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_token bigint;
    v_returned bigint;
    v_status smallint;
BEGIN
    SELECT token, returned, status INTO v_token, v_returned, v_status FROM @schema@.tasks
    WHERE id = p_id AND namespace = p_namespace;
    IF NOT FOUND THEN
        SELECT token, returned, status INTO v_token, v_returned, v_status FROM @schema@.final
        WHERE id = p_id AND namespace = p_namespace AND moment > p_now
        ORDER BY moment DESC LIMIT 1;
    END IF;
    IF FOUND THEN
        RETURN CASE
            WHEN v_status = 6 THEN 'cancelled'
            WHEN v_status = 2 AND v_token = p_token THEN 'locked'
            WHEN p_status < 0 AND v_returned = p_token THEN 'ok'
            WHEN p_status >= 0 AND v_token = p_token AND v_status = p_status THEN 'ok'
            ELSE 'stale'
        END;
    END IF;
    SELECT token, status INTO v_token, v_status FROM @schema@.ended
    WHERE id = p_id AND namespace = p_namespace ORDER BY number DESC LIMIT 1;
    RETURN CASE
        WHEN v_token IS DISTINCT FROM p_token THEN 'gone'
        WHEN v_status = p_status THEN 'ok'
        ELSE 'stale'
    END;
END
$$;
