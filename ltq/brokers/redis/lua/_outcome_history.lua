-- count_outcomes(groups): count in the history what became of tasks, and how long their runs took, by their
-- groups of outcomes (see `read_outcomes`). The token of a lease is the time of its claim, in microseconds.
-- @include fence, history
local function count_outcomes(groups)
  for _, group in ipairs(groups) do
    if not puts_back(group.status) then
      note_count(group.queue, group.status, #group.accepted)
    elseif not group.flags.void then
      note_count(group.queue, 'retried', #group.accepted)
    end
    if not group.flags.void then note_runs(group.queue, group.accepted) end
  end
  flush_history()
end
