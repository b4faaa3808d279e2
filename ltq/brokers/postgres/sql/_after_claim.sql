-- after_claim: what a claim tells besides its tasks.
--
-- p_served         the lanes that it serves
-- p_found          those in which tasks waited
-- p_first          when the first delayed task is due, or the first lease ends
-- p_room           how many more tasks it had taken
-- p_is_special     whether the rules decide about the next task
-- p_namespaces, p_limited ... p_most_running  see `claim`
-- RETURNS          see `next_start`, and `special`. What is ready and was not taken is held by others,
--                  as by a session that is idle in transaction: it is due soon
CREATE FUNCTION @schema@.after_claim(
    p_namespaces text[], p_served text[], p_found text[], p_first float8, p_room integer,
    p_is_special boolean, p_limited text[], p_intervals float8[], p_bursts float8[], p_most_running integer[]
) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now float8 := extract(epoch FROM clock_timestamp());
    v_info jsonb := '{"start": null, "ready": false}';
    v_due float8 := p_first - v_now;
BEGIN
    IF p_served && p_limited OR p_first <= v_now THEN
        v_info := @schema@.next_start(
            p_namespaces, ARRAY(SELECT lane FROM unnest(p_served) AS lane WHERE lane = ANY(p_limited)),
            p_limited, p_intervals, p_bursts, p_most_running);
        v_due := v_info->>'due';
    END IF;
    IF p_room > 0 AND NOT p_is_special AND @schema@.is_ready(
        ARRAY(SELECT DISTINCT lane FROM unnest(p_found) AS lane WHERE lane <> ALL(p_limited))
    ) THEN
        v_due := least(v_due, @RECHECK@);
    END IF;
    RETURN v_info || jsonb_build_object('due', v_due, 'special', p_is_special);
END
$$;
