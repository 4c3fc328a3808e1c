-- Takes what operators decided about agents and groups, where it is newer than what is here (D6, O1-O3).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agents        JSON    list of {agent, revision, kind, note, deadlineAtMs?, nameFreeAtMs?}
-- ARGV[4] groups        JSON    list of {group, revision, cordoned, note, onCut?, lostAfterMs? (text)}
-- ARGV[5] tombstones    JSON    list of {agent, instance}
-- Returns JSON: {kind: refused, reason: epoch_stale} | {kind: projected, groups} (groups that changed;
--   their agents are brought up to date by `apply_controls`)
-- Events: agents.
-- It works before the configuration carries the epoch: a configuration that does finds this done (D2).
local keys, now, epoch = session.keys(KEYS[1]), core.now_ms(ARGV[2]), ARGV[1]
local agents, groups = cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local tombstones = cjson.decode(ARGV[5])
local known = redis.call('HGET', keys.controls, 'epoch')
if known and tonumber(known) > tonumber(epoch) then return session.refused('epoch_stale') end
if known ~= epoch then
  -- After a failover or a restore the records alone say what is so.
  redis.call('DEL', keys.controls)
  redis.call('HSET', keys.controls, 'epoch', epoch, 'marker', 0)
end

local function take(field, row)
  local before = redis.call('HGET', keys.controls, field)
  if before and cjson.decode(before).revision >= row.revision then return false end
  redis.call('HSET', keys.controls, field, cjson.encode(row))
  return true
end

local changed = {}
for _, grave in ipairs(tombstones) do
  if redis.call('HSETNX', keys.controls, 'i:' .. grave.instance, grave.agent) == 1 then
    changed[grave.agent] = true
  end
end
for _, row in ipairs(agents) do
  if take('a:' .. row.agent, row) then changed[row.agent] = true end
end
for agent in pairs(changed) do
  local row = session.read(keys, agent, session.controlled)
  if row.session then session.apply_control(keys, agent, row, now) end
end
local count = 0
for _, row in ipairs(groups) do
  if take('g:' .. row.group, row) then count = count + 1 end
end
session.announce(keys)
return cjson.encode({ kind = 'projected', groups = count })
