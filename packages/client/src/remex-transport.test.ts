// SPDX-License-Identifier: Apache-2.0
// Proves what is put around every call: the key, a deadline, and repetition where it is safe.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@remex/proto/common/v1";
import { DeploymentService } from "@remex/proto/registry/v1";
import { TaskService } from "@remex/proto/scheduler/v1";
import { AgentTokenService } from "@remex/proto/token/v1";
import { describe, expect, test } from "vitest";
import { createFakePacing, type FakePacing } from "./fake-pacing.ts";
import { createRemexClient, type RemexClientOptions } from "./remex-client.ts";

function away(code = "store_unavailable", retryAfterMs?: number): ConnectError {
  const value = {
    code,
    message: "away",
    retryable: true,
    ...(retryAfterMs === undefined ? {} : { retryAfter: durationFromMs(retryAfterMs) }),
  };
  return new ConnectError("away", Code.Unavailable, undefined, [
    { desc: ErrorDetailSchema, value },
  ]);
}

interface Script {
  /** Errors of the first calls; after them every call is answered. */
  readonly errors?: ConnectError[];
  readonly pacing?: FakePacing;
  readonly options?: RemexClientOptions;
}

function scripted({ errors = [], pacing = createFakePacing(), options = {} }: Script) {
  const calls: string[] = [];
  const keys: (string | null)[] = [];
  const called = (name: string, header: Headers) => {
    calls.push(name);
    keys.push(header.get("authorization"));
    const error = errors.shift();
    if (error !== undefined) throw error;
  };
  const transport = createRouterTransport((router) => {
    router.service(DeploymentService, {
      getDeployment: (_, context) => {
        called("get", context.requestHeader);
        return {};
      },
      createDeployment: (_, context) => {
        called("create", context.requestHeader);
        return {};
      },
      updateDeployment: (_, context) => {
        called("update", context.requestHeader);
        return {};
      },
    });
    router.service(TaskService, {
      submitTasks: (_, context) => {
        called("submit", context.requestHeader);
        return {};
      },
      async *watchTasks(_, context) {
        called("watch", context.requestHeader);
        yield { cursor: "1" };
        throw away();
      },
    });
    router.service(AgentTokenService, {
      createAgentToken: (_, context) => {
        called("token", context.requestHeader);
        return {};
      },
    });
  });
  return { client: createRemexClient(transport, { pacing, ...options }), calls, keys, pacing };
}

describe("the key", () => {
  test("is asked for at each call and sent as a bearer", async () => {
    let current = "rmk_one";
    const { client, keys } = scripted({ options: { key: () => current } });
    await client.deployments.getDeployment({});
    current = "rmk_two";
    await client.deployments.getDeployment({});
    expect(keys).toEqual(["Bearer rmk_one", "Bearer rmk_two"]);
  });

  test("SEC-G1: one that cannot be sent is not quoted in the error", async () => {
    const { client, calls } = scripted({ options: { key: () => "rmk_secret\nvalue" } });
    const failed = client.deployments.getDeployment({});
    await expect(failed).rejects.toMatchObject({ code: "key_unusable" });
    await expect(failed).rejects.not.toThrow(/secret/);
    expect(calls).toEqual([]);
  });
});

describe("repetition", () => {
  test("a reading call is repeated with growing, jittered waits", async () => {
    const { client, calls, pacing } = scripted({ errors: [away(), away(), away()] });
    await client.deployments.getDeployment({});
    expect(calls).toHaveLength(4);
    expect(pacing.waits).toEqual([100, 200, 400]);
  });

  test("it ends after the last try with the service's own error", async () => {
    const errors = [away(), away(), away(), away()];
    const { client, calls } = scripted({ errors });
    await expect(client.deployments.getDeployment({})).rejects.toMatchObject({
      code: "store_unavailable",
    });
    expect(calls).toHaveLength(4);
  });

  test("the wait that a service asks for is kept; a very long one is not waited for", async () => {
    const patient = scripted({ errors: [away("admission_full", 3_000)] });
    await patient.client.deployments.getDeployment({});
    expect(patient.pacing.waits).toEqual([3_100]);
    const hopeless = scripted({ errors: [away("admission_full", 60_000)] });
    await expect(hopeless.client.deployments.getDeployment({})).rejects.toMatchObject({
      retryAfterMs: 60_000,
    });
  });

  test("it does not go on beyond the deadline", async () => {
    const { client, calls } = scripted({
      errors: [away(), away(), away()],
      options: { timeoutMs: 150 },
    });
    await expect(client.deployments.getDeployment({})).rejects.toMatchObject({
      code: "store_unavailable",
    });
    expect(calls).toHaveLength(2);
  });

  test("SEC-T5: making a token is never repeated, its value would be lost", async () => {
    const { client, calls } = scripted({ errors: [away()] });
    await expect(client.agentTokens.createAgentToken({})).rejects.toThrow();
    expect(calls).toEqual(["token"]);
  });

  test("a submission is repeated when every item has a key", async () => {
    const { client, calls } = scripted({ errors: [away()] });
    await client.tasks.submitTasks({ tasks: [{ idempotencyKey: "a" }, { idempotencyKey: "b" }] });
    expect(calls).toEqual(["submit", "submit"]);
  });

  test("a submission with an item without key is made once: it could be queued twice", async () => {
    const { client, calls } = scripted({ errors: [away()] });
    const tasks = [{ idempotencyKey: "a" }, {}];
    await expect(client.tasks.submitTasks({ tasks })).rejects.toThrow();
    expect(calls).toEqual(["submit"]);
  });

  test("an update with a revision is made once, one without is repeated", async () => {
    const bound = scripted({ errors: [away()] });
    await expect(bound.client.deployments.updateDeployment({ revision: 3n })).rejects.toThrow();
    const free = scripted({ errors: [away()] });
    await free.client.deployments.updateDeployment({});
    expect(free.calls).toEqual(["update", "update"]);
  });

  test("PROTOCOL-D6: a creation is repeated only when it is recorded and not in effect", async () => {
    const recorded = scripted({ errors: [away("recorded_not_in_effect")] });
    await recorded.client.deployments.createDeployment({});
    expect(recorded.calls).toEqual(["create", "create"]);
    const unknown = scripted({ errors: [away()] });
    await expect(unknown.client.deployments.createDeployment({})).rejects.toThrow();
  });
});

test("a stream carries the key too, and its errors are as readable", async () => {
  const { client, keys } = scripted({ options: { key: () => "rmk_one" } });
  const frames: string[] = [];
  const read = async () => {
    for await (const frame of client.tasks.watchTasks({})) frames.push(frame.cursor);
  };
  await expect(read()).rejects.toMatchObject({ code: "store_unavailable", retryable: true });
  expect(frames).toEqual(["1"]);
  expect(keys).toEqual(["Bearer rmk_one"]);
});
