-- Takes events of triggers: of the current attempt alone, in its open session under its lease (C5, G3, I11), each once.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] groups: JSON list of {agent, session,
-- list of {id, attempt, number, payloadBytes, greatest number that the agent was told is durable}}.
-- ARGV[4] bytes: the payloads.
-- Returns a refusal, or a JSON list with, per event in order, {greatest number up to which all are durable,
-- '' | 'stale' | 'later'}: a stale one is never taken, a later one may be sent again.
-- Events: one history entry.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local MOST_EVENTS, MOST_BYTES = 1000, 4194304
local groups, bytes, at = cjson.decode(ARGV[3]), ARGV[4], 1
local limit_ms = tonumber(redis.call('HGET', KEYS[1], 'limitMs') or 30000)

-- G3, I11: no event is taken outside a lease, judged by the store's time, nor while a lost store learns what runs.
local function has_lease(agent, session)
  local v = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'beatAtMs')
  return v[1] == session and v[2] == 'OPEN' and call.now - tonumber(v[3] or 0) < limit_ms and not call.quarantined
end

-- C5: an attempt that the store knows to be over. One that is newer than what it knows was lost here and may be
-- adopted yet (D2); one that is offered still was not confirmed here.
local function is_over(row, read, attempt)
  if row then return false end
  return read.attempt and task.not_after(attempt, read.attempt)
end

-- The oldest make room for what is newer.
local function shorten(stream, kept)
  while redis.call('XLEN', stream) > MOST_EVENTS or kept > MOST_BYTES do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', stream, oldest[1])
    kept = kept - #oldest[2][10]
  end
  return kept
end

local function take(row, event, payload)
  local v = redis.call('HMGET', row.key, 'eventAttempt', 'eventNumber', 'events', 'eventBytes')
  local durable = v[1] == row.attempt and tonumber(v[2]) or 0
  -- What its agent has no more was durable once: a store that lost it goes on after it (D2).
  durable = math.max(durable, event[5])
  -- A repeated one is durable already; one after a gap waits for those before it.
  if event[3] ~= durable + 1 then return durable end
  local position, stream = tonumber(v[3] or 0) + 1, task.events_key(call, row.id)
  redis.call('XADD', stream, string.format('%.0f-0', position), 'attempt', row.attempt, 'number', event[3],
    'agent', row.agent, 'at', call.now_text, 'payload', payload)
  redis.call('HSET', row.key, 'eventAttempt', row.attempt, 'eventNumber', event[3], 'events', position,
    'eventBytes', shorten(stream, tonumber(v[4] or 0) + #payload))
  task.change(call, row.id, 'ASSIGNED', row.attempt, row.stage, row.agent, '', 'trigger_event', '', event[3])
  return event[3]
end

local answers = {}
for _, group in ipairs(groups) do
  local agent, session = group[1], group[2]
  local leased = has_lease(agent, session)
  for _, event in ipairs(group[3]) do
    local payload = string.sub(bytes, at, at + event[4] - 1)
    at = at + event[4]
    local row, read = task.current(call, event[1], agent, event[2])
    if is_over(row, read, event[2]) then
      answers[#answers + 1] = { 0, 'stale' }
    elseif not leased or not row or row.state ~= 'ASSIGNED' or row.session ~= session or row.stage == 'OFFERED' then
      answers[#answers + 1] = { 0, 'later' }
    else
      answers[#answers + 1] = { take(row, event, payload), '' }
    end
  end
end
task.finish(call)
return core.list(answers)
