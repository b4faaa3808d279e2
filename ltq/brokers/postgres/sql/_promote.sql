-- promote: make due tasks of a namespace ready, the one that is due first before the others.
--
-- p_namespace      its name
-- p_now            Unix seconds
-- RETURNS          how many
CREATE FUNCTION @schema@.promote(p_namespace text, p_now float8) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_from float8;
    v_ids text[];
    v_lanes text[];
BEGIN
    IF NOT @schema@.has_due(p_namespace, p_now) THEN
        RETURN 0;
    END IF;
    v_from := (@schema@.moments_from(p_namespace)).delayed;
    PERFORM pg_current_xact_id();  -- before any position is taken: see `raise_floor`
    WITH due AS MATERIALIZED (
        SELECT ctid AS place, moment, enqueue_time, token FROM @schema@.tasks
        WHERE status = 1 AND namespace = p_namespace AND moment >= v_from AND moment <= p_now
        ORDER BY moment LIMIT @MOST_SWEPT@ FOR UPDATE SKIP LOCKED
    ), numbered AS MATERIALIZED (
        SELECT place, nextval('@schema@.positions') AS position
        FROM (SELECT place FROM due ORDER BY moment, token, place) AS ordered
    ), promoted AS (
        UPDATE @schema@.tasks AS tasks SET
            status = 0, position = numbered.position, last_requeue_time = moment,
            requeue_count = requeue_count + (dequeue_count > 0)::integer, moment = 'infinity'
        FROM numbered WHERE tasks.ctid = numbered.place
        RETURNING id, lane
    )
    SELECT array_agg(id), array_agg(DISTINCT lane) INTO v_ids, v_lanes FROM promoted;
    PERFORM @schema@.tell_sent(
        p_namespace, false, v_ids, v_lanes, array_fill(0::float8, ARRAY[cardinality(v_lanes)]),
        array_fill(NULL::float8, ARRAY[cardinality(v_lanes)]), NULL, p_now);
    RETURN coalesce(cardinality(v_ids), 0);
END
$$;
