"""JSON Schema 2020-12 as far as ../schema uses it: whether a value has the form that stands at a place there."""
import functools, json, os, re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
PASSED_OVER = {"$schema", "$id", "$defs", "title", "description", "then", "else"}

@functools.cache
def schema(place):
    """The schema at a place like `common/batch.schema.json#/$defs/claims`."""
    path, _, steps = place.partition("#")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../schema", path), encoding="utf-8") as file:
        return functools.reduce(lambda inner, step: inner[step], steps.split("/")[1:], json.load(file))

def formed(value, place):
    """Whether this value has the form that stands there."""
    return holds(value, schema(place), place)

def holds(value, rules, place):
    return rules if isinstance(rules, bool) else all(word in PASSED_OVER or one(word, value, rules, place) for word in rules)

def one(word, value, rules, place):
    rule, inner, each = rules[word], lambda rule: holds(value, rule, place), lambda items, rule: all(holds(i, rule, place) for i in items)
    if word == "$ref":
        path = place.partition("#")[0]
        return formed(value, os.path.normpath(os.path.join(os.path.dirname(path), rule)) if rule[0] != "#" else path + rule)
    if word == "type": return isinstance(value, TYPES[rule]) and (rule != "integer" or not isinstance(value, bool))
    if word == "const": return value == rule and type(value) is type(rule)
    if word == "enum": return value in rule
    if word == "allOf": return all(map(inner, rule))
    if word == "oneOf": return sum(map(inner, rule)) == 1
    if word == "if": return inner(rules.get("then", True) if inner(rule) else rules.get("else", True))
    if word == "required": return not isinstance(value, dict) or set(rule) <= value.keys()
    if word == "properties": return not isinstance(value, dict) or all(holds(value[n], rule[n], place) for n in rule if n in value)
    if word == "additionalProperties":
        return not isinstance(value, dict) or each([value[n] for n in value if n not in rules.get("properties", {})], rule)
    if word == "items": return not isinstance(value, list) or each(value, rule)
    if word in ("minItems", "maxItems"): return not isinstance(value, list) or (len(value) >= rule if word == "minItems" else len(value) <= rule)
    if word == "pattern": return not isinstance(value, str) or re.fullmatch(rule, value) is not None
    if word in ("minimum", "maximum"): return not isinstance(value, int) or (value >= rule if word == "minimum" else value <= rule)
    raise ValueError(f"the schemas use `{word}`, which this reader does not know")
