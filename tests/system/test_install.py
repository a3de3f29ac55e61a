# SPDX-License-Identifier: ISC
"""What `cmake --install` lays down, and that it can be built upon."""
import os
import re
import shutil
import stat
import subprocess

from lab import BUILD, Lab, Skip
from lab.core import REPO

PROGRAMS = ("renewd", "renewctl", "renewd-engine", "renewd-worker")


def cached(name):
    """A variable of the build's configuration."""
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if re.match(rf"{name}:\w+=", line):
            return line.split("=", 1)[1]
    raise AssertionError(f"{name} is not in CMakeCache.txt")


class Tree:
    """The build, installed below a folder of its own."""

    def __init__(self, lab):
        self.root = lab.dir / "root"
        lab.run(["cmake", "--install", BUILD], env=dict(os.environ, DESTDIR=str(self.root)))
        self.prefix = cached("CMAKE_INSTALL_PREFIX")
        self.lib = f"{self.prefix}/{cached('CMAKE_INSTALL_LIBDIR')}"

    def path(self, installed):
        return self.root / installed.lstrip("/")

    def files(self):
        return {"/" + str(p.relative_to(self.root)) for p in self.root.rglob("*") if not p.is_dir()}


def expected(tree):
    """Path -> mode."""
    p, lib = tree.prefix, tree.lib
    programs = [f"{p}/sbin/renewd", f"{p}/bin/renewctl", f"{p}/libexec/renewd/renewd-engine",
                f"{p}/libexec/renewd/renewd-worker"]
    plugins = [f"{lib}/renewd/plugins/{name}.so" for name in ("cloudflare", "rfc2136")]
    data = [f"{p}/include/renewd/plugin.h", f"{p}/include/renewd/helpers.h", f"{lib}/pkgconfig/renewd-plugin.pc",
            f"{lib}/cmake/RenewdPlugin/RenewdPluginConfig.cmake",
            f"{lib}/cmake/RenewdPlugin/RenewdPluginConfigVersion.cmake",
            f"{p}/share/man/man8/renewd.8", f"{p}/share/man/man1/renewctl.1", f"{p}/share/man/man5/renewd.yaml.5",
            f"{p}/share/man/man3/renewd-plugin.3", f"{p}/share/renewd/renewd.schema.json",
            f"{p}/share/bash-completion/completions/renewctl", "/etc/renewd/renewd.yaml.example",
            f"{p}/lib/systemd/system/renewd.service", f"{p}/lib/sysusers.d/renewd.conf", f"{p}/lib/tmpfiles.d/renewd.conf"]
    return {**{f: {0o755} for f in programs}, **{f: {0o755, 0o644} for f in plugins}, **{f: {0o644} for f in data}}


def test_files_and_modes():
    with Lab("install") as lab:
        tree = Tree(lab)
        want, have = expected(tree), tree.files()
        assert not want.keys() - have, f"missing: {sorted(want.keys() - have)}"
        assert not have - want.keys(), f"not expected: {sorted(have - want.keys())}"
        for name, modes in want.items():
            st = tree.path(name).lstat()
            assert stat.S_ISREG(st.st_mode) and stat.S_IMODE(st.st_mode) in modes, (name, oct(st.st_mode))
            assert (st.st_uid, st.st_gid) == (os.geteuid(), os.getegid()), name
        for folder in tree.root.rglob("*"):
            assert not folder.is_dir() or stat.S_IMODE(folder.stat().st_mode) & 0o022 == 0, folder


def describe(tree, plugin):
    """Let the installed worker load the plugin in its sandbox; what it answers."""
    worker = tree.path(f"{tree.prefix}/libexec/renewd/renewd-worker")
    r = subprocess.run(["sh", "-c", 'exec "$0" --describe "$1" 3>&1', worker, plugin], timeout=30, capture_output=True)
    assert r.returncode == 0, (r.returncode, r.stderr, r.stdout)
    return r.stdout


def test_installed_plugins_load():
    with Lab("install-load") as lab:
        tree = Tree(lab)
        for name in ("cloudflare", "rfc2136"):
            assert name.encode() in describe(tree, tree.path(f"{tree.lib}/renewd/plugins/{name}.so"))


def example(mark):
    text = (REPO / "man" / "renewd-plugin.3").read_text()
    body = re.search(r'^\.\\" example ' + mark + r'\n\.Bd -literal.*\n((?:.*\n)*?)\.Ed$', text, re.M).group(1)
    return body.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")


def source_folder(lab, name):
    folder = lab.dir / name
    folder.mkdir()
    (folder / "example.c").write_text(example("plugin"))
    return folder


def test_plugin_with_make_and_pkg_config():
    """The manual's plugin, by the manual's Makefile, against what was installed."""
    if not shutil.which("make"):
        raise Skip("make is not installed")
    with Lab("install-make") as lab:
        tree = Tree(lab)
        folder = source_folder(lab, "make")
        (folder / "Makefile").write_text("CFLAGS += -Wall -Wextra -Werror\n" + example("make"))
        env = dict(os.environ, PKG_CONFIG_PATH=str(tree.path(f"{tree.lib}/pkgconfig")),
                   PKG_CONFIG_SYSROOT_DIR=str(tree.root))
        lab.run(["make", "-C", folder, "example.so"], env=env)
        assert b"Example DNS" in describe(tree, folder / "example.so")
        variable = lab.run(["pkg-config", "--variable=plugindir", "renewd-plugin"], env=env).stdout.strip()
        assert variable.endswith("/renewd/plugins"), variable
        assert lab.run(["pkg-config", "--variable=abi", "renewd-plugin"], env=env).stdout.strip() == "0"


def test_plugin_with_compiler_and_pkg_config():
    """One command, as a newcomer would type it, as C and as C++."""
    with Lab("install-cc") as lab:
        tree = Tree(lab)
        folder = source_folder(lab, "cc")
        env = dict(os.environ, PKG_CONFIG_PATH=str(tree.path(f"{tree.lib}/pkgconfig")),
                   PKG_CONFIG_SYSROOT_DIR=str(tree.root))
        flags = lab.run(["pkg-config", "--cflags", "renewd-plugin"], env=env).stdout.split()
        lab.run(["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-z,defs", *flags,
                 "-o", folder / "example.so", folder / "example.c"])
        assert b"Example DNS" in describe(tree, folder / "example.so")
        symbols = lab.run(["nm", "-D", "--undefined-only", folder / "example.so"]).stdout
        assert "renewd" not in symbols, symbols


def test_plugin_with_cmake():
    with Lab("install-cmake") as lab:
        tree = Tree(lab)
        folder = source_folder(lab, "cmake")
        (folder / "CMakeLists.txt").write_text(example("cmake"))
        lab.run(["cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build",
                 f"-DRenewdPlugin_DIR={tree.path(tree.lib + '/cmake/RenewdPlugin')}"])
        lab.run(["cmake", "--build", folder / "build"])
        assert b"Example DNS" in describe(tree, folder / "build" / "example.so")
        lab.run(["cmake", "--install", folder / "build"])
        assert tree.path(f"{tree.lib}/renewd/plugins/example.so").exists()


def elf(lab, path):
    return lab.run(["readelf", "-W", "-h", "-l", "-d", "--dyn-syms", path]).stdout


def test_binaries_are_hardened():
    with Lab("install-elf") as lab:
        tree = Tree(lab)
        for name in expected(tree):
            path = tree.path(name)
            if not re.search(r"/(s?bin|libexec/renewd)/|\.so$", name):
                continue
            text = elf(lab, path)
            assert re.search(r"Type:\s+DYN", text), f"{name}: no position-independent code"
            assert path.name not in PROGRAMS or re.search(r"FLAGS_1.*\bPIE\b", text), f"{name}: no PIE"
            assert "GNU_RELRO" in text and re.search(r"FLAGS(_1)?\).*\b(NOW|BIND_NOW)\b", text), f"{name}: no full RELRO"
            assert re.search(r"GNU_STACK(\s+0x\w+)+\s+RW\s", text), f"{name}: executable stack"
            assert "TEXTREL" not in text and "RPATH" not in text and "RUNPATH" not in text, name
            assert "__stack_chk_fail" in text, f"{name}: no stack protector"
            if path.name in PROGRAMS:
                assert re.search(r"__\w+_chk@", text), f"{name}: no fortified function"


def libraries(lab, path):
    return set(re.findall(r"^\s*lib([\w+-]+?)[-.\d]*\.so", lab.run(["ldd", path]).stdout, re.M))


def test_each_program_links_what_it_may():
    never = {"renewd": {"curl", "cares", "sqlite"}, "renewctl": {"curl", "cares", "sqlite", "event_core", "yaml", "crypto"},
             "renewd-engine": {"yaml"}, "renewd-worker": {"curl", "cares", "event_core", "event", "sqlite", "yaml"}}
    some = {"renewd": "yaml", "renewd-engine": "curl", "renewd-worker": "crypto", "renewctl": "cjson"}
    with Lab("install-links") as lab:
        for name in PROGRAMS:
            have = libraries(lab, BUILD / "bin" / name)
            assert some[name] in have, f"{name}: {have}: is this test blind?"
            assert not have & never[name], f"{name} links {have & never[name]}"
        for plugin in ("cloudflare", "rfc2136"):
            assert libraries(lab, BUILD / "plugins" / f"{plugin}.so") <= {"c"}, plugin


def unit_file(lab, tree):
    """The installed unit, with programs that are really there."""
    text = tree.path(f"{tree.prefix}/lib/systemd/system/renewd.service").read_text()
    assert "@CMAKE" not in text
    for folder, name in (("sbin", "renewd"), ("bin", "renewctl")):
        assert f"={tree.prefix}/{folder}/{name} " in text, name
        text = text.replace(f"{tree.prefix}/{folder}/{name}", str(tree.path(f"{tree.prefix}/{folder}/{name}")))
    path = lab.dir / "renewd.service"
    path.write_text(text)
    return path


def test_unit():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    with Lab("install-unit") as lab:
        path = unit_file(lab, Tree(lab))
        r = lab.run(["systemd-analyze", "verify", "--man=no", path], check=False)
        said = [line for line in r.stdout.splitlines() if "renewd" in line]
        assert r.returncode == 0 and not said, r.stdout
        r = lab.run(["systemd-analyze", "security", "--offline=true", "--threshold=31", path], check=False)
        assert r.returncode == 0, r.stdout[-300:]
        text = path.read_text()
        for needed in ("Type=notify", "WatchdogSec=", "seccomp", "landlock_restrict_self"):
            assert needed in text, needed
        assert not re.search(r"^NoNewPrivileges=(yes|true)", text, re.M), "commands of deployments may need privileges"


def test_users_and_folders():
    if not shutil.which("systemd-sysusers"):
        raise Skip("systemd-sysusers is not installed")
    with Lab("install-users") as lab:
        tree = Tree(lab)
        lab.run(["systemd-sysusers", f"--root={tree.root}"])
        users = (tree.root / "etc" / "passwd").read_text()
        assert re.search(r"^renewd:.*nologin$", users, re.M) and re.search(r"^renewd-worker:.*nologin$", users, re.M), users
        for line in tree.path(f"{tree.prefix}/lib/tmpfiles.d/renewd.conf").read_text().splitlines():
            assert line.startswith("#") or re.match(r"d /(run|var/lib)/renewd +0755 root root -$", line), line


def allowed_calls(lab, unit):
    """The unit's SystemCallFilter= written out."""
    groups, name = {}, None
    for line in lab.run(["systemd-analyze", "syscall-filter"]).stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif name and line.startswith(" ") and not line.strip().startswith("#"):
            groups[name].append(line.strip())

    def expand(word):
        if not word.startswith("@"):
            return {word}
        return set().union(*map(expand, groups[word]))

    calls = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        taken = set().union(*map(expand, words.lstrip("~").split()))
        calls = calls - taken if words.startswith("~") else calls | taken
    return calls


def test_unit_allows_what_is_called():
    """From the start over an order, a copied file and a check to the end, under strace: each system call that
    did something passes the unit's filters."""
    from lab import World
    from lab.core import tool
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    with Lab("install-calls") as lab:
        unit = unit_file(lab, Tree(lab)).read_text()
        allowed = allowed_calls(lab, unit)
        assert {"read", "openat", "seccomp", "landlock_restrict_self"} <= allowed and "unshare" not in allowed
        world, trace = World(lab, {}), lab.dir / "trace"
        daemon = world.daemon("  - {names: [www.example.test], key: rsa-2048, deploy: [{file: %s/copy.pem}]}" % lab.dir,
                              wrap=[tool("strace"), "-D", "-f", "-qq", "-o", trace])
        daemon.wait_state("ok", seconds=120)
        daemon.ctl("reload")
        daemon.stop()
        called, families = set(), set()
        for line in trace.read_text(errors="replace").splitlines():
            call = re.match(r"\d+ +(\w+)\((.*)", line)
            if not call or "ENOSYS" in line or call.group(1) == "execve":
                continue
            called.add(call.group(1))
            if call.group(1) == "socket":
                families.add(call.group(2).split(",")[0])
            if call.group(1) in ("mmap", "mprotect"):
                wx = "PROT_WRITE" in line and "PROT_EXEC" in line
                assert not wx and not (call.group(1) == "mprotect" and "PROT_EXEC" in line), f"MemoryDenyWriteExecute: {line}"
        assert len(called) > 50 and {"seccomp", "socket", "fsync", "timerfd_create"} <= called, called
        assert not called - allowed, f"the unit forbids {sorted(called - allowed)}"
        family = re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.M).group(1).split()
        assert families <= set(family), families
