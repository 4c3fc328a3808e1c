-- Notes that confirmed attempts were started, and the newest line about their work.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of {agent, id, attempt, note or ''}:
-- without a note the attempt was started.
-- Returns a refusal, or the number of items that were about a current attempt; the others change nothing (I7).
-- Events: one history entry for what was started.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local taken = 0
for _, item in ipairs(cjson.decode(ARGV[3])) do
  local row = task.current(call, item[2], item[1], item[3])
  if row and row.stage ~= 'OFFERED' then
    taken = taken + 1
    if item[4] ~= '' then
      redis.call('HSET', row.key, 'note', item[4])
    elseif row.stage == 'CONFIRMED' then
      redis.call('HSET', row.key, 'stage', 'STARTED', 'startedAtMs', call.now_text)
      task.change(call, row.id, row.state, row.attempt, 'STARTED', row.agent)
    end
  end
end
task.finish(call)
return taken
