// SPDX-License-Identifier: Apache-2.0
// OperatorKeyService: creates, lists and revokes the keys of people and programs.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import {
  CreateOperatorKeyResponseSchema,
  ListOperatorKeysResponseSchema,
  type OperatorKeyService,
  RevokeOperatorKeyResponseSchema,
} from "@remex/proto/token/v1";
import { type NewOperatorKey, type OperatorRole, type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { createCredential } from "./credential.ts";
import { operatorKeyToMessage, roleToName } from "./credential-messages.ts";
import { parseCredentialName, parseExpiry } from "./credential-request.ts";
import type { Peppers } from "./pepper.ts";

export interface OperatorKeyDeps {
  readonly records: Pick<Records, "operatorKeys">;
  readonly peppers: Peppers;
  readonly clock: Clock;
  /** Called when a key was revoked here, before the call is answered. */
  readonly onRevoked: (key: string) => Promise<void>;
}

export interface KeyDescription {
  readonly name: string;
  readonly role: OperatorRole;
  readonly deployment: string;
  readonly expiresAtMs: number | null;
  readonly nowMs: number;
}

/** Makes a key's value and the record that goes with it. */
export function createOperatorKey(
  peppers: Peppers,
  description: KeyDescription,
): { readonly value: string; readonly record: NewOperatorKey } {
  const credential = createCredential("rmk");
  const digest = peppers.digest(peppers.newest, credential.value);
  if (digest === undefined) {
    throw new Error("the newest pepper is not among the peppers");
  }
  return {
    value: credential.value,
    record: {
      key: credential.publicId,
      name: description.name,
      role: description.role,
      deployment: description.deployment,
      pepperVersion: peppers.newest,
      digest,
      createdAtMs: description.nowMs,
      expiresAtMs: description.expiresAtMs,
    },
  };
}

export function createOperatorKeyHandlers(
  deps: OperatorKeyDeps,
): ServiceImpl<typeof OperatorKeyService> {
  return {
    createOperatorKey: async (request, context) => {
      const nowMs = deps.clock.wallMs();
      const key = createOperatorKey(deps.peppers, {
        name: parseCredentialName(request.name),
        role: roleToName(request.role),
        deployment: request.deployment,
        expiresAtMs: parseExpiry(request.expiry, nowMs),
        nowMs,
      });
      const result = await withRecords(deps.records.operatorKeys.create(key.record));
      switch (result.kind) {
        case "deployment_unknown":
          throw remexError("deployment_unknown", { deployment: request.deployment });
        case "name_exists":
          throw remexError("key_name_exists", { name: request.name });
        case "created":
          // SEC-T5: this answer is the only one that ever holds the value.
          context.responseHeader.set("cache-control", "no-store");
          return create(CreateOperatorKeyResponseSchema, {
            key: operatorKeyToMessage(result.record),
            value: key.value,
          });
      }
    },
    listOperatorKeys: async (request) => {
      const records = await withRecords(
        deps.records.operatorKeys.list(request.withEnded, deps.clock.wallMs()),
      );
      return create(ListOperatorKeysResponseSchema, { keys: records.map(operatorKeyToMessage) });
    },
    revokeOperatorKey: async (request) => {
      const result = await withRecords(
        deps.records.operatorKeys.revoke(request.key, deps.clock.wallMs()),
      );
      switch (result.kind) {
        case "unknown":
          throw remexError("key_unknown", { key: request.key });
        case "last_admin_key":
          throw remexError("last_admin_key", { key: request.key });
        case "revoked":
          await deps.onRevoked(result.record.key);
          return create(RevokeOperatorKeyResponseSchema, {
            key: operatorKeyToMessage(result.record),
          });
      }
    },
  };
}
