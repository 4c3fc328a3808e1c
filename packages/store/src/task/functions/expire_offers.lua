-- Takes offers back whose time to live has passed without an accept: queued again at no cost.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] most offers.
-- Returns a refusal, or a JSON list of {agent, session, id, attempt} that were taken back.
-- Events: one history entry; wake-ups.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local due = redis.call('ZRANGEBYSCORE', call.tag .. ':offers', '-inf', call.now, 'LIMIT', 0, ARGV[3])
local expired = {}
for _, id in ipairs(due) do
  local _, row = task.current(call, id, '', '')
  if row.state == 'ASSIGNED' and row.stage == 'OFFERED' then
    expired[#expired + 1] = { row.agent, row.session, id, row.attempt }
    task.conclude(call, row, 'DECLINED', 'offer_expired', 'QUEUED')
  else
    call.offered[#call.offered + 1] = id
  end
end
task.finish(call)
return core.list(expired)
