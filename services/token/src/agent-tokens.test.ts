// SPDX-License-Identifier: Apache-2.0
// Agent tokens: what is made, what is refused, what is kept of them.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { toJsonString } from "@bufbuild/protobuf";
import type { RemexError } from "@remex/domain";
import { AgentKind } from "@remex/proto/common/v1";
import { ListAgentTokensResponseSchema } from "@remex/proto/token/v1";
import { failureFromConnect } from "@remex/transport";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCredential } from "./credential.ts";
import { codeOf, dayMs, startTokenKit, type TokenKit } from "./token-test-kit.ts";

let kit: TokenKit;
let { clock, createDeployment, folder, malformed, records, service, tokens, verification } =
  {} as TokenKit;

beforeEach(async () => {
  kit = await startTokenKit();
  ({ clock, createDeployment, folder, malformed, records, service, tokens, verification } = kit);
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

describe("agent tokens", () => {
  test("R6, SEC-T5: the value is in the one answer, marked no-store, and nowhere else", async () => {
    let cacheControl: string | null = null;
    const created = await tokens.createAgentToken(
      { deployment: "default", name: "laptop", expiry: { case: "neverExpires", value: true } },
      { onHeader: (headers) => (cacheControl = headers.get("cache-control")) },
    );
    expect(cacheControl).toBe("no-store");
    expect(created.value).toMatch(/^rmx_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}$/);
    expect(created.value.slice(4, 12)).toBe(created.token?.token);
    const listed = await tokens.listAgentTokens({ deployment: "default" });
    expect(toJsonString(ListAgentTokensResponseSchema, listed)).not.toContain(
      created.value.slice(13),
    );
    expect(listed).toMatchObject({ live: 1, limit: 50 });
  });

  test("SEC-T3: no file of the store holds the value", async () => {
    const { value } = await newToken();
    await records.close();
    const names = await readdir(folder);
    expect(names).toContain("records.sqlite");
    for (const name of names) {
      const bytes = await readFile(join(folder, name));
      expect(bytes.includes(value), name).toBe(false);
      expect(bytes.includes(value.slice(13)), name).toBe(false);
    }
  });

  test("R8: a token is verified with its deployment, kinds and queues", async () => {
    const { value, token } = await tokens.createAgentToken({
      deployment: "default",
      name: "gpu hosts",
      expiry: { case: "expiresInDays", value: 2 },
      kinds: [AgentKind.WORKER],
      queues: ["gpu"],
    });
    expect(await verification.verifyAgentToken({ value })).toMatchObject({
      deployment: "default",
      token: token?.token,
      kinds: [AgentKind.WORKER],
      queues: ["gpu"],
      expiresIn: { seconds: BigInt((2 * dayMs) / 1000) },
    });
  });

  test("SEC-T2: malformed, wrong checksum and unknown are refused alike, the former before any read", async () => {
    const { value } = await newToken();
    const read = vi.spyOn(records.agentTokens, "load");
    const flipped = value.slice(0, -1) + (value.endsWith("0") ? "1" : "0");
    const operatorKey = createCredential("rmk").value;
    const errors: RemexError[] = [];
    for (const bad of ["", "rmx_", "nonsense", flipped, operatorKey, `${value} `]) {
      errors.push(
        await verification.verifyAgentToken({ value: bad }).then(() => {
          throw new Error("accepted");
        }, failureFromConnect),
      );
    }
    expect(read).not.toHaveBeenCalled();
    expect(malformed).toHaveLength(6);
    const unknown = await verification
      .verifyAgentToken({ value: createCredential("rmx").value })
      .then(() => {
        throw new Error("accepted");
      }, failureFromConnect);
    for (const error of errors) {
      expect([error.code, error.message, error.connectCode]).toEqual([
        unknown.code,
        unknown.message,
        "unauthenticated",
      ]);
    }
  });

  test("SEC-T2: the right public id with another secret is refused like an unknown one", async () => {
    const { value } = await newToken();
    // The store answers the guess with the record of the real token.
    const [stored] = await records.agentTokens.listEnded(0, clock.wallMs() + 2 * dayMs);
    vi.spyOn(records.agentTokens, "load").mockResolvedValueOnce(stored);
    const guess = createCredential("rmx").value;
    expect(await codeOf(verification.verifyAgentToken({ value: guess }))).toBe("token_refused");
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("ok");
  });

  test("R8, SEC-T6: a token holds until t-1 and is expired at t and t+1", async () => {
    const { value } = await newToken("laptop", 1);
    await clock.advance(dayMs - 1);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("ok");
    await clock.advance(1);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("token_expired");
    await clock.advance(1);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("token_expired");
  });

  test("SEC-T6: an expiry that is not stated, or not within ten years, is refused", async () => {
    const attempt = (expiry: Parameters<typeof tokens.createAgentToken>[0]["expiry"]) =>
      codeOf(
        tokens.createAgentToken({
          deployment: "default",
          name: "x",
          ...(expiry ? { expiry } : {}),
        }),
      );
    expect(await attempt(undefined)).toBe("argument_invalid");
    expect(await attempt({ case: "neverExpires", value: false })).toBe("argument_invalid");
    expect(await attempt({ case: "expiresInDays", value: 0 })).toBe("argument_invalid");
    expect(await attempt({ case: "expiresInDays", value: 3_651 })).toBe("argument_invalid");
    expect(await attempt({ case: "expiresInDays", value: 3_650 })).toBe("ok");
  });

  test.each([
    ["an empty name", { name: "" }],
    ["a name of 65 characters", { name: "x".repeat(65) }],
    ["a name with a terminal escape", { name: "a\u001b[31mb" }],
    ["a name with a newline", { name: "a\nb" }],
    ["a name with a space at its end", { name: "a " }],
    ["a description of 257 characters", { description: "x".repeat(257) }],
    ["a queue that is no queue name", { queues: ["a b"] }],
  ])("SEC-T12: %s is refused", async (_what, fields) => {
    const call = tokens.createAgentToken({
      deployment: "default",
      name: "ok",
      expiry: { case: "expiresInDays", value: 1 },
      ...fields,
    });
    expect(["argument_invalid", "queue_name_invalid"]).toContain(await codeOf(call));
  });

  test("SEC-T12: names are unique among live tokens; the limit and the deployment are named", async () => {
    await newToken("laptop");
    expect(await codeOf(newToken("laptop"))).toBe("token_name_exists");
    const elsewhere = tokens.createAgentToken({
      deployment: "nobody",
      name: "x",
      expiry: { case: "neverExpires", value: true },
    });
    expect(await codeOf(elsewhere)).toBe("deployment_unknown");
    for (let index = 1; index < 50; index += 1) await newToken(`t${index}`);
    expect(await codeOf(newToken("one too many"))).toBe("token_limit");
  });

  test("R8: a revoked token is refused at once, and revoking twice is no error", async () => {
    const { value, token } = await newToken();
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("ok");
    const name = { deployment: "default", token: token?.token ?? "" };
    await tokens.revokeAgentToken(name);
    await tokens.revokeAgentToken(name);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("token_revoked");
  });

  test("SEC-T10: a token of another deployment is as unknown as one that never was", async () => {
    await createDeployment("other");
    const { token } = await newToken();
    const call = tokens.revokeAgentToken({ deployment: "other", token: token?.token ?? "" });
    expect(await codeOf(call)).toBe("token_unknown");
  });

  test("SEC-T3: while the records are away, what was verified holds for 10 s and no longer", async () => {
    const { value } = await newToken();
    const other = await newToken("other");
    await verification.verifyAgentToken({ value });
    vi.spyOn(records.agentTokens, "load").mockRejectedValue(new Error("disk I/O error"));
    await clock.advance(9_999);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("ok");
    expect(await codeOf(verification.verifyAgentToken({ value: other.value }))).toBe(
      "records_unavailable",
    );
    await clock.advance(1);
    expect(await codeOf(verification.verifyAgentToken({ value }))).toBe("records_unavailable");
  });

  test("SEC-T8: last use is written to the minute, later and in a batch", async () => {
    service.start();
    const { value, token } = await newToken();
    await verification.verifyAgentToken({ value, address: "192.0.2.7" });
    expect((await records.agentTokens.load(token?.token ?? ""))?.lastUsedAtMs).toBeNull();
    const minute = Math.floor(clock.wallMs() / 60_000) * 60_000;
    await clock.advance(10_000);
    await vi.waitFor(async () => {
      const record = await records.agentTokens.load(token?.token ?? "");
      expect(record?.lastUsedAtMs).toBe(minute);
    });
  });

  test("pages follow each other, and a page token that is not ours is refused", async () => {
    for (const name of ["a", "b", "c"]) {
      await newToken(name);
      await clock.advance(1);
    }
    const first = await tokens.listAgentTokens({ deployment: "default", pageSize: 2 });
    expect(first.tokens.map((token) => token.name)).toEqual(["c", "b"]);
    const pageToken = first.nextPageToken;
    const second = await tokens.listAgentTokens({ deployment: "default", pageSize: 2, pageToken });
    expect(second.tokens.map((token) => token.name)).toEqual(["a"]);
    expect(second.nextPageToken).toBe("");
    expect(
      await codeOf(tokens.listAgentTokens({ deployment: "default", pageToken: "nonsense" })),
    ).toBe("cursor_invalid");
  });
});
