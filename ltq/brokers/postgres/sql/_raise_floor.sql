-- raise_floor: remember below which position no task of a line waits, or ever will.
--
-- While a transaction elsewhere sees all as it was, tasks that have left a line cannot be cleaned up
-- behind it, and each look at its first ones would step over all of them. So looks start at the
-- floor. What is put back at the front has a position below 0 and is looked for first.
--
-- It is exact. A task may come in below a position that was seen only by a transaction that is still
-- open, and such a one has its number before it takes positions. So a mark is set: the last
-- position that was taken, and the number of a later transaction. Once all before that number have
-- ended, the floor may rise to the mark, and to the first task that waits.
--
-- p_lane, p_level  the line
-- p_last           the last position that was taken before this transaction had a number; or 0
-- p_now            Unix seconds
-- RETURNS          nothing. Where somebody has just done it, this does nothing
CREATE FUNCTION @schema@.raise_floor(p_lane text, p_level integer, p_last bigint, p_now float8)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_floors bigint[];
    v_mark bigint;
    v_xid xid8;
    v_first bigint;
BEGIN
    SELECT floors, mark, mark_xid INTO v_floors, v_mark, v_xid FROM @schema@.lanes
    WHERE name = p_lane AND floors_at < p_now - @FLOOR_PAUSE@ FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND OR p_last = 0 OR v_xid > pg_snapshot_xmin(pg_current_snapshot()) THEN
        RETURN;
    END IF;
    SELECT position INTO v_first FROM @schema@.tasks
    WHERE status = 0 AND lane = p_lane AND priority = p_level AND position >= v_floors[p_level + 1]
    ORDER BY position LIMIT 1;
    v_floors[p_level + 1] := greatest(v_floors[p_level + 1], least(v_first, v_mark + 1));
    UPDATE @schema@.lanes SET
        floors = v_floors, floors_at = p_now, mark = p_last, mark_xid = pg_current_xact_id()
    WHERE name = p_lane;
END
$$;
