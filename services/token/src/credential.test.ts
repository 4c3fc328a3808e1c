// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { createCredential, credentialPattern, parseCredential } from "./credential.ts";
import { parsePeppers, sameDigest } from "./pepper.ts";

test("SEC-T1: a token is rmx_, 8 public characters, _, 43 random ones and a checksum of 6", () => {
  const seen = new Set<string>();
  for (let index = 0; index < 200; index += 1) {
    const token = createCredential("rmx");
    expect(token.value).toMatch(/^rmx_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}$/);
    expect(token.value).toMatch(credentialPattern);
    expect(parseCredential("rmx", token.value)).toEqual(token);
    seen.add(token.value);
  }
  expect(seen.size).toBe(200);
  expect(43 * Math.log2(62)).toBeGreaterThanOrEqual(256);
});

test("SEC-T1: every single changed character is noticed", () => {
  const { value } = createCredential("rmx");
  for (let index = 0; index < value.length; index += 1) {
    const other = value.charAt(index) === "A" ? "B" : "A";
    const changed = value.slice(0, index) + other + value.slice(index + 1);
    expect(parseCredential("rmx", changed), String(index)).toBeUndefined();
  }
  expect(parseCredential("rmk", value)).toBeUndefined();
});

test("SEC-T4: digests of different length are unequal and do not throw", () => {
  expect(sameDigest("ab", "abcd")).toBe(false);
  expect(sameDigest("", "ab")).toBe(false);
  expect(sameDigest("ab", "ac")).toBe(false);
  expect(sameDigest("ab", "ab")).toBe(true);
});

test("SEC-T3: peppers have versions, old ones go on working, a spoilt file is refused", () => {
  const one = `v1 ${"11".repeat(32)}`;
  const two = `v2 ${"22".repeat(32)}`;
  const before = parsePeppers(one, "pepper");
  const after = parsePeppers(`${one}\n${two}\n`, "pepper");
  expect([before.newest, after.newest]).toEqual([1, 2]);
  expect(after.digest(1, "x")).toBe(before.digest(1, "x"));
  expect(after.digest(2, "x")).not.toBe(before.digest(1, "x"));
  expect(after.digest(3, "x")).toBeUndefined();
  expect(() => parsePeppers("v1 short", "/data/pepper")).toThrow("/data/pepper has a line");
  expect(() => parsePeppers("", "/data/pepper")).toThrow("holds no pepper");
});
