-- Shared by the functions of the session aggregate, which alone write the keys named here. A function
-- is given the configuration's key; the others are derived from it, so all lie in one hash slot.
local session = {}

function session.keys(config)
  local tag = string.sub(config, 1, -(#':config' + 1))
  return {
    config = config,
    tag = tag,
    deployment = string.match(tag, '{(.*)}'),
    leases = tag .. ':leases',
    due = tag .. ':due',
    agents = tag .. ':agents',
    names = tag .. ':agent-names',
    giveup = tag .. ':giveup',
    departed = tag .. ':departed',
    clocks = tag .. ':clocks',
    brakes = tag .. ':brakes',
    numbers = tag .. ':session-numbers',
    controls = tag .. ':agent-controls',
    changed = {},
    giveups = 0,
  }
end

function session.key(keys, agent) return keys.tag .. ':session:' .. agent end

function session.token_key(keys, token) return keys.tag .. ':token-agents:' .. token end

function session.refused(reason) return cjson.encode({ kind = 'refused', reason = reason }) end

-- The named fields of an agent's hash as a table; missing ones are nil.
function session.read(keys, agent, fields)
  local values = redis.call('HMGET', session.key(keys, agent), unpack(fields))
  local row = {}
  for index, field in ipairs(fields) do
    if values[index] then row[field] = values[index] end
  end
  return row
end

-- The fields that judging an agent needs.
session.judged = {
  'session', 'state', 'reason', 'registry', 'generation', 'token', 'beatSeq', 'beatAtMs', 'health',
  'healthReason', 'loopTurns', 'kind', 'clock', 'countAt', 'turnedMs', 'brake', 'echoVersion',
  'echoHeartbeatMs',
}

-- Heartbeat interval and limits of the deployment in milliseconds. One beat counts as missed a
-- quarter of an interval after it was due: late is not missed.
function session.limits(keys)
  local values = redis.call('HMGET', keys.config, 'heartbeatMs', 'limitMs', 'intervalVersion')
  local heartbeat = tonumber(values[1])
  return {
    heartbeat = heartbeat,
    degraded = heartbeat + math.floor(heartbeat / 4),
    failed = tonumber(values[2]),
    interval_version = tonumber(values[3]) or 0,
  }
end

-- While the interval changes an agent is judged by the larger one, until it has echoed the new (T4).
function session.limits_of(limits, row)
  local echoed = tonumber(row.echoHeartbeatMs or 0)
  if echoed <= limits.heartbeat or tonumber(row.echoVersion) == limits.interval_version then
    return limits
  end
  return { heartbeat = echoed, degraded = echoed + math.floor(echoed / 4),
    failed = math.max(limits.failed, 3 * echoed) }
end

-- Remembers that an agent changed; announced once by `session.announce`.
function session.touch(keys, agent, now)
  redis.call('ZADD', keys.agents, now, agent)
  keys.changed[#keys.changed + 1] = agent
end

function session.set_health(keys, agent, row, health, reason, now)
  if row.health == health and (row.healthReason or '') == reason then return false end
  redis.call('HSET', session.key(keys, agent),
    'health', health, 'healthReason', reason, 'healthSinceMs', now)
  row.health, row.healthReason = health, reason
  session.touch(keys, agent, now)
  return true
end

-- How long an agent is shown after it is gone, and when one that cannot be forgotten is looked at again.
session.forget_after_ms = { LEFT = 3600000, FAILED = 24 * 3600000 }
session.forget_again_ms = 600000

-- Ends a session for good. What it held is given up through the entry in `giveup`.
function session.finish(keys, agent, row, reason, health, now)
  redis.call('HSET', session.key(keys, agent), 'state', 'ENDED', 'reason', reason, 'registry', '',
    'endedAtMs', now)
  session.set_health(keys, agent, row, health, reason, now)
  session.touch(keys, agent, now)
  session.unlist(keys, agent, row)
  local shown = reason == 'deleted' and 0 or session.forget_after_ms[health]
  redis.call('ZADD', keys.departed, now + shown, agent)
  session.give_up(keys, agent, row.session, reason, now)
end

-- Has what an ended session held dealt with by the scheduler, as the reason says.
function session.give_up(keys, agent, ended, reason, now)
  redis.call('ZADD', keys.giveup, now, agent .. '|' .. ended .. '|' .. reason)
  keys.giveups = keys.giveups + 1
end

-- Takes an ended session out of the lists of those that are judged.
function session.unlist(keys, agent, row)
  redis.call('ZREM', keys.leases, agent)
  redis.call('ZREM', keys.due, agent)
  if row.token then redis.call('SREM', session.token_key(keys, row.token), agent) end
  session.brake.free(keys, agent, row)
end

-- OPEN becomes ENDING (L8): judged from now on by its last acknowledged beat alone.
function session.begin_ending(keys, agent, row, reason, limits, now)
  redis.call('HSET', session.key(keys, agent), 'state', 'ENDING', 'reason', reason)
  redis.call('ZADD', keys.due, tonumber(row.beatAtMs) + limits.failed, agent)
  session.brake.free(keys, agent, row)
  session.set_health(keys, agent, row, 'DEGRADED', reason, now)
  row.state = 'ENDING'
end

-- Wakes who watches agents, and the schedulers when work waits to be given up.
function session.announce(keys)
  if #keys.changed > 0 then
    redis.call('PUBLISH', 'rmx:global:agents',
      cjson.encode({ deployment = keys.deployment, agents = keys.changed }))
  end
  if keys.giveups > 0 then
    redis.call('PUBLISH', 'rmx:global:wake',
      cjson.encode({ deployment = keys.deployment, giveup = true }))
  end
end
