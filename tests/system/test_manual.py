# SPDX-License-Identifier: ISC
"""What the manual shows is what the programs take."""
import json
import os
import re
import shutil
import subprocess

from lab import BUILD, Lab, Skip
from lab.core import REPO

PAGE = REPO / "man" / "renewd.yaml.5"
DATA = REPO / "tests" / "system" / "data" / "yaml5"
SECRET = "c2VjcmV0IG9mIHRoZSBtYW51YWwsIGNoYW5nZSBpdCE="


def displays(mark):
    """(name, text) of each literal display whose line before is the comment `mark NAME`."""
    text = PAGE.read_text()
    found = re.findall(r'^\.\\" ' + mark + r' ?(\S*)\n\.Bd -literal.*\n((?:.*\n)*?)\.Ed$', text, re.M)
    return [(name, body.replace("\\e", "\\").replace("\\(:u", "\u00fc")) for name, body in found]


def make_folder(lab, name):
    """A folder with every file that the examples name."""
    folder = lab.dir / name
    folder.mkdir()
    for secret in ("cloudflare.token", "tsig.secret", "cloudflare", "corp.eab", "pfx.password", "sslcom-eab"):
        (folder / secret).write_text(SECRET + "\n")
        os.chmod(folder / secret, 0o600)
    lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=root", "-keyout", "/dev/null",
             "-out", folder / "corp-root.pem"])
    lab.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=legacy.example.net", "-addext",
             "subjectAltName=DNS:legacy.example.net", "-keyout", "/dev/null", "-out", folder / "legacy.csr"])
    tools = folder / "bin"
    tools.mkdir()
    (tools / "pass").write_text(f"#!/bin/sh\necho {SECRET}\n")
    os.chmod(tools / "pass", 0o755)
    return folder


def check(folder, text):
    file = folder / "renewd.yaml"
    file.write_text(text)
    os.chmod(file, 0o600)
    env = dict(os.environ, CF_TOKEN="token", EAB_KEY=SECRET, CREDENTIALS_DIRECTORY=str(folder),
               PATH=f"{folder}/bin:{os.environ['PATH']}")
    return subprocess.run([BUILD / "bin" / "renewd", "-t", "-c", file], env=env, capture_output=True, text=True, timeout=60)


def test_examples_are_accepted():
    """Without a complaint but for users that this machine lacks."""
    with Lab("manual") as lab:
        examples = displays("example")
        assert len(examples) >= 10, [name for name, _ in examples]
        for name, text in examples:
            r = check(make_folder(lab, name), text)
            odd = [line for line in r.stderr.splitlines() if "there is no user" not in line]
            assert r.returncode == 0 and not odd, f"{name}: exit {r.returncode}\n{r.stderr}"


def test_examples_are_checked_at_all():
    """The same examples with one letter wrong are refused: the test above can fail."""
    with Lab("manual-bad") as lab:
        for name, text in displays("example"):
            key = re.search(r"^(\w+):", text, re.M).group(1)
            r = check(make_folder(lab, name), text.replace(f"{key}:", f"{key}x:", 1))
            assert r.returncode == 2 and f"{key}x" in r.stderr, (name, r.stderr)


class Coverage:
    """Which keys of the JSON Schema a document has, each with the table that it is of."""

    def __init__(self, schema):
        self.schema, self.seen = schema, set()

    def tables(self, schema=None, name="top level"):
        """(table, key) of everything that can be written."""
        schema = self.schema if schema is None else schema
        if isinstance(schema, list):
            return set().union(*(self.tables(s, name) for s in schema)) if schema else set()
        if not isinstance(schema, dict):
            return set()
        found = {(name, key) for key in schema.get("properties", {})}
        for key, value in schema.get("properties", {}).items():
            found |= self.tables(value, f"{name}.{key}")
        for key in ("anyOf", "oneOf", "items", "additionalProperties"):
            found |= self.tables(schema.get(key) or [], name)
        for key, value in schema.get("$defs", {}).items():
            found |= self.tables(value, key)
        return found

    def walk(self, value, schema=None, name="top level"):
        schema = self.schema if schema is None else schema
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return self.walk(value, self.schema["$defs"][name], name)
        for other in schema.get("anyOf", []) + schema.get("oneOf", []):
            if not isinstance(value, dict) or set(other.get("required", [])) <= set(value):
                self.walk(value, other, name)
        if isinstance(value, list) and "items" in schema:
            for item in value:
                self.walk(item, schema["items"], name)
        if isinstance(value, dict) and set(schema.get("required", [])) <= set(value):
            properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
            for key, item in value.items():
                if key in properties:
                    self.seen.add((name, key))
                    self.walk(item, properties[key], f"{name}.{key}")
                elif isinstance(rest, dict):
                    self.walk(item, rest, name)


def test_every_option_has_an_example():
    """The examples are those that test_examples_are_accepted loads."""
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed") from None
    schema = json.loads((BUILD / "config" / "renewd.schema.json").read_text())
    coverage = Coverage(schema)
    for _, text in displays("example"):
        coverage.walk(yaml.safe_load(text))
    options = coverage.tables()
    assert len(options) > 90 and ("http01", "webroot") in options, options
    assert ("certificate", "challenge") in coverage.seen and ("certificate.profile", "on_missing") in coverage.seen
    # what defaults may hold is what a certificate may hold, and is shown there
    missing = {(t, k) for t, k in options - coverage.seen if t.split(".")[0] != "defaults"}
    assert not missing, sorted(missing)


def test_schema_accepts_the_examples():
    """And refuses what renewd -t refuses: a misspelt key, a word that is no choice."""
    try:
        import jsonschema
        import yaml
    except ImportError:
        raise Skip("python3-jsonschema or python3-yaml is not installed") from None
    schema = jsonschema.Draft202012Validator(json.loads((BUILD / "config" / "renewd.schema.json").read_text()))
    for name, text in displays("example"):
        errors = [f"{name}: {list(e.absolute_path)}: {e.message[:200]}" for e in schema.iter_errors(yaml.safe_load(text))]
        assert not errors, errors
    for text in ("certificats: []", "certificates: [{names: [a.org], challenge: http-1}]",
                 "cas: {a: {limits: {orders: 5}}}", "deployments: {a: [{file: /x, content: [pkcs11]}]}",
                 "certificates: [{names: [a.org], http01: {root: /x}}]"):
        assert not schema.is_valid(yaml.safe_load(text)), text


def test_examples_as_files():
    """tests/system/data/yaml5 has each example for other tests and for editors' schemas."""
    examples = dict(displays("example"))
    if os.environ.get("UPDATE_EXAMPLES"):
        for name, text in examples.items():
            (DATA / f"{name}.yaml").write_text(text)
    files = {path.stem: path.read_text() for path in DATA.glob("*.yaml")}
    differ = [name for name in examples.keys() | files.keys() if examples.get(name) != files.get(name)]
    assert not differ, f"{sorted(differ)}: run again with UPDATE_EXAMPLES=1"


def test_bind_example():
    checker = shutil.which("named-checkconf", path="/usr/bin:/usr/sbin:" + os.environ["PATH"])
    if not checker:
        raise Skip("named-checkconf is not installed")
    with Lab("manual-bind") as lab:
        (_, text), = displays("bind")
        file = lab.dir / "named.conf"
        file.write_text(text)
        lab.run([checker, file])


def test_knot_example():
    checker = shutil.which("knotc", path="/usr/bin:/usr/sbin:" + os.environ["PATH"])
    if not checker:
        raise Skip("knotc is not installed")
    with Lab("manual-knot") as lab:
        (_, text), = displays("knot")
        file = lab.dir / "knot.conf"
        file.write_text(text)
        lab.run([checker, "-c", file, "conf-check"])


def test_readme_example():
    with Lab("readme") as lab:
        text, = re.findall(r"^```yaml\n(.*?)^```$", (REPO / "README.md").read_text(), re.M | re.S)
        r = check(make_folder(lab, "readme"), text)
        assert r.returncode == 0, r.stderr


def test_readme_points_to_what_is_there():
    text = (REPO / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r"(?:\./|\s)((?:contrib|tests)/[\w/-]+)", text)
    assert len(targets) > 8, targets
    missing = [t for t in targets if "://" not in t and not (REPO / t).exists()]
    assert not missing, missing
