-- tell: notify those who listen, in messages that are not too long.
--
-- p_kind      'lane', 'freed', 'revoked', 'task' for a change, or 'end' for one that may be the last
-- p_of        the namespace of tasks, or the consumer that is told; '' for lanes
-- p_names     lanes or ids; many go out as '*', which stands for all
-- RETURNS     nothing. The text of a message is the kind, what it is of and the names, by line feeds
CREATE FUNCTION @schema@.tell(p_kind text, p_of text, p_names text[]) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify(
        '@channel@',
        p_kind || E'\n' || p_of || E'\n' || CASE
            WHEN length(array_to_string(p_names, ' ')) > 7000 THEN '*'
            ELSE array_to_string(p_names, E'\n')
        END)
$$;
