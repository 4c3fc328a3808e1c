-- Gives up what an ended session held (H2): unconfirmed attempts at no cost, the others as `on_lost` says.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] agent, ARGV[4] session, ARGV[5] reason,
-- ARGV[6] most attempts.
-- Returns a refusal, 'alive' when the session is not over, or JSON {given up, left 0|1}: with left the call is repeated.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local agent, session, reason, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local standing = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state')
if standing[1] == session and standing[2] ~= 'ENDED' then return 'alive' end

-- Earlier sessions of the agent are over too: what none of its later inventories has bound goes with this one.
local function numbers(text)
  local epoch, number = string.match(text or '', '^(%d+)%.(%d+)$')
  return tonumber(epoch or 0), tonumber(number or 0)
end
local ended_epoch, ended_number = numbers(session)
local function is_over(held_in)
  local epoch, number = numbers(held_in)
  return epoch < ended_epoch or (epoch == ended_epoch and number <= ended_number)
end

local held = redis.call('HGETALL', call.tag .. ':held:' .. agent)
local given, left = 0, 0
for i = 1, #held, 2 do
  local row = held[i] ~= 'slots' and task.current(call, held[i], agent, held[i + 1])
  if row and is_over(row.session) then
    if given == most then
      left = 1
      break
    end
    given = given + 1
    if row.stage == 'OFFERED' then
      task.conclude(call, row, 'LOST', reason, task.at_no_cost(row))
    else
      task.conclude(call, row, 'LOST', reason, task.after_loss(row, 'agent_lost'))
    end
  end
end
task.finish(call)
return '[' .. given .. ',' .. left .. ']'
