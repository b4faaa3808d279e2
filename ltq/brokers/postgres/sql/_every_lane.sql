-- every_lane: the lanes, with those that are not adopted yet.
--
-- RETURNS      rows of `lanes`
CREATE FUNCTION @schema@.every_lane() RETURNS TABLE (
    name text, queue text, served_high bigint, served_normal bigint, served_low bigint,
    used float8, used_at float8
)
LANGUAGE sql STABLE AS $$
    SELECT name, queue, served_high, served_normal, served_low, used, used_at FROM @schema@.lanes
    UNION ALL
    SELECT DISTINCT lane, queue, 0::bigint, 0::bigint, 0::bigint, 0::float8, 0::float8
    FROM @schema@.arrivals WHERE NOT EXISTS (SELECT FROM @schema@.lanes WHERE name = lane)
$$;
