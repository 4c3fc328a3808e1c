-- Says whether a deployment is in quarantine after a failover, restore or wipe, and ends it when its time has passed
-- and every known live agent has said what it holds, or has FAILED (D2).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most agents to be named.
-- Returns a refusal, or JSON {open 0|1, ms that it lasts at least, names of agents that are waited for}.
-- Events: a wake-up of all lanes at its end.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
if not call.quarantined then return '[0,0,[]]' end
local quarantine, inventoried = call.tag .. ':quarantine', call.tag .. ':inventoried'
local left = math.max(0, tonumber(redis.call('HGET', quarantine, 'untilMs')) - call.now)
local awaited = redis.call('ZDIFF', 2, call.tag .. ':leases', inventoried)
if left == 0 and #awaited == 0 then
  redis.call('HSET', quarantine, 'open', '0')
  redis.call('DEL', inventoried)
  local lanes = redis.call('SMEMBERS', call.tag .. ':lanes')
  if #lanes > 0 then task.wake(call, { lanes = lanes }) end
  return '[0,0,[]]'
end
local named = {}
for i = 1, math.min(#awaited, tonumber(ARGV[3])) do named[i] = awaited[i] end
return '[1,' .. string.format('%.0f', left) .. ',' .. core.list(named) .. ']'
