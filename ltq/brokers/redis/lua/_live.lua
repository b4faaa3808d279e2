-- is_live(status): whether a task with this status is not final.
local LIVE = { pending = true, delayed = true, working = true }
local function is_live(status) return LIVE[status] end
