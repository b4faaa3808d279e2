-- tables: version 1 of what LTQ keeps.
--
-- status      0 pending, 1 delayed, 2 working, 3 completed, 4 failed, 5 rejected, 6 cancelled
-- moment      when a delayed task is due, the lease of a working one ends, a final state expires
-- position    of a task in its line, each another: of pending ones at the front below 0, as claimed
-- times       Unix seconds by the clock of this server
CREATE TABLE @schema@.version (number integer PRIMARY KEY);
INSERT INTO @schema@.version VALUES (0);
CREATE SEQUENCE @schema@.positions CACHE 1;
-- Each claim takes one, and gives its tasks that and those after it. It begins with the time.
CREATE SEQUENCE @schema@.tokens INCREMENT BY 1024;
SELECT setval('@schema@.tokens', floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- Tasks that have not ended. Ended ones leave, so that this stays small.
CREATE TABLE @schema@.tasks (
    namespace text NOT NULL, id text NOT NULL, queue text NOT NULL, lane text NOT NULL,
    kind text NOT NULL, priority smallint NOT NULL, status smallint NOT NULL,
    moment float8 NOT NULL, position bigint NOT NULL, token bigint NOT NULL,
    returned bigint NOT NULL, front boolean NOT NULL, tries integer NOT NULL,
    deaths integer NOT NULL, dequeue_count integer NOT NULL, requeue_count integer NOT NULL,
    enqueue_time float8 NOT NULL, last_dequeue_time float8, last_requeue_time float8,
    release_time float8, timeout float8, max_tries integer, result_ttl float8,
    max_deliveries integer, max_items integer, keep_body boolean, keeps_body boolean NOT NULL,
    worker text, task_name text NOT NULL, serializer text NOT NULL, body_serializer text, tags text NOT NULL,
    fingerprint text NOT NULL, items integer, items_of integer,
    progress bytea, failure bytea, ctx bytea NOT NULL, body bytea NOT NULL, result bytea,
    PRIMARY KEY (id, namespace)
) WITH (
    fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE @schema@.tasks ALTER body SET STORAGE EXTERNAL, ALTER result SET STORAGE EXTERNAL;
CREATE INDEX tasks_ready ON @schema@.tasks (lane, priority, position) WHERE status = 0;
CREATE INDEX tasks_apart ON @schema@.tasks (namespace, priority) WHERE status = 0 AND priority <> 1;
CREATE INDEX tasks_due ON @schema@.tasks (namespace, moment) WHERE status = 1;
CREATE INDEX tasks_delayed ON @schema@.tasks (queue, moment, position) WHERE status = 1;
CREATE INDEX tasks_leases ON @schema@.tasks (namespace, moment) WHERE status = 2;

-- Tasks that have ended, apart by when their states expire: `slot` is one of 8 quarters of an hour
-- in turn, and a whole slot is emptied at once; -1 is for those that are kept for longer.
CREATE TABLE @schema@.final (LIKE @schema@.tasks INCLUDING STORAGE, slot smallint NOT NULL)
PARTITION BY LIST (slot);
DO $$ BEGIN FOR i IN 0 .. 7 LOOP EXECUTE format(
    'CREATE TABLE @schema@.final_%s PARTITION OF @schema@.final FOR VALUES IN (%s)', i, i);
END LOOP; END $$;
CREATE TABLE @schema@.final_long PARTITION OF @schema@.final FOR VALUES IN (-1);
CREATE INDEX final_ids ON @schema@.final (id, namespace);
CREATE INDEX final_queues ON @schema@.final (queue, release_time, position);
CREATE INDEX final_long_until ON @schema@.final_long (moment);

-- Items of streams, of the delivery in `tasks.items_of`. `look_at`: when to see if their task is there.
CREATE TABLE @schema@.items (namespace text NOT NULL, id text NOT NULL, number integer, item bytea NOT NULL,
    PRIMARY KEY (id, namespace, number));
CREATE TABLE @schema@.streams (
    namespace text NOT NULL, id text NOT NULL, look_at float8 NOT NULL, PRIMARY KEY (id, namespace));
CREATE INDEX streams_look_at ON @schema@.streams (look_at);

-- The lanes of each queue, with the token of what was claimed last of each priority, and how full
-- the rate limit is. `floors` of each priority: see `raise_floor`.
CREATE TABLE @schema@.lanes (
    name text PRIMARY KEY, queue text NOT NULL,
    served_high bigint NOT NULL DEFAULT 0, served_normal bigint NOT NULL DEFAULT 0,
    served_low bigint NOT NULL DEFAULT 0, used float8 NOT NULL DEFAULT 0,
    used_at float8 NOT NULL DEFAULT 0, floors bigint[] NOT NULL DEFAULT '{0,0,0}',
    floors_at float8 NOT NULL DEFAULT 0,
    mark bigint NOT NULL DEFAULT 0, mark_xid xid8 NOT NULL DEFAULT '0') WITH (fillfactor = 30);
CREATE INDEX lanes_of_queues ON @schema@.lanes (queue);
CREATE INDEX lanes_apart ON @schema@.lanes (queue) WHERE name <> queue;

-- From which moment on to look for leases and for delayed tasks: see `raise_moments`.
CREATE TABLE @schema@.moments (
    namespace text PRIMARY KEY, leases float8 NOT NULL DEFAULT '-infinity',
    delayed float8 NOT NULL DEFAULT '-infinity', mark float8 NOT NULL DEFAULT '-infinity',
    mark_xid xid8 NOT NULL DEFAULT '0') WITH (fillfactor = 30);

-- The lanes of what was sent in transactions of users' to a lane that was not known yet, until a step
-- of LTQ's own adopts them: see `adopt`. Such a transaction may stay open: it enters none itself.
CREATE TABLE @schema@.arrivals (namespace text NOT NULL, lane text NOT NULL, queue text NOT NULL);
CREATE INDEX arrivals_of ON @schema@.arrivals (namespace, lane);
CREATE TABLE @schema@.queues (
    name text PRIMARY KEY, namespace text NOT NULL, paused boolean NOT NULL DEFAULT false);
CREATE INDEX queues_paused ON @schema@.queues (namespace) WHERE paused;
CREATE TABLE @schema@.dead (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace text NOT NULL, id text NOT NULL,
    queue text NOT NULL, time float8 NOT NULL, record bytea NOT NULL, UNIQUE (id, namespace));
CREATE INDEX dead_of_queues ON @schema@.dead (queue, time, number);

-- The tasks that were sent with a fingerprint: until it expires, no other is.
CREATE TABLE @schema@.fingerprints (
    namespace text NOT NULL, fingerprint text NOT NULL, id text NOT NULL, expires float8 NOT NULL,
    PRIMARY KEY (fingerprint, namespace));
CREATE INDEX fingerprints_until ON @schema@.fingerprints (expires);

-- Other values that expire: served lanes, workers, slots of schedules, schedulers.
CREATE TABLE @schema@.kept (
    namespace text NOT NULL, kind text NOT NULL, key text NOT NULL, value bytea NOT NULL,
    expires float8 NOT NULL, PRIMARY KEY (namespace, kind, key)) WITH (fillfactor = 50);
CREATE INDEX kept_until ON @schema@.kept (expires);

-- Tasks that ended without leaving a state, for a while.
CREATE TABLE @schema@.ended (namespace text NOT NULL, id text NOT NULL, token bigint NOT NULL,
    status smallint NOT NULL, time float8 NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY);
CREATE INDEX ended_ids ON @schema@.ended (id, namespace);
CREATE INDEX ended_at ON @schema@.ended (time);
CREATE TABLE @schema@.schedule_changes (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text NOT NULL, name text NOT NULL, gone boolean NOT NULL, UNIQUE (namespace, name));

-- What calls have counted, until it is added to `figures` and `ends`: so calls do not wait for one
-- another. `step` is of two seconds, `ended` how many tasks ended in a worker.
CREATE TABLE @schema@.counted (queue text NOT NULL, minute integer NOT NULL, step bigint NOT NULL,
    ended integer NOT NULL, figures jsonb);
CREATE TABLE @schema@.figures (queue text, minute integer, name text, many bigint NOT NULL,
    PRIMARY KEY (queue, minute, name));
CREATE TABLE @schema@.ends (queue text, step bigint, many bigint NOT NULL, PRIMARY KEY (queue, step));
-- What somebody waits for: nobody is told anything else. A crash may forget it.
CREATE UNLOGGED TABLE @schema@.awaited (topic text PRIMARY KEY, until float8 NOT NULL) WITH (fillfactor = 50);
-- Where a publication has all tables, nothing could be deleted from one without a key.
DO $$ DECLARE one text; BEGIN FOREACH one IN ARRAY
    ARRAY(SELECT 'final_' || i FROM generate_series(0, 7) AS i) || '{final_long,arrivals,ended,counted}'
LOOP EXECUTE format('ALTER TABLE @schema@.%s REPLICA IDENTITY FULL', one); END LOOP; END $$;
