"""The cache of compiled code: shared, damaged, missing, foreign; and the process that fills it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.run.misdeeds import alive, eventually
from tests.search.networks import compiled_search
from verify.core import child
from verify.native import machine


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this machine's cache file (compiled now if need be)."""
    compiled_search()
    directory = machine.cache_directory()
    assert directory is not None
    data = machine.read_object(directory)
    assert data is not None
    file = tmp_path_factory.mktemp("stock") / "search.o"
    file.write_bytes(data)
    return file


@pytest.fixture
def code(stock: Path) -> bytes:
    return stock.read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("VERIFY_CACHE_DIR", str(directory))
    monkeypatch.setenv("TEST_MADE_IN", str(tmp_path))
    monkeypatch.setattr(machine, "_makings", [])
    monkeypatch.setattr(machine, "_homeless", {})
    monkeypatch.setattr(machine, "START_AFTER_S", 0.0)
    return directory


def fake(stock: Path, *, seconds: float = 0.0) -> str:
    """A compiler's entry that makes the stored object at once, and counts."""
    return (
        "import time, os, json; from pathlib import Path; from verify.native import machine as m\n"
        "def compile_object():\n"
        "    open(Path(os.environ['TEST_MADE_IN']) / f'made-{os.getpid()}', 'w').close()\n"
        f"    time.sleep({seconds})\n"
        f"    data = Path({str(stock)!r}).read_bytes()\n"
        "    end = 36 + int.from_bytes(data[32:36], 'little')\n"
        "    return data[end:], json.loads(data[36:end])\n"
        "m.compile_object = compile_object\n"
        "m.main(*sys.argv[1:])"
    )


def made(cache: Path) -> int:
    return len(list(cache.parent.glob("made-*")))


def wait(compiler: machine.Compiler, seconds: float = 20) -> machine.Explore | None:
    eventually(lambda: compiler.ready() is not None or compiler._making is None, seconds)
    return compiler.ready()


def test_a_short_search_starts_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "START_AFTER_S", 60.0)
    compiler = machine.Compiler(wanted=True)
    assert compiler.ready() is None and not machine._makings and not cache.exists()
    assert machine.compiling() is None
    assert machine.Compiler(wanted=False).ready() is None


def test_made_once_announced_and_kept(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", fake(stock, seconds=0.5))
    first, second = machine.Compiler(wanted=True), machine.Compiler(wanted=True)
    assert first.ready() is None and second.ready() is None
    assert machine.compiling() == machine.COMPILING
    assert wait(first) is not None and wait(second) is not None
    assert machine.compiling() is None and made(cache) == 1
    assert machine.Compiler(wanted=True).ready() is not None and made(cache) == 1
    assert (cache.stat().st_mode & 0o777, (cache / machine.object_name()).stat().st_mode & 0o777) == (0o700, 0o600)


def test_two_processes_compile_once(cache: Path, stock: Path) -> None:
    makers = [child.start(fake(stock, seconds=0.4), []) for _ in range(3)]
    assert [maker.wait(timeout=30) for maker in makers] == [0, 0, 0]
    assert made(cache) == 1 and machine.cached() is not None
    assert sorted(f.name for f in cache.iterdir()) == sorted([machine.LOCK, machine.object_name()])


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "folder", "link"])
def test_damaged_file_is_replaced(
    cache: Path, stock: Path, code: bytes, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(mode=0o700)
    file = cache / machine.object_name()
    flipped = bytearray(code)
    flipped[len(code) // 2] ^= 1
    kinds = {"empty": b"", "cut": code[:-100], "flipped": bytes(flipped), "text": b"hello" * 100}
    if damage == "folder":
        file.mkdir()
    elif damage == "link":
        (cache / "elsewhere").write_bytes(code)
        file.symlink_to(cache / "elsewhere")
    else:
        file.write_bytes(kinds[damage])
        file.chmod(0o600)
        assert machine.link(kinds[damage]) is None
    assert machine.cached() is None
    monkeypatch.setattr(machine, "MAIN", fake(stock))
    found = wait(machine.Compiler(wanted=True))
    assert (found is None) == (damage == "folder")
    assert (machine.cached() is None) == (damage == "folder")


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_file_that_others_may_write_is_not_run(cache: Path, code: bytes, mode: int) -> None:
    cache.mkdir(mode=0o700)
    file = cache / machine.object_name()
    file.write_bytes(code)
    file.chmod(mode)
    assert machine.cached() is None
    file.chmod(0o644)
    assert machine.cached() is not None
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
        assert machine.cached() is None


def test_directory_that_others_may_write_is_not_used(
    cache: Path, stock: Path, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code is made for this process alone, and found again by its next search."""
    cache.mkdir()
    cache.chmod(0o777)
    (cache / machine.object_name()).write_bytes(code)
    (cache / machine.object_name()).chmod(0o600)
    assert machine.cached() is None
    monkeypatch.setattr(machine, "MAIN", fake(stock, seconds=0.3))
    compiler = machine.Compiler(wanted=True)
    assert compiler.ready() is None and "for this run only" in (machine.compiling() or "")
    assert wait(compiler) is not None
    assert machine.Compiler(wanted=True).ready() is not None and made(cache) == 1
    assert list(cache.iterdir()) == [cache / machine.object_name()]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("place", ["file", "below a file", "no home"])
def test_nowhere_to_keep_it(tmp_path: Path, stock: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    if place == "no home":
        monkeypatch.delenv("VERIFY_CACHE_DIR")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        assert machine.cache_directory() is None
        monkeypatch.setattr(machine, "MAIN", fake(stock))
    else:
        monkeypatch.setenv("VERIFY_CACHE_DIR", str(tmp_path / "file" / ("x" if place == "below a file" else "")))
        monkeypatch.setattr(machine, "MAIN", fake(stock))
    assert machine.cached() is None
    with pytest.raises(OSError):
        machine.store()
    assert wait(machine.Compiler(wanted=True)) is not None
    assert sorted(f.name.split("-")[0] for f in tmp_path.iterdir()) == ["file", "made"]


def test_home_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VERIFY_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    directory = machine.cache_directory()  # from the password database
    assert directory is None or directory.is_absolute()


@pytest.mark.usefixtures("cache")
def test_compiler_that_fails_or_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", "sys.exit(1)")
    compiler = machine.Compiler(wanted=True)
    assert wait(compiler) is None and compiler.ready() is None
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert wait(machine.Compiler(wanted=True)) is None


def test_old_objects_and_leftovers_go(cache: Path, stock: Path) -> None:
    cache.mkdir(mode=0o700)
    for age in range(6):
        file = cache / f"search-{age}.o"
        file.write_bytes(b"")
        os.utime(file, (time.time() - 1000 * (age + 1),) * 2)
    (cache / "x.part").write_bytes(b"half")
    (cache / "mine.txt").write_bytes(b"")
    assert child.start(fake(stock), []).wait(timeout=30) == 0
    expected = ["mine.txt", machine.LOCK, machine.object_name(), "search-0.o", "search-1.o"]
    assert sorted(f.name for f in cache.iterdir()) == sorted(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killed_search_leaves_no_compiler_and_no_broken_cache(cache: Path, stock: Path) -> None:
    script = (
        "import time; from verify.native import machine as m; m.START_AFTER_S = 0\n"
        f"m.MAIN = {fake(stock, seconds=30)!r}\n"
        "c = m.Compiler(wanted=True); c.ready(); print(m._makings[-1].process.pid, flush=True); time.sleep(30)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        compiler = int(search.stdout.readline())
        assert eventually(lambda: made(cache) == 1) and alive(compiler)
        search.kill()
    assert eventually(lambda: not alive(compiler))
    assert machine.cached() is None
    assert child.start(fake(stock), []).wait(timeout=30) == 0  # the lock has fallen with the process
    assert machine.cached() is not None


def test_linked_once(code: bytes) -> None:
    assert machine.link(code) is machine.link(code)
