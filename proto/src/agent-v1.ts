// SPDX-License-Identifier: Apache-2.0
// The public door of remex.agent.v1: everything generated from its files.
export * from "./generated/remex/agent/v1/agent_session_service_pb.js";
export * from "./generated/remex/agent/v1/session_pb.js";
