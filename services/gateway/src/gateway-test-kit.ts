// SPDX-License-Identifier: Apache-2.0
// A gateway for tests: its real port and real records, with the services behind it faked and recorded.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ConnectRouter,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { remexError } from "@remex/domain";
import type { Role } from "@remex/proto/common/v1";
import {
  AgentService,
  BrakeService,
  DeploymentService,
  GroupService,
  QueueService,
} from "@remex/proto/registry/v1";
import { TaskService } from "@remex/proto/scheduler/v1";
import { AgentTokenService, OperatorKeyService, VerificationService } from "@remex/proto/token/v1";
import { openRecords, type Records } from "@remex/records";
import { createSilentLogger, createSystemClock, formatAddress } from "@remex/runtime";
import { createLocalTransport, failureFromConnect, serveConnect } from "@remex/transport";
import { createGateway } from "./gateway.ts";
import { peerAddressKey } from "./public-calls.ts";

/** A call that reached a service behind the gateway. */
export interface Passed {
  readonly method: string;
  readonly request: Message;
  readonly header: Headers;
  readonly signal: AbortSignal;
}

export interface Outcome {
  readonly code: string;
  readonly connectCode: string;
  readonly message: string;
}

export interface TestGateway {
  /** Operator keys by value; the public id is the 8 characters after "rmk_". */
  readonly keys: Map<string, { readonly role: Role; readonly deployment: string }>;
  passed: Passed[];
  /** What the fakes answer instead of an empty message. */
  behave: (call: Passed, context: HandlerContext) => Message | undefined;
  /** Streams of the fakes yield one frame and then wait until they are ended. */
  streamsHold: boolean;
  verifications: number;
  readonly records: Records;
  readonly baseUrl: string;
  readonly connect: Transport;
  /** Tells the gateway that a key has ended. */
  revoke(key: string): void;
  call(method: DescMethod, key: string, fields?: Record<string, unknown>): Promise<Outcome>;
  stop(): Promise<void>;
}

export function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

const log = createSilentLogger();
const clock = createSystemClock();

export async function startTestGateway(): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), "remex-gateway-"));
  const records = await openRecords(`sqlite:${join(folder, "records.sqlite")}`);
  const ended = new EventTarget();
  const local = (routes: (router: ConnectRouter) => void) =>
    createLocalTransport({ routes, role: "gateway", log });
  const gateway = createGateway({
    records,
    upstreams: {
      registry: local((router) => {
        for (const service of [
          DeploymentService,
          QueueService,
          AgentService,
          GroupService,
          BrakeService,
        ]) {
          addFake(router, service, () => kit);
        }
      }),
      scheduler: local((router) => addFake(router, TaskService, () => kit)),
      token: local((router) => {
        addFake(router, AgentTokenService, () => kit);
        addFake(router, OperatorKeyService, () => kit);
        addFakeVerification(router, () => kit, ended);
      }),
    },
    listReplicas: async (role) =>
      role === "scheduler"
        ? []
        : [
            {
              ...{ role, replica: `${role}-1`, address: "http://10.0.0.1:1" },
              ...{ softwareVersion: "1", ageMs: 5 },
            },
          ],
    epoch: () => "1794000000",
    problems: () => [],
    softwareVersion: "0.1.0",
    clock,
    log,
  });
  const server = await serveConnect({
    listen: { host: "127.0.0.1", port: 0 },
    flag: "--gateway-listen",
    routes: gateway.publicRoutes,
    contextValues: () => createContextValues().set(peerAddressKey, "192.0.2.9"),
    clock,
    log,
  });
  gateway.start();
  const baseUrl = `http://${formatAddress(server.address)}`;
  const connect = createConnectTransport({ baseUrl, httpVersion: "1.1" });
  const kit: TestGateway = {
    keys: new Map(),
    passed: [],
    behave: () => undefined,
    streamsHold: false,
    verifications: 0,
    records,
    baseUrl,
    connect,
    revoke: (key) => ended.dispatchEvent(new CustomEvent("ended", { detail: key })),
    call: (method, key, fields = {}) => callMethod(connect, method, key, fields),
    stop: async () => {
      await server.close(100);
      await gateway.stop();
      await records.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return kit;
}

/** Every method of the service is recorded and answered as the kit says. */
function addFake(router: ConnectRouter, service: DescService, kitOf: () => TestGateway): void {
  const handlers: Record<string, unknown> = {};
  for (const method of service.methods) {
    const answer = (request: Message, context: HandlerContext) => {
      const { requestHeader: header, signal } = context;
      const call = { method: nameOf(method), request, header, signal };
      kitOf().passed.push(call);
      return kitOf().behave(call, context) ?? create(method.output);
    };
    handlers[method.localName] =
      method.methodKind === "unary"
        ? answer
        : async function* (request: Message, context: HandlerContext) {
            yield answer(request, context);
            if (kitOf().streamsHold) await untilAborted(context.signal);
          };
  }
  router.service(service, handlers as Partial<ServiceImpl<DescService>>);
}

function addFakeVerification(
  router: ConnectRouter,
  kitOf: () => TestGateway,
  ended: EventTarget,
): void {
  router.service(VerificationService, {
    verifyOperatorKey: ({ value }) => {
      kitOf().verifications += 1;
      const key = kitOf().keys.get(value);
      if (key === undefined) throw remexError("key_refused");
      const expiresIn = value.includes("short") ? { expiresIn: durationFromMs(300) } : {};
      return { key: value.slice(4, 12), name: `name of ${value}`, ...key, ...expiresIn };
    },
    async *watchRevocations(_request, { signal }) {
      yield {};
      while (!signal.aborted) {
        const value = await nextEnded(ended, signal);
        yield { revocations: [{ credential: { case: "operatorKey", value }, reason: "revoked" }] };
      }
    },
  });
}

function nextEnded(ended: EventTarget, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const onEnded = (event: Event): void => resolve(String((event as CustomEvent).detail));
    ended.addEventListener("ended", onEnded, { once: true });
    signal.addEventListener("abort", () => resolve(""), { once: true });
  });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function callMethod(
  connect: Transport,
  method: DescMethod,
  key: string,
  fields: Record<string, unknown>,
): Promise<Outcome> {
  const headers: Record<string, string> = key === "" ? {} : { authorization: `Bearer ${key}` };
  const request = create(method.input, fields);
  try {
    if (method.methodKind === "unary") {
      const unary = method as Parameters<Transport["unary"]>[0];
      await connect.unary(unary, undefined, undefined, headers, request);
    } else {
      const requests = (async function* () {
        yield request;
      })();
      const streaming = method as Parameters<Transport["stream"]>[0];
      const answer = await connect.stream(streaming, undefined, undefined, headers, requests);
      for await (const _frame of answer.message);
    }
    return { code: "ok", connectCode: "ok", message: "" };
  } catch (error) {
    const { code, connectCode, message } = failureFromConnect(error);
    return { code, connectCode, message };
  }
}
