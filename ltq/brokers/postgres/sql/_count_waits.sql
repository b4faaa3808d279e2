-- count_waits: count how long tasks have waited.
--
-- p_queues, p_waits    of each task its queue, and the seconds
-- p_now                Unix seconds
-- RETURNS              nothing
CREATE FUNCTION @schema@.count_waits(p_queues text[], p_waits float8[], p_now float8) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO @schema@.counted (queue, minute, step, ended, figures)
    SELECT queue, floor(p_now / 60), 0, 0, (
        SELECT jsonb_object_agg(name, many) FROM @schema@.count_durations('w', waits))
    FROM (
        SELECT queue, array_agg(wait) AS waits FROM unnest(p_queues, p_waits) AS given (queue, wait)
        GROUP BY queue
    ) AS by_queue;
END
$$;
