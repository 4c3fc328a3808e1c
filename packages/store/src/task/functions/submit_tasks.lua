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
local queued = tonumber(redis.call('HGET', call.tag .. ':counts', 'QUEUED') or 0)
local place = redis.call('HINCRBY', call.tag .. ':counts', 'submitNumber', #items) - #items

local answers, indexed, at = {}, {}, 1
local function existing(item, digest, spec)
  local key = task.key(call, item[1])
  local v = redis.call('HMGET', key, 'state', 'digest')
  if not v[1] then
    local remembered = redis.call('HMGET', call.tag .. ':remembered:' .. item[1], 'state', 'digest')
    if not remembered[1] then return nil end
    v = remembered
  elseif v[2] == digest and v[1] == 'QUEUED' and item[9] == 1 then
    redis.call('HSET', key, 'spec', spec)
  end
  if v[2] ~= digest then return { 'conflict' } end
  return { 'existing', v[1] }
end

local function refused(item)
  if not queues[item[4]] then return { 'queue_unknown' } end
  if item[6] > max_slot_cost then return { 'slot_cost_too_large', max_slot_cost } end
  if item[7] > max_payload then return { 'payload_too_large', max_payload } end
  if queued >= max_queued then return { 'tasks_limit', max_queued } end
end

for i, item in ipairs(items) do
  local digest, spec = string.sub(bytes, at, at + 31), string.sub(bytes, at + 32, at + 31 + item[8])
  at = at + 32 + item[8]
  local answer = existing(item, digest, spec) or refused(item)
  if not answer then
    local id, number = item[1], place + i
    local padded = string.format('%016d', number)
    redis.call('HSET', task.key(call, id), 'state', 'QUEUED', 'key', item[2], 'digest', digest, 'spec', spec,
      'lane', item[3], 'place', padded, 'queuedAtMs', call.now, unpack(item[10]))
    task.enqueue(call, item[3], item[5], padded, id)
    indexed[#indexed + 1] = number
    indexed[#indexed + 1] = id
    task.count(call, 'QUEUED', 1)
    task.change(call, id, 'QUEUED')
    queued = queued + 1
    answer = { 'queued' }
  end
  answers[i] = answer
end
if #indexed > 0 then redis.call('ZADD', call.tag .. ':index', unpack(indexed)) end
task.finish(call)
return core.list(answers)
