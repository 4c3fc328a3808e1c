-- Judges the agents that are due: DEGRADED after one missed beat, FAILED and ENDED after three (L2);
-- an ENDING session ends when the limit has passed since its last acknowledged beat (L8). Any number
-- of monitors may call it; age, session and state are read here, so one of them wins.
-- Callers: health-monitor.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] rows          number  most agents to judge in this call
-- Returns JSON: {kind: refused, reason}
--   | {kind: scanned, more, verdicts: [{agent, session, health, reason}]}
-- Events: agents; wake when a session ended.
local keys, now, rows = session.keys(KEYS[1]), core.now_ms(ARGV[2]), tonumber(ARGV[3])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local limits = session.limits(keys)

local verdicts = {}
local function verdict(agent, row, health, reason)
  verdicts[#verdicts + 1] =
    { agent = agent, session = row.session, health = health, reason = reason }
end

local function judge(agent)
  local row = session.read(keys, agent, session.judged)
  if row.state ~= 'OPEN' and row.state ~= 'ENDING' then
    session.unlist(keys, agent, row)
    return
  end
  local beat_at = tonumber(row.beatAtMs)
  local age = now - beat_at
  if age >= limits.failed then
    local reason = row.state == 'ENDING' and row.reason or 'lease_expired'
    session.finish(keys, agent, row, reason, 'FAILED', now)
    verdict(agent, row, 'FAILED', reason)
    return
  end
  if row.state == 'OPEN' and age < limits.degraded then
    redis.call('ZADD', keys.due, beat_at + limits.degraded, agent)
    return
  end
  if row.state == 'OPEN' and row.health ~= 'DEGRADED' then
    session.set_health(keys, agent, row, 'DEGRADED', 'beats_missed', now)
    verdict(agent, row, 'DEGRADED', 'beats_missed')
  end
  redis.call('ZADD', keys.due, beat_at + limits.failed, agent)
end

local due = redis.call('ZRANGEBYSCORE', keys.due, '-inf', now, 'LIMIT', 0, rows)
for _, agent in ipairs(due) do judge(agent) end
session.announce(keys)
return '{"kind":"scanned","more":' .. tostring(#due == rows) .. ',"verdicts":' .. core.list(verdicts)
  .. '}'
