-- Offers queued tasks to agents with free slots, turn by turn, from the best lane that each serves.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] offer's time to live in ms, ARGV[4] most tasks,
-- ARGV[5] JSON list of lanes, ARGV[6] candidates: JSON list of {agent, session, slots, list of lane numbers from 1}.
-- Returns a refusal, or {JSON {offers = list of {candidate from 1, id, attempt number, keyBytes, specBytes},
-- empty = list of lane numbers, full = list of candidates without a free slot,
-- unfit = list of {candidate, why}}, bytes: per offer 32 bytes of digest, the key, the spec}.
-- Events: one history entry.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local candidates = cjson.decode(ARGV[6])
local limit_ms = tonumber(redis.call('HGET', KEYS[1], 'limitMs') or 30000)

-- I6, S3: the session is open and the agent may get offers by the store; S8: slots are counted in the store.
local function why_unfit(agent, session)
  if call.quarantined then return 'quarantine' end
  local v = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'availability', 'health', 'beatAtMs')
  if v[1] ~= session or v[2] ~= 'OPEN' then return 'session_over' end
  if v[3] and v[3] ~= 'SCHEDULABLE' then return 'not_schedulable' end
  if v[4] ~= 'HEALTHY' then return 'not_healthy' end
  if call.now - tonumber(v[5] or 0) >= limit_ms then return 'lease_ended' end
end

local able, unfit, full, free_slots = {}, {}, {}, 0
for number, candidate in ipairs(candidates) do
  local why = why_unfit(candidate[1], candidate[2])
  local held = call.tag .. ':held:' .. candidate[1]
  local free = not why and candidate[3] - tonumber(redis.call('HGET', held, 'slots') or 0) or 0
  if why then
    unfit[#unfit + 1] = { number, why }
  elseif free <= 0 then
    full[#full + 1] = number
  else
    able[#able + 1] = { number = number, name = candidate[1], session = candidate[2], slots = candidate[3], held = held,
      free = free, had = free, lanes = candidate[4], tasks = {} }
    free_slots = free_slots + free
  end
end

local chosen, opened = task.choose(call, able, cjson.decode(ARGV[5]), free_slots, tonumber(ARGV[4]))
local offers, blobs, deadlines, last = {}, {}, {}, 0
local deadline = string.format('%.0f', call.now + tonumber(ARGV[3]))
if #chosen > 0 then last = redis.call('HINCRBY', call.tag .. ':counts', 'attemptNumber', #chosen) - #chosen end
for i, choice in ipairs(chosen) do
  local agent, entry = choice.agent, choice.entry
  local key, attempt = call.task_prefix .. entry.id, call.epoch .. '.' .. string.format('%.0f', last + i)
  if entry.attempts > 0 then task.forget_attempt(key) end
  redis.call('HSET', key, 'state', 'ASSIGNED', 'attempt', attempt, 'stage', 'OFFERED', 'agent', agent.name,
    'session', agent.session, 'attempts', entry.attempts + 1)
  local at = #agent.tasks
  agent.tasks[at + 1], agent.tasks[at + 2] = entry.id, attempt
  deadlines[2 * i - 1], deadlines[2 * i] = deadline, entry.id
  offers[i] = { agent.number, entry.id, last + i, #entry.key, #entry.spec }
  blobs[3 * i - 2], blobs[3 * i - 1], blobs[3 * i] = entry.digest, entry.key, entry.spec
  task.change(call, entry.id, 'ASSIGNED', attempt, 'OFFERED', agent.name)
end
task.count(call, 'QUEUED', -#chosen)
task.count(call, 'ASSIGNED', #chosen)
for _, agent in ipairs(able) do
  if #agent.tasks > 0 then
    redis.call('HSET', agent.held, unpack(agent.tasks))
    redis.call('HINCRBY', agent.held, 'slots', agent.had - agent.free)
  end
  if agent.free <= 0 then full[#full + 1] = agent.number end
end
if #deadlines > 0 then redis.call('ZADD', call.tag .. ':offers', unpack(deadlines)) end
local empty = task.close_lanes(call, opened)
task.finish(call)
local head = '{"offers":' .. core.list(offers) .. ',"empty":' .. core.list(empty) .. ',"full":' .. core.list(full)
  .. ',"unfit":' .. core.list(unfit) .. '}'
return { head, table.concat(blobs) }
