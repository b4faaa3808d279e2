-- namespace_of: the namespace of a queue or a lane, as `ltq.names.namespace_of` says.
--
-- p_lane           its name
-- RETURNS          a name
CREATE FUNCTION @schema@.namespace_of(p_lane text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
        nullif(split_part(split_part(p_lane, '/', 1), ':', 1), ''), split_part(p_lane, '/', 1))
$$;
