// SPDX-License-Identifier: Apache-2.0
// Asks the token service about agents' tokens, at a hello and when an agent shows a newer one.
import type { Client } from "@connectrpc/connect";
import { RemexError, remexError } from "@remex/domain";
import type { VerificationService, VerifyAgentTokenResponse } from "@remex/proto/token/v1";
import type { Logger } from "@remex/runtime";
import type { SessionStore } from "@remex/store";
import { failureFromConnect } from "@remex/transport";
import type { LiveSession } from "./live-session.ts";
import { kindsFromWire } from "./session-wire.ts";

export interface TokenChecks {
  /** What a token is good for; rejects with a RemexError. */
  verify(value: string, address: string): Promise<VerifyAgentTokenResponse>;
  /** Binds an open session to a newer token of the same deployment; rejects when it cannot be. */
  reauthenticate(live: LiveSession, value: string): Promise<void>;
}

const verifyTimeoutMs = 5_000;

export function createTokenChecks(
  verification: Pick<Client<typeof VerificationService>, "verifyAgentToken">,
  sessions: Pick<SessionStore, "rebindToken">,
  log: Logger,
): TokenChecks {
  async function verify(value: string, address: string): Promise<VerifyAgentTokenResponse> {
    try {
      return await verification.verifyAgentToken(
        { value, address },
        { timeoutMs: verifyTimeoutMs },
      );
    } catch (cause) {
      const error = failureFromConnect(cause);
      // Anything but a judgement on the token means that nobody judged it: dial again.
      if (error.connectCode === "unauthenticated") throw error;
      throw remexError("service_unavailable", { service: "token service" }, { cause: error });
    }
  }

  return {
    verify,
    async reauthenticate(live, value) {
      const { deployment, agent, session, kind, address } = live.facts;
      const verified = await verify(value, address);
      if (verified.deployment !== deployment) throw remexError("token_refused");
      const kinds = kindsFromWire(verified.kinds);
      if (kinds.length > 0 && !kinds.includes(kind)) {
        throw remexError("token_scope", { what: `kind ${kind}`, allowed: kinds.join(", ") });
      }
      const { token, queues } = verified;
      const reply = await sessions.rebindToken(deployment, agent, session, token, queues);
      if (reply.kind !== "rebound") {
        throw new RemexError(remexError("session_key_refused").failure);
      }
      live.token = token;
      live.scope = { kinds, queues };
      log.info({ ...live.logFields }, "session is bound to a newer token");
    },
  };
}
