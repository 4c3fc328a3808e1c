-- Removes ended tasks beyond their retention, keeps their keys' memory a day longer, and shortens the history.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most tasks, ARGV[4] most changes kept.
-- Returns a refusal, or JSON {removed tasks, removed history entries}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local REMEMBERED_MS, ENTRIES = 86400000, 200
local config = redis.call('HMGET', KEYS[1], 'retentionMs', 'maxEnded')
local oldest = call.now - tonumber(config[1] or 86400000)
local ended, surplus = call.tag .. ':ended', redis.call('LLEN', call.tag .. ':ended') - tonumber(config[2] or 100000)
local removed = 0
for _, entry in ipairs(redis.call('LRANGE', ended, 0, ARGV[3] - 1)) do
  local at, id = string.match(entry, '^(%d+):(.*)$')
  if removed >= surplus and tonumber(at) > oldest then break end
  removed = removed + 1
  local v = redis.call('HMGET', task.key(call, id), 'state', 'digest')
  if v[1] then
    redis.call('DEL', task.key(call, id), task.events_key(call, id))
    redis.call('HSET', task.key(call, id), 'remembered', v[1], 'digest', v[2])
    redis.call('PEXPIRE', task.key(call, id), REMEMBERED_MS)
    task.count(call, v[1], -1)
  end
end
if removed > 0 then redis.call('LTRIM', ended, removed, -1) end

-- The list of all submissions loses what is gone at its old end; a task that lives on holds what came after it.
local submitted, forgotten = call.tag .. ':submitted', 0
for _, id in ipairs(redis.call('LRANGE', submitted, 0, ARGV[3] - 1)) do
  if redis.call('HEXISTS', task.key(call, id), 'state') == 1 then break end
  forgotten = forgotten + 1
end
if forgotten > 0 then redis.call('LTRIM', submitted, forgotten, -1) end
task.count(call, 'submittedGone', forgotten)

local counts, stream = call.tag .. ':counts', call.tag .. ':changes'
local kept, dropped, last = tonumber(redis.call('HGET', counts, 'changesKept') or 0), 0, nil
for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', ENTRIES)) do
  if kept <= tonumber(ARGV[4]) and tonumber(entry[2][2]) > oldest then break end
  kept, dropped, last = kept - tonumber(entry[2][4]), dropped + 1, entry[1]
end
if last then
  redis.call('XTRIM', stream, 'MINID', last)
  redis.call('XDEL', stream, last)
  redis.call('HSET', counts, 'trimmedTo', last, 'changesKept', kept)
end
task.finish(call)
return '[' .. removed .. ',' .. dropped .. ']'
