// SPDX-License-Identifier: Apache-2.0
// Every check of an invariant, made anew for each seed.

import type { Check } from "../observe/facts.ts";
import { createBeliefCheck } from "./i08-belief.ts";
import { createCapacityCheck } from "./i19-capacity.ts";
import { createConfirmCheck } from "./s03-confirm.ts";
import { createConfirmStoredCheck } from "./i10-confirm-stored.ts";
import { createCopiesCheck } from "./i03-copies.ts";
import { createEndsCheck } from "./i14-ends.ts";
import { createGivenUpCheck } from "./i02-given-up.ts";
import { createHeardCheck } from "./i05-heard.ts";
import { createNumbersCheck } from "./i09-numbers.ts";
import { createOffersCheck } from "./i06-offers.ts";
import { createOneResultCheck } from "./i04-one-result.ts";
import { createRecoveriesCheck } from "./i20-recoveries.ts";
import { createRevokedCheck } from "./i17-revoked.ts";
import { createStaleReportCheck } from "./i07-stale-report.ts";
import { createStartsOnceCheck } from "./i01-starts-once.ts";
import { createStreamsCheck } from "./i13-streams.ts";

export function createChecks(): Check[] {
  return [
    createStartsOnceCheck(),
    createGivenUpCheck(),
    createCopiesCheck(),
    createOneResultCheck(),
    createHeardCheck(),
    createOffersCheck(),
    createStaleReportCheck(),
    createBeliefCheck(),
    createNumbersCheck(),
    createConfirmCheck(),
    createConfirmStoredCheck(),
    createStreamsCheck(),
    createEndsCheck(),
    createRevokedCheck(),
    createCapacityCheck(),
    createRecoveriesCheck(),
  ];
}
