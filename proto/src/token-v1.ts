// SPDX-License-Identifier: Apache-2.0
// The public door of remex.token.v1: everything generated from its files.
export * from "./generated/remex/token/v1/agent_token_service_pb.js";
export * from "./generated/remex/token/v1/operator_key_service_pb.js";
export * from "./generated/remex/token/v1/verification_service_pb.js";
