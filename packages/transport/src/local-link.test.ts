// SPDX-License-Identifier: Apache-2.0
// Proves that roles of one process are joined by the same interface, batched and without copies.

import { describe, expect, test } from "vitest";
import { createInProcessLinkPair } from "./local-link.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("an in-process link", () => {
  test("hands over the very events, one call per turn, in both directions", async () => {
    const { client, server } = createInProcessLinkPair<{ n: number }, string>("a", "b");
    const requests: { n: number }[][] = [];
    const responses: string[][] = [];
    server.onEvents((events) => {
      requests.push(events);
      server.send(events.map((event) => `got ${event.n}`));
    });
    client.onEvents((events) => responses.push(events));
    const first = { n: 1 };
    client.send([first]);
    client.send([{ n: 2 }]);
    expect(requests).toEqual([]);
    await turn();
    await turn();
    await turn();
    expect(requests).toEqual([[{ n: 1 }, { n: 2 }]]);
    expect(requests[0]?.[0]).toBe(first);
    expect(responses).toEqual([["got 1", "got 2"]]);
    expect(client.peer).toBe("b");
    expect(server.peer).toBe("a");
  });

  test("a close sends what is queued, then both ends know why", async () => {
    const { client, server } = createInProcessLinkPair<number, number>("a", "b");
    const got: number[] = [];
    server.onEvents((events) => got.push(...events));
    client.send([1]);
    client.close("moved");
    client.send([2]);
    expect(client.open).toBe(false);
    expect((await client.closed).code).toBe("closed_here");
    const reason = await server.closed;
    expect(reason.code).toBe("closed_by_peer");
    expect(reason.message).toBe("moved");
    expect(got).toEqual([1]);
    expect(server.open).toBe(false);
  });

  test("a receiver that throws ends both ends", async () => {
    const { client, server } = createInProcessLinkPair<number, number>("a", "b");
    server.onEvents(() => {
      throw new Error("bug");
    });
    client.send([1]);
    expect((await server.closed).code).toBe("receiver_failed");
    expect((await client.closed).code).toBe("closed_by_peer");
  });
});
