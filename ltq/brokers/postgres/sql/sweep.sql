-- sweep: make due tasks of a namespace ready, and find out whether leases have ended.
--
-- p_namespace      its name
-- RETURNS          `promoted`: how many tasks were; `lost`: whether the rules have to take some back
CREATE FUNCTION @schema@.sweep(p_namespace text) RETURNS TABLE (promoted integer, lost boolean)
LANGUAGE plpgsql AS $$
DECLARE
    v_now float8 := @schema@.enter(p_namespace);
BEGIN
    promoted := @schema@.promote(p_namespace, v_now);
    lost := @schema@.has_lost(p_namespace, v_now);
    RETURN NEXT;
END
$$;
