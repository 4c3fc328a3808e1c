// SPDX-License-Identifier: Apache-2.0
// Lets an agent in: checks what it shows and states, then opens or resumes its session in the store.
import { randomBytes } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import {
  type AcceptedHello,
  decideHello,
  failureOf,
  formatRef,
  RemexError,
  refFromWire,
  remexError,
  requireRef,
  type SessionRef,
  sameRef,
  type TokenScope,
} from "@remex/domain";
import type { Hello } from "@remex/proto/agent/v1";
import type { VerifyAgentTokenResponse } from "@remex/proto/token/v1";
import {
  type OpenClaim,
  type OpenReply,
  onCutFromText,
  type ProjectedDeployment,
  type ResumeReply,
  type SessionFacts,
  type SessionStore,
} from "@remex/store";
import {
  digestOfKey,
  readSessionCredential,
  readToken,
  type SessionCredential,
  sameDigest,
} from "./agent-credentials.ts";
import type { LiveSessionFacts } from "./live-session.ts";
import { kindsFromWire, statedHello } from "./session-wire.ts";

export interface SessionOpenerDeps {
  readonly registry: string;
  readonly sessions: Pick<SessionStore, "open" | "resume" | "load">;
  loadConfig(deployment: string): Promise<ProjectedDeployment | undefined>;
  /** An agent has seen this epoch, which is greater than that of its deployment's settings. */
  claimEpoch?(epoch: number): void;
  /** Asks the token service; rejects with a RemexError. */
  verifyToken(value: string, address: string): Promise<VerifyAgentTokenResponse>;
}

/** An agent that was let in. */
export interface OpenedSession {
  readonly facts: LiveSessionFacts;
  readonly config: ProjectedDeployment;
  readonly resumed: boolean;
  /** Given to the agent in Welcome, and kept nowhere. */
  readonly sessionKey: Uint8Array;
}

export type OpenStream = (
  hello: Hello,
  metadata: Metadata,
  address: string,
) => Promise<OpenedSession>;

const sessionKeyBytes = 32;

/** Makes the function that lets agents in; it throws a RemexError for every refusal. */
export function createSessionOpener(deps: SessionOpenerDeps): OpenStream {
  return (hello, metadata, address) =>
    hello.resume === undefined
      ? open(deps, hello, readToken(metadata).reveal(), address)
      : resume(deps, hello, readSessionCredential(metadata), address);
}

async function open(
  deps: SessionOpenerDeps,
  hello: Hello,
  token: string,
  address: string,
): Promise<OpenedSession> {
  const verified = await deps.verifyToken(token, address);
  const { deployment } = verified;
  const config = await configInForce(deps, deployment, hello);
  const scope = { kinds: kindsFromWire(verified.kinds), queues: verified.queues };
  const accepted = judge(hello, config, scope);
  const sessionKey = randomBytes(sessionKeyBytes);
  const facts: SessionFacts = {
    ...statedFacts(accepted, deps.registry, address),
    kind: accepted.kind,
    instance: accepted.instance,
    token: verified.token,
    scopeQueues: scope.queues,
    echoVersion: config.intervalVersion,
    echoHeartbeatMs: config.heartbeatMs,
    keyDigest: digestOfKey(sessionKey),
  };
  const reply = await deps.sessions.open(deployment, accepted.agent, facts, claimOf(hello));
  if (reply.kind !== "opened") throw openRefusal(reply, deployment, accepted.agent);
  return {
    config,
    resumed: false,
    sessionKey,
    facts: {
      ...liveFacts(accepted, scope, config, address),
      session: requireRef(reply.session),
      generation: 1,
      token: verified.token,
      keyDigest: facts.keyDigest,
      availability: reply.availability,
      onCut: onCutFromText(reply.onCut),
      toldOnCut: onCutFromText(reply.onCut) ?? config.onCut,
      health: "REGISTERED",
      healthReason: "",
    },
  };
}

function claimOf({ dial, takeover, unguarded }: Hello): OpenClaim {
  return {
    dial: Number(dial),
    ...(takeover === undefined
      ? {}
      : { oldInstance: Buffer.from(takeover.oldInstance).toString("hex") }),
    ...(unguarded ? { unguarded } : {}),
  };
}

async function resume(
  deps: SessionOpenerDeps,
  hello: Hello,
  credential: SessionCredential,
  address: string,
): Promise<OpenedSession> {
  const { deployment, agent, session, keyDigest } = credential;
  const record = await deps.sessions.load(deployment, agent);
  if (record === undefined || !sameDigest(record.keyDigest, keyDigest)) {
    throw remexError("session_key_refused");
  }
  if (hello.agent !== agent || !sameRef(refFromWire(hello.resume?.session), session)) {
    throw remexError("session_key_refused");
  }
  const config = await configInForce(deps, deployment, hello);
  // The kind of a session never changes, and its queues stay within what its token allowed.
  const scope = { kinds: [record.kind], queues: record.scopeQueues };
  const accepted = judge(hello, config, scope);
  const generation = Number(hello.resume?.generation ?? 0n);
  const dial = Number(hello.dial);
  const claim = { session, instance: accepted.instance, generation, keyDigest, dial };
  const stated = statedFacts(accepted, deps.registry, address);
  const reply = await deps.sessions.resume(deployment, agent, claim, stated);
  if (reply.kind !== "resumed") throw resumeRefusal(reply, deployment, agent, session);
  return {
    config,
    resumed: true,
    sessionKey: credential.key,
    facts: {
      ...liveFacts(accepted, scope, config, address),
      session,
      generation,
      token: record.token,
      keyDigest,
      availability: reply.availability,
      onCut: onCutFromText(reply.onCut),
      toldOnCut: onCutFromText(reply.onCut) ?? config.onCut,
      health: reply.health,
      healthReason: reply.healthReason,
    },
  };
}

async function configInForce(
  deps: SessionOpenerDeps,
  deployment: string,
  { agent, epochSeen }: Hello,
): Promise<ProjectedDeployment> {
  const config = await deps.loadConfig(deployment);
  if (config === undefined) throw remexError("settings_not_in_effect", { deployment });
  const seen = Number(epochSeen);
  if (seen > Number(config.epoch)) {
    // I9: what this store would number now was numbered before.
    deps.claimEpoch?.(seen);
    throw remexError("epoch_behind", { agent, seen, epoch: config.epoch });
  }
  return config;
}

function judge(hello: Hello, config: ProjectedDeployment, scope: TokenScope): AcceptedHello {
  const { deployment, queues } = config;
  const decided = decideHello(statedHello(hello), { deployment, queues, scope });
  if (!decided.ok) throw new RemexError(decided.failure);
  return decided.value;
}

/** What the store keeps of a hello, at an opening and at a resume. */
function statedFacts(accepted: AcceptedHello, registry: string, address: string) {
  const { capabilities, softwareVersion, hostname } = accepted;
  return { ...capabilities, softwareVersion, hostname, registry, address };
}

function liveFacts(
  accepted: AcceptedHello,
  scope: TokenScope,
  config: ProjectedDeployment,
  address: string,
) {
  const { agent, instance, kind, capabilities } = accepted;
  const { deployment, intervalVersion } = config;
  return { deployment, agent, instance, kind, capabilities, scope, address, intervalVersion };
}

function openRefusal(
  reply: Exclude<OpenReply, { kind: "opened" }>,
  deployment: string,
  agent: string,
): RemexError {
  if (reply.kind === "refused") return remexError("settings_not_in_effect", { deployment });
  if (reply.kind === "deleted") return deletedRefusal(agent, deployment, reply);
  if (reply.kind === "unguarded") return remexError("agent_unguarded", { agent, deployment });
  if (reply.kind === "old_hello") {
    return remexError("session_superseded", { session: reply.session });
  }
  const ageSeconds = Math.round(reply.ageMs / 1_000);
  const freeInSeconds = Math.ceil(reply.freeInMs / 1_000);
  const facts = { agent, deployment, ageSeconds, freeInSeconds };
  return remexError("agent_name_alive", facts, { retryAfterMs: reply.freeInMs });
}

function resumeRefusal(
  reply: Exclude<ResumeReply, { kind: "resumed" }>,
  deployment: string,
  agent: string,
  ref: SessionRef,
): RemexError {
  const session = formatRef(ref);
  switch (reply.kind) {
    case "refused":
      return remexError("settings_not_in_effect", { deployment });
    case "unknown":
      return remexError("session_key_refused");
    case "generation":
      return remexError("session_superseded", { session });
    case "ending":
    case "ended":
      return endedError(session, agent, reply.reason, deployment);
  }
}

/** Why a session is over, in the words that tell the agent what to do. */
export function endedError(
  session: string,
  agent: string,
  reason: string,
  deployment: string,
): RemexError {
  if (reason === "deleted") return deletedRefusal(agent, deployment, { buried: true, freeInMs: 0 });
  if (reason === "token_revoked" || reason === "token_expired") {
    return new RemexError(failureOf(reason));
  }
  return remexError("session_ended", { session, agent, reason });
}

/** A deleted agent asks again this seldom: only an operator changes the answer (O3). */
const deletedRetryMs = 300_000;

function deletedRefusal(
  agent: string,
  deployment: string,
  { buried, freeInMs }: { readonly buried: boolean; readonly freeInMs: number },
): RemexError {
  const hours = Math.max(1, Math.ceil(freeInMs / 3_600_000));
  const fix = buried
    ? `this process is not let in again; end it, or have the name restored with \`remex agents restore ${agent}\` and start it anew`
    : `use another name, restore this one with \`remex agents restore ${agent}\`, or wait ${hours} h`;
  return remexError("agent_deleted", { agent, deployment, fix }, { retryAfterMs: deletedRetryMs });
}
