-- Shared by the functions of the task aggregate: one call gathers its changes and writes them at its end.
--
-- Keys, all under the deployment's tag: task:<id> hash; lane:<lane> zset (score -priority, member
-- <16 digits>:<id>); lanes set of the lanes that hold tasks; held:<agent> hash task -> attempt, with
-- the field `slots` for the sum of the slot costs of those that are not HELD; offers zset id -> deadline;
-- holds zset id -> when held work is given up (+inf: never); submitted list of ids, oldest first; ended
-- list of <ms>:<id>; cancels hash id -> agent; counts hash; changes stream; watched string, there while
-- somebody reads the history; events:<id> stream of a trigger's events; refused stream of refused reports
-- for the audit, and task:<id>:refused set of those.
--
-- This is the hot path of the whole product: a call of Redis costs about 2 us in here and a new string
-- half of that, so lists are gathered flat and joined once.
local task = {}

-- Begins a call. Returns nil and the refusal when the deployment is not in effect (PROTOCOL D2, D6).
function task.begin(config_key, epoch, now)
  local refusal = core.refusal(config_key, epoch)
  if refusal then return nil, refusal end
  local tag, at = string.sub(config_key, 1, -8), core.now_ms(now)
  local function fresh()
    return {
      tag = tag, task_prefix = tag .. ':task:', epoch = epoch, now = at, now_text = string.format('%.0f', at),
      changes = {}, change_fields = 0, counts = {}, enqueued = {}, released = {}, freed = {}, offered = {}, ended = {},
      cancels = {}, unheld = {}, superseded = {},
    }
  end
  local call = fresh()
  call.quarantined = task.quarantined(call, config_key, fresh)
  return call
end

function task.key(call, id) return call.task_prefix .. id end

function task.events_key(call, id) return call.tag .. ':events:' .. id end

-- Notes one change for the history: nine fields, whose order the reader knows.
function task.change(call, id, state, attempt, stage, agent, outcome, reason, exit, message)
  local list, last = call.changes, call.change_fields
  list[last + 1], list[last + 2], list[last + 3] = id, state, attempt or ''
  list[last + 4], list[last + 5], list[last + 6] = stage or '', agent or '', outcome or ''
  list[last + 7], list[last + 8], list[last + 9] = reason or '', exit or '', message or ''
  call.change_fields = last + 9
end

function task.count(call, name, delta)
  call.counts[name] = (call.counts[name] or 0) + delta
end

-- Frees what an attempt held; held work has given its slots back before (H1).
function task.release(call, row)
  local agent = row.agent
  local ids = call.released[agent]
  if not ids then
    ids = {}
    call.released[agent] = ids
  end
  ids[#ids + 1] = row.id
  if row.state == 'HELD' then
    call.unheld[#call.unheld + 1] = row.id
    redis.call('HDEL', row.key, 'heldUntilMs', 'heldReason')
  else
    call.freed[agent] = (call.freed[agent] or 0) + row.slot_cost
    call.offered[#call.offered + 1] = row.id
  end
end

-- The current attempt, held work included, when `agent` holds `attempt`, else nil; and what was read.
function task.current(call, id, agent, attempt)
  local key = call.task_prefix .. id
  local v = redis.call('HMGET', key, 'state', 'attempt', 'stage', 'agent', 'session', 'slotCost', 'cancelWished', 'sequence', 'onCut')
  local row = {
    id = id, key = key, state = v[1], attempt = v[2], stage = v[3], agent = v[4], session = v[5],
    slot_cost = v[6] and tonumber(v[6]) or 1, cancel_wished = v[7] == '1', sequence = v[8] and tonumber(v[8]) or 0,
    on_cut = v[9],
  }
  if v[2] == attempt and v[4] == agent and (v[1] == 'ASSIGNED' or v[1] == 'HELD') then return row, row end
  return nil, row
end

-- What follows an attempt whose confirmed work is lost or aborted (H2, C4): state, counter, reason.
function task.after_loss(row, failed_reason)
  if row.cancel_wished then return 'CANCELED', nil, 'canceled' end
  local v = redis.call('HMGET', row.key, 'onLost', 'recoveries', 'maxRecoveries')
  if v[1] == 'FAIL' then return 'FAILED', nil, failed_reason end
  if tonumber(v[2] or 0) < tonumber(v[3] or 3) then return 'QUEUED', 'recoveries', nil end
  return 'FAILED', nil, 'recoveries_exhausted'
end

-- What follows an attempt that had not started: its task keeps its place, unless a cancel is wished.
function task.at_no_cost(row)
  if row.cancel_wished then return 'CANCELED', nil, 'canceled' end
  return 'QUEUED', nil, nil
end

-- Ends the current attempt with `stage` and moves its task to `state`. `counter` counts what it cost,
-- `reason` is the attempt's where it had no result, `task_reason` the task's. `set` holds further fields
-- and values; `outcome`, `exit` and `message` are for the history.
function task.conclude(call, row, stage, reason, state, counter, task_reason, set, outcome, exit, message)
  local id, key = row.id, row.key
  if state == 'QUEUED' and redis.call('HEXISTS', key, 'rebuilt') == 1 then
    -- It was rebuilt from an agent's word after the store was lost, and nobody has submitted its work again.
    state, counter, task_reason = 'FAILED', nil, 'work_unknown'
  end
  set = set or {}
  local last = #set
  set[last + 1], set[last + 2], set[last + 3], set[last + 4] = 'state', state, 'stage', stage
  set[last + 5], set[last + 6] = state == 'QUEUED' and 'attemptEndedAtMs' or 'endedAtMs', call.now_text
  if reason then set[last + 7], set[last + 8] = 'attemptReason', reason end
  task.release(call, row)
  task.count(call, row.state, -1)
  task.count(call, state, 1)
  if row.cancel_wished then call.cancels[#call.cancels + 1] = id end
  if state == 'QUEUED' then
    if counter then redis.call('HINCRBY', key, counter, 1) end
    local v = redis.call('HMGET', key, 'lane', 'priority', 'place')
    task.enqueue(call, v[1], tonumber(v[2] or 0), v[3], id)
  else
    if task_reason and task_reason ~= '' then set[#set + 1], set[#set + 2] = 'reason', task_reason end
    call.ended[#call.ended + 1] = call.now_text .. ':' .. id
  end
  redis.call('HSET', key, unpack(set))
  task.change(call, id, state, row.attempt, stage, row.agent, outcome, task_reason or reason, exit, message)
end

-- Clears the last attempt before a new one; a result that was taken from it is kept (I4).
function task.forget_attempt(key)
  local v = redis.call('HMGET', key, 'attempt', 'stage', 'outcomeDigest', 'earlier')
  if v[2] == 'ENDED' then redis.call('HSET', key, 'earlier', (v[4] or '') .. v[1] .. '=' .. v[3] .. ';') end
  redis.call('HDEL', key, 'startedAtMs', 'attemptEndedAtMs', 'attemptReason', 'outcome', 'outcomeDigest', 'sequence', 'aborts')
end

-- Publishes a wake-up; a lost one costs one sweep.
function task.wake(call, what)
  what.deployment = string.match(call.tag, '{(.*)}')
  redis.call('PUBLISH', 'rmx:global:wake', cjson.encode(what))
end

local function write_changes(call)
  local count = call.change_fields / 9
  if count == 0 then return end
  local tag = call.tag
  redis.call('XADD', tag .. ':changes', '*', 'at', call.now_text, 'n', count, 'changes', table.concat(call.changes, '\31'))
  task.count(call, 'changesKept', count)
  -- Signalled only while somebody reads the history (see read_changes).
  if redis.call('EXISTS', tag .. ':watched') == 1 then
    redis.call('PUBLISH', 'rmx:global:changes', cjson.encode({ deployment = string.match(tag, '{(.*)}') }))
  end
end

-- Writes what the call gathered: lanes, slots, ended tasks, counts and one entry of the history.
function task.finish(call)
  local tag = call.tag
  local woken = task.write_lanes(call)
  if #woken > 0 then task.wake(call, { lanes = woken }) end
  for agent, ids in pairs(call.released) do
    redis.call('HDEL', tag .. ':held:' .. agent, unpack(ids))
  end
  for agent, slots in pairs(call.freed) do redis.call('HINCRBY', tag .. ':held:' .. agent, 'slots', -slots) end
  if #call.offered > 0 then redis.call('ZREM', tag .. ':offers', unpack(call.offered)) end
  if #call.unheld > 0 then redis.call('ZREM', tag .. ':holds', unpack(call.unheld)) end
  if #call.ended > 0 then redis.call('RPUSH', tag .. ':ended', unpack(call.ended)) end
  if #call.cancels > 0 then redis.call('HDEL', tag .. ':cancels', unpack(call.cancels)) end
  write_changes(call)
  for name, delta in pairs(call.counts) do
    if delta ~= 0 then redis.call('HINCRBY', tag .. ':counts', name, delta) end
  end
end
