-- enqueue: send a task from any language, in the transaction that is open or in one of its own.
--
-- task         its name, such as 'shop:checkout'
-- args         a JSON array
-- kwargs       a JSON object
-- queue        if not the task's own
-- id           if not a new one. A task that is there already is not sent again
-- delay        seconds
-- priority     'high', 'normal' or 'low'
-- tags         at most 16
-- RETURNS      the id. Raises `invalid_parameter_value` for what is not allowed, and
--              `unique_violation` for the id of another task
CREATE FUNCTION @schema@.enqueue(
    task text, args jsonb DEFAULT '[]', kwargs jsonb DEFAULT '{}', queue text DEFAULT NULL,
    id text DEFAULT NULL, delay float8 DEFAULT 0, priority text DEFAULT 'normal',
    tags text[] DEFAULT '{}'
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_queue text := coalesce(queue, task);
    v_id text := coalesce(id, lpad(
        to_hex(floor(extract(epoch FROM clock_timestamp()) * 256)::bigint), 10, '0')
        || right(replace(gen_random_uuid()::text, '-', ''), 14));
    v_wrong text := CASE
        WHEN coalesce(task, '') !~ '^[A-Za-z0-9_.:-]{1,200}$' THEN 'task'
        WHEN v_queue !~ '^[A-Za-z0-9_.:-]{1,200}$' THEN 'queue'
        WHEN v_id !~ '^[A-Za-z0-9_.:-]{1,200}$' THEN 'id'
        WHEN jsonb_typeof(args) IS DISTINCT FROM 'array' THEN 'args'
        WHEN jsonb_typeof(kwargs) IS DISTINCT FROM 'object' THEN 'kwargs'
        WHEN delay >= 0 AND delay < 'infinity' THEN NULL
        ELSE 'delay'
    END;
    v_level integer := array_position(ARRAY['high', 'normal', 'low'], priority) - 1;
    v_tags text[] := ARRAY(SELECT tag FROM unnest(tags) AS tag GROUP BY tag ORDER BY tag);
    v_answer text;
BEGIN
    IF v_wrong IS NULL AND v_level IS NULL THEN
        v_wrong := 'priority';
    ELSIF v_wrong IS NULL AND (
        cardinality(v_tags) > @MAX_TAGS@ OR EXISTS (
            SELECT FROM unnest(v_tags) AS tag
            WHERE coalesce(tag, '') !~ '^[A-Za-z0-9_.:-]{1,64}$')
    ) THEN
        v_wrong := 'tags';
    END IF;
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('this value of %s is not allowed', v_wrong);
    END IF;
    v_answer := (@schema@.send(
        @schema@.namespace_of(v_queue), true, '{}', ARRAY[v_id], ARRAY[v_queue], ARRAY[v_queue],
        ARRAY[task], ARRAY[v_level::smallint], ARRAY[NULL::float8], ARRAY[NULL::integer],
        ARRAY[NULL::float8], ARRAY[@MAX_DELIVERIES@], ARRAY[NULL::integer], ARRAY[NULL::boolean],
        ARRAY[task],
        ARRAY['json'], ARRAY[array_to_string(v_tags, ' ')], ARRAY[''::bytea],
        ARRAY[convert_to(jsonb_build_array(args, kwargs)::text, 'UTF8')], ARRAY[delay],
        ARRAY[NULL::float8], ARRAY[''], ARRAY[0::float8], ARRAY[NULL::integer]))[1];
    IF v_answer = 'id_conflict' THEN
        RAISE unique_violation USING MESSAGE = format('another task has the id %s', v_id);
    END IF;
    RETURN v_id;
END
$$;
