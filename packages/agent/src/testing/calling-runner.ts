// SPDX-License-Identifier: Apache-2.0
// A runner for tests that claims the airflow runtime: for each start it calls the address it was given.

import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { AgentEventJson, StartJson } from "@remex/proto/runner/v1";
import { encodeFrame, FrameReader } from "../contract/framing.ts";

const stateDir = process.argv[process.argv.indexOf("--state-dir") + 1] ?? ".";
const bodyBytes = 300_000;

async function callBack(start: StartJson): Promise<string> {
  const response = await fetch(new URL("x?y=1", start.airflowApiUrl), {
    method: "POST",
    body: Buffer.alloc(bodyBytes),
  });
  return `${response.status} ${response.headers.get("refreshed-api-token")} ${await response.text()}`;
}

/** What a task does that sets states and an XCom while its agent may be cut off. */
async function changeThings(start: StartJson): Promise<string> {
  const calls = [
    ["PATCH", "task-instances/1/state", "first"],
    ["POST", "xcoms/d/r/t/k", "second"],
    ["PUT", "task-instances/1/heartbeat", "beat"],
    ["PATCH", "task-instances/1/state", "third"],
  ] as const;
  const statuses: number[] = [];
  for (const [method, path, body] of calls) {
    const response = await fetch(new URL(path, start.airflowApiUrl), { method, body });
    statuses.push(response.status);
  }
  return statuses.join(" ");
}

async function untilThere(path: string): Promise<void> {
  while (!existsSync(path)) await setTimeout(20);
}

const server = createServer((socket) => {
  const reader = new FrameReader();
  const say = (...events: object[]) => socket.write(encodeFrame({ events }));
  const follow = async (start: StartJson) => {
    const { task, attempt } = start;
    say({ started: { task, attempt } });
    if (start.spec?.airflow?.workloadJson === "change") {
      await untilThere(join(stateDir, "go"));
      const message = await changeThings(start);
      say({ ended: { task, attempt, outcome: { kind: "OUTCOME_KIND_SUCCEEDED", message } } });
      return;
    }
    const message = await callBack(start).catch((error: Error) => error.message);
    say({ ended: { task, attempt, outcome: { kind: "OUTCOME_KIND_SUCCEEDED", message } } });
  };
  socket.on("data", (piece: Buffer) => {
    for (const frame of reader.push(piece)) {
      for (const event of (frame as { events: AgentEventJson[] }).events) {
        if (event.hello !== undefined) {
          say({ hello: { contract: 1, runtimes: ["airflow"] } }, { ready: { ready: true } });
        }
        if (event.start !== undefined) void follow(event.start);
        if (event.shutdown !== undefined) process.exit(0);
      }
    }
  });
  socket.on("close", () => process.exit(0));
});
server.listen(join(stateDir, "runner.sock"));
