-- wait_for: say that somebody waits to be told of something.
--
-- p_topics     see `awaited`
-- p_seconds    for how long, from now
-- RETURNS      nothing
CREATE FUNCTION @schema@.wait_for(p_topics text[], p_seconds float8) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO @schema@.awaited AS known (topic, until)
    SELECT topic, extract(epoch FROM clock_timestamp()) + p_seconds FROM unnest(p_topics) AS topic
    ORDER BY topic
    ON CONFLICT (topic) DO UPDATE SET until = excluded.until
    WHERE known.until < excluded.until - p_seconds / 2
$$;
