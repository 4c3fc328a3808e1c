// SPDX-License-Identifier: Apache-2.0
// Long lists as async iterables that fetch page after page as they are read.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AuditEntry, ListAuditEntriesRequestSchema } from "@remex/proto/gateway/v1";
import type {
  Agent,
  Deployment,
  ListAgentsRequestSchema,
  ListDeploymentsRequestSchema,
} from "@remex/proto/registry/v1";
import type { ListTasksRequestSchema, Task, TriggerEventRecord } from "@remex/proto/scheduler/v1";
import type { AgentToken, ListAgentTokensRequestSchema } from "@remex/proto/token/v1";
import type { RemexClient } from "./remex-client.ts";

interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
}

/** Reads page by page; `fetchPage` gets the token of the page, empty for the first. */
export async function* eachOfPages<Item>(
  fetchPage: (pageToken: string) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  let pageToken = "";
  do {
    const page = await fetchPage(pageToken);
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** Deployments by slug. */
export function eachDeployment(
  client: RemexClient,
  request: MessageInitShape<typeof ListDeploymentsRequestSchema> = {},
): AsyncGenerator<Deployment, void, undefined> {
  return eachOfPages(async (pageToken) => {
    const page = await client.deployments.listDeployments({ ...request, pageToken });
    return { items: page.deployments, nextPageToken: page.nextPageToken };
  });
}

/** Agents of a deployment by name. */
export function eachAgent(
  client: RemexClient,
  request: MessageInitShape<typeof ListAgentsRequestSchema>,
): AsyncGenerator<Agent, void, undefined> {
  return eachOfPages(async (pageToken) => {
    const page = await client.agents.listAgents({ ...request, pageToken });
    return { items: page.agents, nextPageToken: page.nextPageToken };
  });
}

/** Tasks of a deployment, newest first. */
export function eachTask(
  client: RemexClient,
  request: MessageInitShape<typeof ListTasksRequestSchema>,
): AsyncGenerator<Task, void, undefined> {
  return eachOfPages(async (pageToken) => {
    const page = await client.tasks.listTasks({ ...request, pageToken });
    return { items: page.tasks, nextPageToken: page.nextPageToken };
  });
}

/** The durable events of a trigger that are kept, oldest first. */
export async function* eachTriggerEvent(
  client: RemexClient,
  request: { readonly deployment: string; readonly task: string; readonly after?: bigint },
): AsyncGenerator<TriggerEventRecord, void, undefined> {
  let after = request.after ?? 0n;
  for (;;) {
    const { events } = await client.tasks.listTriggerEvents({ ...request, after });
    yield* events;
    const last = events.at(-1);
    if (last === undefined) return;
    after = last.position;
  }
}

/** Agent tokens of a deployment, newest first, without their values. */
export function eachAgentToken(
  client: RemexClient,
  request: MessageInitShape<typeof ListAgentTokensRequestSchema>,
): AsyncGenerator<AgentToken, void, undefined> {
  return eachOfPages(async (pageToken) => {
    const page = await client.agentTokens.listAgentTokens({ ...request, pageToken });
    return { items: page.tokens, nextPageToken: page.nextPageToken };
  });
}

/** Audit entries, newest first. */
export function eachAuditEntry(
  client: RemexClient,
  request: MessageInitShape<typeof ListAuditEntriesRequestSchema> = {},
): AsyncGenerator<AuditEntry, void, undefined> {
  return eachOfPages(async (pageToken) => {
    const page = await client.audit.listAuditEntries({ ...request, pageToken });
    return { items: page.entries, nextPageToken: page.nextPageToken };
  });
}

/** Reads a list to its end. */
export async function collectAll<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
