// SPDX-License-Identifier: Apache-2.0
// Proves which calls of Airflow's API may wait, which are heartbeats, and which need their answer.

import { describe, expect, it } from "vitest";
import { classifyCall } from "./execution-call.ts";

describe("PROTOCOL-E1: a call of the Execution API", () => {
  it.each([
    ["PATCH", "/execution/task-instances/1/state", 204],
    ["PUT", "/execution/task-instances/1/rtif", 201],
    ["PATCH", "/execution/task-instances/1/skip-downstream", 204],
    ["POST", "/execution/xcoms/d/r/t/return_value?map_index=1", 201],
    ["DELETE", "/execution/xcoms/d/r/t/k", 200],
    ["PUT", "/execution/variables/a", 201],
    ["DELETE", "/execution/variables/a", 204],
  ])("%s %s may wait, and its caller is told %s", (method, path, status) => {
    expect(classifyCall(method, path)).toMatchObject({ kind: "keep", status });
  });

  it.each([
    ["PATCH", "/execution/task-instances/1/run"],
    ["GET", "/execution/xcoms/d/r/t/k"],
    ["HEAD", "/execution/xcoms/d/r/t/k"],
    ["GET", "/execution/variables/a"],
    ["POST", "/execution/dag-runs/d/r"],
    ["POST", "/execution/hitlDetails/1"],
  ])("%s %s needs its answer", (method, path) => {
    expect(classifyCall(method, path)).toEqual({ kind: "ask" });
  });

  it("PROTOCOL-E2: a heartbeat is known as one", () => {
    expect(classifyCall("PUT", "/execution/task-instances/1/heartbeat")).toEqual({
      kind: "heartbeat",
    });
  });
});
