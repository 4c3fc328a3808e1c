// SPDX-License-Identifier: Apache-2.0
// BrakeService: shows, releases and extends what holds back the failing of many agents at once (L4).

import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import {
  BrakeSchema,
  type BrakeService,
  ExtendBrakeResponseSchema,
  ListBrakesResponseSchema,
  ReleaseBrakeResponseSchema,
} from "@remex/proto/registry/v1";
import { type Records, withRecords } from "@remex/records";
import { type Brake, type BrakeReply, type SessionStore, StoreUnavailable } from "@remex/store";

export interface BrakeHandlerDeps {
  readonly records: Pick<Records, "deployments">;
  readonly sessions: Pick<SessionStore, "readBrakes" | "releaseBrake" | "extendBrake">;
}

const leastMs = 1_000;
const mostMs = 24 * 3_600_000;
/** The store's word for the brake of a whole deployment. */
const wholeDeployment = "*";

export function createBrakeHandlers(deps: BrakeHandlerDeps): ServiceImpl<typeof BrakeService> {
  const { sessions } = deps;
  const brakesOf = async (deployment: string) => {
    const brakes = await sessions.readBrakes(deployment).catch(throwAway);
    return brakes.map(brakeMessage);
  };
  const known = async (deployment: string): Promise<void> => {
    const record = await withRecords(deps.records.deployments.load(deployment));
    if (record === undefined) throw remexError("deployment_unknown", { deployment });
  };
  const changed = async (deployment: string, call: Promise<BrakeReply>): Promise<void> => {
    const reply = await call.catch(throwAway);
    if (reply.kind === "refused") throw remexError("settings_not_in_effect", { deployment });
    if (reply.scopes.length === 0) throw remexError("brake_not_engaged", { deployment });
  };
  return {
    listBrakes: async ({ deployment }) => {
      await known(deployment);
      return create(ListBrakesResponseSchema, { brakes: await brakesOf(deployment) });
    },
    releaseBrake: async ({ deployment, registry }) => {
      await known(deployment);
      await changed(deployment, sessions.releaseBrake(deployment, registry));
      return create(ReleaseBrakeResponseSchema, { brakes: await brakesOf(deployment) });
    },
    extendBrake: async ({ deployment, registry, by }) => {
      await known(deployment);
      const byMs = by === undefined ? 0 : durationMs(by);
      if (byMs < leastMs || byMs > mostMs) {
        const problem = `it is ${byMs} ms and must be from ${leastMs} to ${mostMs} ms`;
        throw remexError("argument_invalid", { field: "by", problem });
      }
      await changed(deployment, sessions.extendBrake(deployment, registry, byMs));
      return create(ExtendBrakeResponseSchema, { brakes: await brakesOf(deployment) });
    },
  };
}

function throwAway(error: unknown): never {
  throw error instanceof StoreUnavailable
    ? remexError("store_unavailable", {}, { cause: error })
    : error;
}

function brakeMessage(brake: Brake) {
  const { scope, engagedAtMs, base, budget, members, ended, suspects, extraMs, released } = brake;
  return create(BrakeSchema, {
    registry: scope === wholeDeployment ? "" : scope,
    engagedAt: timestampFromMs(engagedAtMs),
    ...{ base, budgetPerSecond: Math.round(budget), members, ended, suspects, released },
    extendedBy: durationFromMs(extraMs),
  });
}
