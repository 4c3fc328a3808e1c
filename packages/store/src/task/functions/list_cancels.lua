-- Lists the cancels that are wished and not reported yet, so that they are repeated (C4).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most.
-- Returns a refusal, or a JSON list of {agent, session, id, attempt}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local cancels = redis.call('HGETALL', call.tag .. ':cancels')
local wished, most = {}, tonumber(ARGV[3])
for i = 1, #cancels, 2 do
  if #wished == most then break end
  local _, row = task.current(call, cancels[i], '', '')
  if row.state == 'ASSIGNED' and row.cancel_wished then
    wished[#wished + 1] = { row.agent, row.session, row.id, row.attempt }
  elseif row.state ~= 'HELD' then
    call.cancels[#call.cancels + 1] = cancels[i]
  end
end
task.finish(call)
return core.list(wished)
