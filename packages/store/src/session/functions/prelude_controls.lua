-- What operators decided, as projected from the records: one hash with `epoch`, `marker` (revision up to
-- which all of it is here), `a:<agent>` and `g:<group>` (JSON with the row's revision) and
-- `i:<instance>` for instances that are refused for good.

session.controlled =
  { 'session', 'state', 'reason', 'instance', 'group', 'token', 'beatAtMs', 'health', 'healthReason',
    'availability', 'drainAtMs', 'controlNote', 'onCut', 'lostAfterMs' }

local function decoded(text) return text and cjson.decode(text) or {} end

-- The fields that the records come to for an agent of this name, group and instance (O1-O3), and, for
-- one that is refused: `buried` when the instance is, `free_in` until the name is free otherwise.
function session.control(keys, agent, group, instance, now)
  local v = redis.call('HMGET', keys.controls, 'a:' .. agent, 'g:' .. (group or ''), 'i:' .. (instance or ''))
  local own, grouped = decoded(v[1]), decoded(v[2])
  local free_in = own.kind == 'deleted' and own.nameFreeAtMs - now or 0
  local fields = { availability = 'SCHEDULABLE', drainAtMs = '', controlNote = '',
    onCut = grouped.onCut or '', lostAfterMs = grouped.lostAfterMs or '' }
  if v[3] or free_in > 0 then
    fields.availability, fields.controlNote = 'DELETED', own.note or ''
  elseif own.kind == 'draining' then
    fields.availability, fields.controlNote = 'DRAINING', own.note
    if own.deadlineAtMs then fields.drainAtMs = string.format('%.0f', own.deadlineAtMs) end
  elseif own.kind == 'cordoned' then
    fields.availability, fields.controlNote = 'CORDONED', own.note
  elseif grouped.cordoned then
    fields.availability, fields.controlNote = 'CORDONED', grouped.note
  end
  return fields, v[3] and true or false, free_in
end

-- Brings an agent's hash to what the records say; a deleted one's session is ended by L8.
function session.apply_control(keys, agent, row, now)
  local fields = session.control(keys, agent, row.group, row.instance, now)
  local set = {}
  for name, value in pairs(fields) do
    if (row[name] or '') ~= value then set[#set + 1], set[#set + 2] = name, value end
  end
  if #set > 0 then
    redis.call('HSET', session.key(keys, agent), unpack(set))
    session.touch(keys, agent, now)
  end
  if fields.availability ~= 'DELETED' then return end
  if row.state == 'OPEN' then
    session.begin_ending(keys, agent, row, 'deleted', session.limits(keys), now)
  elseif row.reason ~= 'deleted' then
    -- What would be held for it is given up instead.
    redis.call('HSET', session.key(keys, agent), 'reason', 'deleted')
    session.touch(keys, agent, now)
    if row.state == 'ENDED' then session.give_up(keys, agent, row.session, 'deleted', now) end
  end
end

-- Attempts that the task aggregate holds for an agent; one field of its hash counts slots.
function session.held(keys, agent)
  local held = keys.tag .. ':held:' .. agent
  return math.max(0, redis.call('HLEN', held) - redis.call('HEXISTS', held, 'slots'))
end
