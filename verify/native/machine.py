"""Getting at the compiled search and the compiled kernel quickly.

Compiling takes Numba ten seconds an entry, and importing it a third of one.  So each entry's object code is compiled
once per machine, kept in a file of the cache directory, and from then on linked straight into the process with
llvmlite, without Numba.  The object is specific to source, versions and processor, all of which are in its file name.

A compiler makes the entry that is wanted first, keeps it at once, and goes on with the others that are missing.

What is in the cache directory is run as code.  So directory and file must belong to the user (or to root), and
nobody else may write to them; otherwise they are left alone, and code is compiled for this process only.  A checksum
over the whole file tells damage from what was stored; it is no protection against someone who may write there.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import hashlib
import json
import os
import platform
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from verify.core import child
from verify.native.compilation import ENTRIES, compile_object

Explore = Callable[[int, int], int]  # addresses of the two arrays -> status

SOURCES = {  # by entry: the packages whose sources its object code depends on
    "boxes": ("search/compiled", "native"),
    "phases": ("search/compiled", "native"),
    "kernel": ("kernel_fast", "kernel", "native"),
}
START_AFTER_S = 0.3  # a search that ends before starts no compiler
POLL_S = 0.05
KEPT_OBJECTS = 3  # per entry, of this version and earlier ones; the newest stay
COMPILING = "compiling the search, once per machine"
COMPILING_FOR_NOW = "compiling the search, for this run only ({reason})"
MAIN = "from verify.native.machine import main; main(*sys.argv[1:])"
CHECKSUM_BYTES = 32
_NUMBA_RUNTIME = ("numba_", "NRT_")  # called on error paths only, which compiled code without exceptions never takes
_engines: dict[str, object] = {}  # linked code by checksum: it must stay alive as long as anyone may call it
_linked: dict[str, Explore] = {}  # the same, as functions
_homeless: dict[str, Explore] = {}  # by object name: code that could not be kept
_makings: list[_Making] = []  # the latest


def cache_directory() -> Path | None:
    """Where object code is kept: $VERIFY_CACHE_DIR, else the user's cache directory; None when there is no home."""
    chosen = os.environ.get("VERIFY_CACHE_DIR")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "policyproof" if os.path.isabs(base) else None


@cache
def object_name(entry: str) -> str:
    """The name of an entry's cache file for this source, these versions and this processor."""
    import llvmlite.binding as llvm

    home = Path(__file__).parent.parent
    parts = [file.read_bytes() for package in SOURCES[entry] for file in sorted((home / package).glob("*.py"))]
    facts = (metadata.version("numba"), metadata.version("llvmlite"), platform.machine(), sys.platform)
    parts.append(repr((*facts, sys.version_info[:2], llvm.get_host_cpu_name())).encode())
    parts.append(llvm.get_host_cpu_features().flatten().encode())
    return f"{entry}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:24]}.o"


def distrust(directory: Path) -> str | None:
    """Why code in a directory must not be run or cannot be kept there; None when it is fine (it is made if need be)."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = directory.stat()
    except OSError as problem:
        return f"{directory} cannot be used ({problem.strerror})"
    if not _ours(facts):
        return f"{directory} belongs to someone else or others may write to it"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{directory} cannot be written to"
    return None


def _ours(facts: os.stat_result) -> bool:
    """Whether only this user, or root, can have written it."""
    if not hasattr(os, "geteuid"):
        return True
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read_object(directory: Path, entry: str) -> bytes | None:
    """An entry's cache file, if it is there, whole, and nobody else's."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not _ours(directory.stat()):
            return None
        with open(os.open(directory / object_name(entry), flags), "rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read() if stat.S_ISREG(facts.st_mode) and _ours(facts) else b""
    except OSError:
        return None
    return data if _intact(data) else None


def _intact(data: bytes) -> bool:
    return len(data) > CHECKSUM_BYTES and hashlib.sha256(data[CHECKSUM_BYTES:]).digest() == data[:CHECKSUM_BYTES]


def _packed(code: bytes, facts: dict[str, Any]) -> bytes:
    """Checksum, length of the header, header, code."""
    header = json.dumps(facts).encode()
    body = len(header).to_bytes(4, "little") + header + code
    return hashlib.sha256(body).digest() + body


def store(entries: Sequence[str] = tuple(ENTRIES)) -> Path:
    """Compile what is missing into the cache directory, and wait for it; returns the directory.  Raises OSError."""
    directory = _trusted()
    if not missing(entries):
        return directory
    compiler = child.start(MAIN, [",".join(entries)])
    try:
        failed = compiler.wait()
    except BaseException:
        compiler.kill()
        raise
    if failed or missing(entries):
        raise OSError(f"compiling {', '.join(missing(entries))} failed, see above")
    return directory


def _trusted() -> Path:
    """The cache directory.  Raises OSError with the reason why there is none that may be used."""
    directory = cache_directory()
    reason = "there is no home directory" if directory is None else distrust(directory)
    if directory is None or reason is not None:
        raise OSError(reason)
    return directory


def missing(entries: Sequence[str] = tuple(ENTRIES)) -> list[str]:
    """The entries that `cached` would not give."""
    directory = cache_directory()
    kept = [e for e in entries if directory is not None and read_object(directory, e) is not None]
    return [e for e in entries if e not in kept and object_name(e) not in _homeless]


def keep(entry: str) -> None:
    """Compile an entry in this process and write its file, whole or not at all; one process at a time.

    Raises OSError.
    """
    directory = _trusted()
    path = directory / object_name(entry)
    with _locked(directory, entry):
        if read_object(directory, entry) is not None:  # another process has made it meanwhile
            return
        data = _packed(*compile_object(entry))
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f"{entry}-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _clean(directory, entry, path)


def lock_name(entry: str) -> str:
    return f"{entry}.lock"


@contextlib.contextmanager
def _locked(directory: Path, entry: str) -> Iterator[None]:
    """Hold an entry's lock; it falls with the process.  Where locks do not work two compilers only waste time."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(directory / lock_name(entry), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clean(directory: Path, entry: str, newest: Path) -> None:
    """Under the lock: remove what compilers left that were killed, and all but an entry's newest objects."""
    with contextlib.suppress(OSError):
        objects = [file for file in directory.glob(f"{entry}-*.o") if file != newest]
        objects.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        for file in [*objects[KEPT_OBJECTS - 1 :], *directory.glob(f"{entry}-*.part")]:
            file.unlink()


def link(data: bytes) -> Explore | None:
    """Link a cache file's object code into this process, once; None when it is damaged or calls what is not here."""
    if not _intact(data):
        return None
    checksum, body = data[:CHECKSUM_BYTES].hex(), data[CHECKSUM_BYTES:]
    if checksum not in _linked:
        size = int.from_bytes(body[:4], "little")
        function = _link(checksum, json.loads(body[4 : 4 + size]), body[4 + size :])
        if function is None:
            return None
        _linked[checksum] = function
    return _linked[checksum]


def _link(checksum: str, facts: dict[str, Any], code: bytes) -> Explore | None:
    import llvmlite.binding as llvm

    for name in facts["externals"]:
        place = _address(name)
        if place is None:
            return None
        llvm.add_symbol(name, place)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine()
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(facts["symbol"])
    if not address:
        return None
    _engines[checksum] = engine
    return _function(address)


def _function(address: int) -> Explore:
    native = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4)(address)

    def explore(integers: int, others: int) -> int:
        status, problem = ctypes.c_int64(), ctypes.c_void_p()
        failed = native(ctypes.addressof(status), ctypes.addressof(problem), integers, others)
        if failed:
            raise RuntimeError(f"compiled code failed with status {failed}")
        return int(status.value)

    return explore


def _address(name: str) -> int | None:
    """Where a function of the C library or of Python is; Numba's own runtime is replaced by abort()."""
    if name.startswith(_NUMBA_RUNTIME):
        name = "abort"
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError:
        return None


def cached(entry: str) -> Explore | None:
    """A compiled entry if its cache file is there and can be trusted (or was made for this process), else None."""
    directory = cache_directory()
    data = read_object(directory, entry) if directory is not None else None
    return _homeless.get(object_name(entry)) if data is None else link(data)


class _Making:
    """A compiler at work, for every search of this process that waits for it.  Raises OSError."""

    def __init__(self, first: str) -> None:
        directory = cache_directory()
        reason = "there is no home directory" if directory is None else distrust(directory)
        self.phase = COMPILING if reason is None else COMPILING_FOR_NOW.format(reason=reason)
        self.awaited: set[str] = set()  # entries that some search has no substitute for
        self.entries = list(dict.fromkeys([first, *missing()]))
        self._paths = {e: directory / object_name(e) for e in self.entries} if directory is not None else {}
        self._files: dict[str, IO[bytes]] = {}  # what cannot be kept; they have no names
        if reason is not None:
            self._files = {e: tempfile.TemporaryFile() for e in self.entries}  # noqa: SIM115 - as long as this lives
        descriptors = [file.fileno() for file in self._files.values()]
        numbers = ",".join(map(str, descriptors))
        self.process = child.start(MAIN, [",".join(self.entries), numbers], descriptors=descriptors, quiet=True)
        atexit.register(self.close)

    def running(self) -> bool:
        return self.process.poll() is None

    def take(self, entry: str) -> Explore | None:
        """What it has made so far."""
        function = self._look(entry)
        if function is None:
            self.awaited.add(entry)
        else:
            self.awaited.discard(entry)
        return function

    def _look(self, entry: str) -> Explore | None:
        if entry not in self._files:
            return cached(entry) if self._paths[entry].exists() else None
        file = self._files[entry]
        if not os.fstat(file.fileno()).st_size:
            return None
        file.seek(0)
        function = link(file.read())  # None while it is being written
        if function is not None:
            _homeless[object_name(entry)] = function
        return function

    def close(self) -> None:
        """End it, if it is still at work."""
        atexit.unregister(self.close)
        if self.running():
            self.process.kill()
            self.process.wait()
        for file in self._files.values():
            file.close()


def compiling() -> str | None:
    """What to show while a compiler of this process works on an entry that is waited for, else None."""
    return _makings[-1].phase if _makings and _makings[-1].awaited and _makings[-1].running() else None


class Compiler:
    """A compiled entry, or its making: linked from the cache, else compiled in a process of its own.

    That process is started a moment after the entry is wanted, and dies with this one.  It makes this entry first, then
    the others that are missing: each file whole or not at all.  Where nothing can be kept the code is for this process
    only.  An entry that is there does not wait: the others are made while it is used, as long as `ready` is called.
    """

    def __init__(self, entry: str | None) -> None:
        self.entry = entry
        self.explore = cached(entry) if entry is not None else None
        self._making: _Making | None = None
        self._start_at = time.monotonic() + START_AFTER_S if entry is not None else None

    def _start(self, entry: str) -> None:
        """Start the compiler, or wait for the one that another search has started; without one if that fails."""
        if _makings and _makings[-1].running() and entry in _makings[-1].entries:
            self._making = _makings[-1]
        elif child.possible():
            with contextlib.suppress(OSError):
                self._making = _Making(entry)
                _makings[:] = [self._making]

    def ready(self) -> Explore | None:
        """The compiled entry once it can be had; None while it is being compiled, or for good if it cannot be."""
        if self.entry is None:
            return None
        if self._start_at is not None and time.monotonic() >= self._start_at:
            self._start_at = None
            if self.explore is None or missing():
                self._start(self.entry)
        if self.explore is None and self._making is not None:
            making = self._making
            if not making.running():
                self._making = None
            self.explore = making.take(self.entry)
        return self.explore

    def pending(self) -> bool:
        """Whether it may still become ready."""
        return self.explore is None and (self._start_at is not None or self._making is not None)


def awaited(entry: str, stop: Callable[[], bool]) -> Explore | None:
    """A compiled entry, waited for while it is being made and `stop` allows."""
    compiler = Compiler(entry)
    while compiler.ready() is None and compiler.pending() and not stop():
        time.sleep(POLL_S)
    return compiler.explore


def main(parent: str, entries: str, descriptors: str = "") -> None:
    """The compiling process's entry: into the cache, or into open files."""
    child.die_with_parent(int(parent))
    if not descriptors:
        for entry in entries.split(","):
            keep(entry)
        return
    for entry, descriptor in zip(entries.split(","), descriptors.split(","), strict=True):
        with open(int(descriptor), "wb") as file:
            file.write(_packed(*compile_object(entry)))


if __name__ == "__main__":
    store()
