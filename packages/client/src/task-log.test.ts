// SPDX-License-Identifier: Apache-2.0
// Proves that a log is read byte by byte once, whatever breaks on the way.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@remex/proto/common/v1";
import { AgentService, type ReadTaskLogResponseSchema } from "@remex/proto/registry/v1";
import { expect, test } from "vitest";
import { createFakePacing } from "./fake-pacing.ts";
import { createRemexClient } from "./remex-client.ts";
import { readTaskLog } from "./task-log.ts";

type Part = MessageInitShape<typeof ReadTaskLogResponseSchema>;

const bytes = (text: string) => new TextEncoder().encode(text);
const part = (offset: bigint, text: string, complete = false): Part => ({
  offset,
  data: bytes(text),
  complete,
});

function scripted(streams: (() => AsyncIterable<Part>)[]) {
  const offsets: bigint[] = [];
  const transport = createRouterTransport((router) => {
    router.service(AgentService, {
      async *readTaskLog({ offset }) {
        offsets.push(offset);
        const next = streams.shift();
        if (next !== undefined) yield* next();
      },
    });
  });
  return { client: createRemexClient(transport, { pacing: createFakePacing() }), offsets };
}

const away = () => {
  const value = { code: "agent_away", message: "agent a1 is not connected now", retryable: true };
  return new ConnectError("away", Code.Unavailable, undefined, [
    { desc: ErrorDetailSchema, value },
  ]);
};

async function textOf(parts: AsyncIterable<{ data: Uint8Array }>): Promise<string> {
  let text = "";
  for await (const { data } of parts) text += new TextDecoder().decode(data);
  return text;
}

const wanted = { deployment: "a", task: "t_1" };

test("after a break reading goes on at the right byte, and a repeated beginning is cut off", async () => {
  const { client, offsets } = scripted([
    async function* () {
      yield part(0n, "hello ");
      throw away();
    },
    async function* () {
      yield part(3n, "lo wor");
      yield part(9n, "ld", true);
    },
  ]);
  expect(await textOf(readTaskLog(client, { ...wanted, follow: true }))).toBe("hello world");
  expect(offsets).toEqual([0n, 6n]);
});

test("an orderly end is the end, also of a log that is not complete", async () => {
  const { client, offsets } = scripted([
    async function* () {
      yield part(0n, "so far");
    },
  ]);
  const parts: boolean[] = [];
  for await (const { complete } of readTaskLog(client, wanted)) parts.push(complete);
  expect(parts).toEqual([false]);
  expect(offsets).toEqual([0n]);
});

test("an empty last part still says that the log is complete", async () => {
  const { client } = scripted([
    async function* () {
      yield part(0n, "all");
      yield part(3n, "", true);
    },
  ]);
  const parts: boolean[] = [];
  for await (const { complete } of readTaskLog(client, wanted)) parts.push(complete);
  expect(parts).toEqual([false, true]);
});

test("an agent that stays away ends the reading with its own error", async () => {
  const failing = async function* (): AsyncIterable<Part> {
    yield* [];
    throw away();
  };
  const { client } = scripted(Array(50).fill(failing));
  await expect(
    textOf(readTaskLog(client, { ...wanted, giveUpAfterMs: 2_000 })),
  ).rejects.toMatchObject({ code: "agent_away" });
});
