-- left_of: how full a rate limit still is.
--
-- p_used, p_used_at, p_interval, p_burst   of the limit, see `room`
-- p_now                                    Unix seconds
-- RETURNS                                  how many starts still count
CREATE FUNCTION @schema@.left_of(
    p_used float8, p_used_at float8, p_interval float8, p_burst float8, p_now float8
) RETURNS float8
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_now < p_used_at THEN 0
        ELSE greatest(0, least(p_used, p_burst) - (p_now - p_used_at) / p_interval)
    END
$$;
