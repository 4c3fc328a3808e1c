// SPDX-License-Identifier: Apache-2.0
// What every role of a process is given, and what it gives back to be run.

import type { ConnectRouter } from "@connectrpc/connect";
import type { Records } from "@remex/records";
import type { Clock, Logger, Metrics, Readiness } from "@remex/runtime";
import type {
  DeploymentStore,
  RedisConnections,
  ReplicaRecord,
  SessionStore,
  Store,
  TaskStore,
} from "@remex/store";
import type { KeySource, LocalLinks, ServiceRole } from "@remex/transport";
import type { Peers } from "../peers.ts";
import type { ServeConfig } from "../settings.ts";

export interface RoleContext {
  readonly config: ServeConfig;
  /** Id of this role's replica. */
  readonly replica: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly records: Records;
  readonly store: Store;
  readonly connections: RedisConnections;
  readonly deployments: DeploymentStore;
  readonly sessions: SessionStore;
  readonly tasks: TaskStore;
  readonly peers: Peers;
  readonly localLinks: LocalLinks;
  readonly serviceKey: KeySource;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** An agent says that it has seen this epoch of the store. */
  claimEpoch(epoch: number): void;
  /** Calls back whenever Redis is found fit, or has another epoch. */
  onStoreFit(listener: () => void): void;
}

export interface Role {
  readonly role: ServiceRole;
  /** Services on the internal port. */
  routes(router: ConnectRouter): void;
  /** Begins to work; answers the addresses that it opened, by name, for the start message. */
  start(): Promise<Readonly<Record<string, string>>>;
  stop(): Promise<void>;
  /** What peers may ask the health service of the internal port for, beside its services. */
  readonly checks?: Readonly<Record<string, () => boolean>>;
  /** What keeps it from working, in words; looked at every second. */
  problems(): readonly string[];
}
