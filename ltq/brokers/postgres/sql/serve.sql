-- serve: a live consumer serves lanes. Their queues are known from now on.
--
-- p_lanes      lanes, each once
-- p_seconds    for how long, from now
-- RETURNS      nothing. Until when is kept as MessagePack has a number
CREATE FUNCTION @schema@.serve(p_lanes text[], p_seconds float8) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_end float8 := extract(epoch FROM clock_timestamp()) + p_seconds;
BEGIN
    INSERT INTO @schema@.queues (name, namespace)
    SELECT queue, @schema@.namespace_of(queue)
    FROM (SELECT DISTINCT split_part(lane, '/', 1) AS queue FROM unnest(p_lanes) AS lane) AS given
    WHERE NOT EXISTS (SELECT FROM @schema@.queues WHERE name = queue) ORDER BY queue
    ON CONFLICT DO NOTHING;
    INSERT INTO @schema@.kept AS known (namespace, kind, key, value, expires)
    SELECT
        @schema@.namespace_of(lane), 'served', lane, '\xcb'::bytea || float8send(v_end),
        v_end + @SERVED_TTL@
    FROM unnest(p_lanes) AS lane ORDER BY lane
    ON CONFLICT (namespace, kind, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
    WHERE known.expires < excluded.expires;
END
$$;
