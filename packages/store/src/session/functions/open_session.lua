-- Opens a new session of an agent, or says why not.
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agent         string  name of the agent
-- ARGV[4] facts         JSON    {field: text} of the session hash: instance, registry, kind, ...
-- ARGV[5] claim         JSON    {dial, oldInstance?, unguarded?}: the hello's number within its instance (0: not
--                               stated), the instance that it takes over, and that its guard has no lock
-- Returns JSON: {kind: refused, reason} | {kind: alive, ageMs, freeInMs} (T6) | {kind: unguarded}
--   | {kind: old_hello, session} | {kind: deleted, buried, freeInMs} (O3)
--   | {kind: opened, session, availability, onCut, superseded?, takeover?}
-- Events: agents; wake when nothing else ended the former session.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local epoch, agent, facts, claim = ARGV[1], ARGV[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local refusal = core.refusal(keys.config, epoch)
if refusal then return session.refused(refusal) end

local control, buried, free_in = session.control(keys, agent, facts.group, facts.instance, now)
if control.availability == 'DELETED' then
  return cjson.encode({ kind = 'deleted', buried = buried, freeInMs = math.max(0, free_in) })
end
local limits = session.limits(keys)
local key = session.key(keys, agent)
local old = session.read(keys, agent, session.judged)
local kept = session.read(keys, agent, { 'instance', 'dial' })
local all = session.clocks.load(keys, now, limits)
local lives = old.state == 'OPEN' or old.state == 'ENDING'
local same = kept.instance == facts.instance
-- The lock proves that nothing of the instance runs any more (G1), so its session need not run out (T6).
local takeover = not same and claim.oldInstance ~= nil and claim.oldInstance == kept.instance
local conflict = claim.unguarded or (lives and not same and not takeover)
if conflict and old.session then
  redis.call('HSET', key, 'conflictAtMs', now)
  session.touch(keys, agent, now)
  session.announce(keys)
end
if conflict and not lives then return cjson.encode({ kind = 'unguarded' }) end
if conflict then
  local counted = session.clocks.age(all, agent, old)
  return cjson.encode({ kind = 'alive', ageMs = math.max(0, now - tonumber(old.beatAtMs)),
    freeInMs = math.max(0, session.limits_of(limits, old).failed - counted) })
end

-- A hello that was held up on its way speaks of what the instance held then, not of what it holds now.
if same and claim.dial > 0 and claim.dial <= tonumber(kept.dial or 0) then
  return cjson.encode({ kind = 'old_hello', session = old.session })
end

-- The same instance comes back, or one that takes it over: its inventory is the word on what the former
-- session held (L8, T6), so nothing is given up here.
if lives then session.unlist(keys, agent, old) end

if redis.call('HGET', keys.numbers, 'epoch') ~= epoch then
  redis.call('HSET', keys.numbers, 'epoch', epoch, 'number', 0)
end
local number = redis.call('HINCRBY', keys.numbers, 'number', 1)
local opened = epoch .. '.' .. string.format('%d', number)
local way = facts.registry .. '|'
local reading = session.clocks.reading(all, session.clocks.ensure(all, way))
session.clocks.save(all)

redis.call('HDEL', key, 'echoVersion', 'echoHeartbeatMs')
for field, value in pairs(facts) do redis.call('HSET', key, field, value) end
for field, value in pairs(control) do redis.call('HSET', key, field, value) end
redis.call('HDEL', key, 'reason', 'endedAtMs', 'conflictAtMs', 'loopTurns', 'runnerState', 'turnedMs',
  'turnedUntil')
redis.call('HSET', key, 'session', opened, 'state', 'OPEN', 'generation', 1, 'beatSeq', 0,
  'beatAtMs', now, 'openedAtMs', now, 'health', 'REGISTERED',
  'healthReason', '', 'healthSinceMs', now, 'slotsUsed', 0, 'beaten', 0, 'clock', way,
  'countAt', string.format('%d', reading))
redis.call('HSETNX', key, 'staleReports', 0)
redis.call('HSET', key, 'dial', string.format('%d', claim.dial))
-- What another process held is not judged by what this one does not hold (H1).
if not same and not takeover then redis.call('HSET', key, 'instanceFrom', opened) end
-- What a former process held and the inventory lacks is given up for the restart (T6).
if takeover then redis.call('HSET', key, 'restartedFrom', opened) end
redis.call('ZADD', keys.leases, now, agent)
redis.call('ZADD', keys.due, now + limits.degraded, agent)
redis.call('ZADD', keys.names, 0, agent)
redis.call('ZREM', keys.departed, agent)
redis.call('SADD', session.token_key(keys, facts.token), agent)
session.touch(keys, agent, now)
session.announce(keys)
return cjson.encode({
  kind = 'opened',
  session = opened,
  availability = control.availability,
  onCut = control.onCut,
  superseded = lives and old.session or nil,
  takeover = takeover or nil,
})
