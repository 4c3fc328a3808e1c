// SPDX-License-Identifier: Apache-2.0
// The public door of serve: what the CLI starts.
export { type ServeProcess, serve } from "./serve.ts";
export { softwareVersion } from "./software-version.ts";
