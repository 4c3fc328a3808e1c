-- Reads the brakes that hold agents of a deployment back (L4).
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows; not compared, reading is always allowed
-- Returns JSON: {kind: brakes, brakes: [{scope, engagedAtMs, base, budget, members, ended, suspects,
--   extraMs, released}]}
local keys, brakes = session.keys(KEYS[1]), {}
for _, text in ipairs(redis.call('HVALS', keys.brakes)) do
  local state = cjson.decode(text)
  state.suspects = redis.call('ZCARD', session.brake.suspects_key(keys, state.scope))
  brakes[#brakes + 1] = state
end
return '{"kind":"brakes","brakes":' .. core.list(brakes) .. '}'
