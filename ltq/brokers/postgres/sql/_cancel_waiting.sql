-- cancel_waiting: cancel tasks that no worker has. A step of the rules calls it, and does the rest.
--
-- p_namespace  of all of them
-- p_ids        of the tasks
-- p_seconds    how long the state of one is kept that does not say so itself
-- p_history    whether to count in the history
-- p_now        Unix seconds
-- RETURNS      the ids of those that were cancelled
CREATE FUNCTION @schema@.cancel_waiting(
    p_namespace text, p_ids text[], p_seconds float8, p_history boolean, p_now float8
) RETURNS text[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_gone text[];
BEGIN
    WITH given AS MATERIALIZED (
        SELECT task.place FROM unnest(p_ids) AS given (given_id)
        CROSS JOIN LATERAL (
            SELECT ctid AS place, status, result_ttl FROM @schema@.tasks AS tasks
            WHERE tasks.id = given_id AND namespace = p_namespace FOR UPDATE SKIP LOCKED
        ) AS task
        WHERE task.status + 0 < 2 AND coalesce(task.result_ttl, p_seconds) > 0
    ), gone AS (
        DELETE FROM @schema@.tasks AS tasks USING given WHERE tasks.ctid = given.place
        RETURNING
            tasks.*, coalesce(result_ttl, p_seconds) AS seconds,
            status = 1 AND moment >= @HELD@ AS is_held,
            ctx <> '' AND position('"@FLOW_KEY@":'::bytea IN ctx) > 0 AS is_part
    ), kept AS (
        INSERT INTO @schema@.final
        SELECT
            namespace, id, queue, lane, kind, priority, 6, p_now + seconds, position, token,
            returned, front, tries, deaths, dequeue_count, requeue_count, enqueue_time,
            last_dequeue_time, last_requeue_time, p_now, timeout, max_tries, result_ttl,
            max_deliveries, max_items, keep_body, keeps, worker, task_name, serializer,
            body_serializer, tags, fingerprint, items, items_of, NULL, NULL,
            CASE WHEN keeps OR ctx <> '' AND position('"@OUTLINE_KEY@":'::bytea IN ctx) > 0
                THEN ctx ELSE '' END,
            CASE WHEN keeps THEN body ELSE '' END, result,
            @schema@.slot_of(p_now + seconds, p_now)
        FROM (SELECT *, is_part OR coalesce(keep_body, false) AS keeps FROM gone) AS gone
    ), noted AS (
        -- See `flows/packed.py` of the rules.
        INSERT INTO @schema@.kept
        SELECT p_namespace, 'ending', id || ' ' || token, convert_to(concat_ws(
            E'\n', id || ' ' || token, 'cancelled', serializer, queue, p_now, length(ctx),
            length(recipe), 0, ''), 'UTF8') || ctx || recipe, @HELD@
        FROM (
            SELECT *, CASE WHEN is_held THEN body ELSE '' END AS recipe FROM gone WHERE is_part
        ) AS gone
        ON CONFLICT (namespace, kind, key) DO UPDATE SET value = excluded.value
    ), counted AS (
        INSERT INTO @schema@.counted (queue, minute, step, ended, figures)
        SELECT queue, floor(p_now / 60), 0, 0, jsonb_build_object('cancelled', count(*))
        FROM gone WHERE p_history GROUP BY queue
    ), held AS (
        -- What has arrived at them is kept as long as their states.
        UPDATE @schema@.kept AS kept SET expires = p_now + slots.seconds
        FROM (
            SELECT place, seconds FROM gone CROSS JOIN LATERAL (
                SELECT ctid AS place FROM @schema@.kept AS slots
                WHERE slots.namespace = p_namespace AND slots.kind = 'slots ' || gone.id OFFSET 0
            ) AS slots WHERE is_held
        ) AS slots WHERE kept.ctid = slots.place
    )
    SELECT coalesce(array_agg(id), '{}') INTO v_gone FROM gone;
    IF v_gone <> '{}' AND @schema@.awaited(ARRAY['task ' || p_namespace]) <> '{}' THEN
        PERFORM @schema@.tell('end', p_namespace, v_gone);
    END IF;
    RETURN v_gone;
END
$$;
