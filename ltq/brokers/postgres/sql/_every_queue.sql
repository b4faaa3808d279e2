-- every_queue: the queues, with those that are not adopted yet.
--
-- RETURNS      rows of `queues`
CREATE FUNCTION @schema@.every_queue() RETURNS TABLE (name text, namespace text, paused boolean)
LANGUAGE sql STABLE AS $$
    SELECT name, namespace, paused FROM @schema@.queues
    UNION ALL
    SELECT DISTINCT queue, namespace, false
    FROM @schema@.arrivals WHERE NOT EXISTS (SELECT FROM @schema@.queues WHERE name = queue)
$$;
