-- add_arrivals: count more values in the slots of a task that waits.
--
-- p_known, p_more  how many slots there are, and how many have a value, and how many have failed
-- RETURNS          both together
CREATE FUNCTION @schema@.add_arrivals(p_known bytea, p_more bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_known text[] := string_to_array(encode(p_known, 'escape'), ' ');
    v_more text[] := string_to_array(encode(p_more, 'escape'), ' ');
BEGIN
    RETURN convert_to(concat_ws(
        ' ', v_more[1], v_known[2]::integer + v_more[2]::integer,
        v_known[3]::integer + v_more[3]::integer), 'UTF8');
END
$$;
