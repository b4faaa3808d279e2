-- raise_moments: remember before which moment no lease of a namespace ends, and nothing is due.
--
-- As `raise_floor` does for lines. Who writes a moment has a number of its transaction first, then
-- reads the clock: so later transactions than that of a mark write later moments than the mark. A
-- mark beyond the clock's time is from before the clock was put back; one beyond `p_mark` is only
-- from a call that began later and was quicker.
--
-- p_namespace      its name
-- p_mark           Unix seconds before this transaction had a number
-- p_is_first       whether it had none then
-- RETURNS          nothing. Where somebody has just done it, this does nothing
CREATE FUNCTION @schema@.raise_moments(p_namespace text, p_mark float8, p_is_first boolean)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_known @schema@.moments;
    v_lease float8;
    v_due float8;
    v_now float8 := extract(epoch FROM clock_timestamp());
BEGIN
    SELECT * INTO v_known FROM @schema@.moments
    WHERE namespace = p_namespace AND (mark < p_mark - @FLOOR_PAUSE@ OR mark > v_now)
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM @schema@.moments WHERE namespace = p_namespace) THEN
            INSERT INTO @schema@.moments (namespace) VALUES (p_namespace) ON CONFLICT DO NOTHING;
        END IF;
        RETURN;
    END IF;
    IF NOT p_is_first OR v_known.mark_xid > pg_snapshot_xmin(pg_current_snapshot()) THEN
        RETURN;
    END IF;
    IF v_known.mark > v_now THEN
        v_known.leases := '-infinity';
        v_known.delayed := '-infinity';
        v_known.mark := '-infinity';
    END IF;
    SELECT min(moment) INTO v_lease FROM @schema@.tasks
    WHERE status = 2 AND namespace = p_namespace AND moment >= v_known.leases;
    SELECT min(moment) INTO v_due FROM @schema@.tasks
    WHERE status = 1 AND namespace = p_namespace AND moment >= v_known.delayed;
    UPDATE @schema@.moments SET
        leases = greatest(v_known.leases, least(v_lease, v_known.mark)),
        delayed = greatest(v_known.delayed, least(v_due, v_known.mark)),
        mark = p_mark, mark_xid = pg_current_xact_id()
    WHERE namespace = p_namespace;
END
$$;
