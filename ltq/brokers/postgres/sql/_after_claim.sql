-- after_claim: what a claim tells besides its tasks.
--
-- p_served         the lanes that it looked at
-- p_room           how many more tasks it had taken
-- p_is_special     whether the rules decide about the next task
-- p_namespaces, p_limited ... p_most_running  see `claim`
-- RETURNS          see `next_start`, and `special`. What is ready and was not taken is held by others,
--                  as by a session that is idle in transaction: it is due soon
CREATE FUNCTION @schema@.after_claim(
    p_namespaces text[], p_served text[], p_room integer, p_is_special boolean, p_limited text[],
    p_intervals float8[], p_bursts float8[], p_most_running integer[]
) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_info jsonb := @schema@.next_start(
        p_namespaces, ARRAY(SELECT lane FROM unnest(p_served) AS lane WHERE lane = ANY(p_limited)),
        p_limited, p_intervals, p_bursts, p_most_running);
    v_due float8 := v_info->>'due';
BEGIN
    IF p_room > 0 AND NOT p_is_special AND EXISTS (
        SELECT FROM @schema@.ready_lines(
            ARRAY(SELECT lane FROM unnest(p_served) AS lane WHERE lane <> ALL(p_limited)))
    ) THEN
        v_due := least(v_due, @RECHECK@);
    END IF;
    RETURN v_info || jsonb_build_object('due', v_due, 'special', p_is_special);
END
$$;
