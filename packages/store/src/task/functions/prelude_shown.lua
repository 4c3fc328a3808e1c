-- Tasks as they are read: the fields that are shown, in one fixed order.
local shown_fields = { 'key', 'digest', 'spec', 'lane', 'priority', 'state', 'queuedAtMs', 'endedAtMs', 'attempt', 'stage',
  'agent', 'session', 'attempts', 'startedAtMs', 'attemptEndedAtMs', 'attemptReason', 'outcome', 'retries', 'recoveries',
  'cancelWished', 'note', 'reason', 'staleReports', 'heldUntilMs', 'heldReason', 'wastedMs', 'droppedCalls' }

-- A task's fields in the order above, '' for what is absent; nil when there is no such task.
function task.shown(call, id)
  local values = redis.call('HMGET', task.key(call, id), unpack(shown_fields))
  if not values[1] then return nil end
  for i = 1, #shown_fields do values[i] = values[i] or '' end
  return values
end
