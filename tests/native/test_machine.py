"""The cache of compiled code: shared, damaged, missing, foreign; and the process that fills it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.run.misdeeds import alive, eventually
from tests.search.networks import compiled_entry
from verify.core import child
from verify.native import machine
from verify.native.compilation import ENTRIES


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of this machine's cache files (compiled now if need be)."""
    folder = tmp_path_factory.mktemp("stock")
    for entry in ENTRIES:
        compiled_entry(entry)
        directory = machine.cache_directory()
        assert directory is not None
        data = machine.read_object(directory, entry)
        assert data is not None
        (folder / entry).write_bytes(data)
    return folder


@pytest.fixture
def code(stock: Path) -> bytes:
    return (stock / "boxes").read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("VERIFY_CACHE_DIR", str(directory))
    monkeypatch.setenv("TEST_MADE_IN", str(tmp_path))
    monkeypatch.setattr(machine, "_makings", [])
    monkeypatch.setattr(machine, "_homeless", {})
    monkeypatch.setattr(machine, "START_AFTER_S", 0.0)
    return directory


def fake(stock: Path, *, seconds: float = 0.0, later: float = 0.0) -> str:
    """A compiler's entry that makes the stored objects, and notes which: the first, then (after `later`) others."""
    return (
        "import time, os, json; from pathlib import Path; from verify.native import machine as m\n"
        "made = []\n"
        "def compile_object(entry):\n"
        "    open(Path(os.environ['TEST_MADE_IN']) / f'made-{entry}-{os.getpid()}', 'w').close()\n"
        f"    time.sleep({later} if made else {seconds})\n"
        "    made.append(entry)\n"
        f"    data = (Path({str(stock)!r}) / entry).read_bytes()\n"
        "    end = 36 + int.from_bytes(data[32:36], 'little')\n"
        "    return data[end:], json.loads(data[36:end])\n"
        "m.compile_object = compile_object\n"
        "m.main(*sys.argv[1:])"
    )


def made(cache: Path, entry: str = "boxes") -> int:
    return len(list(cache.parent.glob(f"made-{entry}-*")))


def file_of(cache: Path, entry: str = "boxes") -> Path:
    return cache / machine.object_name(entry)


def wait(compiler: machine.Compiler, seconds: float = 20) -> machine.Explore | None:
    eventually(lambda: compiler.ready() is not None or compiler._making is None, seconds)
    return compiler.ready()


def test_a_short_search_starts_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "START_AFTER_S", 60.0)
    compiler = machine.Compiler("boxes")
    assert compiler.ready() is None and not machine._makings and not cache.exists()
    assert machine.compiling() is None
    assert machine.Compiler(None).ready() is None


def test_made_once_announced_and_kept(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", fake(stock, seconds=0.5))
    first, second = machine.Compiler("boxes"), machine.Compiler("boxes")
    assert first.ready() is None and second.ready() is None
    assert machine.compiling() == machine.COMPILING
    assert wait(first) is not None and wait(second) is not None
    assert machine.compiling() is None and made(cache) == 1  # whatever else is made, nobody waits
    assert machine.Compiler("boxes").ready() is not None and made(cache) == 1
    assert (cache.stat().st_mode & 0o777, file_of(cache).stat().st_mode & 0o777) == (0o700, 0o600)


def test_two_processes_compile_once(cache: Path, stock: Path) -> None:
    makers = [child.start(fake(stock, seconds=0.4), ["boxes"]) for _ in range(3)]
    assert [maker.wait(timeout=30) for maker in makers] == [0, 0, 0]
    assert made(cache) == 1 and machine.cached("boxes") is not None
    assert sorted(f.name for f in cache.iterdir()) == sorted([machine.lock_name("boxes"), machine.object_name("boxes")])


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "folder", "link"])
def test_damaged_file_is_replaced(
    cache: Path, stock: Path, code: bytes, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(mode=0o700)
    file = file_of(cache)
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
    assert machine.cached("boxes") is None
    monkeypatch.setattr(machine, "MAIN", fake(stock))
    found = wait(machine.Compiler("boxes"))
    assert (found is None) == (damage == "folder")
    assert (machine.cached("boxes") is None) == (damage == "folder")


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_file_that_others_may_write_is_not_run(cache: Path, code: bytes, mode: int) -> None:
    cache.mkdir(mode=0o700)
    file = file_of(cache)
    file.write_bytes(code)
    file.chmod(mode)
    assert machine.cached("boxes") is None
    file.chmod(0o644)
    assert machine.cached("boxes") is not None
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
        assert machine.cached("boxes") is None


def test_directory_that_others_may_write_is_not_used(
    cache: Path, stock: Path, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code is made for this process alone, and found again by its next search."""
    cache.mkdir()
    cache.chmod(0o777)
    file_of(cache).write_bytes(code)
    file_of(cache).chmod(0o600)
    assert machine.cached("boxes") is None
    monkeypatch.setattr(machine, "MAIN", fake(stock, seconds=0.3))
    compiler = machine.Compiler("boxes")
    assert compiler.ready() is None and "for this run only" in (machine.compiling() or "")
    assert wait(compiler) is not None
    assert machine.Compiler("boxes").ready() is not None and made(cache) == 1
    assert list(cache.iterdir()) == [file_of(cache)]


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
    assert machine.cached("boxes") is None
    with pytest.raises(OSError):
        machine.store()
    with pytest.raises(OSError):
        machine.keep("boxes")
    assert wait(machine.Compiler("boxes")) is not None
    assert {f.name.split("-")[0] for f in tmp_path.iterdir()} == {"file", "made"}


def test_home_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VERIFY_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    directory = machine.cache_directory()  # from the password database
    assert directory is None or directory.is_absolute()


@pytest.mark.usefixtures("cache")
def test_compiler_that_fails_or_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", "sys.exit(1)")
    compiler = machine.Compiler("boxes")
    assert wait(compiler) is None and compiler.ready() is None
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert wait(machine.Compiler("boxes")) is None


def test_old_objects_and_leftovers_go(cache: Path, stock: Path) -> None:
    cache.mkdir(mode=0o700)
    for age in range(6):
        file = cache / f"boxes-{age}.o"
        file.write_bytes(b"")
        os.utime(file, (time.time() - 1000 * (age + 1),) * 2)
    for name in ("boxes-x.part", "kernel-x.part", "mine.txt", "kernel-0.o"):
        (cache / name).write_bytes(b"")
    assert child.start(fake(stock), ["boxes"]).wait(timeout=30) == 0
    of_others = ["mine.txt", "kernel-0.o", "kernel-x.part"]  # a compiler may be writing the last
    expected = [*of_others, machine.lock_name("boxes"), machine.object_name("boxes"), "boxes-0.o", "boxes-1.o"]
    assert sorted(f.name for f in cache.iterdir()) == sorted(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killed_search_leaves_no_compiler_and_no_broken_cache(cache: Path, stock: Path) -> None:
    script = (
        "import time; from verify.native import machine as m; m.START_AFTER_S = 0\n"
        f"m.MAIN = {fake(stock, seconds=30)!r}\n"
        'c = m.Compiler("boxes"); c.ready(); print(m._makings[-1].process.pid, flush=True); time.sleep(30)'
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        compiler = int(search.stdout.readline())
        assert eventually(lambda: made(cache) == 1) and alive(compiler)
        search.kill()
    assert eventually(lambda: not alive(compiler))
    assert machine.cached("boxes") is None
    assert child.start(fake(stock), ["boxes"]).wait(timeout=30) == 0  # the lock has fallen with the process
    assert machine.cached("boxes") is not None


def test_linked_once(code: bytes) -> None:
    assert machine.link(code) is machine.link(code)


def test_the_wanted_entry_is_there_first(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept at once, and whoever wants another waits for the same compiler."""
    monkeypatch.setattr(machine, "MAIN", fake(stock, later=0.4))
    compiler = machine.Compiler("phases")
    assert wait(compiler) is not None and machine._makings[-1].running()
    assert file_of(cache, "phases").exists() and not file_of(cache, "kernel").exists()
    assert machine.awaited("kernel", lambda: False) is not None and made(cache, "kernel") == 1
    assert eventually(lambda: not machine._makings[-1].running(), 20) and machine.compiling() is None
    assert [made(cache, entry) for entry in ENTRIES] == [1, 1, 1] and machine.missing() == []


def test_what_else_is_missing_is_made_meanwhile(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(mode=0o700)
    file_of(cache).write_bytes((stock / "boxes").read_bytes())
    file_of(cache).chmod(0o600)
    monkeypatch.setattr(machine, "MAIN", fake(stock))
    compiler = machine.Compiler("boxes")
    assert compiler.explore is not None and not machine._makings and not compiler.pending()
    assert compiler.ready() is compiler.explore
    assert eventually(lambda: machine.missing() == [], 20)
    assert [made(cache, entry) for entry in ENTRIES] == [1, 0, 1]


def test_a_killed_compiler_keeps_what_it_has_made(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", fake(stock, later=30))
    assert wait(machine.Compiler("phases")) is not None
    machine._makings[-1].close()
    assert machine.missing() == ["kernel", "boxes"] and machine.cached("phases") is not None
    assert not list(cache.glob("*.part"))


@pytest.mark.usefixtures("cache")
def test_every_entry_for_this_run_only(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory each entry is there as soon as it is whole."""
    monkeypatch.setattr(machine, "cache_directory", lambda: None)
    monkeypatch.setattr(machine, "MAIN", fake(stock, later=0.4))
    first = machine.awaited("boxes", lambda: False)
    assert first is not None and machine._makings[-1].running()
    others = [machine.awaited(entry, lambda: False) for entry in ENTRIES]
    assert None not in others and machine.cached("boxes") is first and machine.missing() == []


@pytest.mark.usefixtures("cache")
def test_waiting_ends_when_told(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", fake(stock, seconds=30))
    until = time.monotonic() + 0.3
    assert machine.awaited("kernel", lambda: time.monotonic() > until) is None
    assert time.monotonic() < until + 5
    machine._makings[-1].close()


def test_storing_makes_what_is_missing(cache: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAIN", fake(stock))
    assert machine.store(("kernel", "phases")) == cache and machine.missing() == ["boxes"]
    assert machine.store() == cache and machine.missing() == []
    assert [made(cache, entry) for entry in ENTRIES] == [1, 1, 1]
    monkeypatch.setattr(machine, "MAIN", "sys.exit(1)")
    file_of(cache).unlink()
    with pytest.raises(OSError, match="compiling boxes failed"):
        machine.store()


def test_another_source_is_another_file() -> None:
    """The kernel's object holds constants of the plain kernel; the search's does not."""
    assert "kernel" in machine.SOURCES["kernel"] and len({machine.object_name(e) for e in ENTRIES}) == len(ENTRIES)
    packages = {module.rpartition(".")[0].removeprefix("verify.").replace(".", "/") for module, *_ in ENTRIES.values()}
    assert all(any(p in sources for sources in machine.SOURCES.values()) for p in packages)
