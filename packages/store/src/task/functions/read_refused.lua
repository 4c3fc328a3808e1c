-- Reads what waits for the audit, oldest first: refused reports (C2, C3), and dropped calls (E1) as {at, task,
-- attempt, agent, verdict CALLS_DROPPED, calls}.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most.
-- Returns a refusal, or a list of stream id, JSON {at, task, attempt, agent, verdict, supersededBy, reason, ranMs}, ...
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local rows = {}
for _, entry in ipairs(redis.call('XRANGE', call.tag .. ':refused', '-', '+', 'COUNT', ARGV[3])) do
  rows[#rows + 1] = entry[1]
  rows[#rows + 1] = entry[2][2]
end
return rows
