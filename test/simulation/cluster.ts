// SPDX-License-Identifier: Apache-2.0
// A whole installation in one world: services, agents, Redis, records and a client, each a process to be harmed.

import { defaultDeploymentSettings } from "@remex/domain";
import { openRecords, type Records } from "@remex/records";
import { enterWorld } from "./engine/globals.ts";
import { Network } from "./engine/network.ts";
import type { SimProcess, World } from "./engine/world.ts";
import { registriesAddress } from "./parts/addresses.ts";
import {
  type AgentSetup,
  addAgentPrograms,
  type StartedAgent,
  startAgent,
} from "./parts/agent-part.ts";
import { type ClientPart, type ClientWatcher, startClient } from "./parts/client-part.ts";
import { type OperatorPart, startOperator } from "./parts/operator-part.ts";
import { type SimRole, startService } from "./parts/service-part.ts";
import { type IssuedToken, startTokens, type TokenPart } from "./parts/token-part.ts";
import { useNetwork } from "./redis/redis-client.ts";
import type { RedisEngine } from "./redis/redis-engine.ts";
import { SimRedis, type StoreWatcher } from "./redis/sim-redis.ts";
import { useGrpcNetwork } from "./wire/grpc-wire.ts";

/** What of an installation outlives a seed: it is costly to make. */
export interface Bench {
  readonly engine: RedisEngine;
  readonly loadedLibraries: Set<string>;
}

export interface ServicePlace {
  readonly role: SimRole;
  readonly host: string;
}

export interface ClusterPlan {
  readonly deployment: string;
  readonly heartbeatMs: number;
  readonly stopMs: number;
  readonly windowMs: number;
  readonly lostAfterMs: number;
  readonly services: readonly ServicePlace[];
  readonly agents: readonly Omit<AgentSetup, "readToken">[];
  readonly network: ConstructorParameters<typeof Network>[1];
}

export interface ClusterDeps {
  readonly world: World;
  readonly bench: Bench;
  readonly plan: ClusterPlan;
  readonly onStoreCall: StoreWatcher;
  readonly client: ClientWatcher;
  readonly onRevoked: (token: string) => void;
  readonly onOperator: (what: string, answer: string) => void;
}

export class Cluster {
  readonly world: World;
  readonly network: Network;
  readonly redis: SimRedis;
  readonly tokens: TokenPart;
  readonly client: ClientPart;
  readonly operator: OperatorPart;
  readonly plan: ClusterPlan;
  readonly records: Records;
  readonly services = new Map<string, SimProcess>();
  readonly agents = new Map<string, StartedAgent>();
  readonly tokenOf = new Map<string, IssuedToken>();
  readonly #recordsId: string;

  constructor(deps: ClusterDeps, records: Records) {
    const { world, plan } = deps;
    this.world = world;
    this.plan = plan;
    this.records = records;
    this.#recordsId = "records-of-the-simulation";
    this.network = new Network(world, plan.network);
    useNetwork(this.network);
    useGrpcNetwork({
      network: this.network,
      resolve: (address, from) => this.#resolve(address, from),
    });
    this.redis = new SimRedis({
      world,
      network: this.network,
      engine: deps.bench.engine,
      loadedLibraries: deps.bench.loadedLibraries,
      watch: deps.onStoreCall,
    });
    addAgentPrograms(world);
    this.tokens = startTokens({ world, network: this.network, onRevoked: deps.onRevoked });
    const registries = plan.services.filter(({ role }) => role === "registry");
    this.operator = startOperator({
      ...{ world, deployment: plan.deployment, onAnswer: deps.onOperator },
      registries: registries.map(({ host }) => `http://${host}:8702`),
    });
    const schedulers = plan.services.filter(({ role }) => role === "scheduler");
    this.client = startClient({
      world,
      watcher: deps.client,
      schedulers: () => schedulers.map(({ host }) => `http://${host}:8702`),
    });
  }

  startAll(): void {
    for (const { host } of this.plan.services) this.startService(host);
    for (const { name } of this.plan.agents) this.startAgent(name);
  }

  /** Starts a service again, or for the first time. */
  startService(host: string): void {
    const place = this.plan.services.find((service) => service.host === host);
    if (place === undefined || this.services.get(host)?.alive) return;
    const deps = {
      world: this.world,
      network: this.network,
      records: this.records,
      recordsId: this.#recordsId,
    };
    this.services.set(host, startService(deps, place.role, host));
  }

  startAgent(name: string): void {
    const setup = this.plan.agents.find((agent) => agent.name === name);
    if (setup === undefined || this.agents.get(name)?.process.alive) return;
    const token = this.tokenOf.get(name) ?? this.tokens.issue(this.plan.deployment);
    this.tokenOf.set(name, token);
    const readToken = () => this.tokenOf.get(name)?.value ?? "";
    this.agents.set(name, startAgent(this.world, { ...setup, readToken }));
  }

  /** The agent's token file holds a new token from now on. */
  renewToken(name: string): void {
    this.tokenOf.set(name, this.tokens.issue(this.plan.deployment));
  }

  #resolve(address: string, from: SimProcess): string {
    if (address !== registriesAddress) return address;
    const registries = this.plan.services.filter(({ role }) => role === "registry");
    return `${from.random.pick(registries).host}/agents`;
  }
}

/** Makes the records, then everything else; nothing has happened yet when it is done. */
export async function createCluster(deps: ClusterDeps): Promise<Cluster> {
  const { plan, bench, world } = deps;
  await bench.engine.send(["FLUSHALL"]);
  const records = await openRecords("sqlite::memory:");
  await records.deployments.create({
    deployment: plan.deployment,
    displayName: "",
    nowMs: world.epochMs,
    settings: {
      ...defaultDeploymentSettings,
      heartbeatIntervalMs: plan.heartbeatMs,
      stopTimeMs: plan.stopMs,
      confirmWindowMs: plan.windowMs,
      lostAfterMs: plan.lostAfterMs,
    },
  });
  enterWorld(world);
  return new Cluster(deps, records);
}

export async function closeCluster(cluster: Cluster): Promise<void> {
  enterWorld(undefined);
  await cluster.records.close();
}
