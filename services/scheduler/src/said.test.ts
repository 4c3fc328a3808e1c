// SPDX-License-Identifier: Apache-2.0
import { create, fromBinary } from "@bufbuild/protobuf";
import { AgentEventSchema, ReportSchema } from "@remex/proto/agent/v1";
import { type Outcome, OutcomeKind, OutcomeReason, OutcomeSchema } from "@remex/proto/common/v1";
import { expect, test } from "vitest";
import { readSaid } from "./said.ts";

const attempt = { epoch: 7n, number: 1n };
const said = (fields: { readonly outcome?: Outcome }) =>
  readSaid(
    create(AgentEventSchema, {
      event: { case: "report", value: { task: "t_1", attempt, ...fields } },
    }),
  );

// Once such reports were dropped without an answer: the agent sent them for ever, the task never ended.
test.each([
  ["no outcome", undefined, "it has no outcome"],
  ["a kind that is not stated", {}, "its kind 0 is not known"],
  [
    "a reason of the control plane",
    { kind: OutcomeKind.FAILED, reason: OutcomeReason.AGENT_LOST },
    "for the control plane alone",
  ],
  [
    "a result over the limit",
    { kind: OutcomeKind.SUCCEEDED, result: new Uint8Array(65_537) },
    "its result has 65537 bytes, more than 65536",
  ],
])(
  "PROTOCOL-C2: a report with %s ends its attempt as FAILED and says why",
  (_, outcome, problem) => {
    const read = said(outcome === undefined ? {} : { outcome: create(OutcomeSchema, outcome) });
    if (read?.kind !== "report") throw new Error("the report was dropped");
    expect(read.report).toMatchObject({ id: "t_1", attempt: "7.1", kind: "FAILED" });
    expect(read.report.message).toContain(problem);
    const kept = fromBinary(OutcomeSchema, read.report.outcome);
    expect(kept.reason).toBe(OutcomeReason.RUNTIME_ERROR);
  },
);

test("a report without an attempt is dropped", () => {
  const report = create(ReportSchema, { task: "t_1" });
  const event = create(AgentEventSchema, { event: { case: "report", value: report } });
  expect(readSaid(event)).toBeUndefined();
});
