-- announce: a worker lives.
--
-- p_namespaces  of its queues
-- p_name        its name
-- p_entry       what is kept of it in MessagePack, but for the number at its end: the time
-- p_seconds     for how long, from now
-- RETURNS       whether endings of tasks are kept there
CREATE FUNCTION @schema@.announce(
    p_namespaces text[], p_name text, p_entry bytea, p_seconds float8
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now float8;
BEGIN
    PERFORM @schema@.enter(one) FROM unnest(p_namespaces) AS one ORDER BY one;
    v_now := extract(epoch FROM clock_timestamp());
    INSERT INTO @schema@.kept (namespace, kind, key, value, expires)
    SELECT one, 'worker', p_name, p_entry || '\xcb'::bytea || float8send(v_now), v_now + p_seconds
    FROM unnest(p_namespaces) AS one ORDER BY one
    ON CONFLICT (namespace, kind, key) DO UPDATE SET
        value = excluded.value, expires = excluded.expires;
    RETURN EXISTS (
        SELECT FROM @schema@.kept WHERE namespace = ANY(p_namespaces) AND kind = 'ending');
END
$$;
