-- Takes open offers back from agents that are to get no work (O1): queued again at their place, at no cost.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of {agent, session, reason}.
-- Returns a refusal, or a JSON list of {agent, session, id, attempt}: whom to tell.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local withdrawn = {}
for _, item in ipairs(cjson.decode(ARGV[3])) do
  local agent, session, reason = item[1], item[2], item[3]
  local held = redis.call('HGETALL', call.tag .. ':held:' .. agent)
  for i = 1, #held, 2 do
    local row = held[i] ~= 'slots' and task.current(call, held[i], agent, held[i + 1])
    if row and row.stage == 'OFFERED' and row.session == session then
      withdrawn[#withdrawn + 1] = { agent, session, row.id, row.attempt }
      task.conclude(call, row, 'DECLINED', reason, task.at_no_cost(row))
    end
  end
end
task.finish(call)
return core.list(withdrawn)
