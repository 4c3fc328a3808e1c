-- Confirms accepted attempts exactly as PROTOCOL S3 says; what is refused and was not confirmed is queued again.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] groups: JSON list of {agent, session,
-- list of {id, attempt, sequence of the accept}}.
-- Returns a refusal, or a JSON list with, per accept in order, 'confirm', 'confirm_abort' (under ABORT), 'none', or
-- the reason of a withdrawal. What cut-off work does is chosen here, for good: task over group over deployment.
-- Events: one history entry; wake-ups for what was queued again.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local groups = cjson.decode(ARGV[3])
local config = redis.call('HMGET', KEYS[1], 'limitMs', 'onCut')
local limit_ms = tonumber(config[1] or 30000)

-- Why the session may not start anything; and what its cut-off work does where the task does not say.
local function session_problem(agent, session)
  local v = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'availability', 'beatAtMs', 'onCut', 'kind')
  if v[1] ~= session or v[2] == 'ENDED' then return 'session_ended' end
  if v[2] ~= 'OPEN' then return 'session_ending' end
  if call.now - tonumber(v[4] or 0) >= limit_ms then return 'lease_ended' end
  if v[3] and v[3] ~= 'SCHEDULABLE' then return 'cordoned' end
  return nil, v[6] == 'TRIGGERER' and 'ABORT' or task.stated(v[5], config[2])
end

local function judge(agent, session, problem, on_cut, accept)
  local row = task.current(call, accept[1], agent, accept[2])
  if not row or row.session ~= session then return 'attempt_stale' end
  if row.stage ~= 'OFFERED' then
    -- Confirmed before. A refusal must not give it up, since the first confirm may be starting it.
    if problem or call.quarantined then return 'none' end
    return redis.call('HEXISTS', row.key, 'aborts') == 1 and 'confirm_abort' or 'confirm'
  end
  if problem then
    task.conclude(call, row, 'DECLINED', problem, 'QUEUED')
    return problem
  end
  local aborts = (row.on_cut or on_cut) == 'ABORT'
  if aborts then
    redis.call('HSET', row.key, 'stage', 'CONFIRMED', 'sequence', accept[3], 'aborts', '1')
  else
    redis.call('HSET', row.key, 'stage', 'CONFIRMED', 'sequence', accept[3])
  end
  call.offered[#call.offered + 1] = row.id
  task.change(call, row.id, 'ASSIGNED', row.attempt, 'CONFIRMED', agent)
  return aborts and 'confirm_abort' or 'confirm'
end

local answers = {}
for _, group in ipairs(groups) do
  local problem, on_cut = session_problem(group[1], group[2])
  for _, accept in ipairs(group[3]) do
    answers[#answers + 1] = judge(group[1], group[2], problem, on_cut, accept)
  end
end
task.finish(call)
return core.list(answers)
