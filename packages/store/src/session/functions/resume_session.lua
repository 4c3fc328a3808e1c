-- Binds an open session to a new stream of the same instance (L5, I13).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agent         string  name of the agent
-- ARGV[4] claim         JSON    {session, instance, generation, keyDigest, dial}
-- ARGV[5] facts         JSON    {field: text} of the session hash that the hello states anew
-- Returns JSON: {kind: refused, reason} | {kind: unknown} (another session, instance or key)
--   | {kind: ending, reason} | {kind: ended, reason} | {kind: generation, generation}
--   | {kind: resumed, availability, onCut, health, healthReason}
-- Events: agents.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local agent, claim, facts = ARGV[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local key = session.key(keys, agent)
local row = session.read(keys, agent, { 'session', 'state', 'reason', 'instance', 'keyDigest',
  'generation', 'health', 'healthReason', 'clock', 'countAt' })
if row.session ~= claim.session or row.instance ~= claim.instance
  or row.keyDigest ~= claim.keyDigest then
  return cjson.encode({ kind = 'unknown' })
end
if row.state ~= 'OPEN' then
  return cjson.encode({ kind = string.lower(row.state), reason = row.reason or '' })
end
if claim.generation <= tonumber(row.generation) then
  return cjson.encode({ kind = 'generation', generation = tonumber(row.generation) })
end
-- A resume is no beat: the age goes on, counted from now on by the way through this registry.
local all = session.clocks.load(keys, now, session.limits(keys))
local age = session.clocks.age(all, agent, row)
local way = (facts.registry or '') .. '|'
local reading = session.clocks.reading(all, session.clocks.ensure(all, way))
session.clocks.save(all)
for field, value in pairs(facts) do redis.call('HSET', key, field, value) end
-- The agent may have changed its group meanwhile.
local control = session.control(keys, agent, facts.group, row.instance, now)
for field, value in pairs(control) do redis.call('HSET', key, field, value) end
redis.call('HSET', key, 'generation', string.format('%d', claim.generation), 'clock', way,
  'countAt', string.format('%d', reading - age))
if claim.dial > 0 then redis.call('HSET', key, 'dial', string.format('%d', claim.dial)) end
redis.call('HDEL', key, 'turnedUntil')
session.touch(keys, agent, now)
session.announce(keys)
return cjson.encode({ kind = 'resumed', availability = control.availability,
  onCut = control.onCut, health = row.health,
  healthReason = row.healthReason or '' })
