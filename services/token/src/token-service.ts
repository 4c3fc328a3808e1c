// SPDX-License-Identifier: Apache-2.0
// The token service: its handlers, what they share, and what runs beside them.

import type { ConnectRouter } from "@connectrpc/connect";
import { AgentTokenService, OperatorKeyService, VerificationService } from "@remex/proto/token/v1";
import type { Records } from "@remex/records";
import type { Clock, Logger } from "@remex/runtime";
import { createAgentTokenHandlers } from "./agent-token-handlers.ts";
import type { CredentialPrefix } from "./credential.ts";
import { createOperatorKeyHandlers } from "./operator-key-handlers.ts";
import type { Peppers } from "./pepper.ts";
import { createRevocations } from "./revocations.ts";
import { createTokenUsage } from "./token-usage.ts";
import { createVerificationHandlers } from "./verification-handlers.ts";
import { createVerifier } from "./verifier.ts";

export interface TokenServiceDeps {
  readonly records: Records;
  readonly peppers: Peppers;
  readonly clock: Clock;
  readonly log: Logger;
  /** Counts values refused for their form alone. */
  readonly onMalformed?: (prefix: CredentialPrefix) => void;
}

export interface TokenService {
  routes(router: ConnectRouter): void;
  start(): void;
  stop(): Promise<void>;
}

export function createTokenService(deps: TokenServiceDeps): TokenService {
  const { records, peppers, clock, log } = deps;
  const verifier = createVerifier(deps);
  const usage = createTokenUsage({ records, clock, log });
  const revocations = createRevocations({ records, clock, log });
  revocations.subscribe((ended) => {
    for (const credential of ended) verifier.forget(credential.publicId);
  });
  const onRevoked = async (publicId: string): Promise<void> => {
    verifier.forget(publicId);
    // The record is written; watchers of other replicas hear of it by their own sweep.
    await revocations.sweep().catch((err: unknown) => {
      log.warn({ err }, "a revocation is recorded and will be told with the next sweep");
    });
  };
  return {
    routes: (router) => {
      router.service(
        AgentTokenService,
        createAgentTokenHandlers({ records, peppers, clock, onRevoked }),
      );
      router.service(
        OperatorKeyService,
        createOperatorKeyHandlers({ records, peppers, clock, onRevoked }),
      );
      router.service(
        VerificationService,
        createVerificationHandlers({ verifier, usage, revocations, clock }),
      );
    },
    start: () => {
      usage.start();
      revocations.start();
    },
    stop: async () => {
      revocations.stop();
      await usage.stop();
    },
  };
}
