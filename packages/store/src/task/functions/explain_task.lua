-- Reads what says why a task has not ended yet (S8): the task, its place, who refused it, and slots in use.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] id, ARGV[4] JSON list of agents.
-- Returns a refusal, {} when there is no such task, or {now ms, the task as get_tasks has it, tasks ahead in its lane
-- or '', refusals (lines of at, agent, reason, message), quarantine 0|1, list of slots in use per agent,
-- slot cost}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local id = ARGV[3]
local row = task.shown(call, id)
if not row then return {} end
local v = redis.call('HMGET', task.key(call, id), 'lane', 'place', 'declines', 'slotCost')
local ahead = redis.call('ZRANK', call.tag .. ':lane:' .. v[1], v[2] .. ':' .. id)
local slots = {}
for i, agent in ipairs(cjson.decode(ARGV[4])) do
  slots[i] = tonumber(redis.call('HGET', call.tag .. ':held:' .. agent, 'slots') or 0)
end
return { call.now_text, row, ahead and tostring(ahead) or '', v[3] or '',
  call.quarantined and 1 or 0, slots, tonumber(v[4] or 1) }
