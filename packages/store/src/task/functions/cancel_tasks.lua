-- Wishes that tasks end (C4): queued and offered ones are CANCELED at once, running ones when their agent reports,
-- held ones when their agent comes back with them or they are given up.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of ids.
-- Returns a refusal, or a JSON list with, per id, {state now or '' when unknown, agent, session, attempt}; the last
-- three name whom to tell: a running attempt to be canceled, or an offer to be withdrawn.
-- Events: one history entry; a wake-up that names the agents to be told.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end

local function cancel_queued(row)
  local v = redis.call('HMGET', row.key, 'lane', 'place')
  redis.call('ZREM', call.tag .. ':lane:' .. v[1], v[2] .. ':' .. row.id)
  redis.call('HSET', row.key, 'state', 'CANCELED', 'endedAtMs', call.now_text, 'reason', 'canceled_queued')
  task.count(call, 'QUEUED', -1)
  task.count(call, 'CANCELED', 1)
  call.ended[#call.ended + 1] = call.now_text .. ':' .. row.id
  task.change(call, row.id, 'CANCELED', '', '', '', '', 'canceled_queued')
  return { 'CANCELED', '', '', '' }
end

local answers, told = {}, {}
for i, id in ipairs(cjson.decode(ARGV[3])) do
  local _, row = task.current(call, id, '', '')
  if not row.state then
    answers[i] = { redis.call('HGET', row.key, 'remembered') or '', '', '', '' }
  elseif row.state == 'QUEUED' then
    answers[i] = cancel_queued(row)
  elseif row.state ~= 'ASSIGNED' and row.state ~= 'HELD' then
    answers[i] = { row.state, '', '', '' }
  elseif row.stage == 'OFFERED' then
    task.conclude(call, row, 'DECLINED', 'canceled', 'CANCELED', nil, 'canceled')
    answers[i] = { 'CANCELED', row.agent, row.session, row.attempt }
  else
    if not row.cancel_wished then
      redis.call('HSET', row.key, 'cancelWished', '1')
      redis.call('HSET', call.tag .. ':cancels', id, row.agent)
      told[#told + 1] = row.agent
    end
    answers[i] = row.state == 'HELD' and { 'HELD', '', '', '' } or { 'ASSIGNED', row.agent, row.session, row.attempt }
  end
end
task.finish(call)
if #told > 0 then task.wake(call, { cancels = told }) end
return core.list(answers)
