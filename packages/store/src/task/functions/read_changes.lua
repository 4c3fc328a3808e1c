-- Reads the deployment's history of task changes after a position, and has changes signalled for a while.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] stream id to read after, or '' for the newest,
-- ARGV[4] most entries.
-- Returns a refusal, or {newest id of the history, id up to which it was trimmed or '', entries: list of
-- {id, at ms, changes}, keys: list of id, key, ...}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local WATCHED_MS = 10000
redis.call('SET', call.tag .. ':watched', '1', 'PX', WATCHED_MS)
local stream = call.tag .. ':changes'
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local newest_id = newest[1] and newest[1][1] or redis.call('HGET', call.tag .. ':counts', 'trimmedTo') or '0-0'
local trimmed = redis.call('HGET', call.tag .. ':counts', 'trimmedTo') or ''
if ARGV[3] == '' then return { newest_id, trimmed, {}, {} } end
local entries, keys, seen = {}, {}, {}
local function note_key(id)
  if seen[id] then return end
  seen[id] = true
  keys[#keys + 1] = id
  keys[#keys + 1] = redis.call('HGET', task.key(call, id), 'key') or ''
end
for i, entry in ipairs(redis.call('XRANGE', stream, '(' .. ARGV[3], '+', 'COUNT', ARGV[4])) do
  local fields = entry[2]
  entries[i] = { entry[1], fields[2], fields[6] }
  local position, field = 1, 0
  while position do
    local stop = string.find(fields[6], '\31', position, true)
    if field % 9 == 0 then note_key(string.sub(fields[6], position, (stop or 0) - 1)) end
    position, field = stop and stop + 1, field + 1
  end
end
return { newest_id, trimmed, entries, keys }
