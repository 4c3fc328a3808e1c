-- Lists tasks, newest first, that fit a filter.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] number of the submission to begin below, or '',
-- ARGV[4] most tasks to return, ARGV[5] most tasks to look at, ARGV[6] filter: JSON {states = list, queue, agent}.
-- Returns a refusal, or {number to go on below or '', rows as get_tasks has them, each preceded by its id}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local filter, most, look = cjson.decode(ARGV[6]), tonumber(ARGV[4]), tonumber(ARGV[5])
local states, any = {}, #filter.states == 0
for _, state in ipairs(filter.states) do states[state] = true end
local function fits(id)
  local v = redis.call('HMGET', task.key(call, id), 'state', 'lane', 'agent')
  if not v[1] or not (any or states[v[1]]) then return false end
  if filter.queue ~= '' and string.match(v[2], '^[^\n]*') ~= filter.queue then return false end
  return filter.agent == '' or v[3] == filter.agent
end
local counts = redis.call('HMGET', call.tag .. ':counts', 'submitNumber', 'submittedGone')
local newest, gone = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
local below = ARGV[3] == '' and newest + 1 or math.min(tonumber(ARGV[3]), newest + 1)
local first = math.max(gone + 1, below - look)
local found = first < below and redis.call('LRANGE', call.tag .. ':submitted', first - gone - 1, below - gone - 2) or {}
local rows, number = {}, below
while number > first and #rows < 2 * most do
  number = number - 1
  local id = found[number - first + 1]
  if id and fits(id) then
    rows[#rows + 1] = id
    rows[#rows + 1] = task.shown(call, id)
  end
end
return { number > gone + 1 and string.format('%.0f', number) or '', rows }
