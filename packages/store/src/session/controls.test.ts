// SPDX-License-Identifier: Apache-2.0
// Proves how operators' decisions reach agents in the store: cordon, drain, delete, restore, groups.
import {
  type AgentControl,
  freeGroup,
  type GroupControl,
  lostAfterNeverMs,
  requireRef,
} from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ControlRows } from "./control-functions.ts";
import {
  fixtureFacts,
  fixtureLimitMs,
  type SessionFixture,
  startSessionFixture,
} from "./session-fixture.ts";
import type { SessionFacts } from "./session-record.ts";

const nothing: ControlRows = { agents: [], groups: [], tombstones: [] };
const buried = fixtureFacts.instance;
const other: SessionFacts = { ...fixtureFacts, instance: "bb".repeat(16) };
let fixture: SessionFixture;

beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  fixture.nowMs = 1_000_000;
  await fixture.reset();
  await fixture.project("dep");
});

const open = (agent = "a", facts: SessionFacts = fixtureFacts) =>
  fixture.sessions.open("dep", agent, facts);
const record = (agent = "a") => fixture.sessions.load("dep", agent);
const project = async (revision: number, rows: Partial<ControlRows>) =>
  fixture.sessions.projectControls("dep", { ...nothing, ...rows, revision }, await marker(0));
const marker = async (revision: number | undefined) => ({
  ...(await fixture.sessions.loadControlsMarker("dep")),
  revision,
});
/** As the first projection of an epoch. */
const projectAll = async (revision: number, rows: Partial<ControlRows>) =>
  fixture.sessions.projectControls(
    "dep",
    { ...nothing, ...rows, revision },
    await marker(undefined),
  );
const decide = (revision: number, control: AgentControl, agent = "a") =>
  project(revision, { agents: [{ agent, revision, control }] });
const decideGroup = (revision: number, control: Partial<GroupControl>, group = "default") =>
  project(revision, { groups: [{ group, revision, control: { ...freeGroup, ...control } }] });
const remove = (revision: number, agent = "a", instance = buried) =>
  project(revision, {
    agents: [
      {
        agent,
        revision,
        control: { kind: "deleted", note: "", nameFreeAtMs: fixture.nowMs + 1e6 },
      },
    ],
    tombstones: [{ agent, instance }],
  });
const schedulable: AgentControl = { kind: "schedulable" };
const cordoned: AgentControl = { kind: "cordoned", note: "disk" };

describe("cordon", () => {
  it("PROTOCOL-O1 R25: reaches a session that is open and one that comes, and is undone", async () => {
    await open();
    await decide(1, cordoned);
    expect(await record()).toMatchObject({
      ...{ availability: "CORDONED", controlNote: "disk", state: "OPEN" },
    });
    expect(await open()).toMatchObject({ kind: "opened", availability: "CORDONED" });
    await decide(2, schedulable);
    expect(await record()).toMatchObject({ availability: "SCHEDULABLE", controlNote: "" });
  });

  it("PROTOCOL-O1: a group's cordon covers its agents, new ones too, and no others", async () => {
    await open("a");
    await open("b", { ...fixtureFacts, group: "west" });
    await decideGroup(1, { cordoned: true, note: "move" }, "west");
    expect(await record("a")).toMatchObject({ availability: "SCHEDULABLE" });
    expect(await record("b")).toMatchObject({ availability: "CORDONED", controlNote: "move" });
    const late = await open("c", { ...fixtureFacts, group: "west" });
    expect(late).toMatchObject({ availability: "CORDONED" });
    // Its own cordon outlives the group's.
    await decide(2, cordoned, "b");
    await decideGroup(3, { cordoned: false }, "west");
    expect(await record("b")).toMatchObject({ availability: "CORDONED", controlNote: "disk" });
    expect(await record("c")).toMatchObject({ availability: "SCHEDULABLE" });
  });

  it("PROTOCOL-O1: an agent that moves to a cordoned group with a beat is cordoned", async () => {
    const reply = await open();
    if (reply.kind !== "opened") throw new Error(reply.kind);
    await decideGroup(1, { cordoned: true }, "west");
    const { sessions } = fixture;
    const beat = { agent: "a", session: requireRef(reply.session), generation: 1, loopTurns: 1 };
    await sessions.renew("dep", "monitor-1", [
      {
        ...{ ...beat, sequence: 1, loopAgeMs: 0, runnerState: "READY", slotsUsed: 0 },
        capabilities: { group: "west" },
      },
    ]);
    expect(await record()).toMatchObject({ group: "west", availability: "CORDONED" });
  });

  it("PROTOCOL-D6: only a higher revision is taken, and the marker says what is whole", async () => {
    await open();
    expect((await fixture.sessions.loadControlsMarker("dep")).revision).toBeUndefined();
    await projectAll(5, { agents: [{ agent: "a", revision: 5, control: cordoned }] });
    expect((await fixture.sessions.loadControlsMarker("dep")).revision).toBe(5);
    await decide(4, schedulable);
    await decide(5, schedulable);
    expect(await record()).toMatchObject({ availability: "CORDONED" });
    expect((await fixture.sessions.loadControlsMarker("dep")).revision).toBe(5);
  });

  it("PROTOCOL-D6 I6: what was read before the store was lost is not put into the new epoch", async () => {
    await open();
    await projectAll(5, { agents: [{ agent: "a", revision: 5, control: cordoned }] });
    const before = await fixture.sessions.loadControlsMarker("dep");
    fixture.setEpoch(String(Number(fixture.epoch) + 1));
    // Chosen by what the old store had: without the cordon, which the new one does not have.
    const rows = { ...nothing, revision: 6 };
    expect(await fixture.sessions.projectControls("dep", rows, before)).toBe("epoch_stale");
    expect((await fixture.sessions.loadControlsMarker("dep")).revision).toBeUndefined();
  });

  it("PROTOCOL-D2 R32: of a new epoch the records alone say what is so, and an older one is refused", async () => {
    await open();
    await open("b");
    await decide(6, cordoned, "b");
    await decide(7, cordoned);
    const next = String(Number(fixture.epoch) + 1);
    fixture.setEpoch(next);
    expect((await fixture.sessions.loadControlsMarker("dep")).revision).toBeUndefined();
    // The records were restored from an older copy: their revision is lower, and counts.
    await projectAll(3, { agents: [{ agent: "a", revision: 3, control: schedulable }] });
    expect(await record()).toMatchObject({ availability: "SCHEDULABLE" });
    expect(await record("b")).toMatchObject({ availability: "SCHEDULABLE" });
    fixture.setEpoch(fixture.epoch);
    expect(await decide(9, cordoned)).toBe("epoch_stale");
  });

  it("R32: works before the configuration is there, so that the configuration comes second", async () => {
    await fixture.reset();
    await projectAll(1, { agents: [{ agent: "a", revision: 1, control: cordoned }] });
    expect(await open()).toMatchObject({ kind: "refused", reason: "not_projected" });
    await fixture.project("dep");
    expect(await open()).toMatchObject({ kind: "opened", availability: "CORDONED" });
  });

  it("a projection of more agents than one page reaches all of them", async () => {
    const names = Array.from({ length: 1_003 }, (_, index) => `agent-${index}`);
    for (const name of names) await open(name);
    await decideGroup(1, { cordoned: true });
    const last = await fixture.sessions.get("dep", names);
    expect(last.agents.every(({ availability }) => availability === "CORDONED")).toBe(true);
  });
});

describe("policies of a group", () => {
  it("PROTOCOL-H1: on_cut and lost_after of the group stand in the session, and are taken back", async () => {
    expect(await open()).toMatchObject({ onCut: "" });
    await decideGroup(1, { onCut: "ABORT", lostAfterMs: 300_000 });
    expect(await record()).toMatchObject({ onCut: "ABORT", lostAfterMs: 300_000 });
    expect(await open()).toMatchObject({ onCut: "ABORT" });
    await decideGroup(2, { lostAfterMs: lostAfterNeverMs });
    expect(await record()).toMatchObject({ onCut: undefined, lostAfterMs: lostAfterNeverMs });
    await decideGroup(3, {});
    expect(await record()).toMatchObject({ onCut: undefined, lostAfterMs: undefined });
  });
});

describe("drain", () => {
  it("PROTOCOL-O2: the deadline stands in the session, also of a later one", async () => {
    await open();
    await decide(1, { kind: "draining", note: "upgrade", deadlineAtMs: 2_000_000 });
    expect(await record()).toMatchObject({ availability: "DRAINING", drainAtMs: 2_000_000 });
    expect(await open()).toMatchObject({ availability: "DRAINING" });
    expect(await record()).toMatchObject({ drainAtMs: 2_000_000, controlNote: "upgrade" });
    await decide(2, schedulable);
    expect(await record()).toMatchObject({ availability: "SCHEDULABLE", drainAtMs: 0 });
  });
});

describe("delete", () => {
  it("PROTOCOL-O3 PROTOCOL-L8: the session is ENDING, and ends for that reason when its time is up", async () => {
    await open();
    await remove(1);
    expect(await record()).toMatchObject({
      ...{ availability: "DELETED", state: "ENDING", reason: "deleted" },
    });
    expect(await fixture.sessions.readGiveups("dep", 9)).toEqual([]);
    await fixture.pass("dep", fixtureLimitMs);
    expect(await fixture.sessions.readGiveups("dep", 9)).toMatchObject([
      { agent: "a", reason: "deleted" },
    ]);
  });

  it("PROTOCOL-O3: one that was ENDING for another reason ends as deleted", async () => {
    await open();
    await fixture.sessions.beginEnding("dep", "token_revoked", [{ agent: "a" }]);
    await remove(1);
    expect(await record()).toMatchObject({ state: "ENDING", reason: "deleted" });
  });

  it("PROTOCOL-O3: what is held for one that failed is given up", async () => {
    await open();
    await fixture.pass("dep", fixtureLimitMs);
    await remove(1);
    const reasons = (await fixture.sessions.readGiveups("dep", 9)).map(({ reason }) => reason);
    expect(reasons.sort()).toEqual(["deleted", "lease_expired"]);
  });

  it("PROTOCOL-O3: the instance is refused for good, the name until it is free or restored", async () => {
    await open();
    await remove(1);
    expect(await open()).toMatchObject({ kind: "deleted", buried: true });
    expect(await open("a", other)).toMatchObject({ kind: "deleted", buried: false, freeInMs: 1e6 });
    await decide(2, schedulable);
    expect(await open()).toMatchObject({ kind: "deleted", buried: true });
    await fixture.pass("dep", fixtureLimitMs);
    expect(await open("a", other)).toMatchObject({ kind: "opened", availability: "SCHEDULABLE" });
    // Under another name the buried instance is the same process.
    expect(await open("b")).toMatchObject({ kind: "deleted", buried: true });
  });

  it("PROTOCOL-O3: after its time the name is free by itself", async () => {
    await remove(1);
    fixture.nowMs += 999_999;
    expect(await open("a", other)).toMatchObject({ kind: "deleted", freeInMs: 1 });
    fixture.nowMs += 1;
    expect(await open("a", other)).toMatchObject({ kind: "opened" });
  });

  it("R26: a deleted agent is forgotten as soon as its work is given up", async () => {
    const reply = await open();
    if (reply.kind !== "opened") throw new Error(reply.kind);
    await remove(1);
    await fixture.sessions.leave("dep", "a", requireRef(reply.session), true);
    const forget = () => fixture.sessions.forget("dep", 9);
    expect(await forget()).toMatchObject({ agents: [] });
    fixture.nowMs += 600_000;
    await fixture.sessions.clearGiveups("dep", await fixture.sessions.readGiveups("dep", 9));
    expect(await forget()).toMatchObject({ agents: ["a"] });
    expect(await record()).toBeUndefined();
  });
});

describe("the word that an agent is gone", () => {
  it("PROTOCOL-O3 PROTOCOL-L8: is not taken while its session may still be heard", async () => {
    await open();
    fixture.nowMs += 12_000;
    expect(await fixture.sessions.declareGone("dep", "a")).toEqual({
      ...{ kind: "living", ageMs: 12_000, goneInMs: fixtureLimitMs - 12_000 },
    });
    expect(await fixture.sessions.declareGone("dep", "b")).toEqual({ kind: "unknown" });
  });

  it("PROTOCOL-H1: gives up what is held for a failed agent, and may be said again", async () => {
    await open();
    await fixture.pass("dep", fixtureLimitMs);
    await fixture.sessions.clearGiveups("dep", await fixture.sessions.readGiveups("dep", 9));
    expect(await fixture.sessions.declareGone("dep", "a")).toMatchObject({ kind: "gone" });
    expect(await fixture.sessions.declareGone("dep", "a")).toMatchObject({ kind: "gone" });
    expect(await fixture.sessions.readGiveups("dep", 9)).toMatchObject([
      { agent: "a", reason: "gone" },
    ]);
  });
});
