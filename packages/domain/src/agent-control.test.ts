// SPDX-License-Identifier: Apache-2.0
// Proves what operators' decisions come to: given a control, when one decides, then.
import { describe, expect, it } from "vitest";
import {
  type AgentControl,
  type AgentStanding,
  availabilityOf,
  type ControlEvent,
  decideDelete,
  decideGone,
  freeGroup,
  nameHeldMs,
  stepControl,
} from "./agent-control.ts";

const now = 1_000_000;
const schedulable: AgentControl = { kind: "schedulable" };
const cordoned: AgentControl = { kind: "cordoned", note: "disk" };
const draining: AgentControl = { kind: "draining", note: "", deadlineAtMs: now + 5 };
const deleted: AgentControl = { kind: "deleted", note: "", nameFreeAtMs: now + nameHeldMs };
const past: AgentControl = { kind: "deleted", note: "", nameFreeAtMs: now };

const cordon: ControlEvent = { kind: "cordon", note: "disk" };
const drain: ControlEvent = { kind: "drain", note: "", deadlineAtMs: now + 5 };
const remove: ControlEvent = { kind: "delete", note: "" };

describe("decisions", () => {
  const cases: [string, AgentControl, ControlEvent, AgentControl | "deleted"][] = [
    ["PROTOCOL-O1: a cordon", schedulable, cordon, cordoned],
    ["PROTOCOL-O1: a second cordon is the same", cordoned, cordon, cordoned],
    ["PROTOCOL-O1: a cordon of one that drains leaves it draining", draining, cordon, draining],
    ["PROTOCOL-O1: an uncordon", cordoned, { kind: "uncordon" }, schedulable],
    ["PROTOCOL-O1: an uncordon ends a drain", draining, { kind: "uncordon" }, schedulable],
    ["PROTOCOL-O2: a drain", cordoned, drain, draining],
    [
      "PROTOCOL-O2: a drain without a deadline takes the deadline back",
      draining,
      { kind: "drain", note: "" },
      { kind: "draining", note: "" },
    ],
    ["PROTOCOL-O3: a delete holds the name for a day", draining, remove, deleted],
    ["PROTOCOL-O3: a cordon of a deleted one is refused", deleted, cordon, "deleted"],
    ["PROTOCOL-O3: a drain of a deleted one is refused", deleted, drain, "deleted"],
    ["PROTOCOL-O3: a restore", deleted, { kind: "restore" }, schedulable],
    [
      "PROTOCOL-O3: a restore of one that is there is nothing",
      cordoned,
      { kind: "restore" },
      cordoned,
    ],
    ["PROTOCOL-O3: a name that fell free may be cordoned", past, cordon, cordoned],
    ["PROTOCOL-O3: and deleted anew", past, remove, deleted],
  ];
  it.each(cases)("%s", (_title, control, event, then) => {
    expect(stepControl(control, event, now)).toEqual(then);
  });

  it("PROTOCOL-O3: a second delete does not hold the name for longer", () => {
    expect(stepControl(deleted, remove, now + 5_000)).toEqual(deleted);
  });
});

describe("availability", () => {
  const groupCordoned = { ...freeGroup, cordoned: true };
  it.each([
    ["R25: nothing was said", schedulable, freeGroup, "SCHEDULABLE"],
    ["R25: a cordoned agent", cordoned, freeGroup, "CORDONED"],
    ["R25: an agent of a cordoned group", schedulable, groupCordoned, "CORDONED"],
    ["PROTOCOL-O2: draining weighs more than cordoned", draining, groupCordoned, "DRAINING"],
    ["PROTOCOL-O3: deleted weighs most", deleted, groupCordoned, "DELETED"],
    ["PROTOCOL-O3: a name that fell free", past, freeGroup, "SCHEDULABLE"],
  ] as const)("%s", (_title, control, group, availability) => {
    expect(availabilityOf(control, group, now)).toBe(availability);
  });
});

describe("taking an agent out", () => {
  const standing: AgentStanding = {
    ...{ agent: "a", deployment: "d", living: true, ageMs: 4_000, goneInMs: 26_000, tasks: 2 },
  };
  const away = { ...standing, living: false };
  const plain = { force: false, gone: false };
  const code = (at: AgentStanding, asked: typeof plain) => decideDelete(at, asked)?.code;

  it("PROTOCOL-O3: a delete is refused while work runs, unless forced", () => {
    expect(code(standing, plain)).toBe("agent_busy");
    expect(code(standing, { force: false, gone: true })).toBe("agent_busy");
    expect(code(standing, { force: true, gone: false })).toBeUndefined();
    expect(code({ ...standing, tasks: 0 }, plain)).toBeUndefined();
  });

  it("PROTOCOL-O3: an absent agent's held work needs the word that it is gone", () => {
    expect(code(away, plain)).toBe("agent_work_held");
    expect(code(away, { force: true, gone: false })).toBe("agent_work_held");
    expect(code(away, { force: false, gone: true })).toBeUndefined();
    expect(code({ ...away, tasks: 0 }, plain)).toBeUndefined();
  });

  it("PROTOCOL-L8: the word that it is gone is not taken while it may be heard", () => {
    expect(decideGone(standing)?.message).toContain(
      "heard 4 s ago; stop it and say so again in 26 s",
    );
    expect(decideGone(away)).toBeUndefined();
  });
});
