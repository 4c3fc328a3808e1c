// SPDX-License-Identifier: Apache-2.0
// Proves that a long list is fetched page by page, and only as far as it is read.

import { createRouterTransport } from "@connectrpc/connect";
import { TaskService } from "@remex/proto/scheduler/v1";
import { expect, test } from "vitest";
import { collectAll, eachTask } from "./pages.ts";
import { createRemexClient } from "./remex-client.ts";

function threePages() {
  const asked: string[] = [];
  const transport = createRouterTransport((router) => {
    router.service(TaskService, {
      listTasks: ({ pageToken, queue }) => {
        asked.push(`${queue}/${pageToken}`);
        const page = Number(pageToken || "0");
        const nextPageToken = page < 2 ? String(page + 1) : "";
        return { tasks: [{ task: `t_${page}a` }, { task: `t_${page}b` }], nextPageToken };
      },
    });
  });
  return { client: createRemexClient(transport), asked };
}

test("every page is read, with the request's own choice", async () => {
  const { client, asked } = threePages();
  const tasks = await collectAll(eachTask(client, { deployment: "a", queue: "q" }));
  expect(tasks.map(({ task }) => task)).toEqual(["t_0a", "t_0b", "t_1a", "t_1b", "t_2a", "t_2b"]);
  expect(asked).toEqual(["q/", "q/1", "q/2"]);
});

test("a reader that leaves early asks for no further page", async () => {
  const { client, asked } = threePages();
  for await (const { task } of eachTask(client, { deployment: "a" })) {
    if (task === "t_0b") break;
  }
  expect(asked).toEqual(["/"]);
});
