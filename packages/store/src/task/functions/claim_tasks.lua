-- Offers queued tasks to agents with free slots: the head of the best lane that each agent serves, turn by turn.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] offer's time to live in ms, ARGV[4] most tasks,
-- ARGV[5] JSON list of lanes, ARGV[6] candidates: JSON list of {agent, session, slots, list of lane numbers from 1}.
-- Returns a refusal, or {JSON {offers = list of {candidate from 1, id, attempt number, keyBytes, specBytes},
-- empty = list of lane numbers, full = list of candidates without a free slot,
-- unfit = list of {candidate, why}}, bytes: per offer 32 bytes of digest, the key, the spec}.
-- Events: one history entry.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local time_to_live, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local lane_names, candidates = cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
local limit_ms = tonumber(redis.call('HGET', KEYS[1], 'limitMs') or 30000)
local LOOK_AHEAD = 32

-- I6, S3: the session is open and the agent may get offers by the store; S8: slots are counted in the store.
local function why_unfit(agent, session)
  local v = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'availability', 'health', 'beatAtMs')
  if v[1] ~= session or v[2] ~= 'OPEN' then return 'session_over' end
  if v[3] and v[3] ~= 'SCHEDULABLE' then return 'not_schedulable' end
  if v[4] ~= 'HEALTHY' then return 'not_healthy' end
  if call.now - tonumber(v[5] or 0) >= limit_ms then return 'lease_ended' end
end

local able, unfit, full, free_slots = {}, {}, {}, 0
for number, candidate in ipairs(candidates) do
  local why = why_unfit(candidate[1], candidate[2])
  if why then
    unfit[#unfit + 1] = { number, why }
  else
    local used = tonumber(redis.call('HGET', call.tag .. ':held:' .. candidate[1], 'slots') or 0)
    if used < candidate[3] then
      able[#able + 1] = { number = number, agent = candidate[1], session = candidate[2], slots = candidate[3],
        free = candidate[3] - used, lanes = candidate[4], tasks = {}, cost = 0 }
      free_slots = free_slots + candidate[3] - used
    else
      full[#full + 1] = number
    end
  end
end

local window, lanes = math.min(most, free_slots) + LOOK_AHEAD, {}
local function lane_of(number)
  local lane = lanes[number]
  if not lane then
    local members = redis.call('ZRANGE', call.tag .. ':lane:' .. lane_names[number], 0, window - 1, 'WITHSCORES')
    lane = { members = members, taken = {}, first = 1, gone = {}, whole = #members / 2 < window }
    lanes[number] = lane
  end
  return lane
end

-- The first task of a lane that fits the agent at all; one that fits but not now makes the agent wait (no starving).
local function head_of(lane, agent)
  local position, seen = lane.first, 0
  while seen < LOOK_AHEAD do
    local member = lane.members[2 * position - 1]
    if not member then return nil end
    if not lane.taken[position] then
      local entry = lane[position]
      if not entry then
        local id = string.sub(member, 18)
        local v = redis.call('HMGET', task.key(call, id), 'state', 'slotCost', 'digest', 'key', 'spec', 'attempts')
        entry = { position = position, member = member, score = tonumber(lane.members[2 * position]), id = id, state = v[1],
          cost = tonumber(v[2] or 1), digest = v[3], key = v[4], spec = v[5], attempts = tonumber(v[6] or 0) }
        lane[position] = entry
      end
      if entry.state ~= 'QUEUED' then
        lane.taken[position] = true
        lane.gone[#lane.gone + 1] = member
      elseif entry.cost <= agent.slots then
        return entry
      else
        seen = seen + 1
      end
    end
    if position == lane.first and lane.taken[position] then lane.first = position + 1 end
    position = position + 1
  end
end

local function best_for(agent)
  local best, best_lane
  for _, number in ipairs(agent.lanes) do
    local lane = lane_of(number)
    local entry = head_of(lane, agent)
    if entry and (not best or entry.score < best.score or (entry.score == best.score and entry.member < best.member)) then
      best, best_lane = entry, lane
    end
  end
  if best and best.cost <= agent.free then return best, best_lane end
end

local chosen, progress = {}, true
while progress and #chosen < most do
  progress = false
  for _, agent in ipairs(able) do
    if agent.free > 0 and not agent.done and #chosen < most then
      local entry, lane = best_for(agent)
      if entry then
        lane.taken[entry.position] = true
        lane.gone[#lane.gone + 1] = entry.member
        agent.free, agent.cost = agent.free - entry.cost, agent.cost + entry.cost
        chosen[#chosen + 1] = { agent = agent, entry = entry }
        progress = true
      else
        agent.done = true
      end
    end
  end
end

local offers, blobs, deadlines = {}, {}, {}
local deadline, last = call.now + time_to_live, 0
if #chosen > 0 then last = redis.call('HINCRBY', call.tag .. ':counts', 'attemptNumber', #chosen) - #chosen end
for i, choice in ipairs(chosen) do
  local agent, entry = choice.agent, choice.entry
  local key, attempt = task.key(call, entry.id), call.epoch .. '.' .. string.format('%.0f', last + i)
  if entry.attempts > 0 then task.forget_attempt(key) end
  redis.call('HSET', key, 'state', 'ASSIGNED', 'attempt', attempt, 'stage', 'OFFERED', 'agent', agent.agent,
    'session', agent.session, 'attempts', entry.attempts + 1)
  agent.tasks[#agent.tasks + 1] = entry.id
  agent.tasks[#agent.tasks + 1] = attempt
  deadlines[#deadlines + 1] = deadline
  deadlines[#deadlines + 1] = entry.id
  offers[i] = { agent.number, entry.id, last + i, #entry.key, #entry.spec }
  blobs[#blobs + 1] = entry.digest .. entry.key .. entry.spec
  task.change(call, entry.id, 'ASSIGNED', attempt, 'OFFERED', agent.agent)
end
task.count(call, 'QUEUED', -#chosen)
task.count(call, 'ASSIGNED', #chosen)
for _, agent in ipairs(able) do
  if #agent.tasks > 0 then
    local held = call.tag .. ':held:' .. agent.agent
    redis.call('HSET', held, unpack(agent.tasks))
    redis.call('HINCRBY', held, 'slots', agent.cost)
  end
  if agent.free <= 0 then full[#full + 1] = agent.number end
end
if #deadlines > 0 then redis.call('ZADD', call.tag .. ':offers', unpack(deadlines)) end
local empty = {}
for number, lane in pairs(lanes) do
  if #lane.gone > 0 then redis.call('ZREM', call.tag .. ':lane:' .. lane_names[number], unpack(lane.gone)) end
  if lane.whole and #lane.gone * 2 == #lane.members then
    if #lane.gone > 0 then redis.call('SREM', call.tag .. ':lanes', lane_names[number]) end
    empty[#empty + 1] = number
  end
end
task.finish(call)
local head = '{"offers":' .. core.list(offers) .. ',"empty":' .. core.list(empty) .. ',"full":' .. core.list(full)
  .. ',"unfit":' .. core.list(unfit) .. '}'
return { head, table.concat(blobs) }
