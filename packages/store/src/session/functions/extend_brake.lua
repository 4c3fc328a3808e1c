-- Holds the brake's members for longer (L4). Each call adds to what was added before.
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] scope         string  `*` for the deployment's, a registry for its own, empty for all
-- ARGV[3] byMs          number  how much longer
-- Returns JSON: {kind: refused, reason} | {kind: changed, scopes: [scope]}
local keys, only, by_ms = session.keys(KEYS[1]), ARGV[2], tonumber(ARGV[3])
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local scopes = {}
for _, text in ipairs(redis.call('HVALS', keys.brakes)) do
  local state = cjson.decode(text)
  if only == '' or only == state.scope then
    state.extraMs, state.released = state.extraMs + by_ms, false
    session.brake.write(keys, state)
    scopes[#scopes + 1] = state.scope
  end
end
return '{"kind":"changed","scopes":' .. core.list(scopes) .. '}'
