-- Forgets agents that left or failed long ago, and whose work has been given up.
-- Callers: health-monitor.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] rows          number  most agents to look at in this call
-- Returns JSON: {kind: refused, reason} | {kind: forgotten, agents: [name]}
-- Events: agents.
local keys, now, rows = session.keys(KEYS[1]), core.now_ms(ARGV[2]), tonumber(ARGV[3])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local forgotten = {}
for _, agent in ipairs(redis.call('ZRANGEBYSCORE', keys.departed, '-inf', now, 'LIMIT', 0, rows)) do
  local row = session.read(keys, agent, { 'session', 'reason' })
  local entry = agent .. '|' .. (row.session or '') .. '|' .. (row.reason or '')
  -- A cordon is in the records and outlives this; work that is held or still to be given up does not.
  if not redis.call('ZSCORE', keys.giveup, entry) and session.held(keys, agent) == 0 then
    redis.call('DEL', session.key(keys, agent))
    redis.call('ZREM', keys.agents, agent)
    redis.call('ZREM', keys.names, agent)
    keys.changed[#keys.changed + 1] = agent
    forgotten[#forgotten + 1] = agent
    redis.call('ZREM', keys.departed, agent)
  else
    redis.call('ZADD', keys.departed, now + session.forget_again_ms, agent)
  end
end
session.announce(keys)
return '{"kind":"forgotten","agents":' .. core.list(forgotten) .. '}'
