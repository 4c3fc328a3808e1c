// SPDX-License-Identifier: Apache-2.0
// The shared key between services: sent with every call, compared in constant time (SEC-S3).

import { createHash, timingSafeEqual } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { type Failure, failureOf } from "@remex/domain";
import { Caller } from "@remex/proto/common/v1";
import type { Secret } from "@remex/runtime";
import { callerOf, mayCall, type ServiceRole } from "./access.ts";
import { connectErrorOf } from "./connect-errors.ts";

/** Header with the shared key. */
export const serviceKeyHeader = "remex-service-key";
/** Header with the role of the caller. */
export const serviceHeader = "remex-service";

/** Role of the service behind a call, for handlers: `context.values.get(callerRoleKey)`. */
export const callerRoleKey: ContextKey<ServiceRole | undefined> = createContextKey(
  undefined as ServiceRole | undefined,
  { description: "role of the calling service" },
);

/** Reads the key when it is used, so that a rotated one is seen. */
export type KeySource = () => Secret;

/** Runs before a request's body is read; throws a ConnectError to refuse it. */
export type RequestGate = (context: HandlerContext) => void | Promise<void>;

/** Lets in calls with the right key, by roles that the method lists. Health checks need no key. */
export function serviceKeyGate(key: KeySource): RequestGate {
  return (context) => {
    const failure = judgeServiceCall(context.method, context.requestHeader, key());
    if (failure !== undefined) throw connectErrorOf(failure);
    const role = context.requestHeader.get(serviceHeader);
    if (role !== null) context.values.set(callerRoleKey, role as ServiceRole);
  };
}

/** Why a call between services is refused; undefined when it is not. */
export function judgeServiceCall(
  method: DescMethod,
  header: { get(name: string): string | null },
  key: Secret,
): Failure | undefined {
  if (mayCall(method, Caller.ANYONE)) return undefined;
  if (!sameSecret(header.get(serviceKeyHeader) ?? "", key.reveal())) {
    return failureOf("service_key_refused");
  }
  const role = header.get(serviceHeader) ?? "";
  const caller = callerOf(role);
  if (caller === undefined || !mayCall(method, caller)) {
    return failureOf("not_allowed", {
      who: role === "" ? "a caller without a role" : `service ${role}`,
      method: `${method.parent.typeName}/${method.name}`,
      problem: "the contract does not list it as a caller",
    });
  }
  return undefined;
}

/** Compares two secrets in a time that tells nothing about either. */
export function sameSecret(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
