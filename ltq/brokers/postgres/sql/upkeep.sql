-- upkeep: add up what was counted, and forget what has been kept long enough.
--
-- p_most           rows of each kind that one call removes at most
-- RETURNS          nothing. While another call is at it, this one does nothing
CREATE FUNCTION @schema@.upkeep(p_most integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_now float8 := extract(epoch FROM clock_timestamp());
BEGIN
    IF NOT pg_try_advisory_xact_lock(@lock@ + 2, 0) THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM @schema@.counted RETURNING *
    ), figures AS (
        INSERT INTO @schema@.figures AS known (queue, minute, name, many)
        SELECT queue, minute, key, sum(value::bigint)
        FROM taken CROSS JOIN LATERAL jsonb_each_text(figures)
        GROUP BY queue, minute, key ORDER BY queue, minute, key
        ON CONFLICT (queue, minute, name) DO UPDATE SET many = known.many + excluded.many
    )
    INSERT INTO @schema@.ends AS known (queue, step, many)
    SELECT queue, step, sum(ended) FROM taken WHERE ended > 0
    GROUP BY queue, step ORDER BY queue, step
    ON CONFLICT (queue, step) DO UPDATE SET many = known.many + excluded.many;
    DELETE FROM @schema@.figures WHERE minute < floor((v_now - @HISTORY_TTL@) / 60);
    DELETE FROM @schema@.ends WHERE step < floor(v_now / @THROUGHPUT_STEP@) - @THROUGHPUT_STEPS@;
    DELETE FROM @schema@.ended WHERE time < v_now - @ENDED_KEPT@;
    DELETE FROM @schema@.fingerprints WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM @schema@.fingerprints WHERE expires <= v_now
        LIMIT p_most FOR UPDATE SKIP LOCKED));
    DELETE FROM @schema@.kept WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM @schema@.kept WHERE expires <= v_now LIMIT p_most FOR UPDATE SKIP LOCKED));
    DELETE FROM @schema@.final_long WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM @schema@.final_long WHERE moment <= v_now
        LIMIT p_most FOR UPDATE SKIP LOCKED));
    WITH due AS MATERIALIZED (
        SELECT id, namespace FROM @schema@.streams WHERE look_at <= v_now
        LIMIT p_most FOR UPDATE SKIP LOCKED
    ), looked AS MATERIALIZED (
        SELECT id, namespace, coalesce(
            (SELECT v_now + 60 FROM @schema@.tasks AS tasks
            WHERE tasks.id = due.id AND tasks.namespace = due.namespace),
            (SELECT max(moment) FROM @schema@.final AS final
            WHERE final.id = due.id AND final.namespace = due.namespace AND moment > v_now)) AS again
        FROM due
    ), kept AS (
        UPDATE @schema@.streams AS streams SET look_at = again FROM looked
        WHERE streams.id = looked.id AND streams.namespace = looked.namespace AND again IS NOT NULL
    ), gone AS (
        DELETE FROM @schema@.streams AS streams USING looked
        WHERE streams.id = looked.id AND streams.namespace = looked.namespace AND again IS NULL
    )
    DELETE FROM @schema@.items AS items USING looked
    WHERE items.id = looked.id AND items.namespace = looked.namespace AND again IS NULL;
    DELETE FROM @schema@.awaited WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM @schema@.awaited WHERE until <= v_now - 60 FOR UPDATE SKIP LOCKED));
END
$$;
