-- Judges the agents that are due: DEGRADED after one missed beat, FAILED and ENDED after three (L2) by
-- counted time (L3), unless the brake holds them (L4); an ENDING session ends when the limit has passed
-- since its last acknowledged beat (L8). Any number of monitors may call it; age, session and state are
-- read here, so one of them wins.
-- Callers: health-monitor.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] rows          number  most agents to judge in this call
-- ARGV[4] view          JSON    {monitor, first: its first look since its start, sinceMs?: since its last
--                               look, by its own clock, heard: {registry: ms since it was heard},
--                               living: [registry whose record has not expired]}
-- Returns JSON: {kind: refused, reason}
--   | {kind: scanned, nowMs, more, verdicts: [{agent, session, health, reason}], brakes: [{scope,
--   engagedAtMs, base, budget, members, ended, suspects, extraMs, released}]}
-- Events: agents; wake when a session ended.
local keys, now, rows = session.keys(KEYS[1]), core.now_ms(ARGV[2]), tonumber(ARGV[3])
local view = cjson.decode(ARGV[4])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local limits = session.limits(keys)

local verdicts = {}
local function tell(agent, row)
  verdicts[#verdicts + 1] =
    { agent = agent, session = row.session, health = row.health, reason = row.healthReason }
end

local living = {}
for _, registry in ipairs(view.living) do living[registry] = true end
view.living = living
local all = session.clocks.load(keys, now, limits)
session.clocks.tick(all, view, ARGV[1])

local watch
local function held_back(agent, row)
  watch = watch or session.brake.watch(all, limits)
  local scope = session.brake.scope_of(watch, row)
  if scope then session.brake.hold(watch, scope, { agent = agent, row = row }, tell) end
  return scope ~= nil
end

local function look_again(agent, left_ms) redis.call('ZADD', keys.due, now + math.max(left_ms, 250), agent) end

local function judge(agent)
  local row = session.read(keys, agent, session.judged)
  if row.state ~= 'OPEN' and row.state ~= 'ENDING' then return session.unlist(keys, agent, row) end
  local own, age = session.limits_of(limits, row), session.clocks.age(all, agent, row)
  if age >= own.failed then
    if row.brake and row.state == 'OPEN' then return redis.call('ZREM', keys.due, agent) end
    if row.state == 'OPEN' and held_back(agent, row) then return end
    session.finish(keys, agent, row, row.state == 'ENDING' and row.reason or 'lease_expired', 'FAILED', now)
    return tell(agent, row)
  end
  -- Offers need a lease that is fresh by the store's own time, whatever of it counts.
  local missed = math.max(age, now - tonumber(row.beatAtMs))
  if row.state == 'OPEN' and missed < own.degraded then
    return look_again(agent, own.degraded - missed)
  end
  if row.state == 'OPEN' and row.health ~= 'DEGRADED' and row.health ~= 'SUSPECT' then
    session.set_health(keys, agent, row, 'DEGRADED', 'beats_missed', now)
    tell(agent, row)
  end
  look_again(agent, own.failed - age)
end

local due = redis.call('ZRANGEBYSCORE', keys.due, '-inf', now, 'LIMIT', 0, rows)
for _, agent in ipairs(due) do judge(agent) end
local brakes = session.brake.let_go(all, limits, rows, tell)
session.clocks.save(all)
session.announce(keys)
return '{"kind":"scanned","nowMs":' .. string.format('%d', now) .. ',"more":' .. tostring(#due == rows)
  .. ',"verdicts":' .. core.list(verdicts) .. ',"brakes":' .. core.list(brakes) .. '}'
