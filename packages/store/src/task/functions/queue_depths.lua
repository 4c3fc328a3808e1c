-- Counts what waits by lane, and all tasks by state.
-- Callers: scheduler, registry.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or ''.
-- Returns a refusal, or {list of lane, depth, ..., list of state, count, ...}; lanes that are empty are forgotten.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local depths, counts = {}, {}
for _, lane in ipairs(redis.call('SMEMBERS', call.tag .. ':lanes')) do
  local depth = redis.call('ZCARD', call.tag .. ':lane:' .. lane)
  if depth == 0 then
    redis.call('SREM', call.tag .. ':lanes', lane)
  else
    depths[#depths + 1] = lane
    depths[#depths + 1] = depth
  end
end
for _, state in ipairs({ 'QUEUED', 'ASSIGNED', 'HELD', 'SUCCEEDED', 'FAILED', 'CANCELED' }) do
  counts[#counts + 1] = state
  counts[#counts + 1] = tonumber(redis.call('HGET', call.tag .. ':counts', state) or 0)
end
return { depths, counts }
