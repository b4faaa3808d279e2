-- before_claim: make due tasks ready, and enter lanes that have come in.
--
-- p_namespaces, p_is_held   see `claim`
-- p_now                     Unix seconds
-- RETURNS                   when the next delayed task is due, or a lease ends; null for never.
--                           '-infinity' if leases have ended: then the rest is not done
CREATE FUNCTION @schema@.before_claim(p_namespaces text[], p_is_held boolean, p_now float8)
RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
    v_namespace text;
    v_leases float8;
    v_delayed float8;
    v_lease float8;
    v_due float8;
    v_first float8;
BEGIN
    FOREACH v_namespace IN ARRAY p_namespaces LOOP
        SELECT leases, delayed INTO v_leases, v_delayed FROM @schema@.moments_from(v_namespace);
        SELECT min(moment) INTO v_lease FROM @schema@.tasks
        WHERE status = 2 AND namespace = v_namespace AND moment >= v_leases;
        IF v_lease <= p_now AND NOT p_is_held AND @schema@.has_lost(v_namespace, p_now) THEN
            RETURN '-infinity';
        END IF;
        SELECT min(moment) INTO v_due FROM @schema@.tasks
        WHERE status = 1 AND namespace = v_namespace AND moment >= v_delayed;
        IF v_due <= p_now AND @schema@.promote(v_namespace, p_now) > 0 THEN
            SELECT min(moment) INTO v_due FROM @schema@.tasks
            WHERE status = 1 AND namespace = v_namespace AND moment >= v_delayed;
        END IF;
        PERFORM @schema@.adopt(v_namespace);
        v_first := least(v_first, v_lease, v_due);
    END LOOP;
    RETURN v_first;
END
$$;
