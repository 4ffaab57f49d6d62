#!/usr/bin/env python3
"""Has tools of other people check our evidence: every vector, and any bundle that is named.

    run.py [BUNDLE TRUST]…

    spec/examples/verify.py   every vector has the outcome that the index says, named bundles pass
    rfc8785                   canonical bytes of every entry, proof, key line, manifest, payload
    jsonschema                every document against spec/schema (2020-12), as whole documents and not as samples
    securesystemslib          manifest and every batch header as DSSE; another payload is refused
    in-toto-attestation       the manifest's payload as a Statement v1
    @sigstore/verify          the manifest's envelope as a Sigstore bundle; needs node and npm, says so where they are missing

The tools are installed once, into a folder of the user's cache. It judges no policy and opens no log.
"""
import base64
import concurrent.futures
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.normpath(os.path.join(HERE, "../../spec"))
VECTORS = os.path.join(SPEC, "vectors")
SCHEMAS = "https://clyra.dev/spec/schema/"
counted = {}


def main():
    named = list(zip(sys.argv[1::2], sys.argv[2::2]))
    tools = node_tools()
    if not tools:
        print("not run: @sigstore/verify, since there is no node or no npm")
    stdlib_verifier(named)
    trust = os.path.join(VECTORS, "trust.txt")
    good = [(os.path.join(VECTORS, row["file"]), trust) for row in index() if row["outcome"] != "fail"]
    for bundle, trust in good + named:
        files = open_bundle(bundle)
        keys = trusted(trust)
        canonical(files)
        schemas(files)
        envelopes(files, keys)
        if tools:
            sigstore(files["manifest.dsse.json"], keys, tools)
    refusals()
    for what, times in counted.items():
        print(f"ok   {what:46} {times:6}")


def index():
    with open(os.path.join(VECTORS, "index.json"), encoding="utf-8") as file:
        return json.load(file)


def stdlib_verifier(named):
    trust = os.path.join(VECTORS, "trust.txt")
    rows = [(os.path.join(VECTORS, row["file"]), trust, row["outcome"], row["check"]) for row in index()]
    rows += [(*pair, "pass", None) for pair in named]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (bundle, _, outcome, check), ran in zip(rows, pool.map(verified, rows)):
            expected = outcome.upper() + (f": {check}" if check else "")
            must(ran.stdout.strip() == expected, f"{bundle}: {ran.stdout}{ran.stderr}, expected {expected}")
            must(ran.returncode == {"pass": 0, "fail": 2, "unable": 3}[outcome], f"{bundle}: exit {ran.returncode}")
            count("verify.py, outcomes as the index says")


def verified(row):
    verify = [sys.executable, os.path.join(SPEC, "examples/verify.py"), *row[:2]]
    return subprocess.run(verify, capture_output=True, text=True)


def open_bundle(path):
    with zipfile.ZipFile(path) as container:
        return {name: container.read(name) for name in container.namelist()}


def lines(files, name):
    return files[name].splitlines()


def trusted(path):
    """Key id -> public key, 32 bytes."""
    keys = {}
    with open(path, encoding="utf-8") as file:
        for words in map(str.split, file):
            if words and words[0] in ("log", "maker"):
                name, digits, blob = words[-1].split("+", 2)
                keys[f"{name}+{digits}"] = base64.b64decode(blob)[1:]
    return keys


def dsse(files):
    """Every envelope of a bundle, with the schema of its payload."""
    found = [(json.loads(files["manifest.dsse.json"]), "pef/manifest.schema.json")]
    for entry in map(json.loads, lines(files, "entries.jsonl")):
        if entry["kind"] == "batch":
            found.append((entry["dsse"], "common/batch.schema.json#/$defs/claims"))
    return found


def documents(files):
    """Every JSON text of a bundle: its bytes and its schema."""
    found = [(files["manifest.dsse.json"], "pef/envelope.schema.json")]
    for name, schema in ("entries", "common/entry"), ("proofs", "pef/proof"), ("keys", "pef/key"):
        found += [(line, f"{schema}.schema.json") for line in lines(files, f"{name}.jsonl")]
    return found + [(base64.b64decode(envelope["payload"]), schema) for envelope, schema in dsse(files)]


def canonical(files):
    import rfc8785

    for text, _ in documents(files):
        must(rfc8785.dumps(json.loads(text)) == text, f"not canonical: {text[:200]!r}")
        count("rfc8785, documents in canonical form")


def validator(schema):
    import jsonschema
    import referencing

    resources = []
    for folder, _, names in os.walk(os.path.join(SPEC, "schema")):
        for name in sorted(names):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                content = json.load(file)
            jsonschema.Draft202012Validator.check_schema(content)
            resources.append((content["$id"], referencing.Resource.from_contents(content)))
    registry = referencing.Registry().with_resources(resources)
    return jsonschema.Draft202012Validator({"$ref": SCHEMAS + schema}, registry=registry)


validators = {}


def faults(text, schema):
    if schema not in validators:
        validators[schema] = validator(schema)
    return [f"{fault.json_path}: {fault.message}" for fault in validators[schema].iter_errors(json.loads(text))]


def schemas(files):
    for text, schema in documents(files):
        found = faults(text, schema)
        must(not found, f"{schema}: {found} in {text[:300]!r}")
        count("jsonschema, documents of their schema")


def refusals():
    """The schemas do refuse: an unknown kind, and each document with one field more or one field less."""
    files = open_bundle(os.path.join(VECTORS, "good/closed.pef.zip"))
    bad = open_bundle(os.path.join(VECTORS, "bad/entry-kind.pef.zip"))
    must(any(faults(line, "common/entry.schema.json") for line in lines(bad, "entries.jsonl")), "unknown kind")
    for text, schema in documents(files):
        whole = json.loads(text)
        less = [{k: v for k, v in whole.items() if k != gone} for gone in whole if gone not in OPTIONAL]
        for changed in [{**whole, "more": 1}, *less]:
            must(faults(json.dumps(changed), schema), f"{schema} takes {changed}")
            count("jsonschema, changed documents refused")


OPTIONAL = ("outcome", "run", "batch_path")


def envelopes(files, keys):
    from google.protobuf.json_format import Parse
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    for told, _ in dsse(files):
        keyid = told["signatures"][0]["keyid"]
        key = SSlibKey(keyid, "ed25519", "ed25519", {"public": keys[keyid].hex()})
        Envelope.from_dict(json.loads(json.dumps(told))).verify([key], 1)
        payload = bytearray(base64.b64decode(told["payload"]))
        payload[-2] ^= 1
        other = {**told, "payload": base64.b64encode(payload).decode()}
        try:
            Envelope.from_dict(other).verify([key], 1)
        except VerificationError:
            count("securesystemslib, envelopes verified")
        else:
            must(False, "securesystemslib verified another payload")
    payload = base64.b64decode(json.loads(files["manifest.dsse.json"])["payload"])
    statement = Statement.copy_from_pb(Parse(payload, statement_pb2.Statement()))
    statement.validate()
    for subject in statement.pb.subject:
        must(hashlib.sha256(files[subject.name]).hexdigest() == subject.digest["sha256"], subject.name)
    count("in-toto-attestation, statements valid")


def sigstore(envelope, keys, tools):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(keys[json.loads(envelope)["signatures"][0]["keyid"]])
    with tempfile.TemporaryDirectory(prefix="clyra-foreign-") as work:
        paths = [os.path.join(work, "envelope.json"), os.path.join(work, "key.pem")]
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for path, content in zip(paths, (envelope, pem)):
            with open(path, "wb") as file:
                file.write(content)
        ran = subprocess.run(["node", os.path.join(tools, "sigstore.mjs"), *paths], capture_output=True, text=True)
    must(ran.returncode == 0, f"@sigstore/verify: {ran.stderr}")
    count("@sigstore/verify, envelopes verified")


def node_tools():
    """Folder with @sigstore/verify and our script beside it; none where node or npm is missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    inputs = [os.path.join(HERE, name) for name in ("package.json", "sigstore.mjs")]
    folder, fresh = cached("node", inputs)
    with fresh:
        if not os.path.exists(os.path.join(folder, "done")):
            for path in inputs:
                shutil.copy(path, folder)
            install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
            subprocess.run(install, cwd=folder, check=True)
            open(os.path.join(folder, "done"), "w").close()
    return folder


def python_tools():
    """The python of a folder with what requirements.txt names."""
    inputs = [os.path.join(HERE, "requirements.txt")]
    folder, fresh = cached("python", inputs)
    python = os.path.join(folder, "bin/python3")
    with fresh:
        if not os.path.exists(os.path.join(folder, "done")):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", inputs[0]]
            subprocess.run(pip, check=True)
            open(os.path.join(folder, "done"), "w").close()
    return python


def cached(kind, inputs):
    """A folder that is made anew when its inputs change, and a lock on it."""
    digest = hashlib.sha256()
    for path in inputs:
        with open(path, "rb") as file:
            digest.update(file.read())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "clyra", f"foreign-{kind}-{digest.hexdigest()[:12]}")
    os.makedirs(folder, exist_ok=True)
    lock = open(folder + ".lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def count(what):
    counted[what] = counted.get(what, 0) + 1


def must(holds, what):
    if not holds:
        sys.exit(f"BAD  {what}")


if __name__ == "__main__":
    python = python_tools()
    if os.path.realpath(sys.prefix) == os.path.realpath(os.path.dirname(os.path.dirname(python))):
        main()
    else:
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
