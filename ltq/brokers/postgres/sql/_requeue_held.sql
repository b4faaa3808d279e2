-- requeue_held: let tasks whose leases hold run again.
--
-- p_namespace, p_ids, p_tokens, p_statuses, p_seconds, p_failures, p_failed, p_front, p_void,
-- p_ctxs, p_timeouts, p_history
--              see `finish`
-- p_now        Unix seconds
-- RETURNS      which of the outcomes took effect
CREATE FUNCTION @schema@.requeue_held(
    p_namespace text, p_ids text[], p_tokens bigint[], p_statuses smallint[], p_seconds float8[],
    p_failures bytea[], p_failed boolean[], p_front boolean[], p_void boolean[], p_ctxs bytea[],
    p_timeouts float8[], p_history boolean, p_now float8
) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    v_ids text[];
    v_lanes text[];
    v_delays float8[];
    v_first float8;
    v_now float8;
    v_queues text[];
    v_runs float8[];
    v_returned integer[];
BEGIN
    SELECT min(moment) INTO v_first FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace
    AND moment >= (@schema@.moments_from(p_namespace)).delayed;
    PERFORM pg_current_xact_id();  -- before a position or the time is taken: see `raise_floor`
    v_now := extract(epoch FROM clock_timestamp());
    WITH numbered AS MATERIALIZED (
        -- Behind the others they wait in the order of the outcomes.
        SELECT *, nextval('@schema@.positions') AS behind FROM unnest(
            p_ids, p_tokens, p_statuses, p_seconds, p_failures, p_failed, p_front, p_void, p_ctxs,
            p_timeouts
        ) WITH ORDINALITY AS given (
            given_id, given_token, outcome, seconds, error, has_failed, goes_first, is_void,
            new_ctx, new_timeout, number
        ) WHERE outcome < 0
    ), given AS MATERIALIZED (
        -- Nobody is waited for: one row that a session holds would keep all others.
        SELECT numbered.*, task.place FROM numbered
        CROSS JOIN LATERAL (
            SELECT ctid AS place, token, status FROM @schema@.tasks AS tasks
            WHERE tasks.id = given_id AND namespace = p_namespace FOR UPDATE SKIP LOCKED
        ) AS task
        WHERE task.token = given_token AND task.status + 0 = 2  -- so that it goes by the ids
    ), returned AS (
        UPDATE @schema@.tasks AS tasks SET
            status = CASE WHEN seconds > 0 THEN 1 ELSE 0 END,
            moment = CASE WHEN seconds > 0 THEN v_now + seconds ELSE 'infinity' END,
            position = CASE WHEN goes_first THEN token - 4611686018427387904 ELSE behind END,
            failure = CASE WHEN error IS NOT NULL OR NOT is_void THEN error ELSE failure END,
            deaths = CASE WHEN is_void THEN deaths ELSE 0 END,
            progress = NULL, returned = token, front = goes_first,
            tries = tries + has_failed::integer,
            ctx = coalesce(new_ctx, ctx), timeout = coalesce(new_timeout, timeout),
            requeue_count = requeue_count + (seconds <= 0)::integer,
            last_requeue_time = CASE WHEN seconds > 0 THEN last_requeue_time ELSE p_now END
        FROM given WHERE tasks.ctid = given.place
        RETURNING id, lane, queue, number, seconds, is_void,
            p_now - coalesce(last_dequeue_time, p_now) AS run
    )
    SELECT
        array_agg(number), array_agg(id), array_agg(lane), array_agg(seconds),
        array_agg(queue) FILTER (WHERE NOT is_void), array_agg(run) FILTER (WHERE NOT is_void)
    INTO v_returned, v_ids, v_lanes, v_delays, v_queues, v_runs FROM returned;
    IF v_returned IS NULL THEN
        RETURN '{}';
    END IF;
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
    RETURN v_returned;
END
$$;
