// SPDX-License-Identifier: Apache-2.0
// The door of @remex/runtime/testing: what tests put in place of time and chance.

export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { createSeededRandom } from "./seeded-random.ts";
