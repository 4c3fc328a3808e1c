-- Compares the server that a process is connected to with the one of the epoch, and begins a new epoch when they differ (D2, T7).
-- Callers: registry, scheduler, health-monitor, token, gateway.
-- KEYS[1] epoch: string rmx:global:epoch. KEYS[2] server: hash rmx:global:server {runId, replId, beganAtMs}
-- ARGV[1] now ms or '', ARGV[2] run id and ARGV[3] replication id of the server as INFO has them, ARGV[4] '1' when
-- it was promoted from a replica in its life, ARGV[5] greatest epoch that the caller knows, ARGV[6] greatest epoch
-- that an agent has claimed to the caller.
-- Returns JSON {epoch, why}: why is '' when the epoch stands, else what began the new one: 'missing' (first start, or
-- wiped), 'run_id' (restart, restore, failover), 'promoted', 'behind' (older than the caller knows), 'claimed'.
local now = core.now_ms(ARGV[1])
local run_id, repl_id, promoted = ARGV[2], ARGV[3], ARGV[4] == '1'
local known, claimed = tonumber(ARGV[5]), tonumber(ARGV[6])
local seconds = math.floor(now / 1000)
-- An agent may claim what it likes, and each new epoch stops offers for a while: so one claim in ten minutes
-- counts, and none that is far from any time at which an epoch can have begun.
local CLAIM_EVERY_MS, CLAIM_AHEAD = 600000, 86400
if claimed > seconds + CLAIM_AHEAD then claimed = 0 end

local text = redis.call('GET', KEYS[1])
local server = redis.call('HMGET', KEYS[2], 'runId', 'replId', 'beganAtMs')
local stored = tonumber(text or '') or 0

local function what_changed()
  if stored == 0 or not server[1] then return 'missing' end
  if server[1] ~= run_id then return 'run_id' end
  if server[2] ~= repl_id and promoted then return 'promoted' end
  if stored < known then return 'behind' end
  if stored < claimed and now - tonumber(server[3] or 0) >= CLAIM_EVERY_MS then return 'claimed' end
  return ''
end

local why = what_changed()
local epoch = stored
if why ~= '' then
  epoch = math.max(stored + 1, known + 1, claimed + 1, seconds)
  redis.call('SET', KEYS[1], string.format('%.0f', epoch))
  redis.call('HSET', KEYS[2], 'runId', run_id, 'replId', repl_id, 'beganAtMs', string.format('%.0f', now))
elseif server[2] ~= repl_id then
  -- A primary takes another id when its first replica comes or its last has left: nothing was lost.
  redis.call('HSET', KEYS[2], 'replId', repl_id)
end
return cjson.encode({ epoch = string.format('%.0f', epoch), why = why })
