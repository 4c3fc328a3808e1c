// SPDX-License-Identifier: Apache-2.0
// What tests of management share: real records and a real Redis, a clock, and clients of the services.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import { RemexError, requireRef } from "@remex/domain";
import {
  AgentService,
  BrakeService,
  DeploymentService,
  GroupService,
} from "@remex/proto/registry/v1";
import { openRecords } from "@remex/records";
import { createSilentLogger } from "@remex/runtime";
import { createFakeClock } from "@remex/runtime/testing";
import {
  createDeploymentStore,
  createEpochCell,
  createSessionStore,
  createStore,
  createTaskStore,
  deploymentLibrary,
  ensureEpoch,
  openRedis,
  type SessionFacts,
  type SessionStore,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";
import { type PrivateRedis, sessionFixtureFacts } from "@remex/store/testing";
import { connectErrorOf, failureFromConnect } from "@remex/transport";
import { createManagement } from "./management.ts";

const failuresToConnect: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    throw error instanceof RemexError ? connectErrorOf(error.failure, error) : error;
  }
};

/** The stable code of a refusal, or "ok". */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "ok",
    (error: unknown) => failureFromConnect(error).code,
  );
}

export const deployment = "dep";

/** Starts management over an empty store with one deployment; `wrap` changes what it sees of sessions. */
export async function startManagementWorld(
  redis: PrivateRedis,
  wrap: (sessions: SessionStore) => SessionStore = (sessions) => sessions,
) {
  const connections = openRedis({ url: redis.url, connectionName: "management-test" });
  if (connections.commands.status !== "ready") {
    await new Promise((resolve) => connections.commands.once("ready", resolve));
  }
  await connections.commands.flushall();
  const epoch = createEpochCell();
  await ensureEpoch(connections.commands, epoch);
  const libraries = [deploymentLibrary, sessionLibrary, taskLibrary];
  const core = createStore(connections.commands, epoch, libraries);
  const store = createDeploymentStore(core);
  const sessions = createSessionStore(core);
  const folder = await mkdtemp(join(tmpdir(), "remex-management-"));
  const records = await openRecords(`sqlite:${join(folder, "records.sqlite")}`);
  const clock = createFakeClock();
  const management = createManagement({
    ...{ records, store, clock },
    tasks: createTaskStore(core),
    sessions: wrap(sessions),
    epoch: epoch.current,
    log: createSilentLogger(),
  });
  const transport = createRouterTransport(
    (router) => {
      management.routes(router);
      router.service(AgentService, management.agents);
    },
    { router: { interceptors: [failuresToConnect] } },
  );
  await createClient(DeploymentService, transport).createDeployment({ deployment });
  return {
    ...{ connections, core, store, sessions, records, clock, management },
    agents: createClient(AgentService, transport),
    groups: createClient(GroupService, transport),
    brakes: createClient(BrakeService, transport),
    /** Opens a session of an agent, as its registry would. */
    open: async (agent: string, facts: Partial<SessionFacts> = {}) => {
      const reply = await sessions.open(deployment, agent, { ...sessionFixtureFacts, ...facts });
      if (reply.kind !== "opened") throw new Error(`not opened: ${JSON.stringify(reply)}`);
      return requireRef(reply.session);
    },
    /** Has the store hold tasks for an agent, as a scheduler would. */
    hold: async (agent: string, ...tasks: string[]) => {
      const key = `rmx:{${deployment}}:held:${agent}`;
      await connections.commands.del(key);
      for (const task of tasks) await connections.commands.hset(key, { slots: "1", [task]: "1.1" });
    },
    stop: async () => {
      management.stop();
      connections.close();
      await records.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
