// SPDX-License-Identifier: Apache-2.0
// Proves what a stated trigger means, and that each bad one is refused by the field that is wrong.

import { describe, expect, it } from "vitest";
import { decideTrigger, parseSecretHeaders, type StatedTrigger } from "./builtin-trigger.ts";

const timer = { kind: "timer", afterMs: undefined, everyMs: undefined, times: 0 } as const;
const http = {
  kind: "http",
  url: "https://host.test/ready",
  headers: {},
  expectStatuses: [],
  expectBody: "",
  everyMs: undefined,
  requestTimeoutMs: undefined,
} as const;
const file = { kind: "file", path: "/data/done", everyMs: undefined } as const;

describe("a built-in trigger", () => {
  it.each<[string, StatedTrigger, object]>([
    ["a timer fires once", { ...timer, afterMs: 50 }, { afterMs: 50, times: 1 }],
    [
      "with `every` alone it goes on for ever, from the first interval",
      { ...timer, everyMs: 20 },
      { afterMs: 20, everyMs: 20, times: undefined },
    ],
    ["or as often as said", { ...timer, everyMs: 20, times: 3 }, { times: 3 }],
    ["http has its defaults", http, { everyMs: 5_000, requestTimeoutMs: 10_000 }],
    ["so has file", file, { everyMs: 1_000 }],
  ])("%s", (_, stated, value) => {
    expect(decideTrigger(stated, "t")).toMatchObject({ ok: true, value });
  });

  it.each<[string, StatedTrigger]>([
    ["t.timer.after", timer],
    ["t.timer.after", { ...timer, afterMs: 9 }],
    ["t.timer.after", { ...timer, afterMs: 1e15 }],
    ["t.timer.every", { ...timer, afterMs: 10, everyMs: 0 }],
    ["t.timer.every", { ...timer, afterMs: 10, times: 2 }],
    ["t.timer.times", { ...timer, everyMs: 10, times: 1_000_001 }],
    ["t.http.url", { ...http, url: "ftp://host.test" }],
    ["t.http.url", { ...http, url: "nonsense" }],
    ["t.http.url", { ...http, url: "http://me:secret@host.test" }],
    ["t.http.url", { ...http, url: `http://host.test/${"x".repeat(2_048)}` }],
    ["t.http.headers", { ...http, headers: { "a b": "c" } }],
    ["t.http.headers", { ...http, headers: { a: "b\r\nc: d" } }],
    ["t.http.headers", { ...http, headers: { a: "x".repeat(20_000) } }],
    ["t.http.expect_statuses", { ...http, expectStatuses: [600] }],
    ["t.http.expect_statuses", { ...http, expectStatuses: Array(33).fill(200) }],
    ["t.http.expect_body", { ...http, expectBody: "x".repeat(4_097) }],
    ["t.http.every", { ...http, everyMs: 1 }],
    ["t.http.request_timeout", { ...http, requestTimeoutMs: 60_001 }],
    ["t.file.path", { ...file, path: "here" }],
    ["t.file.path", { ...file, path: "/a\0b" }],
    ["t.file.path", { ...file, path: `/${"x".repeat(4_096)}` }],
    ["t.file.every", { ...file, everyMs: 0 }],
  ])("is refused for its %s", (field, stated) => {
    const decided = decideTrigger(stated, "t");
    expect(decided.ok ? undefined : decided.failure.message).toContain(field);
  });

  it("secret headers are an object of texts, and a refusal repeats nothing of them", () => {
    expect(parseSecretHeaders('{"authorization":"s3cret"}', "f")).toEqual({
      ok: true,
      value: { authorization: "s3cret" },
    });
    expect(parseSecretHeaders("", "f")).toEqual({ ok: true, value: {} });
    for (const text of ["s3cret", '["s3cret"]', '{"a":{"b":"s3cret"}}', '{"a":"s3cret\\n"}']) {
      const parsed = parseSecretHeaders(text, "f");
      expect(parsed.ok ? "" : parsed.failure.message).toMatch(/f/);
      expect(JSON.stringify(parsed)).not.toContain("s3cret");
    }
  });
});
