// SPDX-License-Identifier: Apache-2.0
// Proves that calls within a process behave as over a socket: answers, errors, streams, deadlines.

import { createClient } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import { AgentService, QueueService } from "@remex/proto/registry/v1";
import { createSilentLogger } from "@remex/runtime";
import { describe, expect, test } from "vitest";
import { createLocalTransport } from "./local-transport.ts";
import { callerRoleKey } from "./service-key.ts";

function transportFor(
  queue: Parameters<Parameters<typeof createLocalTransport>[0]["routes"]>[0] extends infer Router
    ? (router: Router) => void
    : never,
) {
  return createLocalTransport({
    role: "gateway",
    log: createSilentLogger(),
    defaultTimeoutMs: 50,
    routes: queue,
  });
}

describe("a local transport", () => {
  test("hands messages over as they are, and says who calls", async () => {
    const seen: unknown[] = [];
    const transport = transportFor((router) =>
      router.service(QueueService, {
        createQueue(request, context) {
          seen.push(request.queue, context.values.get(callerRoleKey));
          seen.push(context.requestHeader.get("x-request"));
          return { queue: { queue: request.queue } };
        },
      }),
    );
    const client = createClient(QueueService, transport);
    const response = await client.createQueue({ queue: "gpu" }, { headers: { "x-request": "7" } });
    expect(response.$typeName).toBe("remex.registry.v1.CreateQueueResponse");
    expect(response.queue?.queue).toBe("gpu");
    expect(seen).toEqual(["gpu", "gateway", "7"]);
  });

  test("gives failures with their code, and nothing of unexpected errors", async () => {
    const client = createClient(
      QueueService,
      transportFor((router) =>
        router.service(QueueService, {
          createQueue() {
            throw remexError("queue_is_default");
          },
          listQueues() {
            throw new Error("the password is hunter2");
          },
        }),
      ),
    );
    await expect(client.createQueue({})).rejects.toMatchObject({ code: "queue_is_default" });
    const broken = client.listQueues({});
    await expect(broken).rejects.toMatchObject({ code: "internal" });
    await expect(broken).rejects.not.toThrow("hunter2");
    await expect(client.deleteQueue({})).rejects.toMatchObject({ connectCode: "unimplemented" });
  });

  test("ends a call at its deadline although the handler goes on", async () => {
    const client = createClient(
      QueueService,
      transportFor((router) =>
        router.service(QueueService, { listQueues: () => new Promise(() => undefined) }),
      ),
    );
    await expect(client.listQueues({})).rejects.toMatchObject({
      connectCode: "deadline_exceeded",
    });
  });

  test("streams, tells the handler when the caller leaves", async () => {
    let left = false;
    const client = createClient(
      AgentService,
      transportFor((router) =>
        router.service(AgentService, {
          async *watchAgents(request, context) {
            context.signal.addEventListener("abort", () => {
              left = true;
            });
            yield { removed: [request.deployment] };
            yield { listComplete: true };
            throw remexError("shutting_down");
          },
        }),
      ),
    );
    const frames: unknown[] = [];
    const all = (async () => {
      for await (const frame of client.watchAgents({ deployment: "acme" })) frames.push(frame);
    })();
    await expect(all).rejects.toMatchObject({ code: "shutting_down" });
    expect(frames).toMatchObject([{ removed: ["acme"] }, { listComplete: true }]);
    left = false;
    const abort = new AbortController();
    const watch = client.watchAgents({ deployment: "acme" }, { signal: abort.signal });
    const seen = watch[Symbol.asyncIterator]();
    expect((await seen.next()).value?.removed).toEqual(["acme"]);
    abort.abort();
    await expect(seen.next()).rejects.toMatchObject({ connectCode: "canceled" });
    expect(left).toBe(true);
  });
});
