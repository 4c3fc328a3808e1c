-- Removes entries of ended sessions whose attempts have been given up.
-- Callers: scheduler.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] entries       JSON    list of "<agent>|<session>|<reason>"
-- Returns JSON: {kind: refused, reason} | {kind: cleared, count}
local keys, entries = session.keys(KEYS[1]), cjson.decode(ARGV[2])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local count = 0
for _, entry in ipairs(entries) do count = count + redis.call('ZREM', keys.giveup, entry) end
return cjson.encode({ kind = 'cleared', count = count })
