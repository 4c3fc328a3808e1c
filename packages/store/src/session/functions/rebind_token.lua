-- Binds an open session to a newer token of the same deployment (Reauthenticate).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] agent         string  name of the agent
-- ARGV[4] session       string  its session
-- ARGV[5] token         string  public id of the token
-- ARGV[6] scopeQueues   JSON    queues that the token allows; empty means all
-- Returns JSON: {kind: refused, reason} | {kind: stale} (not the agent's open session)
--   | {kind: rebound}
-- Events: agents.
local keys, now = session.keys(KEYS[1]), core.now_ms(ARGV[2])
local agent, said, token, scope_queues = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end

local row = session.read(keys, agent, session.judged)
if row.session ~= said or row.state ~= 'OPEN' then return cjson.encode({ kind = 'stale' }) end
if row.token then redis.call('SREM', session.token_key(keys, row.token), agent) end
redis.call('SADD', session.token_key(keys, token), agent)
redis.call('HSET', session.key(keys, agent), 'token', token, 'scopeQueues', scope_queues)
session.touch(keys, agent, now)
session.announce(keys)
return cjson.encode({ kind = 'rebound' })
