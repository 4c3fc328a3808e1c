-- Takes an agent's goodbye: with nothing left it is gone at once, else its session is ENDING (L8).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agent         string  name of the agent
-- ARGV[4] session       string  its session
-- ARGV[5] empty         "1"     nothing runs or can start; else "0"
-- Returns JSON: {kind: refused, reason} | {kind: stale} (not the agent's living session)
--   | {kind: left} | {kind: ending, reason}
-- Events: agents; wake when it left.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local agent, said, empty = ARGV[3], ARGV[4], ARGV[5] == '1'
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local row = session.read(keys, agent, session.judged)
if row.session ~= said or row.state == 'ENDED' then return cjson.encode({ kind = 'stale' }) end
local answer
if empty then
  local reason = row.state == 'ENDING' and row.reason or 'goodbye'
  session.finish(keys, agent, row, reason, 'LEFT', now)
  answer = { kind = 'left' }
else
  if row.state == 'OPEN' then
    session.begin_ending(keys, agent, row, 'goodbye', session.limits(keys), now)
    row.reason = 'goodbye'
  end
  answer = { kind = 'ending', reason = row.reason }
end
session.announce(keys)
return cjson.encode(answer)
