-- arrive_held: let results arrive at tasks that wait for them, before their own tasks end.
--
-- p_namespace, p_ids, p_tokens, p_statuses, p_results, p_waiters, p_slots, p_ofs
--              see `finish`
-- RETURNS      which of the outcomes need leave no ending: their results are where they belong, and
--              others are waited for. Whoever fills the last slot has an ending.
CREATE FUNCTION @schema@.arrive_held(
    p_namespace text, p_ids text[], p_tokens bigint[], p_statuses smallint[], p_results bytea[],
    p_waiters text[], p_slots text[], p_ofs integer[]
) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    v_done integer[];
BEGIN
    WITH held AS MATERIALIZED (
        -- Nobody is waited for, as in `end_held`. From here on they are held by this call.
        SELECT given.* FROM (
            SELECT number, given_id, given_token, 'slots ' || waiter AS kind, waiter, slot, slots, value
            FROM unnest(p_ids, p_tokens, p_statuses, p_results, p_waiters, p_slots, p_ofs)
            WITH ORDINALITY AS given (
                given_id, given_token, outcome, value, waiter, slot, slots, number
            ) WHERE waiter IS NOT NULL AND outcome = 3
        ) AS given
        CROSS JOIN LATERAL (
            SELECT token, status FROM @schema@.tasks AS tasks
            WHERE tasks.id = given_id AND namespace = p_namespace FOR UPDATE SKIP LOCKED
        ) AS task
        WHERE task.token = given_token AND task.status + 0 = 2  -- so that it goes by the ids
    ), reaching AS MATERIALIZED (
        -- What waits neither goes on nor is cancelled meanwhile: steps of rules wait for this one.
        SELECT DISTINCT ON (kind, slot) * FROM (
            SELECT *, (
                SELECT moment FROM @schema@.tasks AS waiting WHERE waiting.id = waiter
                AND waiting.namespace = p_namespace AND waiting.status + 0 = 1 LIMIT 1) AS due, (
                SELECT expires FROM @schema@.kept AS known WHERE known.namespace = p_namespace
                AND known.kind = held.kind AND known.key = slot LIMIT 1) AS before
            FROM held
        ) AS held WHERE due >= @HELD@ AND before IS NULL ORDER BY kind, slot, number
    ), arrived AS (
        INSERT INTO @schema@.kept
        SELECT p_namespace, kind, slot, '='::bytea || value, @HELD@ FROM reaching
    ), counts AS (
        -- In one order, so that calls with several of them wait for each other in turn.
        INSERT INTO @schema@.kept AS known
        SELECT p_namespace, kind, '', convert_to(concat_ws(' ', max(slots), count(*), 0), 'UTF8'), @HELD@
        FROM reaching GROUP BY kind ORDER BY kind
        ON CONFLICT (namespace, kind, key) DO UPDATE SET
            value = @schema@.add_arrivals(known.value, excluded.value)
        RETURNING kind, value
    )
    SELECT array_agg(number) INTO v_done FROM reaching WHERE number NOT IN (
        SELECT max(number) FROM reaching WHERE kind IN (
            SELECT kind FROM counts WHERE split_part(encode(value, 'escape'), ' ', 1)
                = split_part(encode(value, 'escape'), ' ', 2)
        ) GROUP BY kind);
    RETURN coalesce(v_done, '{}');
END
$$;
