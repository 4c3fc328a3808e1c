// SPDX-License-Identifier: Apache-2.0
// Whether an operator key may make a call: role and scope of the contract's option, deny by default (SEC-W1).

import type { DescMethod } from "@bufbuild/protobuf";
import { type Failure, failureOf } from "@remex/domain";
import { Caller, Role, Scope } from "@remex/proto/common/v1";
import { accessOf } from "@remex/transport";

/** An operator key that was verified. */
export interface OperatorKey {
  /** Public id. */
  readonly key: string;
  readonly name: string;
  readonly role: Role;
  /** Slug that it is bound to; empty for all deployments. */
  readonly deployment: string;
  /** Wall time in ms; undefined when it never expires. */
  readonly expiresAtMs: number | undefined;
}

const roleWords: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "none",
  [Role.VIEWER]: "viewer",
  [Role.SUBMITTER]: "submitter",
  [Role.OPERATOR]: "operator",
  [Role.ADMIN]: "admin",
};

/** True when the gateway serves a method to people and programs at all. */
export function isPublicMethod(method: DescMethod): boolean {
  const access = accessOf(method);
  if (typeof access === "string") return false;
  const stated = access.role !== Role.UNSPECIFIED && access.scope !== Scope.UNSPECIFIED;
  const lists = (caller: Caller) => access.callers.includes(caller);
  return stated && (lists(Caller.OPERATOR) || lists(Caller.ANYONE));
}

/** True for methods that need no key, like a login. */
export function isOpenMethod(method: DescMethod): boolean {
  const access = accessOf(method);
  return typeof access !== "string" && access.callers.includes(Caller.ANYONE);
}

/**
 * Why the key may not make the call; undefined when it may. `deployment` is the request's field of that
 * name, empty when it has none. A deployment that the key is not bound to is answered like one that does
 * not exist, so that no key learns of another's.
 */
export function decideAccess(
  method: DescMethod,
  key: OperatorKey,
  deployment: string,
): Failure | undefined {
  const access = accessOf(method);
  if (typeof access === "string" || !isPublicMethod(method)) {
    return refuse(method, key, "it is not served to operator keys");
  }
  if (key.role < access.role) {
    const needed = roleWords[access.role];
    return refuse(method, key, `it needs the role ${needed}, the key has ${roleWords[key.role]}`);
  }
  if (key.deployment === "") return undefined;
  switch (access.scope) {
    case Scope.INSTALLATION:
      return refuse(method, key, "it needs a key for all deployments");
    case Scope.DEPLOYMENT:
      return deployment === key.deployment
        ? undefined
        : failureOf("deployment_unknown", { deployment });
    case Scope.KEY:
      return undefined;
    case Scope.UNSPECIFIED:
      return refuse(method, key, "its contract states no scope");
  }
}

function refuse(method: DescMethod, key: OperatorKey, problem: string): Failure {
  return failureOf("not_allowed", {
    who: `key ${key.key}`,
    method: `${method.parent.typeName}/${method.name}`,
    problem,
  });
}
