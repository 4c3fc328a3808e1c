-- Reads agents by name: those asked for, or the page after a name.
-- Callers: registry, scheduler.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows; not compared, reading is always allowed
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] names         JSON    list of names; empty means a page
-- ARGV[4] after         string  name that the page begins after; empty means from the first
-- ARGV[5] limit         number  most agents of the page
-- Returns a list: now, then for each agent that exists its name and its hash as a flat list, with one
-- more field `held`: the attempts that the task aggregate holds for it.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local names, after, limit = cjson.decode(ARGV[3]), ARGV[4], tonumber(ARGV[5])
if #names == 0 then
  local from = after == '' and '-' or ('(' .. after)
  names = redis.call('ZRANGEBYLEX', keys.names, from, '+', 'LIMIT', 0, limit)
end
local reply = { now }
for _, name in ipairs(names) do
  local fields = redis.call('HGETALL', session.key(keys, name))
  if #fields > 0 then
    fields[#fields + 1], fields[#fields + 2] = 'held', session.held(keys, name)
    reply[#reply + 1] = name
    reply[#reply + 1] = fields
  end
end
return reply
