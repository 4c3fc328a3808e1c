// SPDX-License-Identifier: Apache-2.0
// VerificationService: verifies credentials for the other services and streams those that end.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type VerificationService,
  VerifyAgentTokenResponseSchema,
  VerifyOperatorKeyResponseSchema,
  type WatchRevocationsResponse,
  WatchRevocationsResponseSchema,
} from "@remex/proto/token/v1";
import { withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import {
  expiresInField,
  kindsFromNames,
  revocationToMessage,
  roleFromName,
} from "./credential-messages.ts";
import type { EndedCredential, Revocations } from "./revocations.ts";
import type { TokenUsage } from "./token-usage.ts";
import type { Verifier } from "./verifier.ts";

export interface VerificationDeps {
  readonly verifier: Verifier;
  readonly usage: TokenUsage;
  readonly revocations: Revocations;
  readonly clock: Clock;
}

/** A watcher hears something at least this often. */
const signOfLifeMs = 2_000;

export function createVerificationHandlers(
  deps: VerificationDeps,
): ServiceImpl<typeof VerificationService> {
  return {
    verifyAgentToken: async (request) => {
      const record = await deps.verifier.verifyAgentToken(request.value);
      deps.usage.note(record.token, request.address);
      return create(VerifyAgentTokenResponseSchema, {
        deployment: record.deployment,
        token: record.token,
        kinds: kindsFromNames(record.kinds),
        queues: [...record.queues],
        ...expiresInField(record.expiresAtMs, deps.clock.wallMs()),
      });
    },
    verifyOperatorKey: async (request) => {
      const record = await deps.verifier.verifyOperatorKey(request.value);
      return create(VerifyOperatorKeyResponseSchema, {
        key: record.key,
        name: record.name,
        role: roleFromName(record.role),
        deployment: record.deployment,
        ...expiresInField(record.expiresAtMs, deps.clock.wallMs()),
      });
    },
    watchRevocations: (_request, context) => watchRevocations(deps, context.signal),
  };
}

async function* watchRevocations(
  deps: VerificationDeps,
  signal: AbortSignal,
): AsyncGenerator<WatchRevocationsResponse> {
  let waiting: EndedCredential[] = [];
  let wake = (): void => undefined;
  const unsubscribe = deps.revocations.subscribe((ended) => {
    waiting.push(...ended);
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    // Subscribed first: what ends while the last hour is read is told twice rather than never.
    yield toFrame(await withRecords(deps.revocations.listRecent()));
    while (!signal.aborted) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          const cancel = deps.clock.after(signOfLifeMs, resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
      if (signal.aborted) return;
      const ended = waiting;
      waiting = [];
      yield toFrame(ended);
    }
  } finally {
    unsubscribe();
    signal.removeEventListener("abort", onAbort);
  }
}

function toFrame(ended: readonly EndedCredential[]): WatchRevocationsResponse {
  return create(WatchRevocationsResponseSchema, { revocations: ended.map(revocationToMessage) });
}
