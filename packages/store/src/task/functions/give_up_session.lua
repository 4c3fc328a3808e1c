-- Deals with what an ended session held (H1, H2, L8): unconfirmed attempts are queued again at no cost; confirmed
-- ones are HELD while `lost_after` runs, else given up as `on_lost` says.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] agent, ARGV[4] session, ARGV[5] why it ended,
-- ARGV[6] when it ended (ms), ARGV[7] most attempts.
-- Returns a refusal, 'alive' when the session is not over or the deployment is in quarantine (D2), or JSON {given up, held, left 0|1}: with left the call is
-- repeated.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
if call.quarantined then return 'alive' end
local agent, session, reason, ended_at, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local standing = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'health', 'lostAfterMs')
if standing[1] == session and standing[2] ~= 'ENDED' then return 'alive' end
-- The journal that the new instance brought says what is still to be reported; the rest is given up by it (T6).
if reason == 'agent_restarted' and standing[1] and standing[1] ~= session then return '[0,0,0]' end
-- An operator said that nothing of it is to be waited for (L8, H1).
local at_once = reason == 'deleted' or reason == 'gone'
-- An empty goodbye is the agent's own word that nothing runs or can start (L8).
local idle = standing[1] == session and standing[3] == 'LEFT'
local lost_after = task.stated(standing[4], redis.call('HGET', KEYS[1], 'lostAfterMs') or '0')

-- True when the attempt was dealt with; 'held' when it is held from now on.
local function deal(row)
  if row.stage == 'OFFERED' then
    task.conclude(call, row, 'LOST', reason, task.at_no_cost(row))
  elseif at_once then
    task.give_up_held(call, row, reason)
  elseif idle and row.stage == 'CONFIRMED' then
    task.conclude(call, row, 'LOST', reason, task.at_no_cost(row))
  elseif idle then
    task.give_up_held(call, row, reason)
  else
    if row.state == 'HELD' then return false end
    local until_ms = task.hold_until(row, ended_at, lost_after)
    if until_ms > call.now then
      task.hold(call, row, until_ms, reason)
      return 'held'
    end
    task.give_up_held(call, row, reason)
  end
  return true
end

-- Earlier sessions of the agent are over too: what none of its later inventories has bound goes with this one.
local entries = redis.call('HGETALL', call.tag .. ':held:' .. agent)
local given, held, left = 0, 0, 0
for i = 1, #entries, 2 do
  local row = entries[i] ~= 'slots' and task.current(call, entries[i], agent, entries[i + 1])
  if row and task.not_after(row.session, session) then
    if given + held == most then
      left = 1
      break
    end
    local dealt = deal(row)
    if dealt == 'held' then
      held = held + 1
    elseif dealt then
      given = given + 1
    end
  end
end
task.finish(call)
return '[' .. given .. ',' .. held .. ',' .. left .. ']'
