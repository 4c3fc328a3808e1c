// SPDX-License-Identifier: Apache-2.0
// The token service for tests: its handlers on real records, and a clock that the test moves.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { defaultDeploymentSettings, RemexError } from "@remex/domain";
import { AgentTokenService, OperatorKeyService, VerificationService } from "@remex/proto/token/v1";
import { openRecords, type Records } from "@remex/records";
import { createSilentLogger } from "@remex/runtime";
import { createFakeClock, type FakeClock } from "@remex/runtime/testing";
import { connectErrorOf, failureFromConnect } from "@remex/transport";
import { loadPeppers, type Peppers } from "./pepper.ts";
import { createTokenService, type TokenService } from "./token-service.ts";

export const dayMs = 24 * 3_600_000;

export interface TokenKit {
  readonly folder: string;
  readonly records: Records;
  readonly clock: FakeClock;
  readonly peppers: Peppers;
  readonly service: TokenService;
  /** Kinds of the values that were refused for their form. */
  readonly malformed: string[];
  readonly tokens: Client<typeof AgentTokenService>;
  readonly keys: Client<typeof OperatorKeyService>;
  readonly verification: Client<typeof VerificationService>;
  createDeployment(deployment: string): Promise<unknown>;
  stop(): Promise<void>;
}

const failuresToConnect: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    throw error instanceof RemexError ? connectErrorOf(error.failure, error) : error;
  }
};

export async function startTokenKit(): Promise<TokenKit> {
  const folder = await mkdtemp(join(tmpdir(), "remex-token-"));
  const records = await openRecords(`sqlite:${join(folder, "records.sqlite")}`);
  const peppers = await loadPeppers(join(folder, "pepper"));
  const clock = createFakeClock();
  const malformed: string[] = [];
  const service = createTokenService({
    records,
    peppers,
    clock,
    log: createSilentLogger(),
    onMalformed: (kind) => malformed.push(kind),
  });
  const transport = createRouterTransport((router) => service.routes(router), {
    router: { interceptors: [failuresToConnect] },
  });
  const createDeployment = (deployment: string) =>
    records.deployments.create({
      deployment,
      displayName: "",
      settings: defaultDeploymentSettings,
      nowMs: clock.wallMs(),
    });
  await createDeployment("default");
  return {
    ...{ folder, records, clock, peppers, service, malformed, createDeployment },
    tokens: createClient(AgentTokenService, transport),
    keys: createClient(OperatorKeyService, transport),
    verification: createClient(VerificationService, transport),
    stop: async () => {
      await service.stop();
      await records.close().catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The code of a call's refusal, or "ok". */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "ok",
    (error: unknown) => failureFromConnect(error).code,
  );
}
