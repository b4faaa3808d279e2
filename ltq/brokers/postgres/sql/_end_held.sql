-- end_held: let tasks whose leases hold leave the live table.
--
-- p_namespace, p_statuses, p_seconds, p_serializers, p_failures, p_results, p_poison, p_history
--              see `finish`
-- p_numbers    which of the outcomes
-- p_places     of the tasks, in the same order
-- p_now        Unix seconds
-- RETURNS      nothing
CREATE FUNCTION @schema@.end_held(
    p_namespace text, p_numbers integer[], p_places tid[], p_statuses smallint[],
    p_seconds float8[], p_serializers text[], p_failures bytea[], p_results bytea[],
    p_poison boolean[], p_history boolean, p_now float8
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM @schema@.tasks AS tasks USING unnest(p_numbers, p_places) AS given (number, place)
        WHERE tasks.ctid = given.place
        RETURNING tasks.*, number
    ), kept AS (
        INSERT INTO @schema@.final
        SELECT
            namespace, id, queue, lane, kind, priority, p_statuses[number],
            p_now + p_seconds[number], position, token, returned, front, tries,
            CASE WHEN p_poison[number] THEN deaths ELSE 0 END, dequeue_count, requeue_count,
            enqueue_time, last_dequeue_time, last_requeue_time, p_now, timeout, max_tries,
            result_ttl, max_deliveries, keep_body, keeps, worker, task_name, p_serializers[number],
            CASE WHEN serializer <> p_serializers[number] THEN serializer END, tags, fingerprint, NULL,
            p_failures[number], CASE WHEN keeps THEN ctx ELSE '' END,
            CASE WHEN keeps THEN body ELSE '' END, p_results[number],
            @schema@.slot_of(p_now + p_seconds[number], p_now)
        FROM (
            SELECT *, coalesce(keep_body, p_statuses[number] IN (4, 5)) AS keeps FROM gone
        ) AS gone WHERE p_seconds[number] > 0
    ), forgotten AS (
        INSERT INTO @schema@.ended (namespace, id, token, status, time)
        SELECT p_namespace, id, token, p_statuses[number], p_now FROM gone
        WHERE p_seconds[number] <= 0
    )
    INSERT INTO @schema@.counted (queue, minute, step, ended, figures)
    SELECT
        queue, floor(p_now / 60), floor(p_now / @THROUGHPUT_STEP@), count(*),
        CASE WHEN p_history THEN (
            SELECT jsonb_object_agg(name, many) FROM (
                SELECT * FROM @schema@.count_durations(
                    'r', array_agg(p_now - coalesce(last_dequeue_time, p_now)))
                UNION ALL
                SELECT CASE status WHEN 3 THEN 'completed' WHEN 4 THEN 'failed'
                    WHEN 5 THEN 'rejected' ELSE 'cancelled' END, count(*)
                FROM unnest(array_agg(p_statuses[number])) AS status GROUP BY status
            ) AS figures) END
    FROM gone GROUP BY queue;
END
$$;
