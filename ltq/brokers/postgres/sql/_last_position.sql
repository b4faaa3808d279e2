-- last_position: the last position that was taken, for `raise_floor`.
--
-- RETURNS          it; 0 where this transaction has a number already
CREATE FUNCTION @schema@.last_position() RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    IF pg_current_xact_id_if_assigned() IS NULL THEN
        RETURN coalesce(pg_sequence_last_value('@schema@.positions'), 0);
    END IF;
    RETURN 0;
END
$$;
