// SPDX-License-Identifier: Apache-2.0
// What the audit keeps of a management call: who, from where, what, on what, with what result; no secrets.

import { randomUUID } from "node:crypto";
import {
  clearField,
  clone,
  type DescMessage,
  type DescMethod,
  type Message,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { AuditEntryContent } from "@remex/records";
import type { OperatorKey } from "./operator-access.ts";

export interface AuditedCall {
  readonly method: DescMethod;
  /** Undefined when the caller was not known. */
  readonly key: OperatorKey | undefined;
  readonly address: string;
  readonly request: Message;
  /** Undefined when the call was refused. */
  readonly response: Message | undefined;
  /** "ok", or the refusal's code. */
  readonly result: string;
  readonly atMs: number;
}

/** Builds the entry of a call. */
export function describeCall(call: AuditedCall): AuditEntryContent {
  const { method, key } = call;
  const subject = subjectOf(call);
  return {
    entry: randomUUID(),
    atMs: call.atMs,
    actor: key === undefined ? "key:unknown" : `key:${key.key} ${key.name}`,
    address: call.address,
    action: `${method.parent.typeName}/${method.name}`,
    deployment: textField(method.input, call.request, "deployment"),
    subject,
    result: call.result,
    detailJson: JSON.stringify({ request: withoutSecrets(method.input, call.request) }),
  };
}

/** "token:ab12cd34" after CreateAgentToken: the last word of the method, and what the answer or request calls it. */
function subjectOf(call: AuditedCall): string {
  const { method } = call;
  const noun = (/[A-Z][a-z]*$/.exec(method.name)?.[0] ?? method.name).toLowerCase();
  const made = call.response && messageField(method.output, call.response, noun);
  const name =
    (made && textField(made.desc, made.message, noun)) ||
    textField(method.input, call.request, noun) ||
    textField(method.input, call.request, "name");
  return name === "" ? noun : `${noun}:${name}`;
}

function textField(schema: DescMessage, message: Message, name: string): string {
  const field = schema.fields.find((candidate) => candidate.name === name);
  if (field?.fieldKind !== "scalar") return "";
  const value: unknown = reflect(schema, message).get(field);
  return typeof value === "string" ? value : "";
}

function messageField(
  schema: DescMessage,
  message: Message,
  name: string,
): { readonly desc: DescMessage; readonly message: Message } | undefined {
  const field = schema.fields.find((candidate) => candidate.name === name);
  if (field?.fieldKind !== "message") return undefined;
  const view = reflect(schema, message);
  if (!view.isSet(field)) return undefined;
  return { desc: field.message, message: view.get(field).message };
}

/** The request as JSON without the fields that the contract marks as secret. */
function withoutSecrets(schema: DescMessage, request: Message) {
  const copy = clone(schema, request as MessageShape<typeof schema>);
  for (const field of schema.fields) {
    if (field.proto.options?.debugRedact === true) clearField(copy, field);
  }
  return toJson(schema, copy);
}
