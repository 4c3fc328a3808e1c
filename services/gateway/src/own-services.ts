// SPDX-License-Identifier: Apache-2.0
// What the gateway answers itself: who a key is, how the control plane does, and the audit.

import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import {
  AppendAuditEntriesResponseSchema,
  type AuditEntry,
  AuditEntrySchema,
  AuditService,
  GetStatusResponseSchema,
  ListAuditEntriesResponseSchema,
  LoginService,
  StatusService,
  WhoAmIResponseSchema,
} from "@remex/proto/gateway/v1";
import type { AuditEntryContent, AuditEntryRecord, Records } from "@remex/records";
import type { Clock } from "@remex/runtime";
import type { ReplicaRecord } from "@remex/store";
import { serviceRoles } from "@remex/transport";
import type { OperatorKey } from "./operator-access.ts";
import { operatorKeyKey } from "./public-calls.ts";

export interface OwnServiceDeps {
  readonly records: Pick<Records, "audit">;
  /** Living replicas of a role; rejects when the store is away. */
  listReplicas(role: string): Promise<readonly ReplicaRecord[]>;
  /** Epoch of the store; empty when it is not known. */
  epoch(): string;
  /** What is wrong with this process, for people. */
  problems(): readonly string[];
  readonly softwareVersion: string;
  readonly clock: Clock;
}

const defaultPageSize = 100;
const largestPageSize = 1_000;

/** Registers the services; the public door reaches them like those of other processes. */
export function addOwnServices(router: ConnectRouter, deps: OwnServiceDeps): void {
  router.service(LoginService, {
    whoAmI: (_request, context) => {
      const key = requireKey(context);
      const { expiresAtMs } = key;
      return create(WhoAmIResponseSchema, {
        key: key.key,
        name: key.name,
        role: key.role,
        deployment: key.deployment,
        ...(expiresAtMs === undefined
          ? {}
          : { expiresIn: durationFromMs(Math.max(0, expiresAtMs - deps.clock.wallMs())) }),
      });
    },
    login: () => {
      throw remexError("not_served", { what: "login by cookie" });
    },
    logout: () => {
      throw remexError("not_served", { what: "login by cookie" });
    },
  });
  router.service(StatusService, {
    getStatus: async (_request, context) => loadStatus(deps, requireKey(context)),
  });
  router.service(AuditService, {
    listAuditEntries: async (request, context) => {
      const { deployment: bound } = requireKey(context);
      if (bound !== "" && request.deployment !== "" && request.deployment !== bound) {
        throw remexError("deployment_unknown", { deployment: request.deployment });
      }
      const pageSize = Math.min(request.pageSize || defaultPageSize, largestPageSize);
      const before = parsePageToken(request.pageToken);
      // One more than asked for says whether there is another page.
      const rows = await deps.records.audit
        .list({
          deployment: bound === "" ? request.deployment : bound,
          pageSize: pageSize + 1,
          ...(before === undefined ? {} : { beforeNumber: before }),
        })
        .catch(throwUnavailable);
      const entries = rows.slice(0, pageSize);
      return create(ListAuditEntriesResponseSchema, {
        entries: entries.map(entryToMessage),
        nextPageToken: rows.length > pageSize ? String(entries.at(-1)?.number ?? "") : "",
      });
    },
    appendAuditEntries: async (request) => {
      if (request.entries.length > largestPageSize) {
        const items = request.entries.length;
        throw remexError("batch_too_large", { items, limit: largestPageSize });
      }
      await deps.records.audit
        .append(request.entries.map(entryFromMessage))
        .catch(throwUnavailable);
      return create(AppendAuditEntriesResponseSchema);
    },
  });
}

async function loadStatus(deps: OwnServiceDeps, key: OperatorKey) {
  const problems = [...deps.problems()];
  const replicas: ReplicaRecord[] = [];
  try {
    for (const role of serviceRoles) {
      const living = await deps.listReplicas(role);
      if (living.length === 0) problems.push(`no ${role} is running`);
      replicas.push(...living);
    }
  } catch {
    // The answer says so itself: what is known without the store is still of use.
    problems.unshift("redis cannot be reached: nothing is dispatched until it is back");
  }
  return create(GetStatusResponseSchema, {
    softwareVersion: deps.softwareVersion,
    problems,
    epoch: BigInt(deps.epoch() || "0"),
    replicas: replicas.map((replica) => ({
      role: replica.role,
      replica: replica.replica,
      // Addresses inside the installation are no business of one deployment's keys.
      address: key.deployment === "" ? replica.address : "",
      recordAge: durationFromMs(replica.ageMs),
      softwareVersion: replica.softwareVersion,
    })),
  });
}

function requireKey(context: HandlerContext): OperatorKey {
  const key = context.values.get(operatorKeyKey);
  if (key === undefined) throw remexError("key_missing");
  return key;
}

function throwUnavailable(cause: unknown): never {
  throw remexError("records_unavailable", {}, { cause });
}

function parsePageToken(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^\d{1,15}$/.test(text)) throw remexError("cursor_invalid");
  return Number(text);
}

function entryToMessage(record: AuditEntryRecord): AuditEntry {
  return create(AuditEntrySchema, {
    entry: record.entry,
    at: timestampFromMs(record.atMs),
    actor: record.actor,
    address: record.address,
    action: record.action,
    deployment: record.deployment,
    subject: record.subject,
    result: record.result,
    detailJson: record.detailJson,
    number: BigInt(record.number),
    hash: Buffer.from(record.hash, "hex"),
  });
}

function entryFromMessage(message: AuditEntry): AuditEntryContent {
  const { entry, actor, address, action, deployment, subject, result, detailJson } = message;
  if (entry === "" || message.at === undefined) {
    throw remexError("argument_invalid", {
      field: "entries",
      problem: "each needs an id and a time",
    });
  }
  const atMs = timestampMs(message.at);
  return { entry, atMs, actor, address, action, deployment, subject, result, detailJson };
}
