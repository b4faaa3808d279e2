-- send_each: `send` for tasks of which some may not be taken, one after the other.
--
-- p_namespace ...  see `send`
-- RETURNS          see `send`
CREATE FUNCTION @schema@.send_each(
    p_namespace text, p_is_joined boolean, p_again text[],
    p_ids text[], p_queues text[], p_lanes text[], p_kinds text[], p_priorities smallint[],
    p_timeouts float8[], p_max_tries integer[], p_result_ttls float8[], p_max_deliveries integer[],
    p_max_items integer[], p_keep_bodies boolean[], p_task_names text[], p_serializers text[], p_tags text[],
    p_ctxs bytea[], p_bodies bytea[],
    p_delays float8[], p_etas float8[], p_fingerprints text[], p_unique_fors float8[],
    p_max_pendings integer[]
) RETURNS text[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now float8 := extract(epoch FROM clock_timestamp());
    v_answers text[] := '{}';
    v_answer text;
    v_first float8;
    v_due float8;
    v_taken integer[] := '{}';
BEGIN
    SELECT min(moment) INTO v_first FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace
    AND moment >= (@schema@.moments_from(p_namespace)).delayed;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        IF p_ids[i] = ANY(p_again) AND EXISTS (
            SELECT FROM @schema@.ended WHERE id = p_ids[i] AND namespace = p_namespace
        ) THEN
            v_answer := 'exists';
        ELSE
            v_answer := @schema@.answer_send(
                p_namespace, p_ids[i], p_queues[i], p_task_names[i], p_fingerprints[i],
                p_unique_fors[i], p_max_pendings[i], v_now);
        END IF;
        IF v_answer = 'created' THEN
            PERFORM pg_current_xact_id();  -- before a position or the time: see `raise_floor`
            v_now := extract(epoch FROM clock_timestamp());
            v_due := greatest(v_now + p_delays[i], coalesce(p_etas[i], 0));
            INSERT INTO @schema@.tasks VALUES (
                p_namespace, p_ids[i], p_queues[i], p_lanes[i], p_kinds[i], p_priorities[i],
                CASE WHEN v_due > v_now THEN 1 ELSE 0 END,
                CASE WHEN v_due > v_now THEN v_due ELSE 'infinity' END,
                nextval('@schema@.positions'),
                0, 0, false, 0, 0, 0, 0, v_now, NULL, NULL, NULL, p_timeouts[i], p_max_tries[i],
                p_result_ttls[i], p_max_deliveries[i], p_max_items[i], p_keep_bodies[i],
                false, NULL,
                p_task_names[i], p_serializers[i], NULL, p_tags[i], p_fingerprints[i], NULL, NULL,
                NULL, NULL, p_ctxs[i],
                p_bodies[i], NULL)
            ON CONFLICT DO NOTHING;
            -- Another call was quicker, or the task has ended since it was looked for.
            IF NOT FOUND OR EXISTS (
                SELECT FROM @schema@.final
                WHERE id = p_ids[i] AND namespace = p_namespace AND moment > v_now
            ) THEN
                RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
                    MESSAGE = 'another task with the id ' || p_ids[i] || ' came or ended just now';
            END IF;
            v_taken := v_taken || i;
            PERFORM @schema@.known(
                p_namespace, p_is_joined, ARRAY[p_queues[i]], ARRAY[p_lanes[i]]);
        END IF;
        v_answers := v_answers || v_answer;
    END LOOP;
    IF v_taken = '{}' THEN
        RETURN v_answers;
    END IF;
    PERFORM @schema@.tell_sent(
        p_namespace, p_is_joined, ARRAY(SELECT p_ids[i] FROM unnest(v_taken) AS i),
        ARRAY(SELECT p_lanes[i] FROM unnest(v_taken) AS i),
        ARRAY(SELECT p_delays[i] FROM unnest(v_taken) AS i),
        ARRAY(SELECT p_etas[i] FROM unnest(v_taken) AS i), v_first, v_now);
    RETURN v_answers;
END
$$;
