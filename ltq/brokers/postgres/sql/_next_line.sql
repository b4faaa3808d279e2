-- next_line: the next tasks of one priority, of lanes that take turns.
--
-- p_open       the lanes, in the order of their turns
-- p_floors     of each of them, see `raise_floor`
-- p_level      the priority
-- p_room       most tasks
-- p_knows ... p_most_running  see `claim`
-- p_now        Unix seconds
-- RETURNS      a line
CREATE FUNCTION @schema@.next_line(
    p_open text[], p_floors bigint[], p_level integer, p_room integer, p_knows text[],
    p_limited text[], p_intervals float8[], p_bursts float8[], p_most_running integer[], p_now float8
) RETURNS @schema@.line
LANGUAGE plpgsql AS $$
DECLARE
    v_share integer := ceil(p_room::float8 / cardinality(p_open));
    v_most integer[] := '{}';
    v_lane text;
    v_place integer;
    v_specials boolean[];
    v_special integer;
    v_line @schema@.line;
BEGIN
    FOREACH v_lane IN ARRAY p_open LOOP
        v_place := array_position(p_limited, v_lane);
        v_most := v_most || CASE WHEN v_place IS NULL THEN v_share ELSE (
            @schema@.room(
                v_lane, p_intervals[v_place], p_bursts[v_place], p_most_running[v_place], v_share
            )).room END;
    END LOOP;
    -- Sorted once, below the aggregates: each of them with an ORDER BY would sort for itself.
    SELECT
        array_agg(place), array_agg(lane), array_agg(queue), array_agg(wait), array_agg(is_special),
        array_agg(lane) FILTER (WHERE number = 1 AND position - floor > @FLOOR_STEP@)
    INTO
        v_line.places, v_line.lanes, v_line.queues, v_line.waits, v_specials, v_line.far
    FROM (
        SELECT turns.floor, task.*, deaths > 0 OR NOT (
            p_knows IS NULL OR lane = queue || '/' || kind
            OR kind = ANY(p_knows) AND (
                p_limited = '{}' OR lane = ANY(p_limited)
                OR NOT queue || '/' || kind = ANY(p_limited)
            )
        ) AS is_special
        FROM unnest(p_open, v_most, p_floors) WITH ORDINALITY AS turns (name, most, floor, turn)
        CROSS JOIN LATERAL (
            SELECT *, row_number() OVER (ORDER BY position) AS number FROM (
                SELECT * FROM (
                    SELECT ctid AS place, lane, queue, kind, deaths, position,
                        p_now - greatest(enqueue_time, coalesce(last_requeue_time, 0)) AS wait
                    FROM @schema@.tasks
                    WHERE status = 0 AND lane = turns.name AND priority = p_level AND position < 0
                    ORDER BY position LIMIT turns.most FOR NO KEY UPDATE SKIP LOCKED
                ) AS front
                UNION ALL
                SELECT * FROM (
                    SELECT ctid AS place, lane, queue, kind, deaths, position,
                        p_now - greatest(enqueue_time, coalesce(last_requeue_time, 0)) AS wait
                    FROM @schema@.tasks
                    WHERE status = 0 AND lane = turns.name AND priority = p_level
                    AND position >= turns.floor
                    ORDER BY position LIMIT turns.most FOR NO KEY UPDATE SKIP LOCKED
                ) AS behind
                LIMIT turns.most
            ) AS both_parts
        ) AS task
        ORDER BY number, turn LIMIT p_room
    ) AS found;
    v_special := array_position(v_specials, true);
    v_line.is_special := v_special IS NOT NULL;
    IF v_line.is_special THEN
        v_line.places := v_line.places[:v_special - 1];
        v_line.lanes := v_line.lanes[:v_special - 1];
        v_line.queues := v_line.queues[:v_special - 1];
        v_line.waits := v_line.waits[:v_special - 1];
    END IF;
    v_line.places := coalesce(v_line.places, '{}');
    IF cardinality(v_line.places) < p_room THEN
        SELECT array_agg(name ORDER BY turn), array_agg(floor ORDER BY turn)
        INTO v_line.open, v_line.floors
        FROM unnest(p_open, v_most, p_floors) WITH ORDINALITY AS turns (name, most, floor, turn)
        WHERE most = v_share AND most = (
            SELECT count(*) FROM unnest(v_line.lanes) AS lane WHERE lane = name);
    END IF;
    RETURN v_line;
END
$$;
