-- requeue_held: let tasks whose leases hold run again.
--
-- p_namespace, p_statuses, p_seconds, p_failures, p_failed, p_front, p_void, p_ctxs, p_timeouts,
-- p_history    see `finish`
-- p_numbers    the outcomes of which these are some
-- p_places     of the tasks, in the same order
-- p_now        Unix seconds
-- RETURNS      nothing
CREATE FUNCTION @schema@.requeue_held(
    p_namespace text, p_numbers integer[], p_places tid[], p_statuses smallint[],
    p_seconds float8[], p_failures bytea[], p_failed boolean[], p_front boolean[], p_void boolean[],
    p_ctxs bytea[], p_timeouts float8[], p_history boolean, p_now float8
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_ids text[];
    v_lanes text[];
    v_delays float8[];
    v_first float8;
    v_queues text[];
    v_runs float8[];
    v_position bigint[];
BEGIN
    SELECT min(moment) INTO v_first FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace;
    -- Behind the others they wait in the order of the outcomes.
    v_position := ARRAY(SELECT nextval('@schema@.positions') FROM unnest(p_numbers));
    WITH returned AS (
        UPDATE @schema@.tasks AS tasks SET
            status = CASE WHEN p_seconds[number] > 0 THEN 1 ELSE 0 END,
            moment = CASE WHEN p_seconds[number] > 0 THEN p_now + p_seconds[number] ELSE 'infinity' END,
            position = CASE
                WHEN p_front[number] THEN tasks.token - 4611686018427387904
                ELSE v_position[i] END,
            failure = CASE
                WHEN p_failures[number] IS NOT NULL OR NOT p_void[number] THEN p_failures[number]
                ELSE failure END,
            deaths = CASE WHEN p_void[number] THEN deaths ELSE 0 END,
            progress = NULL, returned = tasks.token, front = p_front[number],
            tries = tries + p_failed[number]::integer,
            ctx = coalesce(p_ctxs[number], ctx), timeout = coalesce(p_timeouts[number], timeout),
            requeue_count = requeue_count + (p_seconds[number] <= 0)::integer,
            last_requeue_time = CASE WHEN p_seconds[number] > 0 THEN last_requeue_time ELSE p_now END
        FROM unnest(p_numbers, p_places) WITH ORDINALITY AS given (number, place, i)
        WHERE p_statuses[number] < 0 AND tasks.ctid = given.place
        RETURNING id, lane, queue, number, p_now - coalesce(last_dequeue_time, p_now) AS run
    )
    SELECT
        array_agg(id), array_agg(lane), array_agg(p_seconds[number]),
        array_agg(queue) FILTER (WHERE NOT p_void[number]),
        array_agg(run) FILTER (WHERE NOT p_void[number])
    INTO v_ids, v_lanes, v_delays, v_queues, v_runs FROM returned;
    IF p_history AND v_queues IS NOT NULL THEN
        INSERT INTO @schema@.counted (queue, minute, step, ended, figures)
        SELECT queue, floor(p_now / 60), 0, 0, (
            SELECT jsonb_object_agg(name, many) FROM (
                SELECT * FROM @schema@.count_durations('r', array_agg(run))
                UNION ALL SELECT 'retried', count(*)
            ) AS figures)
        FROM unnest(v_queues, v_runs) AS given (queue, run) GROUP BY queue;
    END IF;
    PERFORM @schema@.tell_sent(
        p_namespace, false, v_ids, v_lanes, v_delays,
        array_fill(NULL::float8, ARRAY[cardinality(v_ids)]), v_first, p_now);
END
$$;
