-- Renews leases by a batch of beats; an answer per beat, in order (L1, T5).
-- Callers: health-monitor.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] beats         JSON    list of {agent, session, generation, sequence, intervalVersion, loopTurns,
--                               loopAgeMs, runnerState, slotsUsed, facts?: {field: text}}
-- ARGV[4] monitor       string  id of the caller's replica
-- Returns JSON: {kind: refused, reason} | {kind: renewed, intervalVersion, answers: [
--   {kind: taken, sequence, health, reason, changed} | {kind: ending, reason} | {kind: ended, reason}
--   | {kind: old_stream}]}
-- Events: agents when a health changed; wake when a lease was found expired.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local beats, monitor = cjson.decode(ARGV[3]), ARGV[4]
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local limits = session.limits(keys)
local all = session.clocks.load(keys, now, limits)
local watch

-- Due by its age, not yet found by the scan, and not held back by the brake (L4).
local function is_over(agent, row, own)
  if row.brake or session.clocks.age(all, agent, row) < own.failed then return false end
  if row.state == 'ENDING' then return true end
  watch = watch or session.brake.watch(all, limits)
  return session.brake.scope_of(watch, row) == nil
end

local function judge(row, beat, own)
  if row.registry == '' then return 'DEGRADED', 'stream_down' end
  if beat.runnerState ~= 'READY' then return 'DEGRADED', 'runner_' .. string.lower(beat.runnerState) end
  -- A loop must turn between two beats; two beats close to each other prove nothing.
  local same = tonumber(row.loopTurns or -1) == beat.loopTurns
    and now - tonumber(row.beatAtMs) >= own.heartbeat / 2
  if beat.loopAgeMs >= own.heartbeat or same then return 'DEGRADED', 'loop_stalled' end
  return 'HEALTHY', ''
end

local function renew(beat)
  local row = session.read(keys, beat.agent, session.judged)
  if row.session ~= beat.session then
    return { kind = 'ended', reason = row.session and 'superseded' or 'session_unknown' }
  end
  if row.state == 'ENDED' then return { kind = 'ended', reason = row.reason } end
  local own = session.limits_of(limits, row)
  if is_over(beat.agent, row, own) then
    -- Expired and not yet found by the scan: ended here, never revived.
    local reason = row.state == 'ENDING' and row.reason or 'lease_expired'
    session.finish(keys, beat.agent, row, reason, 'FAILED', now)
    return { kind = 'ended', reason = reason }
  end
  if row.state == 'ENDING' then return { kind = 'ending', reason = row.reason } end
  if beat.generation < tonumber(row.generation) then return { kind = 'old_stream' } end
  local last, changed = tonumber(row.beatSeq), false
  if beat.sequence > last then
    last = beat.sequence
    local health, reason = judge(row, beat, own)
    local key = session.key(keys, beat.agent)
    local way = row.registry ~= '' and row.registry .. '|' .. monitor or row.clock or '|'
    local reading = session.clocks.reading(all, session.clocks.ensure(all, way))
    redis.call('HSET', key, 'beatSeq', string.format('%d', last), 'beatAtMs', now, 'beaten', 1,
      'loopTurns', string.format('%d', beat.loopTurns), 'runnerState', beat.runnerState,
      'slotsUsed', beat.slotsUsed, 'clock', way, 'countAt', string.format('%d', reading))
    if row.turnedMs then redis.call('HDEL', key, 'turnedMs', 'turnedUntil') end
    local echoed = tonumber(beat.intervalVersion or 0)
    if echoed > 0 and tonumber(row.echoVersion) ~= echoed then
      row.echoVersion, row.echoHeartbeatMs = echoed, session.clocks.interval_of(all, limits, echoed)
      redis.call('HSET', key, 'echoVersion', echoed, 'echoHeartbeatMs', row.echoHeartbeatMs)
      own = session.limits_of(limits, row)
    end
    session.brake.free(keys, beat.agent, row)
    for field, value in pairs(beat.facts or {}) do redis.call('HSET', key, field, value) end
    if beat.facts then
      -- A beat may state another group, with other decisions of operators.
      session.apply_control(keys, beat.agent, session.read(keys, beat.agent, session.controlled), now)
      session.touch(keys, beat.agent, now)
    end
    redis.call('ZADD', keys.leases, now, beat.agent)
    redis.call('ZADD', keys.due, now + own.degraded, beat.agent)
    changed = session.set_health(keys, beat.agent, row, health, reason, now)
  end
  return { kind = 'taken', sequence = last, health = row.health, reason = row.healthReason or '',
    changed = changed }
end

local answers = {}
for index, beat in ipairs(beats) do answers[index] = renew(beat) end
session.clocks.save(all)
session.announce(keys)
return cjson.encode({ kind = 'renewed', intervalVersion = limits.interval_version, answers = answers })
