-- count_durations: what durations add to the figures of a minute, as `ltq.broker.history` says.
--
-- p_kind      'w' for waiting times, 'r' for run times
-- p_seconds   the durations
-- RETURNS     name and number of each figure
CREATE FUNCTION @schema@.count_durations(p_kind text, p_seconds float8[])
RETURNS TABLE (name text, many bigint)
LANGUAGE sql IMMUTABLE AS $$
    WITH given AS (
        SELECT CASE WHEN one > 0 AND one < @MAX_DURATION@ THEN one ELSE 0 END AS seconds
        FROM unnest(p_seconds) AS one
    )
    SELECT p_kind || bucket, count(*) FROM (
        SELECT CASE
            WHEN seconds < @FIRST_BUCKET@ THEN 0
            ELSE least(
                @LAST_BUCKET@,
                floor(@BUCKETS_A_DOUBLING@ * ln(seconds / @FIRST_BUCKET@) / ln(2)) + 1
            )::integer
        END AS bucket FROM given
    ) AS counted GROUP BY bucket
    UNION ALL
    SELECT p_kind || 's', round(sum(seconds) * 1e6)::bigint FROM given HAVING count(*) > 0
$$;
