-- adopt: enter the queues and lanes that came in by transactions of users' among the others.
--
-- So a transaction that stays open holds nobody up that sends to the same lane or claims from it:
-- only steps that end at once enter what others would wait for.
--
-- p_namespace      its name
-- RETURNS          nothing
CREATE FUNCTION @schema@.adopt(p_namespace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_lanes text[];
BEGIN
    IF NOT EXISTS (SELECT FROM @schema@.arrivals WHERE namespace = p_namespace) THEN
        RETURN;
    END IF;
    -- Another step may be at it: it is waited for, so that its lanes are seen.
    WITH found AS MATERIALIZED (
        SELECT ctid AS place FROM @schema@.arrivals WHERE namespace = p_namespace
        ORDER BY lane, ctid FOR UPDATE
    ), taken AS (
        DELETE FROM @schema@.arrivals AS arrivals USING found WHERE arrivals.ctid = found.place
        RETURNING lane
    )
    SELECT array_agg(DISTINCT lane) INTO v_lanes FROM taken;
    INSERT INTO @schema@.queues (name, namespace)
    SELECT DISTINCT split_part(lane, '/', 1), p_namespace FROM unnest(v_lanes) AS lane ORDER BY 1
    ON CONFLICT DO NOTHING;
    INSERT INTO @schema@.lanes (name, queue)
    SELECT lane, split_part(lane, '/', 1) FROM unnest(v_lanes) AS lane ORDER BY 1
    ON CONFLICT DO NOTHING;
END
$$;
