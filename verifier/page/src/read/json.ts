// Strict JSON in its one canonical spelling (entry.md, "Canonical form"). What two readers could understand differently
// is refused; it never guesses and never rounds.

import { fail } from "../doubt.ts";
import { text } from "./bytes.ts";

/** A value; whole numbers only. */
export type Value = null | boolean | number | string | Value[] | Members;

/** An object: a map, so that no key has a meaning of its own. */
export type Members = Map<string, Value>;

const DEPTH_MAX = 64;

/** Reads one value that must already stand in its canonical spelling. */
export function parse(bytes: Uint8Array): Value {
  const input = text(bytes);
  const reader = new Reader(input);
  const value = reader.value(0);
  reader.end();
  const spelled = canonical(value);
  if (spelled !== input) {
    let apart = 0;
    while (spelled[apart] === input[apart]) apart++;
    fail(`not canonical JSON from character ${apart} on`);
  }
  return value;
}

/** The canonical spelling of a value (RFC 8785, whose strings are those of ECMAScript). */
export function canonical(value: Value): string {
  if (value instanceof Map) {
    const keys = [...value.keys()].sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value.get(key) ?? null)}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  return JSON.stringify(value);
}

class Reader {
  private at = 0;

  constructor(private readonly input: string) {}

  value(depth: number): Value {
    const next = this.input[this.at];
    if (next === "{" || next === "[") {
      if (depth === DEPTH_MAX) this.wrong(`nested deeper than ${DEPTH_MAX}`);
      return next === "{" ? this.object(depth + 1) : this.list(depth + 1);
    }
    if (next === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.input.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  end(): void {
    if (this.at !== this.input.length) this.wrong("something follows the value");
  }

  private object(depth: number): Members {
    const members: Members = new Map();
    this.at++;
    if (this.take("}")) return members;
    for (;;) {
      const key = this.string();
      if (!/^[\0-\x7f]*$/.test(key)) this.wrong("a key is not ASCII");
      if (members.has(key)) this.wrong("a key stands twice in one object");
      this.must(":");
      members.set(key, this.value(depth));
      if (this.take("}")) return members;
      this.must(",");
    }
  }

  private list(depth: number): Value[] {
    const items: Value[] = [];
    this.at++;
    if (this.take("]")) return items;
    for (;;) {
      items.push(this.value(depth));
      if (this.take("]")) return items;
      this.must(",");
    }
  }

  private string(): string {
    STRING.lastIndex = this.at;
    const found = STRING.exec(this.input)?.[0];
    if (found === undefined) return this.wrong("no text here, or one with a raw control character, a bad escape or no end");
    this.at += found.length;
    const read = JSON.parse(found) as string;
    if (LONE_SURROGATE.test(read)) this.wrong("a surrogate stands alone");
    return read;
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.input)?.[0];
    if (found === undefined) return this.wrong("no value here");
    const read = Number(found);
    if (!/^(?:0|-?[1-9][0-9]*)$/.test(found)) this.wrong("a number is not whole, or not in its one spelling");
    if (!Number.isSafeInteger(read)) this.wrong("a number is beyond 2^53-1");
    this.at += found.length;
    return read;
  }

  private take(sign: string): boolean {
    const is = this.input[this.at] === sign;
    if (is) this.at++;
    return is;
  }

  private must(sign: string): void {
    if (!this.take(sign)) this.wrong(`\`${sign}\` is missing`);
  }

  private wrong(what: string): never {
    fail(`not canonical JSON at character ${this.at}: ${what}`);
  }
}

const WORDS: [string, Value][] = [["true", true], ["false", false], ["null", null]];
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?[0-9][-+.0-9eE]*/y;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
