-- Lets the brake go: the plain rule holds for its members from the next scan on (L4). Safe to repeat.
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] scope         string  `*` for the deployment's, a registry for its own, empty for all
-- Returns JSON: {kind: refused, reason} | {kind: changed, scopes: [scope]}
local keys, only = session.keys(KEYS[1]), ARGV[2]
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local scopes = {}
for _, text in ipairs(redis.call('HVALS', keys.brakes)) do
  local state = cjson.decode(text)
  if only == '' or only == state.scope then
    state.released = true
    session.brake.write(keys, state)
    scopes[#scopes + 1] = state.scope
  end
end
return '{"kind":"changed","scopes":' .. core.list(scopes) .. '}'
