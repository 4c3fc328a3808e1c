// SPDX-License-Identifier: Apache-2.0
// Who is behind a call: verifies operator keys with the token service and remembers them for a few seconds.

import { createHash } from "node:crypto";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import { VerificationService } from "@remex/proto/token/v1";
import { type Clock, type Logger, sleep } from "@remex/runtime";
import type { OperatorKey } from "./operator-access.ts";

export interface KeyVerifierDeps {
  /** To the token service. */
  readonly token: Transport;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface KeyVerifier {
  /** Verifies `authorization: Bearer rmk_...`; throws `key_missing` or the token service's refusal. */
  verify(authorization: string | null): Promise<OperatorKey>;
  /** Aborted when the key ends, by revocation or by time; call `release` when the call is over. */
  watch(key: OperatorKey): { readonly signal: AbortSignal; release(): void };
  start(): void;
  stop(): void;
}

/** Revocations are streamed; this is what a lost stream can cost. */
const rememberMs = 5_000;
const mostRemembered = 10_000;
const watchAgainMs = 1_000;
/** Longer timers overflow; a stream does not live that long. */
const longestTimerMs = 2_000_000_000;

interface Remembered {
  readonly key: OperatorKey;
  readonly verifiedAtMs: number;
}

export function createKeyVerifier(deps: KeyVerifierDeps): KeyVerifier {
  const client = createClient(VerificationService, deps.token);
  const remembered = new Map<string, Remembered>();
  const watches = new Map<string, Set<AbortController>>();
  const stopped = new AbortController();

  let endings = 0;

  /** An answer that was under way while a key ended may be the one before that: it is asked for again. */
  const verifyUndisturbed = async (value: string): Promise<OperatorKey> => {
    for (;;) {
      const before = endings;
      const key = await verifyWithService(client, value, deps.clock);
      if (before === endings) return key;
    }
  };

  const onEnded = (publicId: string, reason: string): void => {
    endings += 1;
    for (const [digest, entry] of remembered) {
      if (entry.key.key === publicId) remembered.delete(digest);
    }
    for (const watch of watches.get(publicId) ?? []) {
      watch.abort(remexError(reason === "expired" ? "key_expired" : "key_revoked"));
    }
  };

  return {
    verify: async (authorization) => {
      const value = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      if (value === undefined) throw remexError("key_missing");
      const digest = createHash("sha256").update(value).digest("base64");
      const known = remembered.get(digest);
      if (known !== undefined && isFresh(known, deps.clock)) return known.key;
      remembered.delete(digest);
      const key = await verifyUndisturbed(value);
      remembered.set(digest, { key, verifiedAtMs: deps.clock.nowMs() });
      dropOldest(remembered);
      return key;
    },
    watch: (key) => watchKey(watches, key, deps.clock),
    start: () => void followRevocations(client, deps, onEnded, stopped.signal),
    stop: () => stopped.abort(),
  };
}

function isFresh(entry: Remembered, clock: Clock): boolean {
  const { expiresAtMs } = entry.key;
  if (expiresAtMs !== undefined && clock.wallMs() >= expiresAtMs) return false;
  return clock.nowMs() - entry.verifiedAtMs < rememberMs;
}

async function verifyWithService(
  client: Client<typeof VerificationService>,
  value: string,
  clock: Clock,
): Promise<OperatorKey> {
  const { key, name, role, deployment, expiresIn } = await client.verifyOperatorKey({ value });
  const expiresAtMs = expiresIn === undefined ? undefined : clock.wallMs() + durationMs(expiresIn);
  return { key, name, role, deployment, expiresAtMs };
}

function dropOldest(remembered: Map<string, unknown>): void {
  for (const digest of remembered.keys()) {
    if (remembered.size <= mostRemembered) return;
    remembered.delete(digest);
  }
}

function watchKey(
  watches: Map<string, Set<AbortController>>,
  key: OperatorKey,
  clock: Clock,
): { readonly signal: AbortSignal; release(): void } {
  const abort = new AbortController();
  const ofKey = watches.get(key.key) ?? new Set();
  watches.set(key.key, ofKey.add(abort));
  const leftMs = key.expiresAtMs === undefined ? longestTimerMs : key.expiresAtMs - clock.wallMs();
  const cancel =
    leftMs < longestTimerMs
      ? clock.after(leftMs, () => abort.abort(remexError("key_expired")))
      : () => undefined;
  return {
    signal: abort.signal,
    release: () => {
      cancel();
      ofKey.delete(abort);
      if (ofKey.size === 0 && watches.get(key.key) === ofKey) watches.delete(key.key);
    },
  };
}

/** Hears of every key that ends, for as long as the gateway runs; a broken stream is opened again. */
async function followRevocations(
  client: Client<typeof VerificationService>,
  deps: KeyVerifierDeps,
  onEnded: (publicId: string, reason: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let broken = false;
  while (!signal.aborted) {
    try {
      for await (const { revocations } of client.watchRevocations({}, { signal })) {
        broken = false;
        for (const { credential, reason } of revocations) {
          if (credential.case === "operatorKey") onEnded(credential.value, reason);
        }
      }
    } catch (err) {
      if (signal.aborted) return;
      if (!broken) deps.log.warn({ err }, "revocations are not heard; trying again");
      broken = true;
    }
    // Stopping ends the wait; the loop's condition sees it.
    await sleep(deps.clock, watchAgainMs, signal).catch(() => undefined);
  }
}
