// What form a document has: the JSON Schemas of the spec, put to a value. It knows the words that those schemas use and
// refuses to start on another one, so that no rule is passed over.

import DOCUMENTS from "clyra:schemas";
import { short } from "../doubt.ts";
import type { Value } from "./json.ts";

/** Says what is wrong with a value, or nothing. */
export type Shape = (value: Value) => string | null;

type Schema = boolean | { [word: string]: unknown };

/** The shape that stands at this place of the spec, like `common/batch.schema.json#/$defs/claims`. */
export function shape(place: string): Shape {
  return referred(`${BASE}${place}`);
}

function compile(schema: Schema, base: string): Shape {
  if (schema === true) return () => null;
  if (schema === false) return () => "is not allowed here";
  const rules: Shape[] = [];
  for (const [word, rule] of Object.entries(schema)) {
    const made = (WORDS[word] ?? (() => unknown(word)))(rule as never, schema, base);
    // What is quick to refuse is asked first.
    if (word === "type" || word === "const") rules.unshift(made);
    else rules.push(made);
  }
  return all(rules);
}

function all(rules: Shape[]): Shape {
  return (value) => {
    for (const rule of rules) {
      const fault = rule(value);
      if (fault !== null) return fault;
    }
    return null;
  };
}

type Word = (rule: never, schema: { [word: string]: unknown }, base: string) => Shape;

const WORDS: { [word: string]: Word } = {
  $schema: () => fine,
  $id: () => fine,
  $defs: () => fine,
  title: () => fine,
  description: () => fine,
  then: () => fine,
  else: () => fine,
  $ref: (rule: string, _, base) => referred(new URL(rule, base).href),
  type: (rule: string) => {
    const is = TYPES[rule] ?? unknown(rule);
    return (value) => (is(value) ? null : `is not of type ${rule}`);
  },
  const: (rule: Value) => (value) => (value === rule ? null : `is ${quoted(value)}, ${quoted(rule)} is needed`),
  enum: (rule: Value[]) => (value) =>
    rule.includes(value) ? null : `is ${quoted(value)}, allowed: ${rule.map(String).join(", ")}`,
  pattern: (rule: string) => {
    const form = new RegExp(rule, "u");
    return (value) => (typeof value !== "string" || form.test(value) ? null : `is ${quoted(value)}, which has not its form`);
  },
  minimum: (rule: number) => (value) => (typeof value !== "number" || value >= rule ? null : `is ${value}, at least ${rule} is allowed`),
  maximum: (rule: number) => (value) => (typeof value !== "number" || value <= rule ? null : `is ${value}, at most ${rule} is allowed`),
  minLength: (rule: number) => (value) => (typeof value !== "string" || Array.from(value).length >= rule ? null : "is too short"),
  maxLength: (rule: number) => (value) => (typeof value !== "string" || Array.from(value).length <= rule ? null : "is too long"),
  minItems: (rule: number) => (value) => (!Array.isArray(value) || value.length >= rule ? null : `has fewer than ${rule} items`),
  maxItems: (rule: number) => (value) => (!Array.isArray(value) || value.length <= rule ? null : `has more than ${rule} items`),
  items: (rule: Schema, _, base) => {
    const item = compile(rule, base);
    return (value) => (Array.isArray(value) ? first(value.entries(), item) : null);
  },
  required: (rule: string[]) => (value) => {
    const missing = value instanceof Map ? rule.find((name) => !value.has(name)) : undefined;
    return missing === undefined ? null : `lacks \`${missing}\``;
  },
  properties: (rule: { [name: string]: Schema }, schema, base) => {
    const known = Object.entries(rule).map(([name, inner]) => [name, compile(inner, base)] as const);
    // `kind` tells documents apart, so that it is asked before all others.
    known.sort(([one], [other]) => Number(other === "kind") - Number(one === "kind"));
    const closed = schema["additionalProperties"] === false ? new Set(Object.keys(rule)) : null;
    return (value) => {
      if (!(value instanceof Map)) return null;
      for (const [name, inner] of known) {
        const held = value.get(name);
        const fault = held === undefined ? null : inner(held);
        if (fault !== null) return told(name, fault);
      }
      const unknown = closed && [...value.keys()].find((name) => !closed.has(name));
      return typeof unknown === "string" ? `has \`${short(unknown)}\`, which is unknown` : null;
    };
  },
  additionalProperties: (rule: Schema, schema, base) => {
    const known = Object.keys((schema["properties"] as object | undefined) ?? {});
    if (rule === false && known.length > 0) return fine;
    const inner = compile(rule, base);
    return (value) => (value instanceof Map ? first([...value].filter(([name]) => !known.includes(name)), inner) : null);
  },
  allOf: (rule: Schema[], _, base) => all(rule.map((inner) => compile(inner, base))),
  oneOf: (rule: Schema[], _, base) => {
    const branches = rule.map((inner) => compile(inner, base));
    return (value) => {
      const faults = branches.map((branch) => branch(value)).filter((fault) => fault !== null);
      if (faults.length === branches.length - 1) return null;
      if (faults.length < branches.length) return "has more than one form";
      return faults.find((fault) => !fault.startsWith("`kind`")) ?? `has the unknown kind ${quoted(kind(value))}`;
    };
  },
  if: (rule: Schema, schema, base) => {
    const [test, then, other] = [rule, schema["then"] ?? true, schema["else"] ?? true].map((inner) =>
      compile(inner as Schema, base),
    );
    return (value) => ((test?.(value) === null ? then : other) ?? fine)(value);
  },
};

const TYPES: { [type: string]: (value: Value) => boolean } = {
  object: (value) => value instanceof Map,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  integer: (value) => typeof value === "number",
};

const fine: Shape = () => null;

function first(items: Iterable<[string | number, Value]>, shape: Shape): string | null {
  for (const [name, item] of items) {
    const fault = shape(item);
    if (fault !== null) return told(String(name), fault);
  }
  return null;
}

function told(name: string, fault: string): string {
  return fault.startsWith("`") ? `\`${short(name)}.${fault.slice(1)}` : `\`${short(name)}\` ${fault}`;
}

function quoted(value: Value): string {
  return typeof value === "object" ? "an object, a list or null" : `\`${short(String(value))}\``;
}

function kind(value: Value): Value {
  return value instanceof Map ? value.get("kind") ?? null : null;
}

function unknown(word: string): never {
  throw new Error(`the schemas use \`${word}\`, which this reader does not know`);
}

/** The schema at an address; compiled once, and only when it is first asked, since a schema may refer to itself. */
function referred(address: string): Shape {
  let made: Shape | undefined;
  return (value) => (made ??= compiled(address))(value);
}

function compiled(address: string): Shape {
  const held = COMPILED.get(address);
  if (held) return held;
  const { href, hash } = new URL(address);
  const document = href.slice(0, href.length - hash.length);
  let schema: unknown = DOCUMENTS.find(({ $id }) => $id === document) ?? unknown(document);
  for (const step of hash.slice(1).split("/").slice(1)) schema = (schema as { [step: string]: unknown })[step] ?? unknown(address);
  const made = compile(schema as Schema, document);
  COMPILED.set(address, made);
  return made;
}

const BASE = "https://clyra.dev/spec/schema/";
const COMPILED = new Map<string, Shape>();
