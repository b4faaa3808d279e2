-- next_claim: when a claim may give something without a wake-up.
--
-- p_namespaces ... p_most_running  see `claim`
-- RETURNS      see `next_start`
CREATE FUNCTION @schema@.next_claim(
    p_namespaces text[], p_lanes text[], p_knows text[], p_limited text[], p_intervals float8[],
    p_bursts float8[], p_most_running integer[]
) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_namespace text;
    v_lanes text[] := '{}';
BEGIN
    FOREACH v_namespace IN ARRAY p_namespaces LOOP
        PERFORM @schema@.adopt(v_namespace);
        v_lanes := v_lanes || @schema@.served_lanes(p_namespaces, v_namespace, p_lanes, p_knows);
    END LOOP;
    RETURN @schema@.next_start(
        p_namespaces, v_lanes, p_limited, p_intervals, p_bursts, p_most_running);
END
$$;
