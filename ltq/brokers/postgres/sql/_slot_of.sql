-- slot_of: where a final state is kept, by when it expires.
--
-- p_expires, p_now  Unix seconds
-- RETURNS           the column `slot`
CREATE FUNCTION @schema@.slot_of(p_expires float8, p_now float8) RETURNS smallint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_expires > p_now + 6 * 900 THEN -1
        ELSE (floor(p_expires / 900)::bigint % 8)
    END::smallint
$$;
