// SPDX-License-Identifier: Apache-2.0
// The standard gRPC health service, driven by the readiness of the process, on either kind of server.

import { create } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "@remex/proto/grpc/health/v1";
import type { Readiness } from "@remex/runtime";
import type { GrpcServices } from "./grpc-server.ts";

export interface HealthOptions {
  readonly readiness: Readiness;
  /** Full names of the services served here; "" is always known. */
  readonly services: readonly string[];
  /** Further names that peers may ask for, each with its own answer. */
  readonly checks?: Readonly<Record<string, () => boolean>>;
}

function statusOf(options: HealthOptions, service: string): Status {
  const check = options.checks?.[service];
  if (check !== undefined) return check() ? Status.SERVING : Status.NOT_SERVING;
  if (service !== "" && !options.services.includes(service)) return Status.SERVICE_UNKNOWN;
  return options.readiness.report().ready ? Status.SERVING : Status.NOT_SERVING;
}

function responseOf(status: Status): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}

/** Watches a service's status; yields it at once and at every change until the signal is aborted. */
async function* watchStatus(
  options: HealthOptions,
  service: string,
  signal: AbortSignal,
): AsyncGenerator<HealthCheckResponse> {
  let last: Status | undefined;
  while (!signal.aborted) {
    const changed = Promise.withResolvers<void>();
    const stop = options.readiness.onChange(() => changed.resolve());
    const onAbort = () => changed.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const status = statusOf(options, service);
      if (status !== last) yield responseOf(status);
      last = status;
      // A change during the yield has settled the promise already.
      await changed.promise;
    } finally {
      stop();
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/** Registers the health service with a Connect router. */
export function addHealthRoutes(router: ConnectRouter, options: HealthOptions): void {
  const implementation: ServiceImpl<typeof Health> = {
    check(request) {
      const status = statusOf(options, request.service);
      if (status === Status.SERVICE_UNKNOWN) {
        throw new ConnectError(`service ${request.service} is not served here`, Code.NotFound);
      }
      return responseOf(status);
    },
    watch: (request, context) => watchStatus(options, request.service, context.signal),
  };
  router.service(Health, implementation);
}

/** Adds the health service to a grpc-js server. */
export function addHealthToGrpc(services: GrpcServices, options: HealthOptions): void {
  services.add(Health, {
    async check(call) {
      const status = statusOf(options, call.request.service);
      if (status === Status.SERVICE_UNKNOWN) {
        throw new ConnectError(`service ${call.request.service} is not served here`, Code.NotFound);
      }
      return responseOf(status);
    },
    async watch(call) {
      const abort = new AbortController();
      call.on("cancelled", () => abort.abort());
      for await (const response of watchStatus(options, call.request.service, abort.signal)) {
        call.write(response);
      }
      call.end();
    },
  });
}
