// SPDX-License-Identifier: Apache-2.0
// Converts between the records of credentials and the contract's messages.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { remexError } from "@remex/domain";
import { AgentKind, Role } from "@remex/proto/common/v1";
import {
  type AgentToken,
  AgentTokenSchema,
  type OperatorKey,
  OperatorKeySchema,
  type Revocation,
  RevocationSchema,
} from "@remex/proto/token/v1";
import type { AgentTokenRecord, OperatorKeyRecord, OperatorRole } from "@remex/records";
import type { EndedCredential } from "./revocations.ts";

const kindNames: ReadonlyMap<AgentKind, string> = new Map([
  [AgentKind.WORKER, "worker"],
  [AgentKind.TRIGGERER, "triggerer"],
  [AgentKind.DAG_PROCESSOR, "dag-processor"],
]);

const roleNames: ReadonlyMap<Role, OperatorRole> = new Map([
  [Role.VIEWER, "viewer"],
  [Role.SUBMITTER, "submitter"],
  [Role.OPERATOR, "operator"],
  [Role.ADMIN, "admin"],
]);

/** The name of a kind as it is kept. */
export function kindToName(kind: AgentKind): string {
  const name = kindNames.get(kind);
  if (name === undefined) {
    throw remexError("kind_unknown", { kind });
  }
  return name;
}

/** Kinds of a record as the contract has them; one that this version does not know is left out. */
export function kindsFromNames(names: readonly string[]): AgentKind[] {
  return [...kindNames].filter(([, name]) => names.includes(name)).map(([kind]) => kind);
}

/** The name of a role as it is kept. */
export function roleToName(role: Role): OperatorRole {
  const name = roleNames.get(role);
  if (name === undefined) {
    throw remexError("argument_invalid", {
      field: "role",
      problem: "it must be viewer, submitter, operator or admin",
    });
  }
  return name;
}

/** The role of a record as the contract has it. */
export function roleFromName(name: OperatorRole): Role {
  return [...roleNames].find(([, known]) => known === name)?.[0] ?? Role.UNSPECIFIED;
}

export function agentTokenToMessage(record: AgentTokenRecord): AgentToken {
  return create(AgentTokenSchema, {
    deployment: record.deployment,
    token: record.token,
    name: record.name,
    description: record.description,
    createdAt: timestampFromMs(record.createdAtMs),
    ...timestampField("expiresAt", record.expiresAtMs),
    ...timestampField("revokedAt", record.revokedAtMs),
    ...timestampField("lastUsedAt", record.lastUsedAtMs),
    kinds: kindsFromNames(record.kinds),
    queues: [...record.queues],
  });
}

export function operatorKeyToMessage(record: OperatorKeyRecord): OperatorKey {
  return create(OperatorKeySchema, {
    key: record.key,
    name: record.name,
    role: roleFromName(record.role),
    deployment: record.deployment,
    createdAt: timestampFromMs(record.createdAtMs),
    ...timestampField("expiresAt", record.expiresAtMs),
    ...timestampField("revokedAt", record.revokedAtMs),
  });
}

export function revocationToMessage(ended: EndedCredential): Revocation {
  const credential: MessageInitShape<typeof RevocationSchema>["credential"] =
    ended.kind === "agent_token"
      ? { case: "agentToken", value: ended.publicId }
      : { case: "operatorKey", value: ended.publicId };
  return create(RevocationSchema, {
    credential,
    deployment: ended.deployment,
    reason: ended.reason,
  });
}

/** Time until an instant as the contract's `expires_in`; nothing when there is none. */
export function expiresInField(expiresAtMs: number | null, nowMs: number) {
  return expiresAtMs === null
    ? {}
    : { expiresIn: durationFromMs(Math.max(0, expiresAtMs - nowMs)) };
}

function timestampField<Name extends string>(
  name: Name,
  atMs: number | null,
): { readonly [Key in Name]?: Timestamp } {
  return atMs === null ? {} : ({ [name]: timestampFromMs(atMs) } as { [Key in Name]: Timestamp });
}
