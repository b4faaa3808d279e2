-- end_held: let tasks whose leases hold leave the live table.
--
-- p_namespace, p_ids, p_tokens, p_statuses, p_seconds, p_serializers, p_failures, p_results,
-- p_poison, p_history
--              see `finish`
-- p_arrived    see `arrive_held`
-- p_now        Unix seconds
-- RETURNS      which of the outcomes took effect
CREATE FUNCTION @schema@.end_held(
    p_namespace text, p_ids text[], p_tokens bigint[], p_statuses smallint[], p_seconds float8[],
    p_serializers text[], p_failures bytea[], p_results bytea[], p_poison boolean[],
    p_history boolean, p_arrived integer[], p_now float8
) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    v_ended integer[];
BEGIN
    WITH given AS MATERIALIZED (
        -- Nobody is waited for: one row that a session holds would keep all others.
        SELECT given.*, task.place FROM (
            SELECT * FROM unnest(
                p_ids, p_tokens, p_statuses, p_seconds, p_serializers, p_failures, p_results, p_poison
            ) WITH ORDINALITY AS given (
                given_id, given_token, outcome, seconds, written_by, error, value, is_poison, number
            ) WHERE outcome >= 0
        ) AS given
        CROSS JOIN LATERAL (
            SELECT ctid AS place, token, status FROM @schema@.tasks AS tasks
            WHERE tasks.id = given_id AND namespace = p_namespace FOR UPDATE SKIP LOCKED
        ) AS task
        WHERE task.token = given_token AND task.status + 0 = 2  -- so that it goes by the ids
    ), gone AS (
        DELETE FROM @schema@.tasks AS tasks USING given WHERE tasks.ctid = given.place
        -- These first: to get a column of a row, those before it are walked over.
        RETURNING number, outcome, seconds, is_poison, written_by, error, value, tasks.*
    ), kept AS (
        INSERT INTO @schema@.final
        SELECT
            namespace, id, queue, lane, kind, priority, outcome, p_now + seconds, position, token,
            returned, front, tries, CASE WHEN is_poison THEN deaths ELSE 0 END, dequeue_count,
            requeue_count, enqueue_time, last_dequeue_time, last_requeue_time, p_now, timeout,
            max_tries, result_ttl, max_deliveries, max_items, keep_body, keeps, worker, task_name, written_by,
            CASE WHEN serializer <> written_by THEN serializer END, tags, fingerprint, items,
            items_of, NULL, error,
            CASE WHEN keeps OR ctx <> '' AND position('"@OUTLINE_KEY@":'::bytea IN ctx) > 0
                THEN ctx ELSE '' END,
            CASE WHEN keeps THEN body ELSE '' END, value,
            @schema@.slot_of(p_now + seconds, p_now)
        FROM (SELECT *, coalesce(keep_body, outcome IN (4, 5)) AS keeps FROM gone) AS gone
        WHERE seconds > 0
    ), noted AS (
        -- Of tasks of workflows: see `flows/packed.py` of the rules.
        INSERT INTO @schema@.kept
        SELECT
            p_namespace, 'ending', id || ' ' || token, head || rest, @HELD@
        FROM (
            SELECT id, token, ctx || coalesce(value, '') AS rest, convert_to(concat_ws(
                E'\n', id || ' ' || token,
                (ARRAY['completed', 'failed', 'rejected', 'cancelled'])[outcome - 2],
                written_by, queue, p_now, length(ctx), 0, 0, ''), 'UTF8') AS head
            FROM gone WHERE ctx <> '' AND position('"@FLOW_KEY@":'::bytea IN ctx) > 0
            AND number <> ALL(p_arrived)
        ) AS packed
        ON CONFLICT (namespace, kind, key) DO NOTHING
    ), forgotten AS (
        INSERT INTO @schema@.ended (namespace, id, token, status, time)
        SELECT p_namespace, id, token, outcome, p_now FROM gone WHERE seconds <= 0
    ), counted AS (
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
                    FROM unnest(array_agg(outcome)) AS status GROUP BY status
                ) AS figures) END
        FROM gone GROUP BY queue
    )
    SELECT array_agg(number) INTO v_ended FROM gone;
    RETURN coalesce(v_ended, '{}');
END
$$;
