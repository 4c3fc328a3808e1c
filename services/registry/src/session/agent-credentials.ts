// SPDX-License-Identifier: Apache-2.0
// What an agent shows in a call's metadata: its token, or the key of its session.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import { parseRef, remexError, type SessionRef } from "@remex/domain";
import { Secret } from "@remex/runtime";

/** The session that a call belongs to, and the key that proves it. */
export interface SessionCredential {
  readonly deployment: string;
  readonly agent: string;
  readonly session: SessionRef;
  /** The key as it came; never logged. */
  readonly key: Uint8Array;
  readonly keyDigest: string;
}

const longestKeyBytes = 256;

/** The agent token; throws `token_refused` when none was sent. */
export function readToken(metadata: Metadata): Secret {
  const [header] = metadata.get("authorization");
  const match = typeof header === "string" ? /^Bearer ([\x21-\x7e]{1,512})$/.exec(header) : null;
  if (match?.[1] === undefined) throw remexError("token_refused");
  return new Secret(match[1]);
}

/** The session's name and key; throws `session_key_refused` when they are missing or malformed. */
export function readSessionCredential(metadata: Metadata): SessionCredential {
  const [name] = metadata.get("remex-session");
  const [key] = metadata.get("remex-session-key-bin");
  const [deployment, agent, text, ...rest] = typeof name === "string" ? name.split("/") : [];
  const session = parseRef(text ?? "");
  if (deployment === undefined || agent === undefined || session === undefined || rest.length > 0) {
    throw remexError("session_key_refused");
  }
  if (!Buffer.isBuffer(key) || key.length === 0 || key.length > longestKeyBytes) {
    throw remexError("session_key_refused");
  }
  return { deployment, agent, session, key, keyDigest: digestOfKey(key) };
}

/** What the store keeps of a session key. */
export function digestOfKey(key: Uint8Array): string {
  return createHash("sha256").update(key).digest("hex");
}

/** Compares two digests in constant time; texts of other length are simply not equal. */
export function sameDigest(left: string, right: string): boolean {
  const a = Buffer.from(left, "latin1");
  const b = Buffer.from(right, "latin1");
  return a.length === b.length && timingSafeEqual(a, b);
}
