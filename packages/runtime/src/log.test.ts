// SPDX-License-Identifier: Apache-2.0
// Proves that no secret reaches a log line, by type and by pattern, and that lines keep their form.

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { createLogger } from "./log.ts";
import { hideCredentials, Secret } from "./secret.ts";

const token = `rmx_Ab3dE6gH_${"x".repeat(43)}AbCd12`;
const key = `rmk_Ab3dE6gH_${"y".repeat(43)}AbCd12`;

function capture() {
  const lines: string[] = [];
  const log = createLogger({
    service: "registry",
    replica: "registry-1",
    level: "debug",
    destination: { write: (line: string) => void lines.push(line) },
  });
  return { log, lines };
}

describe("SEC-G1: secrets and logs", () => {
  test("a Secret shows itself nowhere", () => {
    const secret = new Secret("hunter2");
    const shown = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [secret] }, { depth: 9, showHidden: true }),
      JSON.stringify(Object.entries(secret)),
    ];
    for (const text of shown) expect(text).not.toContain("hunter2");
    expect(secret.reveal()).toBe("hunter2");
  });

  test("tokens and keys are hidden wherever they stand in a line", () => {
    const { log, lines } = capture();
    log.info({ address: `x?t=${token}` }, `got ${key}`);
    log.error({ err: new Error(`bad ${token}`, { cause: new Error(key) }) }, "failed");
    log.info({ nested: { deep: { text: token } }, secret: new Secret("hunter2") }, "m");
    log.child({ agent: token }).info("child");
    const all = lines.join("");
    expect(lines).toHaveLength(4);
    expect(all).not.toContain("x".repeat(20));
    expect(all).not.toContain("y".repeat(20));
    expect(all).not.toContain("hunter2");
  });

  test("fields named for secrets are hidden whatever they hold", () => {
    const { log, lines } = capture();
    log.info({ token: "abc123", header: { authorization: "Bearer abc123" } }, "m");
    expect(lines.join("")).not.toContain("abc123");
  });

  test("a part of a token is hidden as well, other text is left alone", () => {
    expect(hideCredentials(`${token.slice(0, 30)}`)).toBe("[secret]");
    expect(hideCredentials("rmx_ is the prefix, rmx_Ab3dE6gH the public id")).toBe(
      "rmx_ is the prefix, rmx_Ab3dE6gH the public id",
    );
  });
});

describe("log lines", () => {
  test("are JSON with stable names", () => {
    const { log, lines } = capture();
    log.warn({ deployment: "acme", agent: "w", durationMs: 5 }, "link down");
    const line = JSON.parse(lines[0] ?? "");
    expect(line).toMatchObject({
      level: "warn",
      service: "registry",
      replica: "registry-1",
      deployment: "acme",
      agent: "w",
      durationMs: 5,
      msg: "link down",
    });
    expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test("errors keep type, code and the chain of their causes", () => {
    const { log, lines } = capture();
    const root = Object.assign(new Error("ECONNREFUSED"), { code: "ECONNREFUSED" });
    const loop = new Error("loop");
    loop.cause = loop;
    log.error({ err: new TypeError("outer", { cause: root }) }, "m");
    log.error({ err: loop }, "m");
    log.error({ err: "just text" }, "m");
    const [first, second, third] = lines.map((line) => JSON.parse(line));
    expect(first.err).toMatchObject({
      type: "TypeError",
      message: "outer",
      cause: { code: "ECONNREFUSED" },
    });
    expect(first.err.stack).toContain("TypeError: outer");
    expect(second.err.message).toBe("loop");
    expect(third.err).toBe("just text");
  });
});
