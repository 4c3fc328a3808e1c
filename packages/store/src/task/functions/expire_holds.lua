-- Gives held work up whose `lost_after` has passed (H1): `on_lost` decides what follows (H2).
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most attempts.
-- Returns a refusal, or a JSON list of {agent, session, id, attempt} that were given up.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
-- Whoever holds a newer attempt may not have said so yet (D2).
if call.quarantined then return '[]' end
local given = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', call.tag .. ':holds', '-inf', call.now, 'LIMIT', 0, ARGV[3])) do
  local _, row = task.current(call, id, '', '')
  if row.state == 'HELD' then
    given[#given + 1] = { row.agent, row.session, id, row.attempt }
    task.give_up_held(call, row, redis.call('HGET', row.key, 'heldReason') or 'lease_expired')
  else
    call.unheld[#call.unheld + 1] = id
  end
end
task.finish(call)
return core.list(given)
