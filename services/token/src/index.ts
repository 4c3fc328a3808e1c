// SPDX-License-Identifier: Apache-2.0
// The public door of the token service.
export { type BootstrapDeps, ensureBootstrapKey } from "./bootstrap-key.ts";
export { type CredentialPrefix, credentialPattern } from "./credential.ts";
export { loadPeppers, type Peppers, requireOwnPeppers } from "./pepper.ts";
export { createTokenService, type TokenService, type TokenServiceDeps } from "./token-service.ts";
