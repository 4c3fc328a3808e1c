-- A new epoch (D2): open offers are void, and the deployment is in quarantine: no offers and no results taken until
-- `limitMs` has passed and every known live agent has said what it holds. What runs newer than the store knows is
-- adopted.
--
-- Keys: quarantine hash {epoch, sinceMs, untilMs, open: '1' while it lasts}; inventoried set of the agents whose
-- inventory of this epoch is in, there while it lasts.
local REMEMBERED_MS = 86400000

local function enter(call, config_key)
  local tag = call.tag
  local config = redis.call('HMGET', config_key, 'createdEpoch', 'limitMs')
  for _, id in ipairs(redis.call('ZRANGE', tag .. ':offers', 0, -1)) do
    local _, row = task.current(call, id, '', '')
    if row.state == 'ASSIGNED' and row.stage == 'OFFERED' then
      task.conclude(call, row, 'DECLINED', 'epoch_changed', task.at_no_cost(row))
    end
  end
  task.finish(call)
  redis.call('DEL', tag .. ':inventoried')
  -- A deployment that was made in this very epoch has lost nothing.
  local open = (config[1] or call.epoch) ~= call.epoch
  redis.call('HSET', tag .. ':quarantine', 'epoch', call.epoch, 'sinceMs', call.now_text,
    'untilMs', string.format('%.0f', call.now + tonumber(config[2] or 30000)), 'open', open and '1' or '0')
  return open
end

-- Whether the deployment is in quarantine; the first call in a new epoch begins it. `fresh` makes a call of its own
-- for that, since a caller that only reads never finishes its own.
function task.quarantined(call, config_key, fresh)
  local v = redis.call('HMGET', call.tag .. ':quarantine', 'epoch', 'open')
  if v[1] == call.epoch then return v[2] == '1' end
  return enter(fresh(), config_key)
end

local function unhex(text)
  return (string.gsub(text, '..', function(pair) return string.char(tonumber(pair, 16)) end))
end

local function is_newer(attempt, other)
  return not task.not_after(attempt, other)
end

-- Whether an attempt of an inventory is one that this store has lost: of an older epoch, and newer than what is here.
-- An attempt that the store knows to be over stays over. `facts` is what the agent says of the task.
function task.is_lost_attempt(call, row, attempt, facts)
  if task.ref_numbers(attempt) >= tonumber(call.epoch) then return false end
  if not row.state then
    -- Within a day of the epoch's begin, whatever was trimmed in it is still remembered: the others were lost.
    local since = tonumber(redis.call('HGET', call.tag .. ':quarantine', 'sinceMs') or 0)
    return redis.call('EXISTS', row.key) == 0 and call.now - since < REMEMBERED_MS
  end
  if row.state ~= 'QUEUED' and row.state ~= 'ASSIGNED' and row.state ~= 'HELD' then return false end
  local v = redis.call('HMGET', row.key, 'digest', 'attemptReason')
  if v[1] ~= unhex(facts.digest) then return false end
  if not row.attempt or is_newer(attempt, row.attempt) then return true end
  -- Its offer was void here; the confirm of it was among what the store lost.
  return row.attempt == attempt and row.state == 'QUEUED' and v[2] == 'epoch_changed'
end

local function rebuild(call, row, facts)
  local number = redis.call('HINCRBY', call.tag .. ':counts', 'submitNumber', 1)
  redis.call('RPUSH', call.tag .. ':submitted', row.id)
  local set = { 'key', facts.key, 'digest', unhex(facts.digest), 'lane', facts.lane, 'rebuilt', '1',
    'place', string.format('%016d', number), 'queuedAtMs', call.now_text }
  for name, value in pairs(facts.set) do set[#set + 1], set[#set + 2] = name, value end
  redis.call('HSET', row.key, unpack(set))
  row.slot_cost, row.on_cut = tonumber(facts.set.slotCost or 1), facts.set.onCut
end

local function leave_lane(call, row)
  local v = redis.call('HMGET', row.key, 'lane', 'place')
  local lane = call.tag .. ':lane:' .. v[1]
  redis.call('ZREM', lane, v[2] .. ':' .. row.id)
  if redis.call('EXISTS', lane) == 0 then redis.call('SREM', call.tag .. ':lanes', v[1]) end
end

-- Takes an attempt over that runs, or has ended, on `agent` and was lost here (D2). Whoever held an older attempt of
-- the task is noted in `call.superseded`, to be asked what it holds.
function task.adopt(call, row, agent, session, attempt, facts, aborts)
  local before = row.state
  if not before then
    rebuild(call, row, facts)
  elseif before == 'QUEUED' then
    leave_lane(call, row)
  elseif row.agent ~= agent then
    task.release(call, row)
    call.superseded[#call.superseded + 1] = row.agent
  end
  if before then
    task.forget_attempt(row.key)
    task.count(call, before, -1)
  end
  if before == 'HELD' and row.agent == agent then
    call.unheld[#call.unheld + 1] = row.id
    redis.call('HDEL', row.key, 'heldUntilMs', 'heldReason')
  end
  if before ~= 'ASSIGNED' or row.agent ~= agent then
    call.freed[agent] = (call.freed[agent] or 0) - row.slot_cost
  end
  task.count(call, 'ASSIGNED', 1)
  if row.cancel_wished then redis.call('HSET', call.tag .. ':cancels', row.id, agent) end
  redis.call('HSET', row.key, 'state', 'ASSIGNED', 'stage', 'STARTED', 'attempt', attempt, 'agent', agent,
    'session', session, 'startedAtMs', call.now_text)
  if (row.on_cut or aborts) == 'ABORT' then redis.call('HSET', row.key, 'aborts', '1') end
  redis.call('HINCRBY', row.key, 'attempts', 1)
  redis.call('HSET', call.tag .. ':held:' .. agent, row.id, attempt)
  row.state, row.stage, row.attempt, row.agent, row.session = 'ASSIGNED', 'STARTED', attempt, agent, session
  task.change(call, row.id, 'ASSIGNED', attempt, 'STARTED', agent, '', 'adopted')
  return row
end
