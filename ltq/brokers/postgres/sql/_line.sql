-- line: what `next_line` found.
--
-- places       of the tasks that may be claimed, in their order; they are locked
-- lanes        of each of them
-- queues       of each of them
-- waits        for how many seconds each of them has waited
-- open         the lanes that may have more
-- floors       of each of them
-- far          the lanes of which the first one found is far above the floor
-- is_special   whether the rules decide about the next one
CREATE TYPE @schema@.line AS (
    places tid[], lanes text[], queues text[], waits float8[], open text[],
    floors bigint[], far text[], is_special boolean
);
