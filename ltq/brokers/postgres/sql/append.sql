-- append: add items to the stream of a running task, if its lease holds.
--
-- p_namespace, p_id, p_token   of the lease
-- p_first                      how many items of this delivery came before these
-- p_most                       how many are kept
-- p_items                      those that are there already are not added again
-- RETURNS                      whether the lease holds
CREATE FUNCTION @schema@.append(
    p_namespace text, p_id text, p_token bigint, p_first integer, p_most integer, p_items bytea[]
) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_task @schema@.tasks;
    v_total integer;
BEGIN
    PERFORM @schema@.enter(p_namespace);
    SELECT * INTO v_task FROM @schema@.tasks
    WHERE id = p_id AND namespace = p_namespace AND token = p_token
    AND status + 0 = 2  -- so that it goes by the id
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_total := v_task.items;
    IF v_task.items_of IS DISTINCT FROM v_task.dequeue_count OR p_first > v_total THEN
        -- First this, so that it is not forgotten at this moment: see `upkeep`.
        INSERT INTO @schema@.streams VALUES (
            p_namespace, p_id, extract(epoch FROM clock_timestamp()) + 60)
        ON CONFLICT (id, namespace) DO UPDATE SET look_at = excluded.look_at;
        DELETE FROM @schema@.items WHERE id = p_id AND namespace = p_namespace;
        v_total := p_first;
    END IF;
    INSERT INTO @schema@.items SELECT p_namespace, p_id, p_first + number - 1, item
    FROM unnest(p_items) WITH ORDINALITY AS given (item, number)
    WHERE p_first + number > v_total;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    v_total := p_first + cardinality(p_items);
    DELETE FROM @schema@.items
    WHERE id = p_id AND namespace = p_namespace AND number < v_total - p_most;
    UPDATE @schema@.tasks SET items = v_total, items_of = dequeue_count
    WHERE id = p_id AND namespace = p_namespace;
    PERFORM @schema@.tell_finished(p_namespace, ARRAY[p_id], '{1}', '{}');
    RETURN true;
END
$$;
