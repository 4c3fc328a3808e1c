// SPDX-License-Identifier: Apache-2.0
// The public door of remex.health.v1: everything generated from its files.
export * from "./generated/remex/health/v1/health_link_service_pb.js";
