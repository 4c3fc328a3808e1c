-- Compares what agents hold with what the store holds for them (S6, S7), and binds what is current to their
-- session, held work too (H1). After a loss of the store, what runs newer than the store knows is adopted (D2).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of {agent, session, sequence,
-- list of {id, attempt, ACCEPTED|STARTED|ENDED, facts?}, 1 when it was taken in this epoch, else 0}. Facts rebuild a
-- task: {key, digest in hex, queue, lane, set: {field: text}}; stated for attempts of older epochs alone.
-- Returns a refusal, or a JSON list with, per inventory, {verdicts, wished}: a verdict KEEP, KILL or REPORT per entry,
-- and a list of {id, attempt} whose cancel is wished.
-- Events: one history entry; wake-ups; one that names agents whose attempts were superseded.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end

local config = redis.call('HMGET', KEYS[1], 'queues', 'maxSlotCost', 'onCut')
local queues = { default = true }
for _, queue in ipairs(cjson.decode(config[1] or '[]')) do queues[queue] = true end

-- What the agent says is believed as far as a submission could have said it.
local function adopted(row, agent, session, entry, standing)
  local facts = entry[4]
  if not facts or not queues[facts.queue] then return nil end
  if tonumber(facts.set.slotCost or 1) > tonumber(config[2] or 1000) then return nil end
  if not task.is_lost_attempt(call, row, entry[2], facts) then return nil end
  local aborts = standing.kind == 'TRIGGERER' and 'ABORT' or task.stated(standing.on_cut, config[3])
  return task.adopt(call, row, agent, session, entry[2], facts, aborts)
end

local function lost_at_no_cost(row, why)
  task.conclude(call, row, 'LOST', why, task.at_no_cost(row))
end

local function is_before(session, other)
  return other and session ~= other and task.not_after(session, other)
end

local function judge_entry(row, session, word)
  if word == 'ENDED' then
    if row and row.stage ~= 'OFFERED' then task.bind(call, row, session) end
    return 'REPORT'
  end
  if not row then return 'KILL' end
  if word == 'ACCEPTED' then
    if row.session == session then return 'KEEP' end
    -- An accept counts in its own session alone (S3, S4), so it can never be started in this one.
    if row.stage ~= 'STARTED' then
      lost_at_no_cost(row, 'not_in_inventory')
      return 'KILL'
    end
  elseif row.stage == 'OFFERED' then
    return 'KILL'
  end
  task.bind(call, row, session)
  return 'KEEP'
end

-- What another process held is not meant: it may still run there, and `lost_after` decides (H1).
-- What was held before a takeover is given up by it (T6).
local function judge_absent(row, session, sequence, instance_from, restarted_from)
  local why = is_before(row.session, restarted_from) and 'agent_restarted' or 'not_in_inventory'
  if row.stage == 'OFFERED' then
    if row.session ~= session then lost_at_no_cost(row, why) end
  elseif row.session == session and sequence < row.sequence then
    return
  elseif is_before(row.session, instance_from) then
    return
  elseif row.stage == 'CONFIRMED' then
    lost_at_no_cost(row, why)
  else
    task.conclude(call, row, 'LOST', why, task.after_loss(row, 'agent_lost'))
  end
end

local answers = {}
for _, inventory in ipairs(cjson.decode(ARGV[3])) do
  local agent, session, sequence = inventory[1], inventory[2], inventory[3]
  local verdicts, wished, named = {}, {}, {}
  local standing = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state', 'instanceFrom', 'kind', 'onCut',
    'restartedFrom')
  local current = standing[1] == session and standing[2] ~= 'ENDED'
  standing.kind, standing.on_cut = standing[4], standing[5]
  for i, entry in ipairs(inventory[4]) do
    local row, read = task.current(call, entry[1], agent, entry[2])
    if current and not row and entry[3] ~= 'ACCEPTED' then row = adopted(read, agent, session, entry, standing) end
    -- A session that is over binds and gives up nothing; its agent will say it again in its next one.
    verdicts[i] = current and judge_entry(row, session, entry[3]) or (entry[3] == 'ENDED' and 'REPORT' or row and 'KEEP' or 'KILL')
    if row then named[entry[1]] = true end
    if row and row.cancel_wished and verdicts[i] == 'KEEP' then wished[#wished + 1] = { row.id, row.attempt } end
  end
  local held = current and redis.call('HGETALL', call.tag .. ':held:' .. agent) or {}
  for i = 1, #held, 2 do
    if held[i] ~= 'slots' and not named[held[i]] then
      local row = task.current(call, held[i], agent, held[i + 1])
      if row then judge_absent(row, session, sequence, standing[3], standing[6]) end
    end
  end
  if current and call.quarantined and inventory[5] == 1 then redis.call('SADD', call.tag .. ':inventoried', agent) end
  answers[#answers + 1] = '[' .. core.list(verdicts) .. ',' .. core.list(wished) .. ']'
end
task.finish(call)
if #call.superseded > 0 then task.wake(call, { inventories = call.superseded }) end
return '[' .. table.concat(answers, ',') .. ']'
