// SPDX-License-Identifier: Apache-2.0
// The public door of the gateway.
export { createGateway, type Gateway, type GatewayDeps } from "./gateway.ts";
export { peerAddressKey } from "./public-calls.ts";
