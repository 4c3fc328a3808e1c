-- Counts refused stale reports on the agents that sent them (C3).
-- Callers: scheduler.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] counts        JSON    list of {agent, count}
-- Returns JSON: {kind: refused, reason} | {kind: counted}
local keys, counts = session.keys(KEYS[1]), cjson.decode(ARGV[2])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
for _, item in ipairs(counts) do
  local key = session.key(keys, item.agent)
  if redis.call('EXISTS', key) == 1 then redis.call('HINCRBY', key, 'staleReports', item.count) end
end
return cjson.encode({ kind = 'counted' })
