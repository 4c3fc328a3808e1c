// SPDX-License-Identifier: Apache-2.0
// AgentTokenService: creates, lists and revokes the agent tokens of a deployment.

import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { parseQueueName, RemexError, remexError } from "@remex/domain";
import {
  type AgentTokenService,
  type CreateAgentTokenRequest,
  type CreateAgentTokenResponse,
  CreateAgentTokenResponseSchema,
  ListAgentTokensResponseSchema,
  RevokeAgentTokenResponseSchema,
} from "@remex/proto/token/v1";
import { type AgentTokenPageRequest, type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import { createCredential } from "./credential.ts";
import { agentTokenToMessage, kindToName } from "./credential-messages.ts";
import { parseCredentialName, parseDescription, parseExpiry } from "./credential-request.ts";
import type { Peppers } from "./pepper.ts";

export interface AgentTokenDeps {
  readonly records: Pick<Records, "agentTokens">;
  readonly peppers: Peppers;
  readonly clock: Clock;
  /** Called when a token was revoked here, before the call is answered. */
  readonly onRevoked: (token: string) => Promise<void>;
}

const defaultPageSize = 100;
const largestPageSize = 1_000;
const mostQueuesInScope = 1_000;

export function createAgentTokenHandlers(
  deps: AgentTokenDeps,
): ServiceImpl<typeof AgentTokenService> {
  return {
    createAgentToken: (request, context) => createToken(deps, request, context),
    listAgentTokens: async (request) => {
      const pageSize = Math.min(request.pageSize || defaultPageSize, largestPageSize);
      const before = parsePageToken(request.pageToken);
      const page = await withRecords(
        deps.records.agentTokens.list({
          deployment: request.deployment,
          withEnded: request.withEnded,
          nowMs: deps.clock.wallMs(),
          // One more than asked for says whether there is another page.
          pageSize: pageSize + 1,
          ...(before === undefined ? {} : { before }),
        }),
      );
      if (page === undefined) {
        throw remexError("deployment_unknown", { deployment: request.deployment });
      }
      const records = page.records.slice(0, pageSize);
      const last = records.at(-1);
      return create(ListAgentTokensResponseSchema, {
        tokens: records.map(agentTokenToMessage),
        nextPageToken:
          last !== undefined && page.records.length > pageSize ? formatPageToken(last) : "",
        live: page.live,
        limit: page.limit,
      });
    },
    revokeAgentToken: async (request) => {
      const record = await withRecords(
        deps.records.agentTokens.revoke(request.deployment, request.token, deps.clock.wallMs()),
      );
      if (record === undefined) {
        throw remexError("token_unknown", {
          token: request.token,
          deployment: request.deployment,
        });
      }
      await deps.onRevoked(record.token);
      return create(RevokeAgentTokenResponseSchema, { token: agentTokenToMessage(record) });
    },
  };
}

async function createToken(
  deps: AgentTokenDeps,
  request: CreateAgentTokenRequest,
  context: HandlerContext,
): Promise<CreateAgentTokenResponse> {
  const nowMs = deps.clock.wallMs();
  const credential = createCredential("rmx");
  const input = {
    token: credential.publicId,
    deployment: request.deployment,
    name: parseCredentialName(request.name),
    description: parseDescription(request.description),
    kinds: [...new Set(request.kinds.map(kindToName))],
    queues: parseQueues(request.queues),
    pepperVersion: deps.peppers.newest,
    digest: digestOf(deps.peppers, credential.value),
    createdAtMs: nowMs,
    expiresAtMs: parseExpiry(request.expiry, nowMs),
  };
  const result = await withRecords(deps.records.agentTokens.create(input));
  const { deployment } = request;
  switch (result.kind) {
    case "deployment_unknown":
      throw remexError("deployment_unknown", { deployment });
    case "name_exists":
      throw remexError("token_name_exists", { deployment, name: request.name });
    case "limit":
      throw remexError("token_limit", { deployment, limit: result.limit });
    case "created":
      // SEC-T5: this answer is the only one that ever holds the value.
      context.responseHeader.set("cache-control", "no-store");
      return create(CreateAgentTokenResponseSchema, {
        token: agentTokenToMessage(result.record),
        value: credential.value,
      });
  }
}

function parseQueues(queues: readonly string[]): string[] {
  if (queues.length > mostQueuesInScope) {
    throw remexError("argument_invalid", {
      field: "queues",
      problem: `at most ${mostQueuesInScope} can be named`,
    });
  }
  for (const queue of queues) {
    const parsed = parseQueueName(queue);
    if (!parsed.ok) throw new RemexError(parsed.failure);
  }
  return [...new Set(queues)];
}

function digestOf(peppers: Peppers, value: string): string {
  const digest = peppers.digest(peppers.newest, value);
  if (digest === undefined) {
    throw new Error("the newest pepper is not among the peppers");
  }
  return digest;
}

function formatPageToken(last: { readonly createdAtMs: number; readonly token: string }): string {
  return Buffer.from(`${last.createdAtMs}:${last.token}`).toString("base64url");
}

function parsePageToken(text: string): AgentTokenPageRequest["before"] {
  if (text === "") return undefined;
  const match = /^(\d{1,15}):([0-9A-Za-z]{1,64})$/.exec(Buffer.from(text, "base64url").toString());
  if (match?.[1] === undefined || match[2] === undefined) {
    throw remexError("cursor_invalid");
  }
  return { createdAtMs: Number(match[1]), token: match[2] };
}
