-- Takes an operator's word that an agent is gone: what is held for its ended session is given up (O3, H1).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agent         string  name of the agent
-- Returns JSON: {kind: refused, reason} | {kind: unknown} | {kind: living, ageMs, goneInMs} (its session
--   is not over: only time ends it, L8) | {kind: gone, session}
-- Events: agents; wake.
local keys, now, agent = session.keys(KEYS[1]), core.now_ms(ARGV[2]), ARGV[3]
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local row = session.read(keys, agent, { 'session', 'state', 'beatAtMs' })
if not row.session then return '{"kind":"unknown"}' end
if row.state ~= 'ENDED' then
  local age = math.max(0, now - tonumber(row.beatAtMs))
  local gone_in = math.max(0, session.limits(keys).failed - age)
  return cjson.encode({ kind = 'living', ageMs = age, goneInMs = gone_in })
end
session.give_up(keys, agent, row.session, 'gone', now)
session.touch(keys, agent, now)
session.announce(keys)
return cjson.encode({ kind = 'gone', session = row.session })
