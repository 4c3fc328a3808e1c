-- Reads who holds a task now, to judge a tunnelled call or to find its log (E1).
-- Callers: registry, scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] id.
-- Returns a refusal, or {quarantine, state, attempt, stage, agent, session} with '' for what is absent; quarantine is
-- '1' while agents may still bring a newer attempt (D2).
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local _, row = task.current(call, ARGV[3], '', '')
return { call.quarantined and '1' or '', row.state or '', row.attempt or '', row.stage or '', row.agent or '', row.session or '' }
