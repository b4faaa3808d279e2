-- enter: begin a step of many at once in a namespace. Steps that run rules keep others out.
--
-- p_namespace its name
-- RETURNS     the time, in Unix seconds
CREATE FUNCTION @schema@.enter(p_namespace text) RETURNS float8
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(@lock@, hashtext(p_namespace));
    RETURN extract(epoch FROM clock_timestamp());
END
$$;
