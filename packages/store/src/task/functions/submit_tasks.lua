-- Queues tasks, idempotently by task id.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] items: JSON list of {id, key, lane, queue,
-- priority, slotCost, payloadBytes, specBytes, credentials 0|1, extra: list of further fields and values},
-- ARGV[4] bytes: per item 32 bytes of digest, then the spec.
-- Returns a refusal, or a JSON list with, per item, {'queued'}, {'existing', state}, or {refusal code, fact}.
-- Events: one history entry; a wake-up for each lane that was empty.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local items, bytes = cjson.decode(ARGV[3]), ARGV[4]
local config = redis.call('HMGET', KEYS[1], 'maxQueued', 'maxSlotCost', 'maxPayloadBytes', 'queues')
local max_queued, max_slot_cost = tonumber(config[1] or 1000000), tonumber(config[2] or 1000)
local max_payload = tonumber(config[3] or 1048576)
local queues = { default = true }
for _, queue in ipairs(cjson.decode(config[4] or '[]')) do queues[queue] = true end
local counts = redis.call('HMGET', call.tag .. ':counts', 'QUEUED', 'submitNumber')
local room, number = max_queued - tonumber(counts[1] or 0), tonumber(counts[2] or 0)

local answers, submitted, at = {}, {}, 1
local QUEUED = { 'queued' }

-- A task that was trimmed is remembered by its digest and its state for a while.
local function existing(key, item, digest, spec)
  local v = redis.call('HMGET', key, 'digest', 'state', 'remembered', 'rebuilt')
  if not v[1] then return nil end
  if v[1] ~= digest then return { 'conflict' } end
  if v[4] then
    -- Its agent has brought it back after a loss of the store; this is what it lacks (S6).
    redis.call('HSET', key, 'spec', spec, 'lane', item[3], unpack(item[10]))
    redis.call('HDEL', key, 'rebuilt')
  end
  if v[2] == 'QUEUED' and item[9] == 1 then redis.call('HSET', key, 'spec', spec) end
  return { 'existing', v[2] or v[3] }
end

local function refused(item)
  if not queues[item[4]] then return { 'queue_unknown' } end
  if item[6] > max_slot_cost then return { 'slot_cost_too_large', max_slot_cost } end
  if item[7] > max_payload then return { 'payload_too_large', max_payload } end
  if room <= #submitted then return { 'tasks_limit', max_queued } end
end

for i, item in ipairs(items) do
  local id, after = item[1], at + 32 + item[8]
  local key, digest, spec = call.task_prefix .. id, string.sub(bytes, at, at + 31), string.sub(bytes, at + 32, after - 1)
  at = after
  local answer = existing(key, item, digest, spec) or refused(item)
  if not answer then
    submitted[#submitted + 1] = id
    local place = string.format('%016d', number + #submitted)
    redis.call('HSET', key, 'state', 'QUEUED', 'key', item[2], 'digest', digest, 'spec', spec, 'lane', item[3],
      'place', place, 'queuedAtMs', call.now_text, unpack(item[10]))
    task.enqueue(call, item[3], item[5], place, id)
    task.change(call, id, 'QUEUED')
    answer = QUEUED
  end
  answers[i] = answer
end
if #submitted > 0 then redis.call('RPUSH', call.tag .. ':submitted', unpack(submitted)) end
task.count(call, 'QUEUED', #submitted)
task.count(call, 'submitNumber', #submitted)
task.finish(call)
return core.list(answers)
