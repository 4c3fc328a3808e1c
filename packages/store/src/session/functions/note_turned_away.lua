-- Notes agents whose authenticated hello was turned away for lack of room (L6): their age does not grow
-- for one interval, and for four limits at most between two beats (L3).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] hellos        JSON    list of {agent, session, keyDigest} as the hello showed them
-- Returns JSON: {kind: refused, reason} | {kind: noted, count} (those whose session and key are theirs)
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local hellos = cjson.decode(ARGV[3])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local limits = session.limits(keys)
local all = session.clocks.load(keys, now, limits)

local function note(hello)
  local row = session.read(keys, hello.agent, session.judged)
  local more = session.read(keys, hello.agent, { 'keyDigest', 'turnedUntil' })
  if row.session ~= hello.session or row.state ~= 'OPEN' or more.keyDigest ~= hello.keyDigest then
    return 0
  end
  local own = session.limits_of(limits, row)
  session.clocks.age(all, hello.agent, row)
  local clock = session.clocks.ensure(all, row.clock or '|')
  local reading, turned = session.clocks.reading(all, clock), tonumber(row.turnedMs or 0)
  local from = math.max(reading, tonumber(more.turnedUntil or reading))
  local by = math.min(reading + own.heartbeat - from, 4 * own.failed - turned)
  if by > 0 then
    redis.call('HSET', session.key(keys, hello.agent),
      'countAt', string.format('%d', math.max(tonumber(row.countAt), clock.zero) + by),
      'turnedUntil', string.format('%d', from + by), 'turnedMs', string.format('%d', turned + by))
  end
  return 1
end

local count = 0
for _, hello in ipairs(hellos) do count = count + note(hello) end
session.clocks.save(all)
return cjson.encode({ kind = 'noted', count = count })
