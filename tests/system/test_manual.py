# SPDX-License-Identifier: ISC
"""What the manual shows is what the programs take."""
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
    return [(name, body.replace("\\e", "\\")) for name, body in found]


def make_folder(lab, name):
    """A folder with every file that the examples name."""
    folder = lab.dir / name
    folder.mkdir()
    for secret in ("cloudflare.token", "tsig.secret", "cloudflare"):
        (folder / secret).write_text(SECRET + "\n")
        os.chmod(folder / secret, 0o600)
    lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=root", "-keyout", "/dev/null",
             "-out", folder / "corp-root.pem"])
    tools = folder / "bin"
    tools.mkdir()
    (tools / "pass").write_text(f"#!/bin/sh\necho {SECRET}\n")
    os.chmod(tools / "pass", 0o755)
    return folder


def check(folder, text):
    file = folder / "renewd.yaml"
    file.write_text(text)
    os.chmod(file, 0o600)
    env = dict(os.environ, CF_TOKEN="token", CREDENTIALS_DIRECTORY=str(folder), PATH=f"{folder}/bin:{os.environ['PATH']}")
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
