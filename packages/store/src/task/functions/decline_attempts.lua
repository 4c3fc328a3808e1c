-- Takes attempts back that their agents will never start: queued again at their place, at no cost (S5, S9).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of {agent, id, attempt, reason, message}.
-- Returns a refusal, or the number that was taken back; the others were not current or had started (I7).
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
-- The newest refusals of a task are kept for whoever asks why it still waits (S8), one in each line.
local KEPT = 5
local function remember(row, reason, message)
  local line = table.concat({ call.now_text, row.agent, reason, message or '' }, '\31')
  local lines = { line }
  for known in string.gmatch(redis.call('HGET', row.key, 'declines') or '', '[^\n]+') do
    if #lines < KEPT then lines[#lines + 1] = known end
  end
  redis.call('HSET', row.key, 'declines', table.concat(lines, '\n'))
end

local taken = 0
for _, item in ipairs(cjson.decode(ARGV[3])) do
  local row = task.current(call, item[2], item[1], item[3])
  if row and row.stage ~= 'STARTED' then
    taken = taken + 1
    remember(row, item[4], item[5])
    task.conclude(call, row, 'DECLINED', item[4], task.at_no_cost(row))
  end
end
task.finish(call)
return taken
