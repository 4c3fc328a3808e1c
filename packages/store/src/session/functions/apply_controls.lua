-- Brings a page of agents to what was projected, and marks the projection whole with the last one.
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] from          string  "" for the first page, "(<name>" for the one after it, "+" for none
-- ARGV[4] limit         number  most agents of the page
-- ARGV[5] marker        number  revision of the records that is whole once no agent is left
-- Returns JSON: {kind: refused, reason: epoch_stale} | {kind: applied, last} (empty: none is left)
-- Events: agents.
local keys, now, from, limit = session.keys(KEYS[1]), core.now_ms(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', keys.controls, 'epoch') ~= ARGV[1] then return session.refused('epoch_stale') end

local names = {}
if from ~= '+' then
  names = redis.call('ZRANGEBYLEX', keys.names, from == '' and '-' or from, '+', 'LIMIT', 0, limit)
end
for _, agent in ipairs(names) do
  local row = session.read(keys, agent, session.controlled)
  if row.session then session.apply_control(keys, agent, row, now) end
end
if #names < limit then
  local marker = tonumber(redis.call('HGET', keys.controls, 'marker') or 0)
  if tonumber(ARGV[5]) > marker then redis.call('HSET', keys.controls, 'marker', ARGV[5]) end
end
session.announce(keys)
return cjson.encode({ kind = 'applied', last = #names == limit and names[#names] or '' })
