// SPDX-License-Identifier: Apache-2.0
// Verifies the values of credentials: form first, then digest, then revocation and expiry.

import { type RemexError, remexError } from "@remex/domain";
import type { AgentTokenRecord, OperatorKeyRecord, Records } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { type CredentialPrefix, parseCredential } from "./credential.ts";
import { type CredentialCache, createCredentialCache } from "./credential-cache.ts";
import { type Peppers, sameDigest } from "./pepper.ts";

export interface VerifierDeps {
  readonly records: Pick<Records, "agentTokens" | "operatorKeys">;
  readonly peppers: Peppers;
  readonly clock: Clock;
  /** Counts values refused for their form alone, before any read (SEC-T2). */
  readonly onMalformed?: (prefix: CredentialPrefix) => void;
}

export interface Verifier {
  /** Throws `token_refused`, `token_expired`, `token_revoked` or `records_unavailable`. */
  verifyAgentToken(value: string): Promise<AgentTokenRecord>;
  /** Throws `key_refused`, `key_expired`, `key_revoked` or `records_unavailable`. */
  verifyOperatorKey(value: string): Promise<OperatorKeyRecord>;
  /** Drops what is remembered of a credential that has changed. */
  forget(publicId: string): void;
}

interface Stored {
  readonly pepperVersion: number;
  readonly digest: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

interface Refusals {
  readonly refused: () => RemexError;
  readonly expired: () => RemexError;
  readonly revoked: () => RemexError;
}

const tokenRefusals: Refusals = {
  refused: () => remexError("token_refused"),
  expired: () => remexError("token_expired"),
  revoked: () => remexError("token_revoked"),
};

const keyRefusals: Refusals = {
  refused: () => remexError("key_refused"),
  expired: () => remexError("key_expired"),
  revoked: () => remexError("key_revoked"),
};

export function createVerifier(deps: VerifierDeps): Verifier {
  const nowMs = () => deps.clock.nowMs();
  const tokens = createCredentialCache(nowMs, (id) => deps.records.agentTokens.load(id));
  const keys = createCredentialCache(nowMs, (id) => deps.records.operatorKeys.load(id));
  return {
    verifyAgentToken: (value) => verify(deps, "rmx", tokens, tokenRefusals, value),
    verifyOperatorKey: (value) => verify(deps, "rmk", keys, keyRefusals, value),
    forget: (publicId) => {
      tokens.forget(publicId);
      keys.forget(publicId);
    },
  };
}

async function verify<Entry extends Stored>(
  deps: VerifierDeps,
  prefix: CredentialPrefix,
  cache: CredentialCache<Entry>,
  refusals: Refusals,
  value: string,
): Promise<Entry> {
  const credential = parseCredential(prefix, value);
  if (credential === undefined) {
    deps.onMalformed?.(prefix);
    throw refusals.refused();
  }
  const entry = await cache.load(credential.publicId).catch((cause: unknown) => {
    throw remexError("records_unavailable", {}, { cause });
  });
  const digest = entry && deps.peppers.digest(entry.pepperVersion, credential.value);
  if (entry === undefined || digest === undefined || !sameDigest(digest, entry.digest)) {
    throw refusals.refused();
  }
  // Only the holder of the right value learns why it is not taken.
  if (entry.revokedAtMs !== null) {
    throw refusals.revoked();
  }
  if (entry.expiresAtMs !== null && deps.clock.wallMs() >= entry.expiresAtMs) {
    throw refusals.expired();
  }
  return entry;
}
