// SPDX-License-Identifier: Apache-2.0
// The operators' part of AgentService: cordon, drain, delete, restore, records first and then in effect.

import { create } from "@bufbuild/protobuf";
import { type Duration, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentStanding,
  type ControlEvent,
  decideDelete,
  decideGone,
  isNameHeld,
  parseAgentName,
  RemexError,
  remexError,
  stepControl,
} from "@remex/domain";
import {
  type Agent,
  type AgentService,
  CordonAgentResponseSchema,
  type DeleteAgentRequest,
  DeleteAgentResponseSchema,
  DrainAgentResponseSchema,
  GiveUpAgentResponseSchema,
  RestoreAgentResponseSchema,
  UncordonAgentResponseSchema,
} from "@remex/proto/registry/v1";
import { type AgentControlRecord, type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { type SessionRecord, type SessionStore, StoreUnavailable } from "@remex/store";
import { agentMessage } from "../agents/agent-message.ts";
import { parsePrintable } from "./printable.ts";
import type { Projector } from "./projector.ts";

export interface AgentManagementDeps {
  readonly records: Pick<Records, "agentControls">;
  readonly sessions: Pick<SessionStore, "get" | "declareGone">;
  readonly projector: Pick<Projector, "project">;
  readonly clock: Clock;
}

export type AgentManagement = Pick<
  ServiceImpl<typeof AgentService>,
  "cordonAgent" | "uncordonAgent" | "drainAgent" | "deleteAgent" | "restoreAgent" | "giveUpAgent"
>;

const longestNote = 256;
const longestDrainMs = 30 * 24 * 3_600_000;
/** How long a delete waits for offers that its cordon has withdrawn. */
const withdrawnWithinMs = 2_000;
const lookAgainMs = 100;

/** An agent as request names it. */
interface Named {
  readonly deployment: string;
  readonly agent: string;
}

/** An agent as the store has it, at a moment of the store's clock. */
interface Seen {
  readonly nowMs: number;
  readonly record: SessionRecord | undefined;
}

export function createAgentManagement(deps: AgentManagementDeps): AgentManagement {
  const note = (text: string): string => parsePrintable("note", text, longestNote);
  return {
    cordonAgent: async (request) => {
      const event = { kind: "cordon", note: note(request.note) } as const;
      const agent = await change(deps, request, () => event);
      return create(CordonAgentResponseSchema, agent);
    },
    uncordonAgent: async (request) => {
      const agent = await change(deps, request, () => ({ kind: "uncordon" }));
      return create(UncordonAgentResponseSchema, agent);
    },
    drainAgent: async (request) => {
      const deadlineMs = parseDeadline(request.deadline);
      const said = note(request.note);
      const agent = await change(deps, request, (seen) => {
        if (deadlineMs === undefined) return { kind: "drain", note: said };
        // A deadline is an instant of the store's clock, which nobody else can tell (T1, T2).
        if (seen === undefined) throw remexError("store_unavailable");
        return { kind: "drain", note: said, deadlineAtMs: seen.nowMs + deadlineMs };
      });
      return create(DrainAgentResponseSchema, agent);
    },
    deleteAgent: async (request) => deleteAgent(deps, request, note(request.note)),
    restoreAgent: async (request) => {
      await change(deps, request, () => ({ kind: "restore" }));
      return create(RestoreAgentResponseSchema);
    },
    giveUpAgent: async (request) => giveUpAgent(deps, request),
  };
}

function parseDeadline(deadline: Duration | undefined): number | undefined {
  if (deadline === undefined) return undefined;
  const ms = durationMs(deadline);
  if (ms >= 0 && ms <= longestDrainMs) return ms;
  const problem = `it is ${ms} ms and must be from 0 to ${longestDrainMs} ms`;
  throw remexError("argument_invalid", { field: "deadline", problem });
}

/** Records an event and puts it into effect; answers the agent as it is then. */
async function change(
  deps: AgentManagementDeps,
  named: Named,
  eventOf: (seen: Seen | undefined) => ControlEvent,
): Promise<{ agent?: Agent }> {
  const { deployment, agent } = requireName(named);
  // The records can be changed while the store is away; the answer then says that it is not in effect.
  const seen = await look(deps, named).catch(ifAway);
  await requireKnown(deps, named, seen);
  await record(deps, named, eventOf(seen), seen?.nowMs ?? deps.clock.wallMs());
  await deps.projector.project(deployment);
  const after = await look(deps, { deployment, agent }).catch(ifAway);
  return after?.record === undefined
    ? {}
    : { agent: agentMessage(deployment, after.record, after.nowMs) };
}

function requireName(named: Named): Named {
  const name = parseAgentName(named.agent);
  if (!name.ok) throw new RemexError(name.failure);
  return named;
}

async function look(deps: AgentManagementDeps, { deployment, agent }: Named): Promise<Seen> {
  const { nowMs, agents } = await deps.sessions.get(deployment, [agent]);
  return { nowMs, record: agents[0] };
}

function ifAway(error: unknown): undefined {
  if (!(error instanceof StoreUnavailable)) throw error;
  return undefined;
}

/** A name that neither the store nor the records know is a slip of the pen. */
async function requireKnown(
  deps: AgentManagementDeps,
  { deployment, agent }: Named,
  seen: Seen | undefined,
): Promise<AgentControlRecord | undefined> {
  const known = await withRecords(deps.records.agentControls.load(deployment, agent));
  if (known === undefined && seen !== undefined && seen.record === undefined) {
    throw remexError("agent_unknown", { agent, deployment });
  }
  return known;
}

async function record(
  deps: AgentManagementDeps,
  { deployment, agent }: Named,
  event: ControlEvent,
  nowMs: number,
  buriedInstance?: string,
): Promise<AgentControlRecord> {
  const result = await withRecords(
    deps.records.agentControls.change({
      ...{ deployment, agent, nowMs },
      decide: (control) => {
        const next = stepControl(control, event, nowMs);
        if (next !== "deleted") return next;
        const fix = `restore it first with \`remex agents restore ${agent}\``;
        throw remexError("agent_deleted", { agent, deployment, fix });
      },
      ...(buriedInstance === undefined ? {} : { buriedInstance }),
    }),
  );
  if (result.kind === "deployment_unknown") throw remexError("deployment_unknown", { deployment });
  return result.record;
}

async function deleteAgent(deps: AgentManagementDeps, request: DeleteAgentRequest, note: string) {
  const named = requireName(request);
  const { deployment } = named;
  const seen = await look(deps, named).catch(throwAway);
  await requireKnown(deps, named, seen);
  requireDeletable(named, seen, request);
  if (!request.force) await requireIdle(deps, named, request);
  const { control } = await record(
    ...([deps, named, { kind: "delete", note }, seen.nowMs, seen.record?.instance] as const),
  );
  await deps.projector.project(deployment);
  return create(DeleteAgentResponseSchema, {
    tasksGivenUp: seen.record?.tasksHeld ?? 0,
    ...(control.kind === "deleted" ? { nameFreeAt: timestampFromMs(control.nameFreeAtMs) } : {}),
  });
}

function requireDeletable(
  named: Named,
  seen: Seen,
  asked: { readonly force: boolean; readonly gone: boolean },
): void {
  if (seen.record === undefined || seen.record.availability === "DELETED") return;
  const failure = decideDelete(standingOf(named, seen.record, seen.nowMs), asked);
  if (failure !== undefined) throw new RemexError(failure);
}

/**
 * Keeps work away from the agent, and looks again: what was offered or confirmed between the first look
 * and the cordon is found by the second, since after the cordon nothing can come. What was is put back
 * when the agent is not idle.
 */
async function requireIdle(
  deps: AgentManagementDeps,
  named: Named,
  asked: { readonly force: boolean; readonly gone: boolean },
): Promise<void> {
  const { deployment, agent } = named;
  const { agentControls } = deps.records;
  const before = await withRecords(agentControls.load(deployment, agent));
  const nowMs = deps.clock.wallMs();
  // It was deleted before: the repeat changes nothing.
  if (before !== undefined && isNameHeld(before.control, nowMs)) return;
  await record(deps, named, { kind: "cordon", note: "being deleted" }, nowMs);
  await deps.projector.project(deployment);
  try {
    for (let waitedMs = 0; ; waitedMs += lookAgainMs) {
      const seen = await look(deps, named).catch(throwAway);
      if (seen.record === undefined || seen.record.tasksHeld === 0) return;
      const { state } = seen.record;
      if (state === "ENDED" || waitedMs >= withdrawnWithinMs) {
        requireDeletable(named, seen, asked);
        return;
      }
      await new Promise<void>((resolve) => deps.clock.after(lookAgainMs, resolve));
    }
  } catch (error) {
    const decide = () => before?.control ?? ({ kind: "schedulable" } as const);
    await withRecords(agentControls.change({ deployment, agent, nowMs, decide }));
    // Where the store is away the sweep does it; what the caller must know is why nothing was deleted.
    await deps.projector.project(deployment).catch(() => undefined);
    throw error;
  }
}

function throwAway(error: unknown): never {
  throw error instanceof StoreUnavailable
    ? remexError("store_unavailable", {}, { cause: error })
    : error;
}

function standingOf(
  { deployment, agent }: Named,
  record: SessionRecord,
  nowMs: number,
): AgentStanding {
  const ageMs = Math.max(0, nowMs - record.beatAtMs);
  const living = record.state !== "ENDED";
  return { agent, deployment, living, ageMs, goneInMs: 0, tasks: record.tasksHeld };
}

async function giveUpAgent(deps: AgentManagementDeps, request: Named) {
  const { deployment, agent } = requireName(request);
  const seen = await look(deps, request).catch(throwAway);
  const reply = await deps.sessions.declareGone(deployment, agent).catch(throwAway);
  switch (reply.kind) {
    case "refused":
      throw remexError("settings_not_in_effect", { deployment });
    case "unknown":
      throw remexError("agent_unknown", { agent, deployment });
    case "living": {
      const { ageMs, goneInMs } = reply;
      const tasks = seen.record?.tasksHeld ?? 0;
      const failure = decideGone({ agent, deployment, living: true, ageMs, goneInMs, tasks });
      if (failure === undefined) throw new Error(`a living agent ${agent} was called gone`);
      throw new RemexError(failure);
    }
    case "gone":
      return create(GiveUpAgentResponseSchema, { tasksGivenUp: seen.record?.tasksHeld ?? 0 });
  }
}
