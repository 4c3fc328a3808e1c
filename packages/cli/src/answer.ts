// SPDX-License-Identifier: Apache-2.0
// Writes a command's answer: tables for people, the contract's own JSON for programs.

import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { Document, visit } from "yaml";
import type { OutputFormat } from "./common-options.ts";
import { escapeInStrings, isUnsafe } from "./terminal-text.ts";

/** What a command answers with, before its form is chosen. */
export interface Answer {
  /** For -o json and -o yaml. */
  readonly data: () => JsonValue;
  /** For -o table. */
  readonly table: () => string;
  /** For -o value, where it is offered. */
  readonly value?: string;
}

export function formatAnswer(answer: Answer, format: OutputFormat): string {
  switch (format) {
    case "table":
      return answer.table();
    case "json":
      return jsonText(answer.data(), 2);
    case "yaml":
      return yamlText(answer.data());
    case "value":
      return `${answer.value ?? ""}\n`;
  }
}

/** Fields of an answer that are at their default are written too, so that programs always find them. */
export function messageJson<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

export function messagesJson<Desc extends DescMessage>(
  schema: Desc,
  messages: readonly MessageShape<Desc>[],
): JsonValue {
  return messages.map((message) => messageJson(schema, message));
}

export function jsonText(data: JsonValue, indent?: number): string {
  return `${escapeInStrings(JSON.stringify(data, null, indent))}\n`;
}

/** Text that a terminal could be tricked with is quoted, so that its escapes are read back as it was. */
function yamlText(data: JsonValue): string {
  // Readers of YAML 1.1 would take an instant for a date, and `no` for false: such texts are quoted.
  const document = new Document(data, { compat: "yaml-1.1" });
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === "string" && isUnsafe(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return escapeInStrings(document.toString({ lineWidth: 0 }));
}
