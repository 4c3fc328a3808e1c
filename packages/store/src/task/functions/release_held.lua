-- Gives an agent's held work up on an operator's word that the agent is gone (H1, O3): nothing of it runs any more.
-- What the agent holds in a living session is not held work and stays as it is.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] agent, ARGV[4] the word: 'gone', ARGV[5] most attempts.
-- Returns a refusal, 'not_said' when the word is another one, or JSON {given up, left 0|1}: with left the call is
-- repeated.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local agent, most = ARGV[3], tonumber(ARGV[5])
if ARGV[4] ~= 'gone' then return 'not_said' end
local entries = redis.call('HGETALL', call.tag .. ':held:' .. agent)
local given, left = 0, 0
for i = 1, #entries, 2 do
  local row = entries[i] ~= 'slots' and task.current(call, entries[i], agent, entries[i + 1])
  if row and row.state == 'HELD' then
    if given == most then
      left = 1
      break
    end
    given = given + 1
    task.give_up_held(call, row, 'agent_gone')
  end
end
task.finish(call)
return '[' .. given .. ',' .. left .. ']'
