// SPDX-License-Identifier: Apache-2.0
// The libraries of the store with simulated time: the same text, told the time and asked what it published.

const timeCall = "redis.call('TIME')";
const entryId = /'XADD',([^)]*?), '\*'/g;
const publishCall = "redis.call('PUBLISH',";
const membersCall = "redis.call('SMEMBERS',";
const registration = /redis\.register_function\('([a-z0-9_]+)', function\(KEYS, ARGV\)\n/g;

/** What every wrapped library begins with: its time, and the messages of the call under way. */
const prelude = `
local sim_ms = 0
local sim_published = {}
local function sim_time()
  return {math.floor(sim_ms / 1000), (sim_ms % 1000) * 1000}
end
local function sim_publish(channel, message)
  sim_published[#sim_published + 1] = channel
  sim_published[#sim_published + 1] = message
  return 0
end
-- The order of a set depends on a secret of the server: any order is allowed, so here it is one.
local function sim_members(key)
  local members = redis.call('SMEMBERS', key)
  table.sort(members)
  return members
end
local function sim_call(body, KEYS, ARGV)
  sim_ms = tonumber(table.remove(ARGV))
  sim_published = {}
  local reply = body(KEYS, ARGV)
  return {sim_published, reply}
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
    out += `return sim_call(function(KEYS, ARGV)\n${inner.slice(0, close)}\nend, KEYS, ARGV)\nend)`;
    out += inner.slice(close + "\nend)".length);
    at = end;
  }
  return out + code.slice(at);
}
