-- Removes refused reports that are in the audit. Safe to repeat.
-- Callers: scheduler.
-- KEYS[1] config. ARGV[1] epoch, ARGV[2] now ms or '', ARGV[3] JSON list of stream ids.
-- Returns a refusal, or the number that was there.
local call, refusal = task.begin(KEYS[1], ARGV[1], ARGV[2])
if not call then return refusal end
local ids = cjson.decode(ARGV[3])
if #ids == 0 then return 0 end
return redis.call('XDEL', call.tag .. ':refused', unpack(ids))
