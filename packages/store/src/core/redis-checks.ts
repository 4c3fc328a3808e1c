// SPDX-License-Identifier: Apache-2.0
// What a Redis must be before we trust it with leases (PROTOCOL D1).
import type { Redis } from "ioredis";

const LEAST_MAJOR = 7;

/** Problems of a Redis, as sentences with their fix; empty when it fits. `warnings` do not stop a start. */
export interface RedisFitness {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** Judges the text of INFO (sections server, memory, persistence, replication). Pure. */
export function judgeRedisInfo(info: string, replicasWaitedFor = 0): RedisFitness {
  const problems: string[] = [];
  const warnings: string[] = [];
  const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? "";
  if (Number.parseInt(version, 10) < LEAST_MAJOR) {
    problems.push(
      `redis is version ${version || "unknown"}; remex needs ${LEAST_MAJOR}.0 or newer (Redis Functions): upgrade it`,
    );
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? "noeviction";
  if (policy !== "noeviction") {
    problems.push(
      `redis has maxmemory-policy ${policy}, which may throw leases away; set "maxmemory-policy noeviction"`,
    );
  }
  if (/^aof_enabled:0/m.test(info)) {
    warnings.push(
      'redis has "appendonly no": a restart of redis loses queued tasks; set "appendonly yes"',
    );
  }
  const replicas = Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0);
  if (replicas < replicasWaitedFor) {
    warnings.push(
      `redis has ${replicas} replicas and ${replicasWaitedFor} are waited for: nothing is acknowledged until they are there`,
    );
  }
  if (replicasWaitedFor === 0 && replicas > 0) {
    warnings.push(
      `redis has ${replicas} replicas and none is waited for: a promotion may lose what was acknowledged; set --redis-replicas 1`,
    );
  }
  return { problems, warnings };
}

/** Reads INFO and judges it. */
export async function checkRedis(redis: Redis, replicasWaitedFor = 0): Promise<RedisFitness> {
  return judgeRedisInfo(await redis.info(), replicasWaitedFor);
}
