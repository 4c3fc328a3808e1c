// SPDX-License-Identifier: Apache-2.0
// The libraries of the store with simulated time: the same text, told the time and asked what it did.

const timeCall = "redis.call('TIME')";
const entryId = /'XADD',([^)]*?), '\*'/g;
const publishCall = "redis.call('PUBLISH',";
const membersCall = "redis.call('SMEMBERS',";
const anyCall = "redis.call(";
/** A key that goes by itself in real time, which the simulation does not know. */
const expiry = ", 'PX', WATCHED_MS)";
const registration = /redis\.register_function\('([a-z0-9_]+)', function\(KEYS, ARGV\)\n/g;

/**
 * What every wrapped library begins with: its time, what the call under way published, the tasks and
 * sessions that it wrote as they are now, and whether it wrote at all or asked for the time. One that did
 * neither gives the same answer until somebody writes.
 */
const prelude = `
local sim_ms = 0
local sim_wrote = 0
local sim_timed = 0
local sim_published = {}
local sim_touched = {}
local sim_reads = {GET=1, MGET=1, HGET=1, HMGET=1, HGETALL=1, HKEYS=1, HVALS=1, HLEN=1, HEXISTS=1, EXISTS=1,
  LLEN=1, LRANGE=1, LINDEX=1, SMEMBERS=1, SISMEMBER=1, SCARD=1, XRANGE=1, XREVRANGE=1, XLEN=1, STRLEN=1,
  ZCARD=1, ZCOUNT=1, ZRANGE=1, ZRANGEBYLEX=1, ZRANGEBYSCORE=1, ZREVRANGE=1, ZSCORE=1, ZMSCORE=1, ZRANK=1}
local function sim_time()
  sim_timed = 1
  return {math.floor(sim_ms / 1000), (sim_ms % 1000) * 1000}
end
local function sim_publish(channel, message)
  sim_wrote = 1
  sim_published[#sim_published + 1] = channel
  sim_published[#sim_published + 1] = message
  return 0
end
local function sim_redis(name, key, ...)
  if not sim_reads[name] then
    sim_wrote = 1
    if string.find(key, ':task:[^:]*$') or string.find(key, ':session:[^:]*$') then sim_touched[key] = 1 end
  end
  return redis.call(name, key, ...)
end
local function sim_rows()
  local keys, rows = {}, {}
  for key in pairs(sim_touched) do keys[#keys + 1] = key end
  table.sort(keys)
  for at, key in ipairs(keys) do
    rows[2 * at - 1], rows[2 * at] = key, redis.call('HGETALL', key)
  end
  return rows
end
-- The order of a set depends on a secret of the server: any order is allowed, so here it is one.
local function sim_members(key)
  local members = redis.call('SMEMBERS', key)
  table.sort(members)
  return members
end
local function sim_run(body, KEYS, ARGV)
  sim_ms = tonumber(table.remove(ARGV))
  sim_wrote = 0
  sim_timed = 0
  sim_published = {}
  sim_touched = {}
  local reply = body(KEYS, ARGV)
  return {sim_published, sim_wrote, sim_timed, sim_rows(), reply}
end
`;

/** A library as the simulation loads it: its functions take the time as one more, last argument. */
export function withSimulatedTime(code: string): string {
  const [head = "", ...lines] = code.split("\n");
  let body = lines.join("\n");
  if (!body.includes(timeCall))
    throw new Error(`the store's time is read by other words than ${timeCall}`);
  body = body
    .replaceAll(timeCall, "sim_time()")
    .replaceAll(publishCall, "sim_publish(")
    .replaceAll(membersCall, "sim_members(")
    .replaceAll(anyCall, "sim_redis(")
    .replaceAll(expiry, ")")
    .replace(entryId, (_, key: string) => `'XADD',${key}, string.format('%.0f-*', sim_ms)`);
  body = wrapFunctions(body);
  return [head, prelude, body].join("\n");
}

// Each function is registered as `redis.register_function('<name>', function(KEYS, ARGV)\n<body>\nend)`.
function wrapFunctions(code: string): string {
  const names = [...code.matchAll(registration)];
  let out = "";
  let at = 0;
  for (const [index, match] of names.entries()) {
    const begin = match.index;
    const end = names[index + 1]?.index ?? code.length;
    const inner = code.slice(begin + match[0].length, end);
    const close = inner.lastIndexOf("\nend)");
    if (close === -1) throw new Error(`the end of function ${match[1]} was not found`);
    out += code.slice(at, begin);
    out += `redis.register_function('${match[1]}', function(KEYS, ARGV)\n`;
    out += `return sim_run(function(KEYS, ARGV)\n${inner.slice(0, close)}\nend, KEYS, ARGV)\nend)`;
    out += inner.slice(close + "\nend)".length);
    at = end;
  }
  return out + code.slice(at);
}
