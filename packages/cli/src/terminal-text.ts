// SPDX-License-Identifier: Apache-2.0
// Makes untrusted text harmless on a terminal: what would move, colour, hide or reorder is shown as an escape.

/**
 * Control characters (C0 with ESC, DEL, C1), line and paragraph separators, and the characters that
 * reorder or hide text around them.
 */
const unsafe = /[\p{Cc}\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
const unsafeInLog = /(?![\n\t])[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

function escapeOf(character: string): string {
  switch (character) {
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
    default: {
      const code = character.charCodeAt(0);
      return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : unicodeEscape(character);
    }
  }
}

/** A form that JSON and YAML read back as the same character. */
export function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Text that stays on its line. */
export function oneLine(text: string): string {
  return text.replace(unsafe, escapeOf);
}

/** Text that keeps its lines and tabs, as a log does; a carriage return before a line's end is dropped. */
export function logText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(unsafeInLog, escapeOf);
}

/** True when a string must be quoted and escaped before a program's output may be looked at. */
export function isUnsafe(text: string): boolean {
  return text.search(unsafe) >= 0;
}

/** The same for text in which every unsafe character stands inside a JSON-like string. */
export function escapeInStrings(text: string): string {
  return text.replace(unsafe, (character) =>
    character === "\n" ? character : unicodeEscape(character),
  );
}
