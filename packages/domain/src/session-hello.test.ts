// SPDX-License-Identifier: Apache-2.0
// Proves that every bad hello is refused with its own clear error, and that scopes narrow.
import { describe, expect, it } from "vitest";
import { runtimesOfKind } from "./agent-kind.ts";
import {
  type AgentCapabilities,
  decideHello,
  type HelloContext,
  type StatedHello,
} from "./session-hello.ts";

const capabilities: AgentCapabilities = {
  queues: ["default", "gpu"],
  labels: { zone: "a" },
  slots: 4,
  group: "",
  runtimes: ["command", "noop"],
  runtimeVersions: {},
};

const hello: StatedHello = {
  protocolMin: 1,
  protocolMax: 1,
  agent: "agent-1",
  instance: new Uint8Array(16).fill(7),
  kind: 1,
  capabilities,
  softwareVersion: "0.1.0",
  hostname: "host",
  inventoryEntries: 0,
};

const context: HelloContext = {
  deployment: "dep",
  queues: ["default", "gpu"],
  scope: { kinds: [], queues: [] },
};

const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

describe("a good hello", () => {
  it("R2: stands, with its group filled in", () => {
    const decided = decideHello(hello, context);
    expect(decided).toMatchObject({
      ok: true,
      value: {
        agent: "agent-1",
        instance: "07".repeat(16),
        kind: "WORKER",
        capabilities: { queues: ["default", "gpu"], group: "default", slots: 4 },
      },
    });
  });

  it("stands when the agent speaks newer versions too", () => {
    expect(decideHello({ ...hello, protocolMax: 9 }, context).ok).toBe(true);
  });

  it("SEC-E3: has its queues narrowed to the token's scope", () => {
    const decided = decideHello(hello, { ...context, scope: { kinds: [], queues: ["gpu"] } });
    expect(decided).toMatchObject({ ok: true, value: { capabilities: { queues: ["gpu"] } } });
  });
});

describe("kinds of agents", () => {
  it("R1: a triggerer whose runner has triggers is accepted as one", () => {
    const stated = {
      ...hello,
      kind: 2,
      capabilities: { ...capabilities, runtimes: ["command", "trigger_builtin"] },
    };
    expect(decideHello(stated, context)).toMatchObject({ ok: true, value: { kind: "TRIGGERER" } });
  });

  it("R1: each kind is given the work of its own kind alone", () => {
    const all = ["command", "noop", "airflow", "trigger_builtin", "trigger_airflow", "bundle"];
    expect(runtimesOfKind("WORKER", all)).toEqual(["command", "noop", "airflow"]);
    expect(runtimesOfKind("TRIGGERER", all)).toEqual(["trigger_builtin", "trigger_airflow"]);
    expect(runtimesOfKind("DAG_PROCESSOR", all)).toEqual(["bundle"]);
  });
});

describe("a bad hello", () => {
  const cases: [string, Partial<StatedHello>, string, RegExp][] = [
    [
      "too old",
      { protocolMin: 0, protocolMax: 0 },
      "protocol_version_unsupported",
      /upgrade the agent/,
    ],
    [
      "too new",
      { protocolMin: 2, protocolMax: 3 },
      "protocol_version_unsupported",
      /upgrade the control plane/,
    ],
    [
      "upside down",
      { protocolMin: 3, protocolMax: 0 },
      "protocol_version_unsupported",
      /not greater/,
    ],
    ["no name", { agent: "" }, "agent_name_invalid", /1 to 63/],
    ["a name too long", { agent: "a".repeat(64) }, "agent_name_invalid", /1 to 63/],
    ["an odd name", { agent: "a/b" }, "agent_name_invalid", /"a\/b"/],
    ["a short instance", { instance: new Uint8Array(4) }, "argument_invalid", /instance/],
    ["no kind", { kind: 0 }, "kind_unknown", /known are worker/],
    ["an unknown kind", { kind: 42 }, "kind_unknown", /42/],
    ["no capabilities", { capabilities: undefined }, "argument_invalid", /capabilities/],
    ["an inventory too long", { inventoryEntries: 20_000 }, "frame_invalid", /entries/],
  ];
  it.each(cases)("R8: %s is refused", (_, change, code, message) => {
    const decided = decideHello({ ...hello, ...change }, context);
    expect(decided).toMatchObject({ ok: false, failure: { code } });
    expect(decided.ok ? "" : decided.failure.message).toMatch(message);
  });

  const bad: [string, Partial<AgentCapabilities>, string][] = [
    ["no queue", { queues: [] }, "capabilities_invalid"],
    [
      "too many queues",
      { queues: Array.from({ length: 65 }, (_, n) => `q${n}`) },
      "capabilities_invalid",
    ],
    ["an unknown queue", { queues: ["default", "nowhere"] }, "queue_unknown"],
    ["an odd queue", { queues: ["a b"] }, "queue_name_invalid"],
    ["no slots", { slots: 0 }, "capabilities_invalid"],
    ["too many slots", { slots: 100_001 }, "capabilities_invalid"],
    ["too many labels", { labels: many(33) }, "labels_invalid"],
    ["a long label", { labels: { k: "v".repeat(64) } }, "labels_invalid"],
    ["an odd group", { group: "a b" }, "capabilities_invalid"],
    ["an odd runtime", { runtimes: ["No"] }, "capabilities_invalid"],
    ["too many runtimes", { runtimes: Array(17).fill("noop") }, "capabilities_invalid"],
  ];
  it.each(bad)("R8: capabilities with %s are refused", (_, change, code) => {
    const stated = { ...hello, capabilities: { ...capabilities, ...change } };
    expect(decideHello(stated, context)).toMatchObject({ ok: false, failure: { code } });
  });

  it.each([
    ["a triggerer whose runner has commands alone", 2, ["command", "noop"], /built-in/],
    ["a triggerer whose runner has nothing", 2, [], /no runtime/],
    ["a dag-processor with the process runner", 3, ["command", "trigger_builtin"], /airflow/],
  ])("R1: %s is refused, with what to do", (_, kind, runtimes, message) => {
    const stated = { ...hello, kind, capabilities: { ...capabilities, runtimes } };
    const decided = decideHello(stated, context);
    expect(decided).toMatchObject({ ok: false, failure: { code: "kind_unfit" } });
    expect(decided.ok ? "" : decided.failure.message).toMatch(message);
  });

  it.each([
    ["kind", { kinds: ["TRIGGERER"], queues: [] }],
    ["queues", { kinds: [], queues: ["other"] }],
  ] as const)("SEC-T10: one whose %s the token does not allow is refused", (_, scope) => {
    const decided = decideHello(hello, { ...context, scope });
    expect(decided).toMatchObject({ ok: false, failure: { code: "token_scope" } });
  });
});
