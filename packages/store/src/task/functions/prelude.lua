-- Shared by the functions of the task aggregate: one call gathers its changes and writes them at its end.
--
-- Keys, all under the deployment's tag: task:<id> hash; lane:<lane> zset (score -priority, member
-- <16 digits>:<id>); lanes set of the lanes that hold tasks; held:<agent> hash task -> attempt, with
-- the field `slots` for the sum of their slot costs; offers zset id -> deadline; index zset
-- id -> number of the submission; ended list of <ms>:<id>; remembered:<id> string; cancels hash
-- id -> agent; counts hash; changes stream; watched
-- string, there while somebody reads the history.
local task = {}
local FIELD, RECORD = '\31', '\30'

-- Begins a call. Returns nil and the refusal when the deployment is not in effect (PROTOCOL D2, D6).
function task.begin(config_key, epoch, now)
  local refusal = core.refusal(config_key, epoch)
  if refusal then return nil, refusal end
  return {
    tag = string.sub(config_key, 1, -8), epoch = epoch, now = core.now_ms(now), config = config_key,
    changes = {}, counts = {}, enqueued = {}, released = {}, freed = {}, offered = {}, ended = {}, cancels = {},
  }
end

function task.key(call, id) return call.tag .. ':task:' .. id end

-- Notes one change for the history; the reader knows the order of the fields.
function task.change(call, id, state, attempt, stage, agent, outcome, reason, exit, message)
  local changes = call.changes
  changes[#changes + 1] = id .. FIELD .. state .. FIELD .. (attempt or '') .. FIELD .. (stage or '') .. FIELD
    .. (agent or '') .. FIELD .. (outcome or '') .. FIELD .. (reason or '') .. FIELD .. (exit or '') .. FIELD
    .. (message or '')
end

function task.count(call, name, delta)
  call.counts[name] = (call.counts[name] or 0) + delta
end

local function append(lists, name, ...)
  local list = lists[name]
  if not list then list = {} lists[name] = list end
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

-- Puts a task into its lane; what is queued again keeps its place (S9).
function task.enqueue(call, lane, priority, place, id)
  append(call.enqueued, lane, -priority, place .. ':' .. id)
end

-- Frees what an attempt held.
function task.release(call, id, agent, slot_cost)
  append(call.released, agent, id)
  call.freed[agent] = (call.freed[agent] or 0) + (slot_cost or 1)
  call.offered[#call.offered + 1] = id
end

-- What follows an attempt whose confirmed work is lost or aborted (H2, C4): state, counter, reason.
function task.after_loss(call, id, cancel_wished, failed_reason)
  if cancel_wished then return 'CANCELED', nil, 'canceled' end
  local v = redis.call('HMGET', task.key(call, id), 'onLost', 'recoveries', 'maxRecoveries')
  if v[1] == 'FAIL' then return 'FAILED', nil, failed_reason end
  local recoveries = tonumber(v[2] or 0)
  if recoveries < tonumber(v[3] or 3) then return 'QUEUED', 'recoveries', nil end
  return 'FAILED', nil, 'recoveries_exhausted'
end

-- Ends the current attempt and moves its task on. `attempt` holds id, attempt, agent, slot_cost and
-- cancel_wished as stored; `how` holds stage, reason, state, counter, task_reason, and pairs: further
-- fields and values to store.
function task.conclude(call, attempt, how)
  local id, key = attempt.id, task.key(call, attempt.id)
  local pairs_to_set = how.pairs or {}
  local function set(field, value)
    pairs_to_set[#pairs_to_set + 1] = field
    pairs_to_set[#pairs_to_set + 1] = value
  end
  set('state', how.state)
  set('stage', how.stage)
  task.release(call, id, attempt.agent, attempt.slot_cost)
  task.count(call, 'ASSIGNED', -1)
  task.count(call, how.state, 1)
  if attempt.cancel_wished then call.cancels[#call.cancels + 1] = id end
  if how.stage ~= 'ENDED' then set('attemptReason', how.reason or '') end
  if how.state == 'QUEUED' then
    set('attemptEndedAtMs', call.now)
    if how.counter then redis.call('HINCRBY', key, how.counter, 1) end
    local v = redis.call('HMGET', key, 'lane', 'priority', 'place')
    task.enqueue(call, v[1], tonumber(v[2] or 0), v[3], id)
  else
    set('endedAtMs', call.now)
    local reason = how.task_reason
    if reason and reason ~= '' then set('reason', reason) end
    call.ended[#call.ended + 1] = call.now .. ':' .. id
  end
  redis.call('HSET', key, unpack(pairs_to_set))
  local shown = how.task_reason or how.reason
  task.change(call, id, how.state, attempt.attempt, how.stage, attempt.agent, how.outcome, shown, how.exit, how.message)
end

local function write_lanes(call)
  local woken = {}
  for lane, members in pairs(call.enqueued) do
    local lane_key = call.tag .. ':lane:' .. lane
    if redis.call('EXISTS', lane_key) == 0 then
      redis.call('SADD', call.tag .. ':lanes', lane)
      woken[#woken + 1] = lane
    end
    redis.call('ZADD', lane_key, unpack(members))
  end
  return woken
end

-- Publishes a wake-up; a lost one costs one sweep.
function task.wake(call, what)
  what.deployment = string.match(call.tag, '{(.*)}')
  redis.call('PUBLISH', 'rmx:global:wake', cjson.encode(what))
end

-- Writes what the call gathered: lanes, slots, ended tasks, counts and one entry of the history.
function task.finish(call)
  local tag = call.tag
  local woken = write_lanes(call)
  if #woken > 0 then task.wake(call, { lanes = woken }) end
  for agent, ids in pairs(call.released) do
    local held = tag .. ':held:' .. agent
    redis.call('HDEL', held, unpack(ids))
    redis.call('HINCRBY', held, 'slots', -call.freed[agent])
  end
  if #call.offered > 0 then redis.call('ZREM', tag .. ':offers', unpack(call.offered)) end
  if #call.ended > 0 then redis.call('RPUSH', tag .. ':ended', unpack(call.ended)) end
  if #call.cancels > 0 then redis.call('HDEL', tag .. ':cancels', unpack(call.cancels)) end
  for name, delta in pairs(call.counts) do
    if delta ~= 0 then redis.call('HINCRBY', tag .. ':counts', name, delta) end
  end
  local changes = #call.changes
  if changes > 0 then
    redis.call('XADD', tag .. ':changes', '*', 'at', call.now, 'n', changes, 'changes', table.concat(call.changes, RECORD))
    redis.call('HINCRBY', tag .. ':counts', 'changesKept', changes)
    -- Signalled only while somebody reads the history (see read_changes).
    if redis.call('EXISTS', tag .. ':watched') == 1 then
      redis.call('PUBLISH', 'rmx:global:changes', cjson.encode({ deployment = string.match(tag, '{(.*)}') }))
    end
  end
end

-- The current attempt when `agent` holds `attempt`, else nil and what was read.
function task.current(call, id, agent, attempt)
  local v = redis.call('HMGET', task.key(call, id), 'state', 'attempt', 'stage', 'agent', 'session', 'slotCost',
    'cancelWished', 'sequence')
  local row = {
    id = id, state = v[1], attempt = v[2], stage = v[3], agent = v[4], session = v[5], slot_cost = tonumber(v[6] or 1),
    cancel_wished = v[7] == '1', sequence = tonumber(v[8] or 0),
  }
  if row.state == 'ASSIGNED' and row.attempt == attempt and row.agent == agent then return row, row end
  return nil, row
end

-- Clears the last attempt before a new one; a result that was taken from it is kept (I4).
function task.forget_attempt(key)
  local v = redis.call('HMGET', key, 'attempt', 'stage', 'outcomeDigest', 'earlier')
  if v[2] == 'ENDED' then redis.call('HSET', key, 'earlier', (v[4] or '') .. v[1] .. '=' .. v[3] .. ';') end
  redis.call('HDEL', key, 'startedAtMs', 'attemptEndedAtMs', 'attemptReason', 'outcome', 'outcomeDigest', 'sequence')
end

local shown_fields = { 'key', 'digest', 'spec', 'lane', 'priority', 'state', 'queuedAtMs', 'endedAtMs', 'attempt', 'stage',
  'agent', 'session', 'attempts', 'startedAtMs', 'attemptEndedAtMs', 'attemptReason', 'outcome', 'retries', 'recoveries',
  'cancelWished', 'note', 'reason', 'staleReports' }

-- A task's fields in the order above, '' for what is absent; nil when there is no such task.
function task.shown(call, id)
  local values = redis.call('HMGET', task.key(call, id), unpack(shown_fields))
  if not values[1] then return nil end
  for i = 1, #shown_fields do values[i] = values[i] or '' end
  return values
end
