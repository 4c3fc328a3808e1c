// SPDX-License-Identifier: Apache-2.0
// A gateway whose answers a test writes: a real Connect server on a real socket, nothing behind it.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorDetailSchema } from "@remex/proto/common/v1";
import { StatusService } from "@remex/proto/gateway/v1";
import {
  AgentService,
  BrakeService,
  DeploymentService,
  GroupService,
  QueueService,
} from "@remex/proto/registry/v1";
import { TaskService } from "@remex/proto/scheduler/v1";
import { AgentTokenService, OperatorKeyService } from "@remex/proto/token/v1";

type Answers<Service extends DescService> = Partial<ServiceImpl<Service>>;

/** What the gateway answers; a method that is left out is UNIMPLEMENTED. */
export interface StubAnswers {
  readonly deployments?: Answers<typeof DeploymentService>;
  readonly queues?: Answers<typeof QueueService>;
  readonly agents?: Answers<typeof AgentService>;
  readonly groups?: Answers<typeof GroupService>;
  readonly brakes?: Answers<typeof BrakeService>;
  readonly tasks?: Answers<typeof TaskService>;
  readonly agentTokens?: Answers<typeof AgentTokenService>;
  readonly operatorKeys?: Answers<typeof OperatorKeyService>;
  readonly status?: Answers<typeof StatusService>;
}

export interface StubCall {
  readonly method: string;
  /** The request; of a stream, none. */
  readonly request: unknown;
}

export interface StubGateway extends AsyncDisposable {
  readonly url: string;
  /** The one key that it accepts. */
  readonly key: string;
  readonly calls: readonly StubCall[];
}

/** Of the right form, and of no installation. */
const stubKey = `rmk_STUBkey1_${"x".repeat(49)}`;

/** A refusal as the services of Remex send it. */
export function refusal(
  code: string,
  connectCode: Code,
  message: string,
  facts: Record<string, string> = {},
): ConnectError {
  const value = { code, message, retryable: false, facts };
  return new ConnectError(message, connectCode, undefined, [{ desc: ErrorDetailSchema, value }]);
}

export async function startStubGateway(answers: StubAnswers = {}): Promise<StubGateway> {
  const calls: StubCall[] = [];
  const record: Interceptor = (next) => (request) => {
    calls.push({ method: request.method.name, request: request.stream ? null : request.message });
    if (request.header.get("authorization") === `Bearer ${stubKey}`) return next(request);
    throw refusal("key_refused", Code.Unauthenticated, "the operator key is not accepted");
  };
  const server = createServer(
    connectNodeAdapter({
      interceptors: [record],
      routes: (router) => {
        router.service(DeploymentService, answers.deployments ?? {});
        router.service(QueueService, answers.queues ?? {});
        router.service(AgentService, answers.agents ?? {});
        router.service(GroupService, answers.groups ?? {});
        router.service(BrakeService, answers.brakes ?? {});
        router.service(TaskService, answers.tasks ?? {});
        router.service(AgentTokenService, answers.agentTokens ?? {});
        router.service(OperatorKeyService, answers.operatorKeys ?? {});
        router.service(StatusService, answers.status ?? {});
      },
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    key: stubKey,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
