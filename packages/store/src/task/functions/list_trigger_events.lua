-- Reads the durable events of a trigger after a position, oldest first.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] id, ARGV[4] position, ARGV[5] most events,
-- ARGV[6] bytes of payloads after which the answer ends.
-- Returns a refusal, or {} when there is no such task, or {number of events ever, list of position, attempt,
-- number, agent, at ms, payload, ...}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local id, most, room = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local v = redis.call('HMGET', task.key(call, id), 'state', 'events')
if not v[1] then return {} end
local found = {}
for _, entry in ipairs(redis.call('XRANGE', task.events_key(call, id), '(' .. ARGV[4] .. '-0', '+', 'COUNT', most)) do
  local fields = entry[2]
  if room <= 0 then break end
  room = room - #fields[10]
  local last = #found
  found[last + 1], found[last + 2], found[last + 3] = string.match(entry[1], '^%d+'), fields[2], fields[4]
  found[last + 4], found[last + 5], found[last + 6] = fields[6], fields[8], fields[10]
end
return { v[2] or '0', found }
