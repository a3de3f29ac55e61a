#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Find the tests, run them, count them. tests/run is the way to call this.

Kinds: unit programs (ctest knows them), fuzzers over their corpora, lint scripts (tests/lint/*), system
tests (functions test_* of tests/system/test_*.py, each in a process of its own) and the short benchmark.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parent
REPO = TESTS.parent
BUILD = REPO / "build"
SKIPPED = 77
ASAN_ENV = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


class Test:
    def __init__(self, part, name, argv, limit=120, env=None, parallel=True, cwd=REPO):
        self.part, self.name, self.argv, self.limit = part, name, argv, limit
        self.env, self.parallel, self.cwd = env or {}, parallel, cwd

    @property
    def full(self):
        return f"{self.part}/{self.name}"

    def run(self):
        """(outcome, seconds, output)"""
        begin = time.monotonic()
        p = subprocess.Popen([str(a) for a in self.argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, env=dict(os.environ, **self.env), cwd=self.cwd,
                             start_new_session=True)
        try:
            out, _ = p.communicate(timeout=self.limit)
            code = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, _ = p.communicate()
            out += f"\nkilled after {self.limit} s\n".encode()
            code = -1
        outcome = {0: "passed", SKIPPED: "skipped"}.get(code, "failed")
        if outcome == "failed" and code not in (1, -1):
            out += f"\nexit {code}\n".encode()
        return outcome, time.monotonic() - begin, out.decode(errors="replace")


def unit_tests(build, part, env=None):
    folder = BUILD / build
    if not (folder / "CTestTestfile.cmake").exists():
        return
    listing = json.loads(subprocess.run(["ctest", "--show-only=json-v1"], cwd=folder, check=True,
                                        stdout=subprocess.PIPE).stdout)
    for t in listing["tests"]:
        if "command" not in t or (build == "fuzz" and not t["name"].startswith("fuzz/")):
            continue
        props = {p["name"]: p["value"] for p in t.get("properties", [])}
        extra = dict(e.split("=", 1) for e in props.get("ENVIRONMENT", []))
        limit = int(float(props.get("TIMEOUT", 120))) * (3 if env else 1)
        name = t["name"].removeprefix("unit/")
        kind = "fuzz" if name.startswith("fuzz/") else part
        yield Test(kind, f"{name.removeprefix('fuzz/')} [{build}]", t["command"], limit, {**(env or {}), **extra},
                   parallel="RUN_SERIAL" not in props, cwd=props.get("WORKING_DIRECTORY", folder))


def lint_tests():
    for path in sorted((TESTS / "lint").iterdir()):
        if os.access(path, os.X_OK) and path.is_file():
            yield Test("lint", path.stem, [path], 300)


def system_tests():
    for path in sorted((TESTS / "system").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(TESTS / "system"))
        spec.loader.exec_module(module)
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function) and function.__module__ == path.stem:
                limit = getattr(function, "limit", 180)
                build = getattr(function, "build", "gcc")
                builds = [build] if isinstance(build, str) else build
                for b in builds:
                    env = {"RENEWD_BUILD": str(BUILD / b), **(ASAN_ENV if b == "asan" else {})}
                    suffix = "" if b == "gcc" else f" [{b}]"
                    yield Test("system", f"{path.stem[5:]}.{name[5:]}{suffix}",
                               [sys.executable, __file__, "--one", path, name], limit * (2 if b == "asan" else 1), env,
                               parallel=not getattr(function, "alone", False))


def bench_tests():
    path = TESTS / "bench" / "run"
    if path.exists():
        yield Test("bench", "short", [path, "--short"], 600, parallel=False)


def all_tests():
    yield from unit_tests("gcc", "unit")
    yield from unit_tests("clang", "unit")
    yield from unit_tests("asan", "asan", ASAN_ENV)
    yield from unit_tests("fuzz", "fuzz", ASAN_ENV)
    yield from lint_tests()
    yield from system_tests()
    yield from bench_tests()


def run_one(path, name):
    """In the process of one system test."""
    sys.path.insert(0, str(TESTS / "system"))
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from lab import Skip
    try:
        getattr(module, name)()
    except Skip as s:
        print(f"skipped: {s}")
        return SKIPPED
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def report(test, result, verbose):
    outcome, seconds, out = result
    print(f"{outcome:8}{test.full}  ({seconds:.1f} s)", flush=True)
    if outcome == "failed" or (verbose and out.strip()):
        print("    " + "\n    ".join(out.rstrip().splitlines()[-200:]), flush=True)
    elif outcome == "skipped" and out.strip():
        print("    " + out.strip().splitlines()[-1], flush=True)
    elif test.part == "bench":
        print("    " + "\n    ".join(out.rstrip().splitlines()), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--one", nargs=2)
    parser.add_argument("--jobs", type=int, default=max(2, (os.cpu_count() or 2)))
    parser.add_argument("what", nargs="*")
    args = parser.parse_args()
    if args.one:
        return run_one(*args.one)

    parts = {"unit", "asan", "fuzz", "lint", "system", "bench"}
    tests = [t for t in all_tests()
             if not args.what or any(t.part == w if w in parts else w in t.full for w in args.what)]
    if args.list:
        print("\n".join(t.full for t in tests))
        return 0
    if not tests:
        print(f"no test is called {' '.join(args.what)}; tests/run -l lists them", file=sys.stderr)
        return 2

    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed = []

    def finish(test, result):
        counts[result[0]] += 1
        if result[0] == "failed":
            failed.append(test.full)
        report(test, result, args.verbose)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = {pool.submit(t.run): t for t in tests if t.parallel}
        for f in concurrent.futures.as_completed(futures):
            finish(futures[f], f.result())
    for t in tests:
        if not t.parallel:
            finish(t, t.run())
    if failed:
        print("\nfailed:\n  " + "\n  ".join(failed))
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
