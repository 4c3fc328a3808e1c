-- Reads tasks as they stand.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of ids.
-- Returns a refusal, or a list with, per id, nil or the values of task.shown_fields in order.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local answers = {}
for i, id in ipairs(cjson.decode(ARGV[3])) do
  answers[i] = task.shown(call, id) or {}
end
return answers
