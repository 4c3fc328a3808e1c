// SPDX-License-Identifier: Apache-2.0
// A real control plane: all roles in one process and each in its own, as an operator drives it.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AuditService, StatusService } from "@remex/proto/gateway/v1";
import { DeploymentService, QueueService } from "@remex/proto/registry/v1";
import { TaskService, TaskState } from "@remex/proto/scheduler/v1";
import { AgentTokenService } from "@remex/proto/token/v1";
import { failureFromConnect } from "@remex/transport";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ControlPlane, rolesApart, startControlPlane, waitFor } from "../../kit/index.ts";

const layouts = [
  ["all roles in one process", {}],
  ["each role in a process of its own", rolesApart],
] as const;

describe.each(layouts)("%s", (_name, layout) => {
  let plane: ControlPlane;
  const client = <Service extends Parameters<typeof createClient>[0]>(service: Service) =>
    createClient(
      service,
      createConnectTransport({
        baseUrl: plane.url,
        httpVersion: "1.1",
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${plane.adminKey}`);
            return next(request);
          },
        ],
      }),
    );

  beforeAll(async () => {
    plane = await startControlPlane(layout);
  }, 180_000);
  afterAll(async () => {
    await plane.stop();
  });

  test("R28: every service has a living replica and nothing is missing", async () => {
    const status = await waitFor(
      async () => {
        const answer = await client(StatusService).getStatus({});
        return answer.problems.length === 0 ? answer : undefined;
      },
      { what: "a status without problems" },
    );
    const roles = status.replicas.map((replica) => replica.role).sort();
    expect(roles).toEqual(["gateway", "health-monitor", "registry", "scheduler", "token"]);
    expect(status.epoch).toBeGreaterThan(1_700_000_000n);
  });

  test("R3, R6: a deployment, a queue, a token and a queued task, and what the audit says of them", async () => {
    await client(DeploymentService).createDeployment({ deployment: "default" });
    await client(QueueService).createQueue({ deployment: "default", queue: "gpu" });
    const created = await client(AgentTokenService).createAgentToken({
      deployment: "default",
      name: "laptop",
      expiry: { case: "expiresInDays", value: 1 },
    });
    expect(created.value).toMatch(/^rmx_/);
    const submitted = await client(TaskService).submitTasks({
      deployment: "default",
      tasks: [{ spec: { queue: "gpu", work: { case: "noop", value: {} } } }],
    });
    expect(submitted.results[0]).toMatchObject({ state: TaskState.QUEUED });
    const { queues } = await client(QueueService).listQueues({ deployment: "default" });
    expect(queues.map((queue) => [queue.queue, queue.queuedTasks])).toEqual([
      ["default", 0n],
      ["gpu", 1n],
    ]);
    const refusal = await client(QueueService)
      .deleteQueue({ deployment: "default", queue: "gpu" })
      .then(() => undefined, failureFromConnect);
    expect(refusal?.code).toBe("queue_not_empty");
    const { entries } = await client(AuditService).listAuditEntries({ deployment: "default" });
    expect(entries.map((entry) => `${entry.subject} ${entry.result}`)).toEqual([
      "queue:gpu queue_not_empty",
      `token:${created.token?.token} ok`,
      "queue:gpu ok",
      "deployment:default ok",
    ]);
  });

  test("SEC-T3, SEC-T5: a token's value is in no file and no log line of the control plane", async () => {
    const { value } = await client(AgentTokenService).createAgentToken({
      deployment: "default",
      name: "canary",
      expiry: { case: "neverExpires", value: true },
    });
    const secret = value.slice(-49);
    for (const name of await readdir(plane.folder)) {
      const bytes = await readFile(join(plane.folder, name));
      expect(bytes.includes(secret), name).toBe(false);
      expect((await stat(join(plane.folder, name))).mode & 0o077, name).toBe(0);
    }
    expect(plane.output()).not.toContain(secret);
    expect(plane.output()).not.toContain(plane.adminKey);
  });

  test("Redis killed in the middle: said in the readiness, recovered without a restart", async () => {
    await plane.redis.kill();
    const readiness = async () =>
      Promise.all(
        plane.processes.map(async (each) => {
          const answer = await fetch(`${each.metricsUrl}/readyz`);
          return { status: answer.status, text: await answer.text() };
        }),
      );
    await waitFor(
      async () =>
        (await readiness()).every(
          ({ status, text }) => status === 503 && text.includes("redis cannot be reached"),
        ),
      { what: "a readiness that names redis" },
    );
    const refusal = await client(QueueService)
      .createQueue({ deployment: "default", queue: "late" })
      .then(() => undefined, failureFromConnect);
    expect(refusal?.code).toBe("recorded_not_in_effect");
    await plane.redis.start();
    await waitFor(async () => (await readiness()).every(({ status }) => status === 200), {
      what: "readiness after redis came back",
      timeoutMs: 60_000,
    });
    const repeated = await client(QueueService)
      .createQueue({ deployment: "default", queue: "late" })
      .then(
        () => "ok",
        (error: unknown) => failureFromConnect(error).code,
      );
    // The sweep may have put it into effect meanwhile: then the repeat finds it there.
    expect(["ok", "queue_exists"]).toContain(repeated);
    const { queues } = await client(QueueService).listQueues({ deployment: "default" });
    expect(queues.map((queue) => queue.queue)).toContain("late");
  }, 180_000);

  test("a signal ends every process in order", async () => {
    for (const each of plane.processes) {
      each.process().signal("SIGTERM");
      expect(await each.process().ended).toBe(0);
    }
  }, 180_000);
});
