// SPDX-License-Identifier: Apache-2.0
// A stand-in for the token service: verifies the tokens of the simulation, and tells which were revoked.

import { create } from "@bufbuild/protobuf";
import { failureOf, RemexError, remexError } from "@remex/domain";
import {
  VerificationService,
  VerifyAgentTokenResponseSchema,
  WatchRevocationsResponseSchema,
} from "@remex/proto/token/v1";
import type { Network } from "../engine/network.ts";
import type { SimProcess, World } from "../engine/world.ts";
import { openInternalPort } from "../wire/internal-port.ts";
import { clockOf, logOf } from "./fittings.ts";

const tokenHost = "token";
export const tokenUrl = `http://${tokenHost}:8702`;

interface IssuedToken {
  readonly value: string;
  readonly token: string;
  readonly deployment: string;
  revokedAtMs: number | undefined;
}

/** How often a watch says something. */
const signMs = 2_000;

export interface TokenPart {
  readonly process: SimProcess;
  issue(deployment: string): IssuedToken;
  revoke(token: IssuedToken): void;
}

export type { IssuedToken };

export function startTokens(deps: {
  readonly world: World;
  readonly network: Network;
  readonly onRevoked: (token: string) => void;
}): TokenPart {
  const { world, network } = deps;
  const process = world.createProcess("token#1", tokenHost);
  const clock = clockOf(process);
  const issued = new Map<string, IssuedToken>();
  const wakes = new Set<() => void>();
  const port = openInternalPort({ network, process, log: logOf(process) });

  const revocations = (from: number) =>
    [...issued.values()]
      .filter(({ revokedAtMs }) => revokedAtMs !== undefined && revokedAtMs >= from)
      .map(({ token, deployment }) => ({
        credential: { case: "agentToken" as const, value: token },
        deployment,
        reason: "revoked",
      }));

  world.as(process, () =>
    port.serve((router) => {
      router.service(VerificationService, {
        verifyAgentToken: ({ value }) => {
          const token = issued.get(value);
          if (token === undefined) throw remexError("token_refused");
          if (token.revokedAtMs !== undefined) throw new RemexError(failureOf("token_revoked"));
          const { deployment } = token;
          return create(VerifyAgentTokenResponseSchema, { deployment, token: token.token });
        },
        async *watchRevocations(_request, { signal }) {
          let toldUntil = Number.NEGATIVE_INFINITY;
          while (!signal.aborted) {
            const from = toldUntil;
            toldUntil = world.nowMs;
            yield create(WatchRevocationsResponseSchema, { revocations: revocations(from) });
            await new Promise<void>((resolve) => {
              const done = (): void => {
                cancel();
                wakes.delete(done);
                resolve();
              };
              const cancel = clock.after(signMs, done);
              wakes.add(done);
              signal.addEventListener("abort", done, { once: true });
            });
          }
        },
      });
    }),
  );

  return {
    process,
    issue(deployment) {
      const number = issued.size + 1;
      const token: IssuedToken = {
        value: `rmx_at_${deployment}_${number}`,
        token: `tok_${number}`,
        deployment,
        revokedAtMs: undefined,
      };
      issued.set(token.value, token);
      return token;
    },
    revoke(token) {
      if (token.revokedAtMs !== undefined) return;
      token.revokedAtMs = world.nowMs;
      deps.onRevoked(token.token);
      world.after(0, process, "revoked", () => {
        for (const wake of [...wakes]) wake();
      });
    },
  };
}
