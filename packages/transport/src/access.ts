// SPDX-License-Identifier: Apache-2.0
// Who may call a method: read from the contract's option, for every door alike.

import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { type Access, access, Caller } from "@remex/proto/common/v1";

/** The roles that call each other, as they name themselves in the header `remex-service`. */
export const serviceRoles = [
  "registry",
  "scheduler",
  "health-monitor",
  "token",
  "gateway",
] as const;
export type ServiceRole = (typeof serviceRoles)[number];

const callerOfRole: Readonly<Record<ServiceRole, Caller>> = {
  registry: Caller.REGISTRY,
  scheduler: Caller.SCHEDULER,
  "health-monitor": Caller.HEALTH_MONITOR,
  token: Caller.TOKEN,
  gateway: Caller.GATEWAY,
};

const accesses = new WeakMap<DescMethod, Access | "open" | "closed">();

/**
 * The access that a method states. "open": the standard health service, which everybody may call.
 * "closed": it states none, and nobody may.
 */
export function accessOf(method: DescMethod): Access | "open" | "closed" {
  const known = accesses.get(method);
  if (known !== undefined) return known;
  const stated = hasOption(method, access)
    ? getOption(method, access)
    : method.parent.typeName === "grpc.health.v1.Health"
      ? "open"
      : "closed";
  accesses.set(method, stated);
  return stated;
}

/** True when the method lists the caller, or anyone. */
export function mayCall(method: DescMethod, caller: Caller): boolean {
  const stated = accessOf(method);
  if (stated === "open") return true;
  if (stated === "closed") return false;
  return stated.callers.includes(caller) || stated.callers.includes(Caller.ANYONE);
}

/** The kind of caller that a role is; undefined when the text names no role. */
export function callerOf(role: string): Caller | undefined {
  return Object.hasOwn(callerOfRole, role) ? callerOfRole[role as ServiceRole] : undefined;
}
