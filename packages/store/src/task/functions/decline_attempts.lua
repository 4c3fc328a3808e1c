-- Takes attempts back that their agents will never start: queued again at their place, at no cost (S5, S9).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of {agent, id, attempt, reason}.
-- Returns a refusal, or the number that was taken back; the others were not current or had started (I7).
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local taken = 0
for _, item in ipairs(cjson.decode(ARGV[3])) do
  local row = task.current(call, item[2], item[1], item[3])
  if row and row.stage ~= 'STARTED' then
    taken = taken + 1
    task.conclude(call, row, 'DECLINED', item[4], task.at_no_cost(row))
  end
end
task.finish(call)
return taken
