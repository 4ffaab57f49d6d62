// Takes an object apart field by field and refuses what is left over; it fills in nothing that is missing.

import { fail, short } from "../doubt.ts";
import { unhex } from "./bytes.ts";
import type { Members, Value } from "./json.ts";

/** The members of one object, some of them taken. */
export class Fields {
  private readonly taken = new Set<string>();

  private constructor(private readonly members: Members) {}

  /** The fields of a value that must be an object. */
  static of(value: Value): Fields {
    return value instanceof Map ? new Fields(value) : fail("not an object");
  }

  /** A field that may be absent. */
  maybe(name: string): Value | undefined {
    this.taken.add(name);
    return this.members.get(name);
  }

  any(name: string): Value {
    return this.maybe(name) ?? fail(`field \`${name}\` is missing or null`);
  }

  object(name: string): Fields {
    return Fields.of(this.any(name));
  }

  list(name: string): Value[] {
    const value = this.any(name);
    return Array.isArray(value) ? value : fail(`field \`${name}\` is not a list`);
  }

  text(name: string): string {
    const value = this.any(name);
    return typeof value === "string" ? value : fail(`field \`${name}\` is not a text`);
  }

  texts(name: string): string[] {
    return this.list(name).map((item) => (typeof item === "string" ? item : fail(`an item of \`${name}\` is not a text`)));
  }

  /** A whole number from 0. */
  whole(name: string): number {
    return whole(name, this.any(name));
  }

  bool(name: string): boolean {
    const value = this.any(name);
    return typeof value === "boolean" ? value : fail(`field \`${name}\` is neither true nor false`);
  }

  is(name: string, only: string): void {
    const value = this.text(name);
    if (value !== only) fail(`field \`${name}\` is \`${short(value)}\`, \`${only}\` is needed`);
  }

  hash(name: string): Uint8Array {
    return unhex(this.text(name), 32);
  }

  /** An object from words to whole numbers. */
  numbers(name: string): Map<string, number> {
    const value = this.any(name);
    if (!(value instanceof Map)) return fail(`field \`${name}\` is not an object`);
    return new Map([...value].map(([word, number]) => [word, whole(word, number)]));
  }

  /** Refuses every field that was not taken. */
  end(): void {
    const unknown = [...this.members.keys()].find((key) => !this.taken.has(key));
    if (unknown !== undefined) fail(`field \`${short(unknown)}\` is unknown`);
  }
}

function whole(name: string, value: Value): number {
  return typeof value === "number" && value >= 0 ? value : fail(`\`${short(name)}\` is not a whole number from 0`);
}
