-- moments_from: from which moment on leases and delayed tasks of a namespace may be found.
--
-- p_namespace      its name
-- OUT leases       Unix seconds, for tasks that are worked on
-- OUT delayed      for those that are delayed
CREATE FUNCTION @schema@.moments_from(p_namespace text, OUT leases float8, OUT delayed float8)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT known.leases, known.delayed INTO leases, delayed FROM @schema@.moments AS known
    WHERE namespace = p_namespace AND mark <= extract(epoch FROM clock_timestamp());
    leases := coalesce(leases, '-infinity');  -- as after a clock was put back
    delayed := coalesce(delayed, '-infinity');
END
$$;
