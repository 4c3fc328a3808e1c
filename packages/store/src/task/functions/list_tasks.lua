-- Lists tasks, newest first, that fit a filter.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] number of the submission to begin below, or '+inf',
-- ARGV[4] most tasks to return, ARGV[5] most tasks to look at, ARGV[6] filter: JSON {states = list, queue, agent}.
-- Returns a refusal, or {number to go on below or '', rows as get_tasks has them, each preceded by its id}.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local filter, most, look = cjson.decode(ARGV[6]), tonumber(ARGV[4]), tonumber(ARGV[5])
local below = ARGV[3] == '+inf' and '+inf' or '(' .. ARGV[3]
local states, any = {}, #filter.states == 0
for _, state in ipairs(filter.states) do states[state] = true end
local function fits(id)
  local v = redis.call('HMGET', task.key(call, id), 'state', 'lane', 'agent')
  if not v[1] or not (any or states[v[1]]) then return false end
  if filter.queue ~= '' and string.match(v[2], '^[^\n]*') ~= filter.queue then return false end
  return filter.agent == '' or v[3] == filter.agent
end
local found = redis.call('ZREVRANGEBYSCORE', call.tag .. ':index', below, '-inf', 'WITHSCORES', 'LIMIT', 0, look)
local rows, last = {}, ''
for i = 1, #found, 2 do
  if #rows == 2 * most then break end
  last = found[i + 1]
  if fits(found[i]) then
    rows[#rows + 1] = found[i]
    rows[#rows + 1] = task.shown(call, found[i])
  end
end
local at_end = #found < 2 * look and #found > 0 and last == found[#found] or #found == 0
return { at_end and '' or last, rows }
