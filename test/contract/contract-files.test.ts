// SPDX-License-Identifier: Apache-2.0
// Holds the contract files to our own rules, beyond what buf checks.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { access, Caller, Role, Scope } from "@remex/proto/common/v1";
import { describe, expect, test } from "vitest";

const protoFolder = fileURLToPath(new URL("../../proto/", import.meta.url));
const buf = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));
const runBuf = (...args: string[]): Buffer =>
  execFileSync(buf, args, { cwd: protoFolder, maxBuffer: 64 * 1024 * 1024 });

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, new Uint8Array(runBuf("build", "-o", "-"))),
);
const services = [...registry.files]
  .filter((file) => file.proto.package.startsWith("remex."))
  .flatMap((file) => file.services);
const methods = services.flatMap((service) => service.methods);

describe("the contract files", () => {
  test("pass buf's STANDARD and COMMENTS rules", () => {
    expect(String(runBuf("lint"))).toBe("");
  });

  test("break nothing that the committed baseline promises", () => {
    expect(String(runBuf("breaking", "--against", "baseline.binpb"))).toBe("");
  });

  test.each(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
    "SEC-S3: %s lists its callers",
    (_, method) => {
      expect(hasOption(method, access)).toBe(true);
      const rule = getOption(method, access);
      expect(rule.callers.length).toBeGreaterThan(0);
      expect(rule.callers).not.toContain(Caller.UNSPECIFIED);
    },
  );

  test("SEC-W1: every method that operators reach states a role and a scope, and no other does", () => {
    for (const method of methods) {
      const rule = getOption(method, access);
      const public_ = rule.callers.some(
        (caller) => caller === Caller.OPERATOR || caller === Caller.ANYONE,
      );
      const name = `${method.parent.typeName}/${method.name}`;
      expect([name, rule.role !== Role.UNSPECIFIED]).toEqual([name, public_]);
      expect([name, rule.scope !== Scope.UNSPECIFIED]).toEqual([name, public_]);
    }
  });

  test("SEC-M1: every method about one deployment names it in its request", () => {
    for (const method of methods) {
      if (getOption(method, access).scope !== Scope.DEPLOYMENT) continue;
      const field = method.input.fields.find((candidate) => candidate.name === "deployment");
      expect([method.name, field?.number]).toEqual([method.name, 1]);
    }
  });

  test("SEC-T5: every field that carries a secret is marked for redaction", () => {
    const secretNames = /^(value|token|workload_token|secret_payload|key)$/;
    const publicNames = new Set([
      // Public ids of credentials, and the ids of objects that hold them.
      "remex.token.v1.AgentToken.token",
      "remex.token.v1.CreateAgentTokenResponse.token",
      "remex.token.v1.RevokeAgentTokenRequest.token",
      "remex.token.v1.RevokeAgentTokenResponse.token",
      "remex.token.v1.VerifyAgentTokenResponse.token",
      "remex.token.v1.OperatorKey.key",
      "remex.token.v1.CreateOperatorKeyResponse.key",
      "remex.token.v1.RevokeOperatorKeyRequest.key",
      "remex.token.v1.RevokeOperatorKeyResponse.key",
      "remex.token.v1.VerifyOperatorKeyResponse.key",
      "remex.gateway.v1.WhoAmIResponse.key",
      "remex.registry.v1.Agent.token",
    ]);
    const messages = [...registry].filter(
      (type) => type.kind === "message" && type.typeName.startsWith("remex."),
    );
    const unmarked: string[] = [];
    for (const message of messages) {
      if (message.kind !== "message" || message.proto.options?.mapEntry) continue;
      for (const field of message.fields) {
        const name = `${message.typeName}.${field.name}`;
        const secret = secretNames.test(field.name) && !publicNames.has(name);
        if (secret && field.proto.options?.debugRedact !== true) unmarked.push(name);
      }
    }
    expect(unmarked).toEqual([]);
  });

  test("PROTOCOL-T1: no instant crosses between machines but those that are for display alone", () => {
    const between = methods.filter(({ methodKind }) => methodKind === "bidi_streaming");
    const runner = registry.getFile("remex/runner/v1/runner.proto")?.messages ?? [];
    const instants = new Set<string>();
    const seen = new Set<DescMessage>();
    const look = (message: DescMessage): void => {
      if (seen.has(message)) return;
      seen.add(message);
      for (const field of message.fields) {
        if (field.message?.typeName === "google.protobuf.Timestamp") {
          instants.add(`${message.typeName}.${field.name}`);
        } else if (field.message !== undefined) look(field.message);
      }
    };
    for (const { input, output } of between) for (const each of [input, output]) look(each);
    for (const message of runner) look(message);
    // Each of these is documented "for display only"; whoever adds another decides by durations instead.
    expect([...instants].sort()).toEqual([
      "remex.agent.v1.Started.started_at",
      "remex.common.v1.Outcome.ended_at",
      "remex.common.v1.Outcome.started_at",
      "remex.runner.v1.AttemptStarted.started_at",
    ]);
  });
});
