// SPDX-License-Identifier: Apache-2.0
// How the roles of this process reach other roles: directly where they run here, else a living replica.

import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import type { Clock, Logger } from "@remex/runtime";
import type { ReplicaRecord } from "@remex/store";
import {
  type ClosableTransport,
  createLocalTransport,
  createServiceTransport,
  type KeySource,
  type ServiceRole,
} from "@remex/transport";

export interface PeersDeps {
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  readonly key: KeySource;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Peers {
  /** A role of this process registers its services. */
  serve(role: ServiceRole, routes: (router: ConnectRouter) => void): void;
  /** A transport to any living replica of `role`, for the role `from` of this process. */
  transportTo(role: ServiceRole, from: ServiceRole): Transport;
  /** A transport to one process, by the address of its record. */
  transportAt(address: string, from: ServiceRole): Transport;
  close(): void;
}

/** Records are read at most this often; while Redis is away the last ones are used. */
const lookAgainMs = 1_000;

interface Known {
  readonly replicas: readonly ReplicaRecord[];
  readonly atMs: number;
}

export function createPeers(deps: PeersDeps): Peers {
  const served = new Map<ServiceRole, (router: ConnectRouter) => void>();
  const transports = new Map<string, ClosableTransport>();

  const transportAt = (address: string, from: ServiceRole): Transport => {
    const name = `${from} ${address}`;
    const transport =
      transports.get(name) ??
      createServiceTransport({ baseUrl: address, role: from, key: deps.key });
    transports.set(name, transport);
    return transport;
  };

  const listLiving = createReplicaList(deps);

  /** Calls one living replica after the other until one was reached: what was not sent has no effect. */
  const callAny = async <Result>(
    role: ServiceRole,
    from: ServiceRole,
    call: (transport: Transport) => Promise<Result>,
  ): Promise<Result> => {
    const replicas = shuffled(await listLiving(role));
    let unreached: unknown;
    for (const { address } of replicas) {
      try {
        return await call(transportAt(address, from));
      } catch (error) {
        if (!isNotSent(error)) throw error;
        unreached = error;
      }
    }
    throw remexError("service_unavailable", { service: role }, { cause: unreached });
  };

  return {
    serve: (role, routes) => {
      served.set(role, routes);
    },
    transportTo: (role, from) => {
      let local: Transport | undefined;
      // Asked at each call: roles of one process may register in any order.
      const here = (): Transport | undefined => {
        const routes = served.get(role);
        if (routes === undefined) return undefined;
        local ??= createLocalTransport({ routes, role: from, log: deps.log });
        return local;
      };
      return {
        unary: (...call) =>
          here()?.unary(...call) ?? callAny(role, from, (transport) => transport.unary(...call)),
        stream: (...call) =>
          here()?.stream(...call) ?? callAny(role, from, (transport) => transport.stream(...call)),
      };
    },
    transportAt,
    close: () => {
      for (const transport of transports.values()) transport.close();
    },
  };
}

/** Lists living replicas, at most every second; while Redis is away the last known ones. */
function createReplicaList(
  deps: PeersDeps,
): (role: ServiceRole) => Promise<readonly ReplicaRecord[]> {
  const known = new Map<ServiceRole, Known>();
  return async (role) => {
    const last = known.get(role);
    const nowMs = deps.clock.nowMs();
    if (last !== undefined && nowMs - last.atMs < lookAgainMs) return last.replicas;
    try {
      const replicas = await deps.listReplicas(role);
      known.set(role, { replicas, atMs: nowMs });
      return replicas;
    } catch (err) {
      deps.log.debug({ err, role }, "replicas cannot be listed; the last known ones are used");
      return last?.replicas ?? [];
    }
  };
}

/** True when the connection could not be made, so that nobody has seen the call. */
function isNotSent(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && cause.code === "ECONNREFUSED") return true;
  }
  return false;
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  const start = Math.floor(Math.random() * items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}
