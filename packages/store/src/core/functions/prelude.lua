-- Shared by every library: time, deployment configuration, and JSON lists that stay lists.
local core = {}

-- Milliseconds of Redis TIME; a test passes its own number, an empty text means now (PROTOCOL T2).
function core.now_ms(given)
  if given and given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Why a function may not work in this deployment now: nil, 'not_projected' or 'epoch_stale' (D2, D6).
function core.refusal(config_key, epoch)
  local projected = redis.call('HGET', config_key, 'epoch')
  if not projected then return 'not_projected' end
  if projected ~= epoch then return 'epoch_stale' end
  return nil
end

-- A list as JSON; cjson alone would write an empty one as an object.
function core.list(items)
  if #items == 0 then return '[]' end
  return cjson.encode(items)
end
