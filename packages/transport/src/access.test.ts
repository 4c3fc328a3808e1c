// SPDX-License-Identifier: Apache-2.0
// Proves that the door is closed by default and that the contract alone opens it.

import { AgentSessionService } from "@remex/proto/agent/v1";
import { Caller } from "@remex/proto/common/v1";
import { LoginService } from "@remex/proto/gateway/v1";
import { Health } from "@remex/proto/grpc/health/v1";
import { HealthLinkService } from "@remex/proto/health/v1";
import { VerificationService } from "@remex/proto/token/v1";
import { Secret } from "@remex/runtime";
import { describe, expect, test } from "vitest";
import { callerOf, mayCall, serviceRoles } from "./access.ts";
import { judgeServiceCall, sameSecret } from "./service-key.ts";

const callers = serviceRoles.map((role) => callerOf(role));

describe("SEC-S3: access by the contract", () => {
  test.each([
    ["BeatLink", HealthLinkService.method.beatLink, ["registry"]],
    ["VerdictLink", HealthLinkService.method.verdictLink, ["scheduler"]],
    ["VerifyOperatorKey", VerificationService.method.verifyOperatorKey, ["gateway"]],
    ["Session", AgentSessionService.method.session, []],
    ["Login", LoginService.method.login, [...serviceRoles]],
    ["health Check", Health.method.check, [...serviceRoles]],
  ])("%s may be called by exactly the listed roles", (_, method, roles) => {
    const allowed = serviceRoles.filter((_role, at) => mayCall(method, callers[at] as Caller));
    expect(allowed).toEqual(roles);
  });

  test("a method that states nothing is closed to everybody", () => {
    const silent = { ...Health.method.check, parent: { ...Health, typeName: "other.Service" } };
    expect(mayCall(silent as never, Caller.GATEWAY)).toBe(false);
    expect(mayCall(silent as never, Caller.ANYONE)).toBe(false);
  });

  test("a role that is none is refused even with the right key", () => {
    for (const role of ["", "admin", "constructor", "agent", "operator"]) {
      const header = new Headers({ "remex-service-key": "k", "remex-service": role });
      const failure = judgeServiceCall(HealthLinkService.method.beatLink, header, new Secret("k"));
      expect(failure?.code).toBe("not_allowed");
    }
  });

  test("SEC-T4: secrets of different lengths are compared without an error", () => {
    expect(sameSecret("a", "ab")).toBe(false);
    expect(sameSecret("", "")).toBe(true);
    expect(sameSecret("key", "key")).toBe(true);
  });
});
