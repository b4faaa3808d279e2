-- claim: lease ready tasks to a consumer, strictly by priority and first in first out in a lane.
--
-- Of the lanes of one priority, the one served longest ago comes first; few at once take turns. A task that
-- is not plain (a worker died under it, or it may have to leave its lane) ends the claim: the rules decide.
--
-- p_namespaces     in the order of this claim
-- p_lanes          the served lanes that were named
-- p_knows          the kinds that the consumer runs; null for all
-- p_worker         its name
-- p_lease, p_most  seconds, and most tasks
-- p_limited ...    the lanes that have limits; then for each the seconds between starts, the burst,
--                  and how many may run (null: no such limit)
-- p_is_held        whether leases that have ended are left alone, as after an outage
-- p_history        whether to count how long tasks have waited
-- RETURNS          the tasks, in any order; then one row more in `info`: when to come again (`due`, `start`),
--                  whether the rules decide next (`special`), whether leases ended (`lost`: nothing is given)
CREATE FUNCTION @schema@.claim(
    p_namespaces text[], p_lanes text[], p_knows text[], p_worker text, p_lease float8,
    p_most integer, p_limited text[], p_intervals float8[], p_bursts float8[],
    p_most_running integer[], p_is_held boolean, p_history boolean
) RETURNS TABLE (
    id text, queue text, token bigint, task_name text, serializer text, body bytea, ctx bytea, tries integer,
    deaths integer, dequeue_count integer, enqueue_time float8, last_dequeue_time float8, timeout float8,
    max_tries integer, result_ttl float8, max_deliveries integer, max_items integer, tags text, info jsonb
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    -- These two come first, before this transaction has a number.
    v_begun float8 := extract(epoch FROM clock_timestamp());
    v_last bigint := @schema@.last_position();
    v_now float8;
    v_namespace text;
    v_level integer;
    v_room integer := least(p_most, 1000);
    v_token bigint := nextval('@schema@.tokens');
    v_lanes text[];
    v_served text[] := '{}';
    v_seen text[];
    v_found text[] := '{}';
    v_open text[];
    v_floors bigint[];
    v_until float8;
    v_line @schema@.line;
    v_first float8;
    v_is_special boolean := false;
    v_queues text[] := '{}';
    v_waits float8[] := '{}';
BEGIN
    PERFORM @schema@.enter(one) FROM unnest(p_namespaces) AS one ORDER BY one;
    v_now := extract(epoch FROM clock_timestamp());
    v_first := @schema@.before_claim(p_namespaces, p_is_held, v_now);
    IF v_first = '-infinity' THEN
        info := '{"lost": true}';
        RETURN NEXT;
        RETURN;
    END IF;
    <<claiming>>
    FOREACH v_namespace IN ARRAY p_namespaces LOOP
        v_lanes := @schema@.served_lanes(p_namespaces, v_namespace, p_lanes, p_knows);
        v_served := v_served || v_lanes;
        FOR v_level IN 0 .. 2 LOOP
            v_seen := '{}';
            WHILE v_room > 0 LOOP
                IF v_open IS NULL THEN
                    SELECT * INTO v_open, v_floors
                    FROM @schema@.open_lines(v_namespace, v_lanes, v_level, v_seen);
                    EXIT WHEN v_open IS NULL;
                    v_seen := v_seen || v_open;
                    v_found := v_found || v_open;
                END IF;
                -- One task of each is enough: tasks of more lanes would be locked in vain.
                v_line := @schema@.next_line(
                    v_open[:v_room], v_floors[:v_room], v_level, v_room, p_knows, p_limited,
                    p_intervals, p_bursts, p_most_running, v_now);
                v_open := nullif(v_open[v_room + 1:], '{}');
                v_floors := v_floors[v_room + 1:];
                IF v_line.places <> '{}' THEN
                    -- It has locked tasks, so this transaction has a number: see `raise_moments`.
                    v_until := extract(epoch FROM clock_timestamp()) + p_lease;
                    v_first := least(v_first, v_until);
                    RETURN QUERY UPDATE @schema@.tasks AS tasks SET
                        status = 2, moment = v_until, worker = p_worker,
                        token = greatest(tasks.token + 1, v_token + number - 1),
                        dequeue_count = dequeue_count + 1, last_dequeue_time = v_now
                    FROM unnest(v_line.places) WITH ORDINALITY AS given (place, number)
                    WHERE tasks.ctid = given.place
                    RETURNING id, queue, token, task_name, serializer, body, ctx, tries, deaths,
                        dequeue_count, enqueue_time, last_dequeue_time, timeout, max_tries,
                        result_ttl, max_deliveries, max_items, tags, NULL::jsonb;
                    PERFORM @schema@.note_served(v_line.lanes, v_level, v_token, cardinality(v_lanes) > 1,
                        p_limited, p_intervals, p_bursts);
                    v_token := v_token + cardinality(v_line.places);
                    v_room := v_room - cardinality(v_line.places);
                    v_queues := v_queues || v_line.queues;
                    v_waits := v_waits || v_line.waits;
                END IF;
                PERFORM @schema@.raise_floor(one, v_level, v_last, v_now) FROM unnest(v_line.far) AS one;
                v_is_special := v_line.is_special;
                EXIT claiming WHEN v_is_special;
                v_open := v_open || v_line.open; -- behind those that had no turn yet
                v_floors := v_floors || v_line.floors;
            END LOOP;
        END LOOP;
    END LOOP;
    IF v_queues <> '{}' THEN
        PERFORM @schema@.tell_leased(p_namespaces, p_worker, p_lease, v_now);
        PERFORM @schema@.raise_moments(one, v_begun, v_last > 0) FROM unnest(p_namespaces) AS one;
    END IF;
    PERFORM @schema@.count_waits(v_queues, v_waits, v_now) WHERE p_history AND v_queues <> '{}';
    info := @schema@.after_claim(
        p_namespaces, v_served, v_found, v_first, v_room, v_is_special, p_limited, p_intervals, p_bursts,
        p_most_running);
    SELECT NULL, NULL INTO id, queue;
    RETURN NEXT;
END
$$;
