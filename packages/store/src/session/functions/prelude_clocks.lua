-- Counted time (L3, T2). An agent's age grows only while those who would have heard its beat could: a
-- clock per registry and monitor counts the time in which both and the link between them worked, as
-- seen from this store. `<registry>|<monitor>` is the clock of agents whose last beat took that way,
-- `<registry>|` of those that have not beaten since their stream came up, `*|` of the deployment.
-- A clock is {mark: instant up to which it has counted, count, zero: ages begin here at the earliest,
-- lost: whether its way is}. `@<monitor>` is the last scan of a monitor, `#<version>` the interval of a
-- version of the settings (T4).
local clocks = {}
session.clocks = clocks

-- A way that was silent for so long is lost: registries have found another monitor by then, and a
-- replica's record expires after as long.
clocks.silent_after_ms = 10000
local WORKS, SILENT, GONE = 0, 1, 2
-- How many older versions of the interval are remembered; an agent that names an older one still is
-- taken to judge by the longest that there can be.
clocks.versions_kept = 20
clocks.longest_interval_ms = 60000
-- Redis TIME that moved by so much more than the monitor's own clock jumped, and one that is behind what
-- was seen before by more than this was set back.
clocks.jump_ms = 1000

-- The longest step between two marks that counts; what is longer is a gap.
local function step_of(heartbeat)
  return math.max(1000, math.min(3000, math.floor(heartbeat / 2)))
end

function clocks.load(keys, now, limits)
  local all = { keys = keys, now = now, gap = limits.heartbeat, step = step_of(limits.heartbeat),
    forget = 10 * limits.failed, by = {}, ticks = {}, intervals = {}, dirty = {},
    version = limits.interval_version }
  local flat = redis.call('HGETALL', keys.clocks)
  for index = 1, #flat, 2 do
    local name, text = flat[index], flat[index + 1]
    if name == 'epoch' then
      all.epoch = text
    elseif string.sub(name, 1, 1) == '@' then
      all.ticks[string.sub(name, 2)] = tonumber(text)
    elseif string.sub(name, 1, 1) == '#' then
      all.intervals[tonumber(string.sub(name, 2))] = tonumber(text)
    else
      local mark, count, zero, lost = string.match(text, '^(%-?%d+) (%-?%d+) (%-?%d+) (%d)$')
      all.by[name] = { mark = tonumber(mark), count = tonumber(count), zero = tonumber(zero),
        lost = tonumber(lost) }
    end
  end
  return all
end

function clocks.save(all)
  local fields = {}
  for name in pairs(all.dirty) do
    local clock = all.by[name]
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%d %d %d %d', clock.mark, clock.count, clock.zero,
      clock.lost)
  end
  all.dirty = {}
  if #fields > 0 then redis.call('HSET', all.keys.clocks, unpack(fields)) end
end

-- The interval that an agent judges by once a beat that echoes `version` is acknowledged.
function clocks.interval_of(all, limits, version)
  if version == limits.interval_version then return limits.heartbeat end
  return all.intervals[version] or clocks.longest_interval_ms
end

-- A clock that begins now where there is none.
function clocks.ensure(all, name)
  if not all.by[name] then
    -- An age that an agent brings along lies before the clock's beginning.
    all.by[name] = { mark = all.now, count = 0, zero = -1e12, lost = WORKS }
    all.dirty[name] = true
  end
  return all.by[name]
end

-- What a clock has counted at this moment, as far as no gap has shown yet.
function clocks.reading(all, clock)
  local passed = all.now - clock.mark
  if passed >= 0 and passed <= all.step then return clock.count + passed end
  return clock.count
end

-- An agent's age in counted time. An agent of a forgotten clock begins anew.
function clocks.age(all, agent, row)
  local clock = all.by[row.clock or '|']
  if not clock or not row.countAt then
    clock = clocks.ensure(all, row.clock or '|')
    row.countAt = clock.count
    redis.call('HSET', session.key(all.keys, agent), 'countAt', string.format('%d', clock.count))
  end
  return math.max(0, clock.count - math.max(tonumber(row.countAt), clock.zero))
end

-- Counts up to `mark`, unless that is a gap; after one of more than an interval ages start at zero.
local function advance(all, name, clock, mark)
  local passed = mark - clock.mark
  if passed <= 0 then return end
  if passed <= all.step then
    clock.count = clock.count + passed
  elseif passed > all.gap then
    clock.zero = clock.count
  end
  clock.mark = mark
  all.dirty[name] = true
end

local function set_lost(all, name, clock, lost)
  if clock.lost == lost then return end
  clock.lost = lost
  all.dirty[name] = true
end

-- Nobody can be left who ages by it; whoever is begins anew.
local function forget(all, name)
  all.by[name], all.dirty[name] = nil, nil
  redis.call('HDEL', all.keys.clocks, name)
end

local function tick_one(all, name, clock, view)
  local registry, monitor = string.match(name, '^(.-)|(.*)$')
  local living = registry == '*' or view.living[registry]
  local quiet = registry == '*' and 0 or view.heard[registry]
  if not living then
    -- These agents have a full limit to come back through another registry, once there is one.
    if clock.lost ~= GONE then clock.zero, clock.mark = clock.count, all.now end
    set_lost(all, name, clock, GONE)
    if view.any then advance(all, name, clock, all.now - view.any) end
    if clock.count - clock.zero > all.forget then forget(all, name) end
  elseif quiet and (monitor == view.monitor or monitor == '') then
    set_lost(all, name, clock, WORKS)
    advance(all, name, clock, all.now - quiet)
  elseif clock.lost ~= WORKS then
    -- Beats take another way by now: whoever hears the registry counts.
    set_lost(all, name, clock, SILENT)
    if quiet then advance(all, name, clock, all.now - quiet) end
    if monitor ~= '' and not all.ticks[monitor] then forget(all, name) end
  elseif all.now - clock.mark >= clocks.silent_after_ms then
    set_lost(all, name, clock, SILENT)
    if all.now - clock.mark > all.gap then clock.zero = clock.count end
    clock.mark = all.now
  end
end

-- Redis TIME went back: nothing that lies behind can be compared with it any more, so everyone is
-- looked at again and no step is counted.
local function turned_back(all)
  for name, clock in pairs(all.by) do
    clock.mark = all.now
    all.dirty[name] = true
  end
  for monitor in pairs(all.ticks) do redis.call('HSET', all.keys.clocks, '@' .. monitor, all.now) end
  redis.call('ZUNIONSTORE', all.keys.leases, 1, all.keys.leases, 'WEIGHTS', 0)
  redis.call('ZUNIONSTORE', all.keys.due, 1, all.keys.leases, 'WEIGHTS', 0)
end

-- Redis TIME went ahead of the clock of the monitor that looks: the step to here proves nothing.
local function jumped_ahead(all, view)
  local last = all.ticks[view.monitor]
  if not last or not view.sinceMs or all.now - last - view.sinceMs <= clocks.jump_ms then return end
  for name, clock in pairs(all.by) do
    if all.now - last > all.gap then clock.zero = clock.count end
    clock.mark = all.now
    all.dirty[name] = true
  end
end

-- One look of a monitor. `view`: {monitor, first, sinceMs: since its last look, by its own clock, heard:
-- registry -> ms since it was heard, living: registries whose record has not expired}.
function clocks.tick(all, view, epoch)
  local latest, others = 0, false
  for monitor, at in pairs(all.ticks) do
    latest = math.max(latest, at)
    if monitor ~= view.monitor and math.abs(all.now - at) <= all.step then others = true end
    if all.now - at > all.forget then
      all.ticks[monitor] = nil
      redis.call('HDEL', all.keys.clocks, '@' .. monitor)
    end
  end
  if all.now < latest - clocks.jump_ms then turned_back(all) end
  jumped_ahead(all, view)
  for registry, quiet in pairs(view.heard) do
    clocks.ensure(all, registry .. '|' .. view.monitor)
    if view.living[registry] then view.any = math.min(view.any or quiet, quiet) end
  end
  clocks.ensure(all, '*|')
  -- Nobody was there to hear (restart of the only monitor), or the store is not the one it was.
  local alone = view.first and not others
  local anew = alone or all.epoch ~= epoch
  local names = {}
  for name in pairs(all.by) do names[#names + 1] = name end
  for _, name in ipairs(names) do
    local clock = all.by[name]
    if anew then
      clock.zero, clock.mark = clock.count, all.now
      if alone and clock.lost == WORKS then clock.lost = SILENT end
      all.dirty[name] = true
    end
    tick_one(all, name, clock, view)
  end
  clocks.save(all)
  redis.call('HSET', all.keys.clocks, '@' .. view.monitor, all.now, 'epoch', epoch,
    '#' .. string.format('%d', all.version), all.gap)
  for version in pairs(all.intervals) do
    if version < all.version - clocks.versions_kept then
      redis.call('HDEL', all.keys.clocks, '#' .. string.format('%d', version))
    end
  end
end
