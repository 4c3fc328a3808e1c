-- Work of lost agents that is held while `lost_after` runs (H1): how long, from when, and its return.
local NEVER_MS = 315576000000000

-- What is stated, where an empty text counts as not stated.
function task.stated(own, default)
  if own and own ~= '' then return own end
  return default
end

-- Until when confirmed work is held: task over group over deployment, counted from the end of the session.
-- ABORT work has been stopped by then, so nothing is waited for.
function task.hold_until(row, ended_at, default)
  local v = redis.call('HMGET', row.key, 'aborts', 'lostAfterMs')
  if v[1] then return ended_at end
  local lost_after = v[2] or default
  if lost_after == 'never' or tonumber(lost_after) >= NEVER_MS then return math.huge end
  return ended_at + tonumber(lost_after)
end

-- Its agent is lost, and its work may still run there. It gives its slots back, so that a new instance of the
-- agent can work meanwhile.
function task.hold(call, row, until_ms, reason)
  local due = until_ms == math.huge and '+inf' or string.format('%.0f', until_ms)
  redis.call('HSET', row.key, 'state', 'HELD', 'heldUntilMs', due, 'heldReason', reason)
  redis.call('ZADD', call.tag .. ':holds', due, row.id)
  call.freed[row.agent] = (call.freed[row.agent] or 0) + row.slot_cost
  task.count(call, 'ASSIGNED', -1)
  task.count(call, 'HELD', 1)
  task.change(call, row.id, 'HELD', row.attempt, row.stage, row.agent, '', reason)
  row.state = 'HELD'
end

-- Its agent has come back with it, or speaks of it in a new session.
function task.bind(call, row, session)
  if row.state == 'HELD' then
    redis.call('HSET', row.key, 'state', 'ASSIGNED', 'session', session)
    redis.call('HDEL', row.key, 'heldUntilMs', 'heldReason')
    call.unheld[#call.unheld + 1] = row.id
    call.freed[row.agent] = (call.freed[row.agent] or 0) - row.slot_cost
    task.count(call, 'HELD', -1)
    task.count(call, 'ASSIGNED', 1)
    task.change(call, row.id, 'ASSIGNED', row.attempt, row.stage, row.agent)
    row.state = 'ASSIGNED'
  elseif row.session ~= session then
    redis.call('HSET', row.key, 'session', session)
  end
  row.session = session
end

-- Gives held work up: `on_lost` decides what follows (H2), a wished cancel ends it (C4).
function task.give_up_held(call, row, reason)
  task.conclude(call, row, 'LOST', reason, task.after_loss(row, 'agent_lost'))
end

-- The parts of "epoch.number", to be compared.
function task.ref_numbers(text)
  local epoch, number = string.match(text or '', '^(%d+)%.(%d+)$')
  return tonumber(epoch or 0), tonumber(number or 0)
end

-- True when the first session is the other one or came before it.
function task.not_after(session, other)
  local epoch, number = task.ref_numbers(session)
  local other_epoch, other_number = task.ref_numbers(other)
  return epoch < other_epoch or (epoch == other_epoch and number <= other_number)
end
