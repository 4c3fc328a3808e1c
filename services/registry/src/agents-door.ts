// SPDX-License-Identifier: Apache-2.0
// The agents' door: AgentSessionService on a grpc-js server of its own port.
import { remexError } from "@remex/domain";
import { AgentSessionService } from "@remex/proto/agent/v1";
import type { Clock, ListenAddress, Logger, Random, Readiness } from "@remex/runtime";
import {
  addHealthToGrpc,
  type GrpcServiceHandlers,
  type RunningServer,
  serveGrpc,
} from "@remex/transport";
import { type AgentStreamDeps, serveAgentStream } from "./session/agent-stream.ts";
import {
  decideConnect,
  defaultConnectsPerSecond,
  fullBucket,
} from "./session/connect-admission.ts";

export interface AgentsDoorDeps {
  readonly listen: ListenAddress;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
  readonly connectsPerSecond?: number;
  readonly readiness: Readiness;
  readonly stream: Omit<AgentStreamDeps, "admit">;
  /** Throws when this registry cannot serve an agent now. */
  checkFit(): void;
  /** The side calls: Forward and SendLog. */
  readonly sideCalls: Pick<GrpcServiceHandlers<typeof AgentSessionService>, "forward" | "sendLog">;
}

/** HTTP/2 keepalive: a peer that vanished is noticed even between beats. */
const keepalive = {
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.http2.min_ping_interval_without_data_ms": 5_000,
};

/** Opens the door. The reserved calls are left out, which answers them UNIMPLEMENTED. */
export function openAgentsDoor(deps: AgentsDoorDeps): Promise<RunningServer> {
  const admit = createAdmission(deps);
  return serveGrpc({
    listen: deps.listen,
    flag: "--agents-listen",
    log: deps.log,
    channelOptions: keepalive,
    register(services) {
      services.add(AgentSessionService, {
        ...deps.sideCalls,
        session: (call) => serveAgentStream(call, { ...deps.stream, admit }),
      });
      addHealthToGrpc(services, {
        readiness: deps.readiness,
        services: [AgentSessionService.typeName],
      });
    },
  });
}

function createAdmission(deps: AgentsDoorDeps): () => void {
  const limit = deps.connectsPerSecond ?? defaultConnectsPerSecond;
  const random = deps.random ?? Math.random;
  let bucket = fullBucket(limit, deps.clock.nowMs());
  return () => {
    deps.checkFit();
    const decision = decideConnect(bucket, limit, deps.clock.nowMs(), random());
    if (decision.kind === "full") {
      const { retryAfterMs } = decision;
      throw remexError("admission_full", { limit }, { retryAfterMs });
    }
    bucket = decision.bucket;
  };
}
