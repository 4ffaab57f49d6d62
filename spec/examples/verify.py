#!/usr/bin/env python3
"""Checks a bundle with Python's standard library alone, after the pages one folder up: verify.py BUNDLE TRUST

Prints PASS, FAIL: CHECK or UNABLE: CHECK; exit code 0, 2, 3; 6 where the question cannot be put. ../schema says what form an
entry has; Ed25519, BLAKE3 and the reading of schemas, which Python lacks, stand beside it.
"""
import base64, calendar, collections, hashlib, io, json, re, sys, zipfile
from blake3 import blake3
from ed25519 import signed, sound
from schema import formed

FILES = "SPEC.txt checkpoint entries.jsonl keys.jsonl manifest.dsse.json proofs.jsonl".split()
SPEC = "3c15f4209c3ca655b6f4ad1ed919c3ef512f3c6865ae1456acbac00b2f14a2ab"
CLAIMS, NON_CLAIMS = "4beb5ab2516c72a9 1f785114fe3d21b8".split(), "d35ea162d181a450"  # see "Sentences" in ../bundle.md
LEVELS = "observe block_writes block_statements cancel_running disconnect".split()
seconds = lambda at: calendar.timegm((*map(int, re.findall("[0-9]+", at)[:6]), 0, 0, 0))
sha256 = lambda data: hashlib.sha256(data).digest()
def need(holds):
    if not holds: raise ValueError("it does not hold")

unbase64 = lambda text: need(base64.b64encode(base64.b64decode(text)).decode() == text) or base64.b64decode(text)

def trust_file(text):  # {(role, key id): (name, key)}
    keys, rows = {}, [line.split() for line in text.split("\n") if not line.startswith("#")]
    rows.remove(["quorum", "none"])
    for row in filter(None, rows):
        name, digits, blob = row[-1].split("+", 2)
        need(row[:-1] in (["log"], ["maker", "gateway"], ["maker", "recorder"], ["maker", "operator"]) and sound(unbase64(blob)[1:]))
        need(unbase64(blob)[0] == 1 and sha256(f"{name}\n".encode() + unbase64(blob)).hex()[:8] == digits)
        keys[row[-2], f"{name}+{digits}"] = name, unbase64(blob)[1:]
    return need(len({key for _, key in keys.values()}) == len(keys) and any(role == "log" for role, _ in keys)) or keys
canonical = lambda value: json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

def strict(data):  # one object, in the one canonical form of what it says
    def unique(pairs):
        return need(len(dict(pairs)) == len(pairs) and all(key.isascii() for key, _ in pairs)) or dict(pairs)
    whole = lambda digits: need(abs(int(digits)) < 2**53) or int(digits)
    value = json.loads(data.decode(), object_pairs_hook=unique, parse_int=whole, parse_float=need, parse_constant=need)
    return need(canonical(value) == data) or value

fields = lambda value, names: need(value.keys() == {*names.split()}) or value
lines = lambda data: need(data[-1:] in (b"", b"\n") and b"\n\n" not in b"\n" + data) or data.split(b"\n")[:-1]

def envelope(value, kind):  # DSSE v1: payload, what is signed, by whom, signature
    signature, = fields(value, "payload payloadType signatures")["signatures"]
    need(value["payloadType"] == kind)
    payload, sig = unbase64(value["payload"]), unbase64(fields(signature, "keyid sig")["sig"])
    return strict(payload), b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload), signature["keyid"], sig

def unzip(data):  # read, built again, compared
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(again := io.BytesIO(), "w") as new:
        files = {info.filename: old.read(info) for info in old.infolist()}
        for name in sorted(files):
            info = zipfile.ZipInfo(name)
            info.create_system, info.create_version, info.extract_version = 0, 10, 10
            new.writestr(info, files[name]); info.external_attr = 0
    return need(again.getvalue() == data and all(re.fullmatch("[A-Za-z0-9._/-]{1,255}", name) for name in files)) or files

def climb(index, size, value, path):  # RFC 9162, 2.1.3.2
    need(0 <= index < size)
    last = size - 1
    for sibling in map(bytes.fromhex, path):
        need(last)
        turn = index & 1 or index == last
        value = sha256(b"\1" + (sibling + value if turn else value + sibling))
        while turn and not index & 1 and index: index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return need(last == 0) or value

def checks(data, keys, unable):  # yields a check's name before it is made; what raises then is its failure
    yield "container"; files = unzip(data)
    yield "files"; need(list(files) == FILES)
    yield "manifest-envelope"; statement, text, keyid, sig = envelope(strict(files["manifest.dsse.json"]), "application/vnd.in-toto+json")
    p = fields(statement, "_type predicate predicateType subject")["predicate"]
    fields(p, "claims closed container counts log non_claims policies producer run_id spec streams verdicts")
    need(statement | {"predicate": 0, "subject": 0} == {"_type": "https://in-toto.io/Statement/v1", "predicate": 0, "subject": 0,
         "predicateType": "https://clyra.dev/spec/bundle/v1"} and [p["spec"], p["container"]] == ["clyra.dev/spec/bundle/v1", "pef"]
         and re.fullmatch("[0-9a-f]{64}", p["log"]["root"]))
    yield "manifest-signature"; need(signed(keys["recorder", keyid][1], text, sig))
    yield "manifest-subjects"
    found = [(fields(s, "digest name")["name"], fields(s["digest"], "blake3 sha256")) for s in statement["subject"]]
    need([name for name, _ in found] == [name for name in FILES if name != "manifest.dsse.json"])
    for name, hashes in found: need(hashes["sha256"] == sha256(files[name]).hex() and hashes["blake3"] == blake3(files[name]).hex())
    yield "checkpoint-signature"; text, signatures = files["checkpoint"].decode().rsplit("\n\n", 1)
    origin, size, root = text.split("\n")
    need(str(int(size)) == size and len(unbase64(root)) == 32 and signatures[-1:] == "\n")
    blobs = [unbase64(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith(f"— {origin} ")]
    blob, = (blob for blob in blobs if ("log", f"{origin}+{blob[:4].hex()}") in keys)
    need(signed(keys["log", f"{origin}+{blob[:4].hex()}"][1], f"{text}\n".encode(), blob[4:]))
    yield "manifest-log"; need(p["log"] == {"origin": origin, "root": unbase64(root).hex(), "size": int(size)})
    yield "entries-canonical"; entries = list(map(strict, raw := lines(files["entries.jsonl"])))
    for line, e in zip(raw, entries): need(len(line) <= 65535 and formed(e, "common/entry.schema.json"))
    for e in (e for e in entries if e["kind"] == "switch" and "dsse" in e):
        order = envelope(e["dsse"], "application/vnd.clyra.switch+json")[0]
        need(formed(order, "common/switch.schema.json#/$defs/order") and e["cause"] == "asked")
        need(all(order.get(n) == e.get(n) for n in "by class expires id level name reason scope".split()))
    yield "inclusion"; proofs = [need(formed(q, "pef/proof.schema.json")) or q for q in map(strict, lines(files["proofs.jsonl"]))]
    rows = need((places := [q["index"] for q in proofs]) == sorted({*places})) or list(zip(raw, entries, proofs, strict=True))
    for line, e, q in rows:
        need(climb(q["index"], int(size), sha256(b"\0" + line), q["path"]) == unbase64(root))
        need("batch_path" not in q and q["batch"] == q["index"] if e["kind"] == "batch" else "batch_path" in q)
    yield "batch-signature"; heads = {}
    for line, e, q in (row for row in rows if row[1]["kind"] == "batch"):
        head, text, keyid, sig = envelope(e["dsse"], "application/vnd.clyra.batch+json")
        need(signed(keys["gateway", keyid][1], text, sig))
        need([e["maker"], head["gateway"]] == [keyid, keys["gateway", keyid][0]])
        heads[q["index"]] = need(formed(head, "common/batch.schema.json#/$defs/claims")) or head | {"id": keyid, "sha": sha256(line)}
    yield "batch-membership"; covered = [(line, e, q, heads[q["batch"]], e["stream"]) for line, e, q in rows if e["kind"] != "batch"]
    for line, e, q, head, s in covered:
        need(climb(s["seq"] - head["first_seq"], head["count"], sha256(b"\0" + line), q["batch_path"]).hex() == head["root"])
    yield "stream-order"; seen, last = {}, {}
    for _, e, q, head, s in covered:
        need([s["gateway"], s["epoch"], e["maker"]] == [head["gateway"], head["epoch"], head["id"]])
        need(q["index"] == q["batch"] + 1 + s["seq"] - head["first_seq"] and seen.get(s["gateway"], []) < [s["epoch"], s["seq"]])
        seen[s["gateway"]] = [s["epoch"], s["seq"]]
    for _, head in sorted(heads.items()):
        if before := last.get(head["gateway"]):
            gap = head["first_seq"] - before["first_seq"] - before["count"] if head["epoch"] == before["epoch"] else None
            need(head["epoch"] > before["epoch"] if gap is None else gap >= 0 and not before["final"])
            need(head["previous"] == before["sha"].hex() if gap == 0 else head["previous"] != "0" * 64)
        last[head["gateway"]] = head
    yield "run-members"; own = [row for row in covered if row[1].get("run", row[1]).get("run_id") == p["run_id"]]
    first, *_, end = [row[2]["index"] for row in own] * 2
    gateways, before = need(heads.keys() == {row[2]["batch"] for row in covered}) or {row[4]["gateway"] for row in own}, []
    for _, e, q, _, s in (row for row in covered if row[1].get("run", row[1]).get("run_id") != p["run_id"]):
        need(e["kind"] in ("policy", "switch", "gap") and s["gateway"] in gateways and q["index"] < end)
        if q["index"] < first: need(e["kind"] == "policy" and s["gateway"] not in before); before.append(s["gateway"])
    yield "run-complete"; streams = collections.defaultdict(list)
    for _, e, _, _, s in own: streams[s["gateway"], s["epoch"]].append(e)
    for stream in streams.values():
        numbers = [e["run"]["run_seq"] for e in stream if e["kind"] == "receipt"]
        need(stream[0]["kind"] == "run_open" and numbers == list(range(1, len(numbers) + 1)))
        for at, e in enumerate(stream): need("count" not in e or e["count"] == sum("run" in b for b in stream[:at]))
    unable += ["run-complete"] * (not (closed := all(stream[-1]["kind"] == "run_close" for stream in streams.values())))
    yield "outcomes"; pairs = (("intent", "id"), ("outcome", "intent"))
    intents, ends = ([e[name] for e in entries if e.get("phase") == phase] for phase, name in pairs)
    unable += ["outcomes"] * (need(len({*intents}) == len(intents) and len({*ends}) == len(ends)) or {*intents} != {*ends})
    yield "gaps"; unable += ["gaps"] * any(e["kind"] == "gap" for e in entries)
    yield "switches"; operators, stories, turns = [key for key in keys if key[0] == "operator"], {}, {}
    for e in (e for e in entries if e["kind"] == "switch"):
        epoch, gateway, key, held = e["stream"]["epoch"], e["stream"]["gateway"], e.get("dsse", {}).get("signatures", [{}])[0].get("keyid"), turns.get(e["stream"]["gateway"])
        need(not held or held[0] != epoch or held[1] < e["turn"])
        if held and held[1] + 1 != e["turn"]:
            unable += ["switches"] * (held[0] == epoch); stories = {k: v for k, v in stories.items() if k[0] != gateway}
        turns[gateway] = epoch, e["turn"]
        if key and operators:
            if ("operator", key) not in keys: unable += ["switches"]
            else: _, text, _, sig = envelope(e["dsse"], "application/vnd.clyra.switch+json"); need(signed(keys["operator", key][1], text, sig))
        name, at, level = (gateway, *map(e.get, ("scope", "name", "class"))), seconds(e["at"]), LEVELS.index(e["level"])
        if "before" not in e: stories[name] = at, []
        since, raisers = stories.get(name, (at, []))
        if "before" in e and level < LEVELS.index(e["before"]): need(not key or not raisers or {*raisers} - {key, e["by"]} or at - since <= 60)
        elif key or e["cause"] == "asked": raisers.append(key or e["by"])
        if not level: stories.pop(name, None)
    yield "summary"; receipts = [e for e in entries if e["kind"] == "receipt"]
    policies = {e["decision"]["policy"] for e in receipts} | {e["digest"] for e in entries if e["kind"] == "policy"}
    spans = [{"epoch": epoch, "first_seq": own[0]["stream"]["seq"], "gateway": gateway, "last_seq": own[-1]["stream"]["seq"],
              "receipts": sum(e["kind"] == "receipt" for e in own)} for (gateway, epoch), own in sorted(streams.items())]
    verdicts = collections.Counter(e["decision"]["verdict"] for e in receipts if e["phase"] != "outcome")
    need(p["counts"] == collections.Counter(e["kind"] for e in entries) and p["verdicts"] == verdicts and p["streams"] == spans)
    need([p["policies"], p["closed"]] == [sorted(policies), closed])
    need([sha256(canonical(p[name])).hex()[:16] for name in ("claims", "non_claims")] == [CLAIMS[closed], NON_CLAIMS])
    yield "spec-text"; need(sha256(files["SPEC.txt"]).hex() == SPEC)

if __name__ == "__main__":
    unable, name = [], ""
    try: data, keys = open(sys.argv[1], "rb").read(), trust_file(open(sys.argv[2], encoding="utf-8").read())
    except Exception as fault: sys.exit(print(f"bad input: {fault}") or 6)
    try:
        for name in checks(data, keys, unable): pass
    except Exception: sys.exit(print(f"FAIL: {name}") or 2)
    sys.exit(print(f"UNABLE: {unable[0]}") or 3 if unable else print("PASS"))
