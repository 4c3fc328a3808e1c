// SPDX-License-Identifier: Apache-2.0
// DeploymentService: creates, reads and changes deployments, records first and then in effect.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type DeploymentSettings,
  decideSettingFailures,
  defaultDeploymentSettings,
  type Failure,
  failureOf,
  parseDeploymentId,
  RemexError,
  remexError,
} from "@remex/domain";
import {
  CreateDeploymentResponseSchema,
  type DeploymentService,
  GetDeploymentResponseSchema,
  ListDeploymentsResponseSchema,
  type UpdateDeploymentRequest,
  type UpdateDeploymentResponse,
  UpdateDeploymentResponseSchema,
} from "@remex/proto/registry/v1";
import { type DeploymentRecord, type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { keyDeploymentHeader } from "@remex/transport";
import { applySettings, deploymentToMessage } from "./deployment-messages.ts";
import { parsePrintable } from "./printable.ts";
import type { Projector } from "./projector.ts";

export interface DeploymentHandlerDeps {
  readonly records: Pick<Records, "deployments">;
  readonly projector: Pick<Projector, "project">;
  /** Epoch of the store; empty while it is not known. */
  epoch(): string;
  readonly clock: Clock;
}

const defaultPageSize = 100;
const largestPageSize = 1_000;
const longestDisplayName = 128;

export function createDeploymentHandlers(
  deps: DeploymentHandlerDeps,
): ServiceImpl<typeof DeploymentService> {
  return {
    createDeployment: async (request) => {
      const slug = parseDeploymentId(request.deployment);
      if (!slug.ok) throw new RemexError(slug.failure);
      const input = {
        deployment: slug.value,
        displayName: parsePrintable("display_name", request.displayName, longestDisplayName),
        settings: requireSettings(applySettings(defaultDeploymentSettings, request.settings)),
        nowMs: deps.clock.wallMs(),
        epoch: Number(deps.epoch() || "0"),
      };
      const result = await withRecords(deps.records.deployments.create(input));
      if (result.kind === "exists" && !isSame(result.record, input)) {
        throw remexError("deployment_exists", { deployment: slug.value });
      }
      await deps.projector.project(slug.value);
      return create(CreateDeploymentResponseSchema, {
        deployment: deploymentToMessage(result.record),
      });
    },
    getDeployment: async ({ deployment }) => {
      const record = await withRecords(deps.records.deployments.load(deployment));
      if (record === undefined) throw remexError("deployment_unknown", { deployment });
      return create(GetDeploymentResponseSchema, { deployment: deploymentToMessage(record) });
    },
    listDeployments: async (request, context) => {
      // A key that is bound to one deployment sees that one alone; the gateway says which.
      const only = context.requestHeader.get(keyDeploymentHeader) ?? "";
      if (only !== "") {
        const record = await withRecords(deps.records.deployments.load(only));
        const deployments = record === undefined ? [] : [deploymentToMessage(record)];
        return create(ListDeploymentsResponseSchema, { deployments });
      }
      const pageSize = Math.min(request.pageSize || defaultPageSize, largestPageSize);
      const after = parsePageToken(request.pageToken);
      // One more than asked for says whether there is another page.
      const rows = await withRecords(deps.records.deployments.list(after, pageSize + 1));
      const records = rows.slice(0, pageSize);
      return create(ListDeploymentsResponseSchema, {
        deployments: records.map(deploymentToMessage),
        nextPageToken:
          rows.length > pageSize ? formatPageToken(records.at(-1)?.deployment ?? "") : "",
      });
    },
    updateDeployment: (request) => updateDeployment(deps, request),
  };
}

async function updateDeployment(
  deps: DeploymentHandlerDeps,
  request: UpdateDeploymentRequest,
): Promise<UpdateDeploymentResponse> {
  const { deployment } = request;
  const displayName =
    request.displayName === undefined
      ? undefined
      : parsePrintable("display_name", request.displayName, longestDisplayName);
  const expected = Number(request.revision);
  const result = await withRecords(
    deps.records.deployments.update(deployment, expected, deps.clock.wallMs(), (record) => ({
      displayName: displayName ?? record.displayName,
      settings: requireSettings(applySettings(record.settings, request.settings)),
    })),
  );
  switch (result.kind) {
    case "unknown":
      throw remexError("deployment_unknown", { deployment });
    case "stale":
      throw remexError("revision_stale", {
        what: `deployment ${deployment}`,
        actual: result.revision,
        expected,
      });
    case "updated":
    case "unchanged":
      await deps.projector.project(deployment);
      return create(UpdateDeploymentResponseSchema, {
        deployment: deploymentToMessage(result.record),
      });
  }
}

function isSame(
  record: DeploymentRecord,
  input: { readonly displayName: string; readonly settings: DeploymentSettings },
): boolean {
  const names = Object.keys(defaultDeploymentSettings) as (keyof DeploymentSettings)[];
  return (
    record.displayName === input.displayName &&
    names.every((name) => record.settings[name] === input.settings[name])
  );
}

function requireSettings(settings: DeploymentSettings): DeploymentSettings {
  const failures = decideSettingFailures(settings);
  const [first] = failures;
  if (first === undefined) return settings;
  throw new RemexError(failures.length === 1 ? first : joinFailures(failures));
}

function joinFailures(failures: readonly Failure[]): Failure {
  return failureOf("argument_invalid", {
    field: failures.map((failure) => failure.facts.field ?? failure.facts.setting ?? "").join(", "),
    problem: failures.map((failure) => failure.message).join("; "),
  });
}

function formatPageToken(last: string): string {
  return Buffer.from(last).toString("base64url");
}

function parsePageToken(text: string): string {
  if (text === "") return "";
  const slug = parseDeploymentId(Buffer.from(text, "base64url").toString());
  if (!slug.ok) throw remexError("cursor_invalid");
  return slug.value;
}
