-- Lanes: putting tasks into their places, and choosing which task goes to which agent (S8, S9).
local LOOK_AHEAD = 32

-- Puts a task into its lane; what is queued again keeps its place (S9).
function task.enqueue(call, lane, priority, place, id)
  local members = call.enqueued[lane]
  if not members then
    members = {}
    call.enqueued[lane] = members
  end
  local last = #members
  members[last + 1], members[last + 2] = -priority, place .. ':' .. id
end

-- Writes what was enqueued; returns the lanes that were empty.
function task.write_lanes(call)
  local woken = {}
  for lane, members in pairs(call.enqueued) do
    local lane_key = call.tag .. ':lane:' .. lane
    if redis.call('EXISTS', lane_key) == 0 then
      redis.call('SADD', call.tag .. ':lanes', lane)
      woken[#woken + 1] = lane
    end
    redis.call('ZADD', lane_key, unpack(members))
  end
  return woken
end

-- The first `window` tasks of a lane, to be taken one by one.
local function open_lane(call, name, window)
  local members = redis.call('ZRANGE', call.tag .. ':lane:' .. name, 0, window - 1, 'WITHSCORES')
  return { name = name, members = members, taken = {}, first = 1, gone = {}, whole = #members / 2 < window }
end

local function entry_at(call, lane, position, member)
  local id = string.sub(member, 18)
  local v = redis.call('HMGET', call.task_prefix .. id, 'state', 'slotCost', 'digest', 'key', 'spec', 'attempts')
  local entry = {
    position = position, member = member, score = tonumber(lane.members[2 * position]), id = id, state = v[1],
    cost = v[2] and tonumber(v[2]) or 1, digest = v[3], key = v[4], spec = v[5], attempts = v[6] and tonumber(v[6]) or 0,
  }
  lane[position] = entry
  return entry
end

local function take(lane, position, member)
  lane.taken[position] = true
  lane.gone[#lane.gone + 1] = member
  while lane.taken[lane.first] do lane.first = lane.first + 1 end
end

-- The first task of a lane that the agent could ever hold. One that does not fit now makes the agent wait, so that
-- small tasks cannot starve a large one.
local function head_of(call, lane, agent)
  local position, seen = lane.first, 0
  while seen < LOOK_AHEAD do
    local member = lane.members[2 * position - 1]
    if not member then return nil end
    if not lane.taken[position] then
      local entry = lane[position] or entry_at(call, lane, position, member)
      if entry.state ~= 'QUEUED' then
        take(lane, position, member)
      elseif entry.cost <= agent.slots then
        return entry
      else
        seen = seen + 1
      end
    end
    position = position + 1
  end
end

-- Gives queued tasks to agents turn by turn, at most `most`: a list of {agent, entry}, and the lanes looked at by
-- their number. An agent holds slots, free and lanes (numbers); its free slots are counted down.
function task.choose(call, agents, lane_names, free_slots, most)
  local chosen, opened, progress = {}, {}, true
  local window = math.min(most, free_slots) + LOOK_AHEAD
  local function best_for(agent)
    local best, best_lane
    for _, number in ipairs(agent.lanes) do
      local lane = opened[number]
      if not lane then
        lane = open_lane(call, lane_names[number], window)
        opened[number] = lane
      end
      local entry = head_of(call, lane, agent)
      if entry and (not best or entry.score < best.score or (entry.score == best.score and entry.member < best.member)) then
        best, best_lane = entry, lane
      end
    end
    return best, best_lane
  end
  while progress and #chosen < most do
    progress = false
    for _, agent in ipairs(agents) do
      if agent.free > 0 and #chosen < most then
        local entry, lane = best_for(agent)
        if entry and entry.cost <= agent.free then
          take(lane, entry.position, entry.member)
          agent.free = agent.free - entry.cost
          chosen[#chosen + 1] = { agent = agent, entry = entry }
          progress = true
        end
      end
    end
  end
  return chosen, opened
end

-- Removes from the lanes what was taken; returns the numbers of those that are empty now.
function task.close_lanes(call, opened)
  local empty = {}
  for number, lane in pairs(opened) do
    if #lane.gone > 0 then redis.call('ZREM', call.tag .. ':lane:' .. lane.name, unpack(lane.gone)) end
    if lane.whole and #lane.gone * 2 == #lane.members then
      if #lane.gone > 0 then redis.call('SREM', call.tag .. ':lanes', lane.name) end
      empty[#empty + 1] = number
    end
  end
  return empty
end
