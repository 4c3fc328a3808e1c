-- Takes results, judged by (task, attempt) alone (C2), and decides what follows (H2, C4, retries).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] groups: JSON list of {agent, session,
-- list of {id, attempt, kind, reason word, exit code or '', message, digest, outcomeBytes, started 0|1, ran ms, dropped calls}};
-- started says that the word of the start came with the report. ARGV[4] bytes: per report its outcome.
-- Returns a refusal, or a JSON list with, per report in order, a verdict or {'STALE', superseded by or '', reason}.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local groups, bytes, at = cjson.decode(ARGV[3]), ARGV[4], 1
local MOST_REFUSED, REMEMBERED_MS = 10000, 86400000

-- The result that was taken from this attempt before, by its digest.
local function taken_digest(row, attempt)
  local v = redis.call('HMGET', row.key, 'outcomeDigest', 'earlier')
  if row.attempt == attempt and row.stage == 'ENDED' then return v[1] end
  return v[2] and string.match(';' .. v[2], ';' .. string.gsub(attempt, '%.', '%%.') .. '=([^;]*)')
end

-- What is refused changes nothing but counters, and waits for the audit (C2, C3): once for each attempt.
local function note_refused(row, report, agent, verdict, superseded, reason)
  local seen = row.key .. ':refused'
  if redis.call('SADD', seen, report[2] .. ' ' .. report[7]) == 0 then return end
  redis.call('PEXPIRE', seen, REMEMBERED_MS)
  if verdict == 'STALE' then redis.call('HINCRBY', row.key, 'wastedMs', report[10]) end
  redis.call('XADD', call.tag .. ':refused', 'MAXLEN', '~', MOST_REFUSED, '*', 'entry', cjson.encode({
    at = call.now, task = row.id, attempt = report[2], agent = agent, verdict = verdict,
    supersededBy = superseded, reason = reason, ranMs = report[10] }))
end

-- Calls that the agent kept for it during a cut and dropped are counted, and wait for the audit (E1): once.
local function note_dropped(row, report, agent)
  local seen = row.key .. ':refused'
  if not row.state or redis.call('SADD', seen, report[2] .. ' calls ' .. agent) == 0 then return end
  redis.call('PEXPIRE', seen, REMEMBERED_MS)
  redis.call('HINCRBY', row.key, 'droppedCalls', report[11])
  redis.call('XADD', call.tag .. ':refused', 'MAXLEN', '~', MOST_REFUSED, '*', 'entry', cjson.encode({
    at = call.now, task = row.id, attempt = report[2], agent = agent, verdict = 'CALLS_DROPPED', calls = report[11] }))
end

local function refuse(row, report, agent)
  if not row.state then return 'UNKNOWN_TASK' end
  local digest = taken_digest(row, report[2])
  if digest == report[7] then return 'DUPLICATE' end
  if digest then
    note_refused(row, report, agent, 'CONFLICT', '', '')
    return 'CONFLICT'
  end
  redis.call('HINCRBY', row.key, 'staleReports', 1)
  local superseded = (row.state == 'ASSIGNED' or row.state == 'HELD') and row.attempt ~= report[2] and row.attempt or ''
  local reason = row.attempt == report[2] and (row.stage == 'OFFERED' and 'not_confirmed' or 'not_held')
    or row.state == 'CANCELED' and 'canceled' or 'superseded'
  note_refused(row, report, agent, 'STALE', superseded, reason)
  return { 'STALE', superseded, reason }
end

local function after_failure(row)
  local v = redis.call('HMGET', row.key, 'retries', 'maxRetries')
  if not row.cancel_wished and tonumber(v[1] or 0) < tonumber(v[2] or 0) then return 'QUEUED', 'retries', 'retry' end
  return 'FAILED'
end

local function take(row, report, outcome)
  local kind, reason, state, counter, task_reason = report[3], report[4], report[3], nil, report[4]
  if kind == 'FAILED' then
    state, counter = after_failure(row)
  elseif kind == 'ABORTED' then
    local loss_reason
    state, counter, loss_reason = task.after_loss(row, reason)
    task_reason = loss_reason or reason
  elseif kind == 'DUPLICATE_START' then
    state, task_reason = 'CANCELED', 'duplicate_start'
  end
  local to_set = { 'outcome', outcome, 'outcomeDigest', report[7] }
  if report[9] == 1 and row.stage == 'CONFIRMED' then
    to_set[5], to_set[6] = 'startedAtMs', call.now_text
    task.change(call, row.id, row.state, row.attempt, 'STARTED', row.agent)
  end
  task.conclude(call, row, 'ENDED', nil, state, counter, task_reason, to_set, kind, report[5], report[6])
  return 'ACCEPTED'
end

local answers = {}
for _, group in ipairs(groups) do
  local agent = group[1]
  local session = redis.call('HMGET', call.tag .. ':session:' .. agent, 'session', 'state')
  local ending = session[1] == group[2] and session[2] == 'ENDING'
  for _, report in ipairs(group[3]) do
    local outcome = string.sub(bytes, at, at + report[8] - 1)
    at = at + report[8]
    local row, read = task.current(call, report[1], agent, report[2])
    if report[11] > 0 and not call.quarantined then note_dropped(read, report, agent) end
    if call.quarantined then
      -- Another agent may still bring a newer attempt (D2): then this result is stale.
      answers[#answers + 1] = { 'RETRY', '', 'quarantine' }
    elseif not row or row.stage == 'OFFERED' then
      answers[#answers + 1] = refuse(read, report, agent)
    elseif ending then
      answers[#answers + 1] = 'RETRY'
    else
      answers[#answers + 1] = take(row, report, outcome)
    end
  end
end
task.finish(call)
return core.list(answers)
