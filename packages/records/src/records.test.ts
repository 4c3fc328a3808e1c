// SPDX-License-Identifier: Apache-2.0
// The one suite of the records store, run on every engine.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  type AgentControl,
  defaultDeploymentSettings,
  freeGroup,
  type GroupControl,
  lostAfterNeverMs,
} from "@remex/domain";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AuditEntryContent, findBrokenAuditEntry } from "./audit/audit-chain.ts";
import { openRecords, type Records } from "./records.ts";
import { engines } from "./testing/engines.ts";

const run = promisify(execFile);
const createTokensScript = fileURLToPath(new URL("./testing/create-tokens.ts", import.meta.url));

describe.each(engines)("records on $name", (engine) => {
  let store: { readonly url: string; remove(): Promise<void> };
  let records: Records;

  beforeEach(async () => {
    store = await engine.create();
    records = await openRecords(store.url);
  });

  afterEach(async () => {
    await records.close();
    await store.remove();
  });

  const createDeployment = (deployment = "default", maxAgentTokens = 50) =>
    records.deployments.create({
      deployment,
      displayName: "",
      settings: { ...defaultDeploymentSettings, maxAgentTokens },
      nowMs: 1,
    });

  const newToken = (token: string, name = token, createdAtMs = 1_000) => ({
    token,
    deployment: "default",
    name,
    description: "",
    kinds: [],
    queues: [],
    pepperVersion: 1,
    digest: "ab",
    createdAtMs,
    expiresAtMs: null as number | null,
  });

  test("several handles opened at once make the tables once", async () => {
    const fresh = await engine.create();
    const handles = await Promise.all(Array.from({ length: 6 }, () => openRecords(fresh.url)));
    await Promise.all(handles.map((handle) => handle.check()));
    await Promise.all(handles.map((handle) => handle.close()));
    await fresh.remove();
  });

  test("the store's id stays what it was first", async () => {
    expect(await records.storeId.loadOrCreate("first", 1)).toBe("first");
    expect(await records.storeId.loadOrCreate("second", 2)).toBe("first");
  });

  test("peppers are noted once, and those of another installation are not", async () => {
    const first = new Map([[1, "a"]]);
    const foreign = new Map([
      [1, "x"],
      [2, "y"],
    ]);
    const rotated = new Map([
      [1, "a"],
      [2, "b"],
    ]);
    expect(await records.peppers.note(first)).toEqual(first);
    expect(await records.peppers.note(foreign)).toEqual(first);
    expect(await records.peppers.note(rotated)).toEqual(rotated);
    expect(await records.peppers.note(first)).toEqual(rotated);
  });

  describe("deployments", () => {
    test("a new one has the queue default and revision 1; a second create gives it back", async () => {
      const first = await createDeployment();
      expect(first).toMatchObject({ kind: "created", record: { revision: 1, projection: 1 } });
      expect(await createDeployment()).toEqual({ kind: "exists", record: first.record });
      expect(await records.deployments.loadProjection("default")).toMatchObject({
        queues: ["default"],
      });
    });

    test("an update raises the revision, and the interval version only with the interval", async () => {
      await createDeployment();
      const renamed = await records.deployments.update("default", 1, 5, (record) => ({
        displayName: "People",
        settings: record.settings,
      }));
      expect(renamed).toMatchObject({
        kind: "updated",
        record: { revision: 2, projection: 2, intervalVersion: 1, displayName: "People" },
      });
      const slower = await records.deployments.update("default", 0, 6, (record) => ({
        displayName: record.displayName,
        settings: { ...record.settings, heartbeatIntervalMs: 20_000 },
      }));
      expect(slower).toMatchObject({ kind: "updated", record: { intervalVersion: 2 } });
    });

    test("an update with a stale revision or for nobody changes nothing", async () => {
      await createDeployment();
      const same = (record: {
        displayName: string;
        settings: typeof defaultDeploymentSettings;
      }) => ({
        displayName: `${record.displayName}!`,
        settings: record.settings,
      });
      expect(await records.deployments.update("default", 7, 5, same)).toEqual({
        kind: "stale",
        revision: 1,
      });
      expect(await records.deployments.update("nobody", 0, 5, same)).toEqual({ kind: "unknown" });
      expect(await records.deployments.load("default")).toMatchObject({ revision: 1 });
    });

    test("a refusal thrown by the decision leaves the record as it was", async () => {
      await createDeployment();
      await expect(
        records.deployments.update("default", 0, 5, () => {
          throw new Error("refused");
        }),
      ).rejects.toThrow("refused");
      expect(await records.deployments.load("default")).toMatchObject({ revision: 1 });
    });

    test("pages go on after the last slug", async () => {
      await createDeployment("b");
      await createDeployment("a");
      await createDeployment("c");
      const first = await records.deployments.list("", 2);
      expect(first.map((record) => record.deployment)).toEqual(["a", "b"]);
      const rest = await records.deployments.list("b", 2);
      expect(rest.map((record) => record.deployment)).toEqual(["c"]);
    });
  });

  describe("queues", () => {
    const queue = (name: string, deployment = "default") => ({
      deployment,
      queue: name,
      description: "",
      createdAtMs: 1,
    });

    test("R3: queues are declared on a deployment; each change raises the projection, not the revision", async () => {
      await createDeployment();
      expect(await records.queues.create(queue("gpu"))).toMatchObject({ kind: "created" });
      expect(await records.queues.create(queue("gpu"))).toMatchObject({ kind: "exists" });
      expect(await records.queues.create(queue("gpu", "nobody"))).toEqual({
        kind: "deployment_unknown",
      });
      const projection = await records.deployments.loadProjection("default");
      expect(projection).toMatchObject({ queues: ["default", "gpu"], revision: 1 });
      expect(projection?.projection).toBeGreaterThan(1);
    });

    test("the queue default stays; another one goes once", async () => {
      await createDeployment();
      await records.queues.create(queue("gpu"));
      expect(await records.queues.delete("default", "default")).toBe("is_default");
      expect(await records.queues.delete("default", "gpu")).toBe("deleted");
      expect(await records.queues.delete("default", "gpu")).toBe("unknown");
      expect(await records.queues.delete("nobody", "gpu")).toBe("deployment_unknown");
    });
  });

  describe("agent tokens", () => {
    test("a live name is refused, and free again after the token has ended", async () => {
      await createDeployment();
      await records.agentTokens.create({ ...newToken("a", "laptop"), expiresAtMs: 2_000 });
      expect(await records.agentTokens.create(newToken("b", "laptop", 1_999))).toEqual({
        kind: "name_exists",
        token: "a",
      });
      expect(await records.agentTokens.create(newToken("b", "laptop", 2_000))).toMatchObject({
        kind: "created",
      });
    });

    test("SEC-T9: only live tokens count towards the limit", async () => {
      await createDeployment("default", 2);
      await records.agentTokens.create({ ...newToken("a"), expiresAtMs: 2_000 });
      await records.agentTokens.create(newToken("b"));
      expect(await records.agentTokens.create(newToken("c", "c", 1_999))).toEqual({
        kind: "limit",
        limit: 2,
      });
      expect(await records.agentTokens.create(newToken("c", "c", 2_000))).toMatchObject({
        kind: "created",
      });
      await records.agentTokens.revoke("default", "b", 2_001);
      expect(await records.agentTokens.create(newToken("d", "d", 2_002))).toMatchObject({
        kind: "created",
      });
    });

    test("R7, SEC-T9, I16: 200 creates at once from each of three processes end at exactly 50", async () => {
      await createDeployment();
      const outputs = await Promise.all(
        ["aaaa", "bbbb", "cccc"].map((prefix) =>
          run(process.execPath, [createTokensScript, store.url, "default", prefix, "200"]),
        ),
      );
      const kinds = outputs.flatMap((output) => JSON.parse(output.stdout) as string[]);
      expect(kinds).toHaveLength(600);
      expect(kinds.filter((kind) => kind === "created")).toHaveLength(50);
      expect(kinds.filter((kind) => kind === "limit")).toHaveLength(550);
    }, 60_000);

    test("R7: creates through several handles of one process end at exactly the limit", async () => {
      await createDeployment("default", 5);
      const handles = await Promise.all([openRecords(store.url), openRecords(store.url)]);
      const results = await Promise.all(
        handles.flatMap((handle, at) =>
          Array.from({ length: 10 }, (_, index) =>
            handle.agentTokens.create(newToken(`${at}-${index}`)),
          ),
        ),
      );
      await Promise.all(handles.map((handle) => handle.close()));
      expect(results.filter((result) => result.kind === "created")).toHaveLength(5);
    });

    test("pages are newest first, without ended ones unless they are asked for", async () => {
      await createDeployment();
      for (const [index, token] of ["a", "b", "c"].entries()) {
        await records.agentTokens.create(newToken(token, token, 1_000 + index));
      }
      await records.agentTokens.revoke("default", "b", 1_500);
      const request = { deployment: "default", withEnded: false, nowMs: 2_000, pageSize: 1 };
      const first = await records.agentTokens.list(request);
      expect(first).toMatchObject({ live: 2, limit: 50, records: [{ token: "c" }] });
      const second = await records.agentTokens.list({
        ...request,
        before: { createdAtMs: 1_002, token: "c" },
      });
      expect(second?.records.map((record) => record.token)).toEqual(["a"]);
      const all = await records.agentTokens.list({ ...request, withEnded: true, pageSize: 9 });
      expect(all?.records.map((record) => record.token)).toEqual(["c", "b", "a"]);
      expect(await records.agentTokens.list({ ...request, deployment: "nobody" })).toBeUndefined();
    });

    test("revoking keeps its first time and knows no token of another deployment", async () => {
      await createDeployment();
      await createDeployment("other");
      await records.agentTokens.create(newToken("a", "laptop"));
      expect(await records.agentTokens.revoke("other", "a", 5_000)).toBeUndefined();
      expect(await records.agentTokens.revoke("default", "laptop", 5_000)).toMatchObject({
        revokedAtMs: 5_000,
      });
      expect(await records.agentTokens.revoke("default", "a", 6_000)).toMatchObject({
        revokedAtMs: 5_000,
      });
      expect(await records.agentTokens.listEnded(4_000, 7_000)).toHaveLength(1);
      expect(await records.agentTokens.listEnded(5_001, 7_000)).toHaveLength(0);
    });

    test("an older use does not overwrite a newer one", async () => {
      await createDeployment();
      await records.agentTokens.create(newToken("a"));
      await records.agentTokens.recordUse([{ token: "a", atMs: 120_000, address: "::1" }]);
      await records.agentTokens.recordUse([{ token: "a", atMs: 60_000, address: "::1" }]);
      expect(await records.agentTokens.load("a")).toMatchObject({ lastUsedAtMs: 120_000 });
    });
  });

  describe("operator keys", () => {
    const newKey = (key: string, role: "admin" | "viewer" = "admin", deployment = "") => ({
      key,
      name: key,
      role,
      deployment,
      pepperVersion: 1,
      digest: "cd",
      createdAtMs: 1_000,
      expiresAtMs: null,
    });

    test("the first key is made once, by whichever of several processes comes first", async () => {
      const other = await openRecords(store.url);
      const results = await Promise.all([
        records.operatorKeys.createFirst(newKey("a")),
        other.operatorKeys.createFirst(newKey("b")),
      ]);
      await other.close();
      expect(results.filter((result) => result !== undefined)).toHaveLength(1);
      const [key] = await records.operatorKeys.list(false, 1_000);
      await records.operatorKeys.create(newKey("c"));
      await records.operatorKeys.revoke(key?.key ?? "", 2_000);
      expect(await records.operatorKeys.createFirst(newKey("d"))).toBeUndefined();
    });

    test("the last admin key for everything cannot be revoked", async () => {
      await createDeployment();
      await records.operatorKeys.create(newKey("a"));
      await records.operatorKeys.create(newKey("bound", "admin", "default"));
      await records.operatorKeys.create(newKey("v", "viewer"));
      expect(await records.operatorKeys.revoke("a", 2_000)).toEqual({ kind: "last_admin_key" });
      expect(await records.operatorKeys.revoke("v", 2_000)).toMatchObject({ kind: "revoked" });
      await records.operatorKeys.create(newKey("b"));
      expect(await records.operatorKeys.revoke("a", 2_000)).toMatchObject({ kind: "revoked" });
      expect(await records.operatorKeys.revoke("a", 3_000)).toMatchObject({
        kind: "revoked",
        record: { revokedAtMs: 2_000 },
      });
      expect(await records.operatorKeys.revoke("nobody", 3_000)).toEqual({ kind: "unknown" });
    });

    test("names are unique among live keys, deployments must be there", async () => {
      await records.operatorKeys.create(newKey("a"));
      expect(await records.operatorKeys.create({ ...newKey("b"), name: "a" })).toEqual({
        kind: "name_exists",
        key: "a",
      });
      expect(await records.operatorKeys.create(newKey("c", "viewer", "nobody"))).toEqual({
        kind: "deployment_unknown",
      });
    });
  });

  describe("audit", () => {
    const content = (entry: string, deployment = ""): AuditEntryContent => ({
      entry,
      atMs: 5,
      actor: "key:abcdefgh admin",
      address: "127.0.0.1",
      action: "remex.registry.v1.QueueService/CreateQueue",
      deployment,
      subject: "queue:gpu",
      result: "ok",
      detailJson: "{}",
    });

    test("SEC-G2: entries are chained by hash, and a changed or missing one is found", async () => {
      await records.audit.append([content("a"), content("b")]);
      await records.audit.append([content("c")]);
      const entries = (await records.audit.list({ deployment: "", pageSize: 10 })).reverse();
      expect(entries.map((entry) => entry.number)).toEqual([1, 2, 3]);
      expect(findBrokenAuditEntry("", entries)).toBeUndefined();
      const [first, second, third] = entries;
      if (!first || !second || !third) throw new Error("three entries were appended");
      expect(findBrokenAuditEntry("", [first, { ...second, subject: "x" }, third])).toMatchObject({
        number: 2,
      });
      expect(findBrokenAuditEntry("", [first, third])).toMatchObject({ number: 3 });
    });

    test("SEC-G2: writers of several processes make one whole chain", async () => {
      const other = await openRecords(store.url);
      await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          (index % 2 === 0 ? records : other).audit.append([content(`e${index}`)]),
        ),
      );
      await other.close();
      const entries = (await records.audit.list({ deployment: "", pageSize: 100 })).reverse();
      expect(entries).toHaveLength(40);
      expect(findBrokenAuditEntry("", entries)).toBeUndefined();
    });

    test("an entry sent again is passed over; pages narrow to a deployment", async () => {
      await records.audit.append([content("a"), content("b", "x"), content("a")]);
      await records.audit.append([content("b", "x"), content("c", "x")]);
      const ofX = await records.audit.list({ deployment: "x", pageSize: 1 });
      expect(ofX.map((entry) => entry.entry)).toEqual(["c"]);
      const rest = await records.audit.list({
        deployment: "x",
        pageSize: 9,
        beforeNumber: ofX[0]?.number ?? 0,
      });
      expect(rest.map((entry) => entry.entry)).toEqual(["b"]);
    });
  });

  describe("what operators decided about agents", () => {
    const schedulable = { kind: "schedulable" } as const;
    const cordoned = { kind: "cordoned", note: "disk" } as const;
    const change = (control: AgentControl, agent = "a", buriedInstance?: string) =>
      records.agentControls.change({
        ...{ deployment: "default", agent, nowMs: 5, decide: () => control },
        ...(buriedInstance === undefined ? {} : { buriedInstance }),
      });
    const changeGroup = (control: GroupControl) =>
      records.agentControls.changeGroup({
        ...{ deployment: "default", group: "west", nowMs: 5, decide: () => control },
      });

    test("PROTOCOL-O1 PROTOCOL-D6: each change raises the deployment's revision, the same again does not", async () => {
      await createDeployment();
      const first = await change(cordoned);
      expect(first).toMatchObject({ kind: "changed", record: { revision: 1, control: cordoned } });
      expect(await change(cordoned)).toMatchObject({ kind: "unchanged", record: { revision: 1 } });
      const { revision } = await records.agentControls.listChanges("default", 0);
      expect(await changeGroup({ cordoned: true, note: "" })).toMatchObject({
        kind: "changed",
        record: { revision: revision + 1 },
      });
      const later = await records.agentControls.listChanges("default", revision);
      expect(later).toMatchObject({ agents: [], groups: [{ group: "west" }], tombstones: [] });
      expect((await records.agentControls.revisions()).get("default")).toBe(later.revision);
    });

    test("every control is read as it was written", async () => {
      await createDeployment();
      const controls: AgentControl[] = [
        schedulable,
        cordoned,
        { kind: "draining", note: "" },
        { kind: "draining", note: "upgrade", deadlineAtMs: 1_800_000_000_000 },
        { kind: "deleted", note: "", nameFreeAtMs: 1_800_000_000_000 },
      ];
      for (const control of controls) {
        await change(control);
        expect((await records.agentControls.load("default", "a"))?.control).toEqual(control);
      }
      const groups: GroupControl[] = [
        { cordoned: true, note: "x", onCut: "ABORT", lostAfterMs: 300_000 },
        { cordoned: false, note: "", lostAfterMs: lostAfterNeverMs },
        { cordoned: false, note: "", lostAfterMs: 0 },
        freeGroup,
      ];
      for (const control of groups) {
        await changeGroup(control);
        expect((await records.agentControls.loadGroup("default", "west"))?.control).toEqual(
          control,
        );
      }
      expect(await records.agentControls.listGroups("default")).toHaveLength(1);
    });

    test("PROTOCOL-O3: a buried instance stays buried, over a restore and a second burial", async () => {
      await createDeployment();
      const deleted = { kind: "deleted", note: "", nameFreeAtMs: 9 } as const;
      await change(deleted, "a", "aa");
      await change(schedulable);
      await change(deleted, "a", "bb");
      const { tombstones } = await records.agentControls.listChanges("default", 0);
      expect(tombstones.map(({ instance }) => instance)).toEqual(["aa", "bb"]);
    });

    test("a refusal inside a change leaves nothing, and no deployment is made up", async () => {
      await createDeployment();
      const refuse = () => {
        throw new Error("refused");
      };
      const asked = { deployment: "default", agent: "a", nowMs: 5, decide: refuse };
      await expect(records.agentControls.change(asked)).rejects.toThrow("refused");
      expect(await records.agentControls.listChanges("default", 0)).toMatchObject({ revision: 0 });
      expect(
        await records.agentControls.change({
          ...asked,
          deployment: "none",
          decide: () => cordoned,
        }),
      ).toEqual({ kind: "deployment_unknown" });
    });
  });
});

test("an engine that is not there yet is refused with what to use", async () => {
  await expect(openRecords("postgres://localhost/remex")).rejects.toThrow(
    "PostgreSQL engine comes in a later version; use sqlite:",
  );
  await expect(openRecords("mysql://x")).rejects.toThrow("sqlite:<path>");
});
