// SPDX-License-Identifier: Apache-2.0
// The generic handlers of the public door: authenticate, check access, pass on, audit.

import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { ConnectRouter, HandlerContext, Transport } from "@connectrpc/connect";
import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import { RemexError } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import { accessOf, failureFromConnect, keyDeploymentHeader } from "@remex/transport";
import { describeCall } from "./audit-entry.ts";
import type { AuditWriter } from "./audit-writer.ts";
import type { DenialAudit } from "./denial-audit.ts";
import type { KeyVerifier } from "./key-verifier.ts";
import { decideAccess, isOpenMethod, isPublicMethod, type OperatorKey } from "./operator-access.ts";

/** Address of the peer of a call; set by the server of the public port. */
export const peerAddressKey = createContextKey<string>("", { description: "address of the peer" });

/** Key behind a call, for handlers that the gateway serves itself. */
export const operatorKeyKey = createContextKey<OperatorKey | undefined>(undefined, {
  description: "operator key of the call",
});

export interface PublicCallDeps {
  readonly verifier: KeyVerifier;
  readonly audit: AuditWriter;
  /** For calls of nobody known. */
  readonly denials: DenialAudit;
  readonly clock: Clock;
}

/** A service of the public door and how to reach the one that implements it. */
export interface PublicService {
  readonly service: DescService;
  readonly upstream: Transport;
  /** Largest request, where it is not the server's. */
  readonly readMaxBytes?: number;
}

/** A call may wait this long for its answer when its caller does not say (a read that waits has 30 s). */
const defaultTimeoutMs = 60_000;
/** Answer headers of a service that its callers get. */
const passedHeaders = ["cache-control"];

type Handler = (request: Message, context: HandlerContext) => unknown;

/** Mounts every method of the services that operators may call; the others are not there. */
export function addPublicServices(
  router: ConnectRouter,
  deps: PublicCallDeps,
  services: readonly PublicService[],
): void {
  for (const { service, upstream, readMaxBytes } of services) {
    const handlers: Record<string, Handler> = {};
    for (const method of service.methods.filter(isPublicMethod)) {
      if (isUnary(method)) {
        handlers[method.localName] = (request, context) =>
          passUnary(deps, upstream, method, request, context);
      } else if (isServerStreaming(method)) {
        handlers[method.localName] = (request, context) =>
          passStream(deps, upstream, method, request, context);
      }
    }
    router.service(service, handlers as object, readMaxBytes === undefined ? {} : { readMaxBytes });
  }
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function isServerStreaming(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === "server_streaming";
}

async function passUnary(
  deps: PublicCallDeps,
  upstream: Transport,
  method: DescMethodUnary,
  request: Message,
  context: HandlerContext,
): Promise<Message> {
  let key: OperatorKey | undefined;
  let response: Message | undefined;
  let result = "ok";
  try {
    key = await authenticate(deps, method, context);
    authorize(method, key, request);
    const answer = await upstream.unary(
      method,
      context.signal,
      context.timeoutMs() ?? defaultTimeoutMs,
      passedOn(key),
      request,
      valuesOf(key, context),
    );
    for (const name of passedHeaders) {
      const value = answer.header.get(name);
      if (value !== null) context.responseHeader.set(name, value);
    }
    response = answer.message;
    return response;
  } catch (error) {
    const refusal = failureFromConnect(error);
    result = refusal.code;
    throw refusal;
  } finally {
    const access = accessOf(method);
    if (typeof access !== "string" && access.audited) {
      const address = context.values.get(peerAddressKey);
      const atMs = deps.clock.wallMs();
      const entry = describeCall({ method, key, address, request, response, result, atMs });
      await (key === undefined ? deps.denials.note(entry) : deps.audit.write(entry));
    }
  }
}

async function* passStream(
  deps: PublicCallDeps,
  upstream: Transport,
  method: DescMethodServerStreaming,
  request: Message,
  context: HandlerContext,
): AsyncGenerator<Message> {
  const key = await authenticate(deps, method, context);
  authorize(method, key, request);
  const watch = key === undefined ? undefined : deps.verifier.watch(key);
  const signal =
    watch === undefined ? context.signal : AbortSignal.any([context.signal, watch.signal]);
  try {
    const answer = await upstream.stream(
      method,
      signal,
      context.timeoutMs(),
      passedOn(key),
      oneMessage(request),
      valuesOf(key, context),
    );
    yield* answer.message;
  } catch (error) {
    // SEC-T6, SEC-T7: a stream does not outlive its key, and says why it ended.
    if (watch?.signal.aborted) throw watch.signal.reason;
    throw failureFromConnect(error);
  } finally {
    watch?.release();
  }
}

/** Answers the key behind a call; undefined for calls that need none. */
async function authenticate(
  deps: PublicCallDeps,
  method: DescMethod,
  context: HandlerContext,
): Promise<OperatorKey | undefined> {
  if (isOpenMethod(method)) return undefined;
  return deps.verifier.verify(context.requestHeader.get("authorization"));
}

/** Throws the refusal of a call that the key may not make. */
function authorize(
  method: DescMethodUnary | DescMethodServerStreaming,
  key: OperatorKey | undefined,
  request: Message,
): void {
  if (key === undefined) return;
  const refusal = decideAccess(method, key, deploymentOf(method, request));
  if (refusal !== undefined) throw new RemexError(refusal);
}

function deploymentOf(
  method: DescMethodUnary | DescMethodServerStreaming,
  request: Message,
): string {
  const field = method.input.fields.find((candidate) => candidate.name === "deployment");
  if (field?.fieldKind !== "scalar") return "";
  const value: unknown = reflect(method.input, request).get(field);
  return typeof value === "string" ? value : "";
}

function passedOn(key: OperatorKey | undefined): Record<string, string> {
  return key === undefined || key.deployment === ""
    ? {}
    : { [keyDeploymentHeader]: key.deployment };
}

function valuesOf(key: OperatorKey | undefined, context: HandlerContext): ContextValues {
  return createContextValues()
    .set(operatorKeyKey, key)
    .set(peerAddressKey, context.values.get(peerAddressKey));
}

async function* oneMessage<Request>(request: Request): AsyncGenerator<Request> {
  yield request;
}
