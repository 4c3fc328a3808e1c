-- Notes that a stream ended: its agent is DEGRADED until a beat comes through another (section 3).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] streams       JSON    list of {agent, session, registry, generation}
-- Returns JSON: {kind: refused, reason} | {kind: noted, count} (those that were still current)
-- Events: agents.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local streams = cjson.decode(ARGV[3])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local count = 0
for _, stream in ipairs(streams) do
  local row = session.read(keys, stream.agent, session.judged)
  if row.session == stream.session and row.registry == stream.registry
    and tonumber(row.generation) == stream.generation then
    redis.call('HSET', session.key(keys, stream.agent), 'registry', '')
    if row.state == 'OPEN' then
      session.set_health(keys, stream.agent, row, 'DEGRADED', 'stream_down', now)
    else
      session.touch(keys, stream.agent, now)
    end
    count = count + 1
  end
end
session.announce(keys)
return cjson.encode({ kind = 'noted', count = count })
