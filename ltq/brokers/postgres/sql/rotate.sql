-- rotate: empty the slots of final states that have all expired, each at once.
--
-- RETURNS          nothing. A slot that somebody uses at this moment is left for the next call
CREATE FUNCTION @schema@.rotate() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now float8 := extract(epoch FROM clock_timestamp());
    v_is_over boolean;
    v_is_empty boolean;
BEGIN
    -- From now to the latest expiry that is kept by slots there are 7: the other one has passed.
    FOR i IN 0 .. 7 LOOP
        CONTINUE WHEN (i - floor(v_now / 900)::bigint % 8 + 8) % 8 <= 6;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM @schema@.final_%s)', i) INTO v_is_empty;
        CONTINUE WHEN v_is_empty;
        BEGIN
            SET LOCAL lock_timeout = '50ms';
            EXECUTE format('LOCK TABLE @schema@.final_%s IN ACCESS EXCLUSIVE MODE', i);
            EXECUTE format(
                'SELECT NOT EXISTS (SELECT FROM @schema@.final_%s WHERE moment > $1)', i)
                INTO v_is_over USING v_now;
            IF v_is_over THEN
                EXECUTE format('TRUNCATE @schema@.final_%s', i);
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
END
$$;
