// SPDX-License-Identifier: Apache-2.0
// GroupService: cordons groups of agents, and sets what they state over their deployment (section 6).

import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  freeGroup,
  type GroupControl,
  lostAfterProblem,
  parseGroupName,
  RemexError,
  remexError,
} from "@remex/domain";
import { OnCut } from "@remex/proto/common/v1";
import {
  CordonGroupResponseSchema,
  type Group,
  GroupSchema,
  type GroupService,
  ListGroupsResponseSchema,
  UncordonGroupResponseSchema,
  type UpdateGroupRequest,
  UpdateGroupResponseSchema,
} from "@remex/proto/registry/v1";
import { type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { type SessionStore, StoreUnavailable } from "@remex/store";
import { onCutFromMessage } from "./deployment-messages.ts";
import { parsePrintable } from "./printable.ts";
import type { Projector } from "./projector.ts";

export interface GroupHandlerDeps {
  readonly records: Pick<Records, "agentControls" | "deployments">;
  readonly sessions: Pick<SessionStore, "list">;
  readonly projector: Pick<Projector, "project">;
  readonly clock: Clock;
}

const longestNote = 256;
const agentsPerPage = 1_000;

export function createGroupHandlers(deps: GroupHandlerDeps): ServiceImpl<typeof GroupService> {
  return {
    listGroups: async ({ deployment }) => {
      const known = await withRecords(deps.records.deployments.load(deployment));
      if (known === undefined) throw remexError("deployment_unknown", { deployment });
      const records = await withRecords(deps.records.agentControls.listGroups(deployment));
      const controls = new Map(records.map(({ group, control }) => [group, control]));
      const counts = await countAgents(deps.sessions, deployment);
      const names = [...new Set([...controls.keys(), ...(counts?.keys() ?? [])])].sort();
      const groups = names.map((group) =>
        groupMessage(deployment, group, controls.get(group) ?? freeGroup, counts),
      );
      return create(ListGroupsResponseSchema, { groups });
    },
    cordonGroup: async (request) => {
      const note = parsePrintable("note", request.note, longestNote);
      const group = await change(deps, request, (control) => ({
        ...control,
        cordoned: true,
        note,
      }));
      return create(CordonGroupResponseSchema, { group });
    },
    uncordonGroup: async (request) => {
      const decide = (control: GroupControl) => ({ ...control, cordoned: false, note: "" });
      return create(UncordonGroupResponseSchema, { group: await change(deps, request, decide) });
    },
    updateGroup: async (request) => {
      const group = await change(deps, request, (control) => applyPolicy(control, request));
      return create(UpdateGroupResponseSchema, { group });
    },
  };
}

async function change(
  deps: GroupHandlerDeps,
  { deployment, group }: { readonly deployment: string; readonly group: string },
  decide: (control: GroupControl) => GroupControl,
): Promise<Group> {
  const name = parseGroupName(group);
  if (!name.ok) throw new RemexError(name.failure);
  const nowMs = deps.clock.wallMs();
  const result = await withRecords(
    deps.records.agentControls.changeGroup({ deployment, group, nowMs, decide }),
  );
  if (result.kind === "deployment_unknown") throw remexError("deployment_unknown", { deployment });
  await deps.projector.project(deployment);
  const counts = await countAgents(deps.sessions, deployment);
  return groupMessage(deployment, group, result.record.control, counts);
}

function applyPolicy(control: GroupControl, request: UpdateGroupRequest): GroupControl {
  const { onCut: _onCut, lostAfterMs: _lostAfterMs, ...rest } = control;
  const onCut = request.onCut === undefined ? control.onCut : onCutFromMessage(request.onCut);
  const lostAfterMs = lostAfterOf(control, request);
  return {
    ...rest,
    ...(onCut === undefined ? {} : { onCut }),
    ...(lostAfterMs === undefined ? {} : { lostAfterMs }),
  };
}

function lostAfterOf(control: GroupControl, request: UpdateGroupRequest): number | undefined {
  const { lostAfter, inheritLostAfter } = request;
  if (lostAfter === undefined) return inheritLostAfter ? undefined : control.lostAfterMs;
  const ms = durationMs(lostAfter);
  const problem = inheritLostAfter
    ? "it is set, and left to the deployment as well"
    : lostAfterProblem(ms);
  if (problem !== undefined) throw remexError("argument_invalid", { field: "lost_after", problem });
  return ms;
}

/** Agents by group; undefined while the store is away: the records' answer is shown without them. */
async function countAgents(
  sessions: Pick<SessionStore, "list">,
  deployment: string,
): Promise<ReadonlyMap<string, number> | undefined> {
  const counts = new Map<string, number>();
  try {
    for (let after = ""; ; ) {
      const { agents } = await sessions.list(deployment, after, agentsPerPage);
      for (const { group } of agents) counts.set(group, (counts.get(group) ?? 0) + 1);
      const last = agents.at(-1);
      if (last === undefined || agents.length < agentsPerPage) return counts;
      after = last.agent;
    }
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    return undefined;
  }
}

function groupMessage(
  deployment: string,
  group: string,
  control: GroupControl,
  counts: ReadonlyMap<string, number> | undefined,
): Group {
  const { cordoned, note, onCut, lostAfterMs } = control;
  return create(GroupSchema, {
    ...{ deployment, group, cordoned, note },
    onCut: onCut === undefined ? OnCut.UNSPECIFIED : OnCut[onCut],
    ...(lostAfterMs === undefined ? {} : { lostAfter: durationFromMs(lostAfterMs) }),
    ...(counts === undefined ? {} : { agents: counts.get(group) ?? 0 }),
  });
}
