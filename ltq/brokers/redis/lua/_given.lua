-- given(fields): what a claim gives of the fields and values of a task's hash: all but what is told of its
-- last run. Returns their size as well: the bytes of body and ctx, and some for the rest.
-- @constant TASK_BYTES
-- @rare
local function given(fields)
  local told = { error = true, error_type = true, traceback = true, progress = true, items = true }
  local kept, size = {}, TASK_BYTES
  for i = 1, #fields, 2 do
    if not told[fields[i]] then
      kept[#kept + 1], kept[#kept + 2] = fields[i], fields[i + 1]
      if fields[i] == 'body' or fields[i] == 'ctx' then size = size + #fields[i + 1] end
    end
  end
  return kept, size
end
