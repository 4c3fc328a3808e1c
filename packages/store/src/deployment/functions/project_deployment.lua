-- Writes a deployment's configuration, if it is newer than what is there (PROTOCOL D6).
-- Callers: registry.
-- KEYS[1] config: hash <D>:config. KEYS[2] epoch: string rmx:global:epoch
-- ARGV[1] epoch: the store epoch that the caller knows; ARGV[2] revision: of the records
-- ARGV[3] fields: JSON object of all other fields, every value a text
-- Returns 'projected', 'current' (this revision or a higher one is there already), or
-- 'epoch_stale' (the store is not, or not any more, in the caller's epoch).
local config_key = KEYS[1]
local epoch, revision, fields = ARGV[1], ARGV[2], cjson.decode(ARGV[3])

-- A wiped store has no epoch until a service begins one: without this, a projection in the old epoch would
-- bring it to life with numbers that were given before (D2, I9).
if redis.call('GET', KEYS[2]) ~= epoch then return 'epoch_stale' end
local known = redis.call('HMGET', config_key, 'epoch', 'revision')
if known[1] then
  local known_epoch, known_revision = tonumber(known[1]), tonumber(known[2])
  if known_epoch > tonumber(epoch) then return 'epoch_stale' end
  if known_epoch == tonumber(epoch) and known_revision >= tonumber(revision) then return 'current' end
end

local written = { 'epoch', epoch, 'revision', revision }
for field, value in pairs(fields) do
  written[#written + 1] = field
  written[#written + 1] = value
end
redis.call('DEL', config_key)
redis.call('HSET', config_key, unpack(written))
return 'projected'
