// SPDX-License-Identifier: Apache-2.0
// Redis and services that go away and come back: everything waits, says so, and recovers by itself.
import { fileURLToPath } from "node:url";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import {
  createTempDir,
  findFreePort,
  type RoleProcess,
  rolesApart,
  startControlPlane,
  startPrivateRedis,
  startProgram,
  waitFor,
} from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "outages";
const serveMain = fileURLToPath(new URL("../../services/serve/src/main.ts", import.meta.url));
const noop = { work: { case: "noop", value: {} } } as const;
const readyz = async (each: { metricsUrl: string }): Promise<number> =>
  (await fetch(`${each.metricsUrl}/readyz`)).status;

describe("outages", () => {
  test("Redis down at the start: serve waits, says so, and comes up by itself", async () => {
    await using folder = await createTempDir();
    const redis = await startPrivateRedis();
    await redis.kill();
    const [gateway, agents, internal, metrics] = await Promise.all([1, 2, 3, 4].map(findFreePort));
    const local = (port: number | undefined): string => `127.0.0.1:${port}`;
    await using serve = startProgram(process.execPath, [
      serveMain,
      ...["--redis-url", redis.url, "--data-dir", folder.path],
      ...["--records", `sqlite:${folder.path}/records.sqlite`],
      ...["--gateway-listen", local(gateway), "--agents-listen", local(agents)],
      ...["--internal-listen", local(internal), "--metrics-listen", local(metrics)],
    ]);
    try {
      await serve.waitForOutput(/redis/i);
      const plane = { metricsUrl: `http://${local(metrics)}` };
      await waitFor(async () => (await readyz(plane)) === 503, { what: "serve says not ready" });
      await redis.start();
      await waitFor(async () => (await readyz(plane)) === 200, {
        what: "serve ready",
        timeoutMs: 60_000,
      });
      // Once a process was ready when its first role was, before the gateway listened.
      expect((await fetch(`http://${local(gateway)}/`)).status).toBeGreaterThanOrEqual(400);
    } finally {
      await redis.stop();
    }
  });

  test("Redis killed in the middle: running work ends, its result is kept, new work runs afterwards", async () => {
    await using stack = new AsyncDisposableStack();
    const plane = await startControlPlane();
    stack.defer(() => plane.stop());
    const operator = operatorOf(plane, deployment);
    // A restarted Redis is another one: no offers until the server limit has passed (PROTOCOL D2), here 6 s.
    await operator.createDeployment({
      heartbeatInterval: durationFromMs(2_000),
      stopTime: durationFromMs(1_000),
    });
    const token = await operator.createToken("first");
    stack.use(await startAgent({ target: plane.agentsTarget, token, name: "one" }));
    const task = await operator.submit({
      work: { case: "command", value: { argv: ["/bin/sleep", "1"] } },
    });
    await operator.until(
      task,
      ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
      "the start",
    );
    const [only] = plane.processes as [RoleProcess];
    await plane.redis.kill();
    await waitFor(async () => (await readyz(only)) === 503, { what: "serve says not ready" });
    await expect(operator.submit(noop)).rejects.toThrow(/store|not answer|unavailable/i);
    await plane.redis.start();
    expect(await operator.untilEnded(task)).toMatchObject({
      state: TaskState.SUCCEEDED,
      attempts: 1,
    });
    const after = await waitFor(() => operator.submit(noop), {
      what: "a submission is taken again",
    });
    expect(await operator.untilEnded(after)).toMatchObject({ state: TaskState.SUCCEEDED });
  });

  test("every service killed and started again, one after the other, under an agent with work", async () => {
    await using stack = new AsyncDisposableStack();
    const plane = await startControlPlane(rolesApart);
    stack.defer(() => plane.stop());
    const operator = operatorOf(plane, deployment);
    await operator.createDeployment();
    const token = await operator.createToken("first");
    stack.use(await startAgent({ target: plane.agentsTarget, token, name: "one" }));
    const long = await operator.submit({
      work: { case: "command", value: { argv: ["/bin/sleep", "15"] } },
    });
    await operator.until(
      long,
      ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
      "the start",
    );
    for (const each of plane.processes) {
      each.process().signal("SIGKILL");
      await each.process().ended;
      await each.restart();
      const task = await waitFor(() => operator.submit(noop), {
        what: `a submission after the restart of ${each.roles.join()}`,
        timeoutMs: 60_000,
      });
      expect(await operator.untilEnded(task, 30_000)).toMatchObject({ state: TaskState.SUCCEEDED });
    }
    expect(await operator.untilEnded(long, 30_000)).toMatchObject({
      state: TaskState.SUCCEEDED,
      attempts: 1,
    });
  });

  test("a port in use is named with the flag that chooses another", async () => {
    const plane = await startControlPlane();
    try {
      const taken = new URL(plane.url).host;
      await using second = startProgram(process.execPath, [
        serveMain,
        ...["--redis-url", plane.redis.url, "--data-dir", plane.folder, "--gateway-listen", taken],
        ...["--records", `sqlite:${plane.folder}/records.sqlite`],
        ...["--agents-listen", `127.0.0.1:${await findFreePort()}`],
        ...["--internal-listen", `127.0.0.1:${await findFreePort()}`],
        ...["--metrics-listen", `127.0.0.1:${await findFreePort()}`],
      ]);
      expect(await second.ended).not.toBe(0);
      expect(second.output()).toContain(taken.split(":")[1]);
      expect(second.output()).toContain("--gateway-listen");
    } finally {
      await plane.stop();
    }
  });
});
