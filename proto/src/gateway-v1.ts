// SPDX-License-Identifier: Apache-2.0
// The public door of remex.gateway.v1: everything generated from its files.
export * from "./generated/remex/gateway/v1/audit_service_pb.js";
export * from "./generated/remex/gateway/v1/login_service_pb.js";
export * from "./generated/remex/gateway/v1/status_service_pb.js";
