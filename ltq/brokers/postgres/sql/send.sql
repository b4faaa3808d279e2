-- send: take tasks of one namespace.
--
-- p_namespace      of all of them
-- p_is_joined      whether this is a part of a transaction of a user's, that may end much later:
--                  nobody waits for it, and who waits then is not known yet
-- p_again          the new ids of a call that is repeated, as its first answer was lost: their tasks
--                  may have ended already, and left nothing
-- p_ids ... p_tags as in the envelopes; tags of each by spaces; a kind is of `ltq.message.kind_of`
-- p_delays, p_etas, p_fingerprints, p_unique_fors, p_max_pendings
--                  as in the envelopes: what only matters now
-- RETURNS          'created', 'exists', 'id_conflict', 'duplicate' or 'full' for each
CREATE FUNCTION @schema@.send(
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
    v_first float8;
BEGIN
    SELECT min(moment) INTO v_first FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace
    AND moment >= (@schema@.moments_from(p_namespace)).delayed;
    IF p_again <> '{}' OR EXISTS (
        SELECT FROM unnest(p_fingerprints, p_max_pendings) AS one (fingerprint, most)
        WHERE fingerprint <> '' OR most IS NOT NULL
    ) THEN
        RAISE unique_violation;
    END IF;
    PERFORM @schema@.known(p_namespace, p_is_joined, p_queues, p_lanes);
    PERFORM pg_current_xact_id();  -- before a position or the time is taken: see `raise_floor`
    v_now := extract(epoch FROM clock_timestamp());
    INSERT INTO @schema@.tasks
    SELECT
        p_namespace, id, queue, lane, kind, priority,
        CASE WHEN due > v_now THEN 1 ELSE 0 END,
        CASE WHEN due > v_now THEN due ELSE 'infinity' END,
        nextval('@schema@.positions'),
        0, 0, false, 0, 0, 0, 0, v_now, NULL, NULL, NULL, timeout, max_tries, result_ttl,
        max_deliveries, max_items, keep_body, false, NULL, task_name, serializer, NULL, tags, '', NULL,
        NULL, NULL, NULL, ctx, body, NULL
    FROM (
        SELECT *, greatest(v_now + delay, coalesce(eta, 0)) AS due
        FROM unnest(
            p_ids, p_queues, p_lanes, p_kinds, p_priorities, p_timeouts, p_max_tries,
            p_result_ttls, p_max_deliveries, p_max_items, p_keep_bodies, p_task_names,
            p_serializers, p_tags, p_ctxs, p_bodies, p_delays, p_etas
        ) AS sent (
            id, queue, lane, kind, priority, timeout, max_tries, result_ttl, max_deliveries,
            max_items, keep_body, task_name, serializer, tags, ctx, body, delay, eta
        )
    ) AS sent;
    -- Ids begin with the time. So most often no task has ended whose id is as late as these.
    IF EXISTS (
        SELECT FROM @schema@.final WHERE id >= (SELECT min(id) FROM unnest(p_ids) AS id)
    ) AND EXISTS (
        SELECT FROM unnest(p_ids) AS given (id)
        CROSS JOIN LATERAL (
            SELECT moment FROM @schema@.final AS final
            WHERE final.id = given.id AND final.namespace = p_namespace
        ) AS ended
        WHERE ended.moment > v_now
    ) THEN
        RAISE unique_violation;
    END IF;
    PERFORM @schema@.tell_sent(
        p_namespace, p_is_joined, p_ids, p_lanes, p_delays, p_etas, v_first, v_now);
    RETURN array_fill('created'::text, ARRAY[cardinality(p_ids)]);
EXCEPTION WHEN unique_violation THEN
    RETURN @schema@.send_each(
        p_namespace, p_is_joined, p_again, p_ids, p_queues, p_lanes, p_kinds, p_priorities,
        p_timeouts, p_max_tries, p_result_ttls, p_max_deliveries, p_max_items, p_keep_bodies,
        p_task_names, p_serializers, p_tags, p_ctxs, p_bodies, p_delays, p_etas, p_fingerprints,
        p_unique_fors, p_max_pendings);
END
$$;
