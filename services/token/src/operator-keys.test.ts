// SPDX-License-Identifier: Apache-2.0
// Operator keys, revocations, the pepper and the first admin key.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Role } from "@remex/proto/common/v1";
import { VerificationService, type WatchRevocationsResponse } from "@remex/proto/token/v1";
import { createSilentLogger } from "@remex/runtime";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ensureBootstrapKey } from "./bootstrap-key.ts";
import { parsePeppers, requireOwnPeppers } from "./pepper.ts";
import { createTokenService } from "./token-service.ts";
import { codeOf, dayMs, startTokenKit, type TokenKit } from "./token-test-kit.ts";

let kit: TokenKit;
let { clock, folder, keys, peppers, records, service, tokens, verification } = {} as TokenKit;

beforeEach(async () => {
  kit = await startTokenKit();
  ({ clock, folder, keys, peppers, records, service, tokens, verification } = kit);
});

afterEach(async () => {
  await kit.stop();
});

const newToken = (name = "laptop", days = 1) =>
  tokens.createAgentToken({
    deployment: "default",
    name,
    expiry: { case: "expiresInDays", value: days },
  });

describe("operator keys", () => {
  const newKey = (name: string, role = Role.ADMIN, deployment = "") =>
    keys.createOperatorKey({
      name,
      role,
      deployment,
      expiry: { case: "expiresInDays", value: 1 },
    });

  test("a key is verified with its role and deployment until it expires", async () => {
    const { value, key } = await newKey("airflow", Role.SUBMITTER, "default");
    expect(await verification.verifyOperatorKey({ value })).toMatchObject({
      key: key?.key,
      name: "airflow",
      role: Role.SUBMITTER,
      deployment: "default",
    });
    await clock.advance(dayMs);
    expect(await codeOf(verification.verifyOperatorKey({ value }))).toBe("key_expired");
    expect(await codeOf(verification.verifyOperatorKey({ value: "rmk_x" }))).toBe("key_refused");
  });

  test("the last admin key for all deployments stays; a revoked one is refused", async () => {
    const admin = await newKey("admin");
    expect(await codeOf(keys.revokeOperatorKey({ key: "admin" }))).toBe("last_admin_key");
    await newKey("second admin");
    await keys.revokeOperatorKey({ key: "admin" });
    expect(await codeOf(verification.verifyOperatorKey({ value: admin.value }))).toBe(
      "key_revoked",
    );
    expect((await keys.listOperatorKeys({})).keys.map((key) => key.name)).toEqual(["second admin"]);
    expect(await codeOf(keys.revokeOperatorKey({ key: "nobody" }))).toBe("key_unknown");
  });

  test("a role, a name and a deployment are required as they are", async () => {
    expect(await codeOf(newKey("x", Role.UNSPECIFIED))).toBe("argument_invalid");
    expect(await codeOf(newKey("x", Role.VIEWER, "nobody"))).toBe("deployment_unknown");
    await newKey("x");
    expect(await codeOf(newKey("x"))).toBe("key_name_exists");
  });
});

describe("revocations", () => {
  test("SEC-T7: a watch begins with the last hour, then tells of each end within a sweep", async () => {
    service.start();
    const old = await newToken("old");
    await tokens.revokeAgentToken({ deployment: "default", token: old.token?.token ?? "" });
    const next = await newToken("next");
    const abort = new AbortController();
    const frames: WatchRevocationsResponse[] = [];
    const watching = (async () => {
      for await (const frame of verification.watchRevocations({}, { signal: abort.signal })) {
        frames.push(frame);
      }
    })().catch(() => undefined);
    await vi.waitFor(() => expect(frames).toHaveLength(1));
    expect(frames[0]?.revocations).toMatchObject([
      { credential: { case: "agentToken", value: old.token?.token }, reason: "revoked" },
    ]);
    await tokens.revokeAgentToken({ deployment: "default", token: next.token?.token ?? "" });
    await vi.waitFor(() =>
      expect(frames.flatMap((frame) => frame.revocations)).toMatchObject([
        {},
        { credential: { value: next.token?.token }, deployment: "default", reason: "revoked" },
      ]),
    );
    abort.abort();
    await watching;
  });

  test("SEC-T6: an expiry is told like a revocation", async () => {
    service.start();
    const { token } = await newToken("short", 1);
    const frames: WatchRevocationsResponse[] = [];
    const abort = new AbortController();
    const watching = (async () => {
      for await (const frame of verification.watchRevocations({}, { signal: abort.signal })) {
        frames.push(frame);
      }
    })().catch(() => undefined);
    await vi.waitFor(() => expect(frames).toHaveLength(1));
    clock.shiftWall(dayMs);
    await clock.advance(500);
    await vi.waitFor(() =>
      expect(frames.flatMap((frame) => frame.revocations)).toMatchObject([
        { credential: { value: token?.token }, reason: "expired" },
      ]),
    );
    abort.abort();
    await watching;
  });
});

describe("several replicas", () => {
  test("SEC-T7: what one replica revokes the others refuse and tell within a sweep of 500 ms", async () => {
    const other = createTokenService({ records, peppers, clock, log: createSilentLogger() });
    other.start();
    const told: string[] = [];
    const otherVerification = createClient(
      VerificationService,
      createRouterTransport((router) => other.routes(router)),
    );
    const abort = new AbortController();
    const watching = (async () => {
      for await (const frame of otherVerification.watchRevocations({}, { signal: abort.signal })) {
        told.push(...frame.revocations.map(({ credential }) => credential.value ?? ""));
      }
    })().catch(() => undefined);
    const { value, token } = await newToken();
    await otherVerification.verifyAgentToken({ value });
    const publicId = token?.token ?? "";
    await tokens.revokeAgentToken({ deployment: "default", token: publicId });
    await clock.advance(500);
    await vi.waitFor(() => expect(told).toEqual([publicId]));
    await expect(otherVerification.verifyAgentToken({ value })).rejects.toThrow();
    abort.abort();
    await watching;
    await other.stop();
  });
});

describe("the pepper", () => {
  test("SEC-T3: another pepper than the store's, or a lost one, is refused with the fix", async () => {
    await requireOwnPeppers(records, peppers, "/data/pepper");
    const one = `v1 ${"11".repeat(32)}`;
    const two = `v2 ${"22".repeat(32)}`;
    const check = (text: string) =>
      requireOwnPeppers(records, parsePeppers(text, "/data/pepper"), "/data/pepper");
    await expect(check(one)).rejects.toThrow("is another one in /data/pepper: restore the file");
    await expect(check(two)).rejects.toThrow("pepper v1, which");
    await requireOwnPeppers(records, peppers, "/data/pepper");
  });
});

describe("the bootstrap key", () => {
  const ensure = () => ensureBootstrapKey({ records, peppers, clock, dataDir: folder });

  test("is written once per records store, for its owner alone, and works as admin", async () => {
    const path = await ensure();
    expect(path).toBe(join(folder, "admin.key"));
    expect((await stat(path ?? "")).mode & 0o777).toBe(0o600);
    const value = (await readFile(path ?? "", "utf8")).trim();
    expect(await verification.verifyOperatorKey({ value })).toMatchObject({ role: Role.ADMIN });
    expect(await ensure()).toBeUndefined();
    expect((await readFile(path ?? "", "utf8")).trim()).toBe(value);
    expect((await readdir(folder)).filter((name) => name.includes("draft"))).toEqual([]);
  });

  test("survives a crash between its record and its file", async () => {
    const createFirst = records.operatorKeys.createFirst.bind(records.operatorKeys);
    vi.spyOn(records.operatorKeys, "createFirst").mockImplementationOnce(async (input) => {
      await createFirst(input);
      throw new Error("crashed");
    });
    await expect(ensure()).rejects.toThrow("crashed");
    const path = await ensure();
    const value = (await readFile(path ?? "", "utf8")).trim();
    expect(await codeOf(verification.verifyOperatorKey({ value }))).toBe("ok");
  });
});
