// SPDX-License-Identifier: Apache-2.0
// The public door of remex.registry.v1: everything generated from its files.
export * from "./generated/remex/registry/v1/agent_service_pb.js";
export * from "./generated/remex/registry/v1/brake_service_pb.js";
export * from "./generated/remex/registry/v1/deployment_pb.js";
export * from "./generated/remex/registry/v1/deployment_service_pb.js";
export * from "./generated/remex/registry/v1/group_service_pb.js";
export * from "./generated/remex/registry/v1/queue_service_pb.js";
