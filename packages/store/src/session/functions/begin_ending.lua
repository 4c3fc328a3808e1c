-- Makes open sessions ENDING: no offers, no confirms, no renewals (L7, L8). Safe to repeat.
-- Callers: registry.
-- KEYS[1] config        string  key of the deployment's configuration
-- ARGV[1] epoch         string  epoch that the caller knows
-- ARGV[2] now           string  milliseconds, or empty for Redis TIME
-- ARGV[3] reason        string  stable word ("token_revoked", ...)
-- ARGV[4] sessions      JSON    list of {agent, session?}; without a session the open one is meant
-- ARGV[5] token         string  public id; not empty: every open session that it opened as well
-- Returns JSON: {kind: refused, reason} | {kind: ending, sessions: [{agent, session}]}
-- Events: agents.
local keys, now, reason = session.keys(KEYS[1]), core.now_ms(ARGV[2]), ARGV[3]
local wanted, token = cjson.decode(ARGV[4]), ARGV[5]
local refusal = core.refusal(keys.config, ARGV[1])
if refusal then return session.refused(refusal) end
local limits = session.limits(keys)

local begun = {}
local function begin(agent, only)
  local row = session.read(keys, agent, session.judged)
  if row.state ~= 'OPEN' or (only and row.session ~= only) then return end
  session.begin_ending(keys, agent, row, reason, limits, now)
  begun[#begun + 1] = { agent = agent, session = row.session }
end

for _, item in ipairs(wanted) do begin(item.agent, item.session) end
if token ~= '' then
  for _, agent in ipairs(redis.call('SMEMBERS', session.token_key(keys, token))) do begin(agent) end
end
session.announce(keys)
return '{"kind":"ending","sessions":' .. core.list(begun) .. '}'
