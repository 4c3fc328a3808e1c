// SPDX-License-Identifier: Apache-2.0
// Proves the rules of names, and that a task's id is a pure function of deployment and key.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseAgentName,
  parseDeploymentId,
  parseIdempotencyKey,
  parseQueueName,
  parseTaskId,
  taskIdOfDigest,
  taskIdText,
} from "./ids.ts";

function taskId(deployment: string, key: string): string {
  return taskIdOfDigest(createHash("sha256").update(taskIdText(deployment, key)).digest());
}

describe("names", () => {
  const good = ["a", "0", "a-b", "a".repeat(63), "worker-1", "0-0"];
  const bad = ["", "-a", "a-", "A", "a_b", "a.b", "a b", "ä", "a".repeat(64), "a\n", "a\0"];

  test.each(good)("%j names an agent and a deployment", (text) => {
    expect(parseAgentName(text)).toEqual({ ok: true, value: text });
    expect(parseDeploymentId(text)).toEqual({ ok: true, value: text });
  });

  test.each(bad)("%j names neither, and the failure says the rule", (text) => {
    const agent = parseAgentName(text);
    const deployment = parseDeploymentId(text);
    expect(agent.ok || agent.failure.code).toBe("agent_name_invalid");
    expect(agent.ok || agent.failure.message).toContain("1 to 63 of a-z");
    expect(deployment.ok || deployment.failure.code).toBe("deployment_name_invalid");
  });

  test.each(["default", "GPU.large_1-x", "9"])("%j names a queue", (text) => {
    expect(parseQueueName(text).ok).toBe(true);
  });

  test.each(["", ".a", "_a", "a b", "a/b", "a".repeat(64), "q\n"])("%j names no queue", (text) => {
    expect(parseQueueName(text).ok).toBe(false);
  });

  test("SEC-E2: control characters of a refused name are escaped in the message", () => {
    const parsed = parseAgentName("a\u001b[31m\n");
    expect(parsed.ok || parsed.failure.message).toContain('"a\\u001b[31m\\n"');
  });

  test("a key has 1 to 256 bytes, counted in UTF-8", () => {
    expect(parseIdempotencyKey("k").ok).toBe(true);
    expect(parseIdempotencyKey("ä".repeat(128)).ok).toBe(true);
    expect(parseIdempotencyKey("ä".repeat(129)).ok).toBe(false);
    expect(parseIdempotencyKey("").ok).toBe(false);
  });
});

describe("PROTOCOL-S6: a task's id", () => {
  test("is t_ and the first 26 characters of the digest in lower-case base32", () => {
    // By other means: printf 'acme\0key-1' | sha256sum | cut -c1-64 | xxd -r -p | base32
    expect(taskId("acme", "key-1")).toBe("t_uhqo3wzdj7abpcrstvlg4cuuaf");
  });

  test("can be read back, and nothing else can", () => {
    const id = taskId("acme", "key-1");
    expect(parseTaskId(id, "acme")).toEqual({ ok: true, value: id });
    for (const text of ["", "t_", id.toUpperCase(), `${id}a`, id.slice(0, -1), `x${id}`]) {
      const parsed = parseTaskId(text, "acme");
      expect(parsed.ok || parsed.failure.code).toBe("task_unknown");
    }
  });

  test("differs where deployment and key differ, wherever the cut between them is", () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(name, name, name, name, (d1, k1, d2, k2) => {
        expect(taskId(d1, k1) === taskId(d2, k2)).toBe(d1 === d2 && k1 === k2);
      }),
    );
  });

  test("equals RFC 4648 for any digest", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        expect(taskIdOfDigest(digest)).toBe(`t_${base32Of(digest).slice(0, 26)}`);
      }),
    );
  });
});

/** Base32 the slow and plain way, to check the quick one against. */
function base32Of(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{5}/g) ?? [];
  return groups
    .map((group) => "abcdefghijklmnopqrstuvwxyz234567".charAt(Number.parseInt(group, 2)))
    .join("");
}
