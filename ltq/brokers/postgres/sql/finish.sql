-- finish: record what became of deliveries of a namespace, each fenced by its lease's token.
--
-- What leaves a dead letter is for the rules.
--
-- p_namespace      of all of them
-- p_ids, p_tokens  of the leases, each id once
-- p_statuses       the final status; -1 for a task that runs again
-- p_seconds        how long a final state is kept, or the delay of one that runs again
-- p_serializers    of the results
-- p_failures       or null
-- p_results        or null where none is kept
-- p_failed, p_front, p_void, p_poison, p_ctxs, p_timeouts
--                  as in the outcomes
-- p_waiters, p_slots, p_ofs
--                  what waits for each result or null, in which slot, and how many it has; null if
--                  nothing waits for any
-- p_history        whether to count in the history
-- RETURNS          'ok', 'arrived' (and so has its result, at what waits for it), 'stale', 'cancelled'
--                  or 'gone' for each; 'locked' if somebody holds its row, and nothing was done
CREATE FUNCTION @schema@.finish(
    p_namespace text, p_ids text[], p_tokens bigint[], p_statuses smallint[], p_seconds float8[],
    p_serializers text[], p_failures bytea[], p_results bytea[], p_failed boolean[],
    p_front boolean[], p_void boolean[], p_poison boolean[], p_ctxs bytea[], p_timeouts float8[],
    p_waiters text[], p_slots text[], p_ofs integer[], p_history boolean
) RETURNS text[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now float8 := @schema@.enter(p_namespace);
    v_held integer[];
    v_answers text[];
    v_ended integer[] := '{}';
    v_arrived integer[] := '{}';
    v_one integer;
BEGIN
    IF p_waiters IS NOT NULL THEN
        v_arrived := @schema@.arrive_held(
            p_namespace, p_ids, p_tokens, p_statuses, p_results, p_waiters, p_slots, p_ofs);
    END IF;
    IF 0 <= ANY(p_statuses) THEN
        v_ended := @schema@.end_held(
            p_namespace, p_ids, p_tokens, p_statuses, p_seconds, p_serializers, p_failures, p_results,
            p_poison, p_history, v_arrived, v_now);
    END IF;
    v_held := v_ended;
    IF 0 > ANY(p_statuses) THEN
        v_held := v_held || @schema@.requeue_held(
            p_namespace, p_ids, p_tokens, p_statuses, p_seconds, p_failures, p_failed, p_front,
            p_void, p_ctxs, p_timeouts, p_history, v_now);
    END IF;
    IF cardinality(v_held) = cardinality(p_ids) THEN
        v_answers := array_fill('ok'::text, ARRAY[cardinality(p_ids)]);
    ELSE
        v_answers := ARRAY(
            SELECT CASE
                WHEN number = ANY(v_held) THEN 'ok'
                ELSE @schema@.answer_finish(p_namespace, id, token, status, v_now)
            END
            FROM unnest(p_ids, p_tokens, p_statuses) WITH ORDINALITY AS given (id, token, status, number)
            ORDER BY number);
    END IF;
    FOREACH v_one IN ARRAY v_arrived LOOP
        v_answers[v_one] := 'arrived';
    END LOOP;
    IF v_held <> '{}' THEN
        PERFORM @schema@.tell_finished(p_namespace, p_ids, v_held, v_ended);
    END IF;
    RETURN v_answers;
END
$$;
