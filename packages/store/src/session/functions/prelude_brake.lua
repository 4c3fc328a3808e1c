-- The brake (L4): when most agents fall silent at once, we are likelier at fault than all of them. Those
-- that are silent become SUSPECT and are ended late and slowly. `brakes` holds one entry per scope: `*`
-- for the deployment, else a registry; base and budget are fixed when it engages, and so are its members
-- in `suspects:<scope>`, by the counted time at which each may be ended. Whoever falls due later and
-- meets the same condition joins, under the same base and budget: nobody escapes by coming late.
local brake = {}
session.brake = brake
brake.least = 3
brake.share = 0.55
brake.window_ms = 1000

function brake.suspects_key(keys, scope) return keys.tag .. ':suspects:' .. scope end

-- Triggerers are exempt: their work is taken over at once (G3).
local function counts(row) return row.state == 'OPEN' and row.kind ~= 'TRIGGERER' end

local function registry_of(row) return string.match(row.clock or '', '^(.-)|') or '' end

-- Who lives and who is silent, for the whole deployment and for each registry; nothing when too few can be.
local function take_census(all, limits)
  local census = {}
  -- Counted time never runs ahead of Redis TIME, so whoever beat since is not silent.
  local before = all.now - 2 * limits.heartbeat
  if redis.call('ZCOUNT', all.keys.leases, '-inf', before) < brake.least then return census end
  for _, agent in ipairs(redis.call('ZRANGE', all.keys.leases, 0, -1)) do
    local row = session.read(all.keys, agent, session.judged)
    if counts(row) then
      local silent = session.clocks.age(all, agent, row) > 2 * session.limits_of(limits, row).heartbeat
      for _, scope in ipairs({ '*', registry_of(row) }) do
        local group = census[scope] or { base = 0, silent = {} }
        census[scope] = group
        group.base = group.base + 1
        if silent then group.silent[#group.silent + 1] = { agent = agent, row = row } end
      end
    end
  end
  return census
end

-- What a call needs to judge who is due: the brakes that hold, and a census when it comes to that.
function brake.watch(all, limits)
  local watch = { all = all, limits = limits, holding = {},
    off = redis.call('HGET', all.keys.config, 'brake') == 'off' }
  for _, text in ipairs(redis.call('HVALS', all.keys.brakes)) do
    local state = cjson.decode(text)
    watch.holding[state.scope] = state
  end
  return watch
end

-- The scope whose brake holds an agent that is due, or is to hold it from now on; nil when the plain rule
-- applies. While a brake holds anybody, whoever of its scope falls due joins it: the condition is asked
-- only where none does.
function brake.scope_of(watch, row)
  if watch.off or not counts(row) then return nil end
  local scopes = { '*', registry_of(row) }
  for _, scope in ipairs(scopes) do
    local state = watch.holding[scope]
    if state then return not state.released and scope or nil end
  end
  watch.census = watch.census or take_census(watch.all, watch.limits)
  for _, scope in ipairs(scopes) do
    local group = watch.census[scope]
    if group and #group.silent >= brake.least and #group.silent > brake.share * group.base then
      return scope
    end
  end
  return nil
end

function brake.write(keys, state)
  redis.call('HSET', keys.brakes, state.scope, cjson.encode(state))
end

-- Makes an agent that is due SUSPECT, and when the brake engages by it all others that are silent, too;
-- `tell` is called with each.
function brake.hold(watch, scope, due, tell)
  local all, limits, state = watch.all, watch.limits, watch.holding[scope]
  local keys, counted, members = all.keys, all.by['*|'].count, { due }
  if not state then
    local group = watch.census[scope]
    members = group.silent
    state = { scope = scope, engagedAtMs = all.now, base = group.base,
      budget = math.max(1, math.floor(group.base / 100)), members = 0, ended = 0, extraMs = 0,
      windowAt = 0, released = false }
    watch.holding[scope] = state
  end
  for _, member in ipairs(members) do
    local agent, row = member.agent, member.row
    if not row.brake then
      redis.call('HSET', session.key(keys, agent), 'brake', scope)
      row.brake = scope
      session.set_health(keys, agent, row, 'SUSPECT', 'brake', all.now)
      redis.call('ZADD', brake.suspects_key(keys, scope),
        counted + session.limits_of(limits, row).failed, agent)
      redis.call('ZREM', keys.due, agent)
      state.members = state.members + 1
      tell(agent, row)
    end
  end
  brake.write(keys, state)
end

-- Takes an agent out: it beat, left, or was ended.
function brake.free(keys, agent, row)
  if not row.brake then return end
  redis.call('ZREM', brake.suspects_key(keys, row.brake), agent)
  redis.call('HDEL', session.key(keys, agent), 'brake')
  row.brake = nil
end

local function end_suspect(all, limits, state, agent, tell)
  local keys = all.keys
  local row = session.read(keys, agent, session.judged)
  local queue = brake.suspects_key(keys, state.scope)
  if row.state ~= 'OPEN' or row.brake ~= state.scope then
    redis.call('ZREM', queue, agent)
    return 0
  end
  local own = session.limits_of(limits, row)
  local left = own.failed - session.clocks.age(all, agent, row)
  if left > 0 then
    -- Its own clock began anew meanwhile (L3).
    redis.call('ZADD', queue, all.by['*|'].count - state.extraMs + left, agent)
    return 0
  end
  session.finish(keys, agent, row, 'lease_expired', 'FAILED', all.now)
  tell(agent, row)
  return 1
end

-- Ends those whose time is up, within the budget: one burst per second, so that no second has more
-- than one. Answers the brakes that still hold.
function brake.let_go(all, limits, rows, tell)
  local keys, counted, holding = all.keys, all.by['*|'].count, {}
  local entries = redis.call('HVALS', keys.brakes)
  if #entries == 0 then return holding end
  local off = redis.call('HGET', keys.config, 'brake') == 'off'
  for _, text in ipairs(entries) do
    local state = cjson.decode(text)
    local queue = brake.suspects_key(keys, state.scope)
    local most, up_to = 0, counted - state.extraMs
    if state.released or off then
      most, up_to = rows, '+inf'
    elseif counted - state.windowAt >= brake.window_ms then
      most = math.min(state.budget, rows)
    end
    if most > 0 then
      local ended = 0
      for _, agent in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', up_to, 'LIMIT', 0, most)) do
        ended = ended + end_suspect(all, limits, state, agent, tell)
      end
      if ended > 0 then
        state.ended, state.windowAt = state.ended + ended, counted
        brake.write(keys, state)
      end
    end
    state.suspects = redis.call('ZCARD', queue)
    if state.suspects == 0 then
      redis.call('HDEL', keys.brakes, state.scope)
    else
      holding[#holding + 1] = state
    end
  end
  return holding
end
