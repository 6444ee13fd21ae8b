"""Getting at the compiled search and the compiled kernel quickly.

Compiling takes Numba some seconds and importing it a third of one.  So the object code is compiled once per machine,
kept in a cache directory, and from then on linked straight into the process with llvmlite, without Numba.
The object is specific to source, versions and processor, all of which are in its file name.

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
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from verify.core import child

Explore = Callable[[int, int], int]  # addresses of the two arrays -> status

ENTRIES = {  # what the object code holds: by name the module and the type of its second array
    "search": ("verify.search.compiled.tree", "float64"),
    "kernel": ("verify.kernel_fast.walk", "uint8"),
}

PACKAGES = ("search/compiled", "kernel_fast", "native")  # whose sources the object code depends on
START_AFTER_S = 0.3  # a search that ends before starts no compiler
KEPT_OBJECTS = 3  # of this version and earlier ones; the newest stay
LOCK = "compiling.lock"
COMPILING = "compiling the search, once per machine"
COMPILING_FOR_NOW = "compiling the search, for this run only ({reason})"
MAIN = "from verify.native.machine import main; main(*sys.argv[1:])"
CHECKSUM_BYTES = 32
_NUMBA_RUNTIME = ("numba_", "NRT_")  # called on error paths only, which compiled code without exceptions never takes
_engines: dict[str, object] = {}  # linked code by checksum: it must stay alive as long as anyone may call it
_linked: dict[str, dict[str, Explore]] = {}  # the same, as functions by entry
_homeless: dict[str, dict[str, Explore]] = {}  # by object name: code that could not be kept
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


def object_name() -> str:
    """The name of the cache file for this source, these versions and this processor."""
    import llvmlite.binding as llvm

    home = Path(__file__).parent.parent
    parts = [file.read_bytes() for package in PACKAGES for file in sorted((home / package).glob("*.py"))]
    facts = (metadata.version("numba"), metadata.version("llvmlite"), platform.machine(), sys.platform)
    parts.append(repr((*facts, sys.version_info[:2], llvm.get_host_cpu_name())).encode())
    parts.append(llvm.get_host_cpu_features().flatten().encode())
    return f"search-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:24]}.o"


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


def read_object(directory: Path) -> bytes | None:
    """The cache file, if it is there, whole, and nobody else's."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not _ours(directory.stat()):
            return None
        with open(os.open(directory / object_name(), flags), "rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read() if stat.S_ISREG(facts.st_mode) and _ours(facts) else b""
    except OSError:
        return None
    return data if _intact(data) else None


def _intact(data: bytes) -> bool:
    return len(data) > CHECKSUM_BYTES and hashlib.sha256(data[CHECKSUM_BYTES:]).digest() == data[:CHECKSUM_BYTES]


def compile_object() -> tuple[bytes, dict[str, Any]]:
    """Compile all entries: (their object codes in a row, {"entries": {name: [symbol, bytes]}, "externals": names}).

    The externals are the functions that the code calls by name.
    """
    from numba import njit
    from numba.core import types

    numeric: Any = types
    code, entries, externals = b"", {}, {"memset", "memcpy", "memmove"}
    for name, (module, second) in ENTRIES.items():
        signature = numeric.int64(numeric.CPointer(numeric.int64), numeric.CPointer(getattr(numeric, second)))
        entry = import_module(module).entry
        function: Any = njit(signature, error_model="numpy", boundscheck=False, nogil=True)(entry)
        (overload,) = function.overloads.values()
        part = bytes(overload.library._get_compiled_object())
        declared = re.findall(r"^declare [^@]*@\"?([\w.$]+)", overload.library.get_llvm_str(), re.MULTILINE)
        externals |= {external for external in declared if not external.startswith("llvm.")}
        entries[name] = [str(overload.fndesc.llvm_func_name), len(part)]
        code += part
    return code, {"entries": entries, "externals": sorted(externals)}


def _packed(code: bytes, facts: dict[str, Any]) -> bytes:
    """Checksum, length of the header, header, code."""
    header = json.dumps(facts).encode()
    body = len(header).to_bytes(4, "little") + header + code
    return hashlib.sha256(body).digest() + body


def store() -> Path:
    """Compile and write the cache file, whole or not at all; one process at a time.  Raises OSError."""
    directory = cache_directory()
    reason = "there is no home directory" if directory is None else distrust(directory)
    if directory is None or reason is not None:
        raise OSError(reason)
    path = directory / object_name()
    with _locked(directory):
        if read_object(directory) is not None:  # another process has made it meanwhile
            return path
        data = _packed(*compile_object())
        handle, temporary = tempfile.mkstemp(dir=directory, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _clean(directory, path)
    return path


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; it falls with the process.  Where locks do not work two compilers only waste time."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clean(directory: Path, newest: Path) -> None:
    """Under the lock: remove what compilers left that were killed, and all but the newest objects."""
    with contextlib.suppress(OSError):
        objects = [file for file in directory.glob("search-*.o") if file != newest]
        objects.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        for file in [*objects[KEPT_OBJECTS - 1 :], *directory.glob("*.part")]:
            file.unlink()


def link(data: bytes) -> dict[str, Explore] | None:
    """Link a cache file's object code into this process, once; None when it is damaged or calls what is not here."""
    if not _intact(data):
        return None
    checksum, body = data[:CHECKSUM_BYTES].hex(), data[CHECKSUM_BYTES:]
    if checksum not in _linked:
        size = int.from_bytes(body[:4], "little")
        functions = _link(checksum, json.loads(body[4 : 4 + size]), body[4 + size :])
        if functions is None:
            return None
        _linked[checksum] = functions
    return _linked[checksum]


def _link(checksum: str, facts: dict[str, Any], code: bytes) -> dict[str, Explore] | None:
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
    for _, size in facts["entries"].values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(code[:size]))
        code = code[size:]
    engine.finalize_object()
    addresses = {name: engine.get_function_address(symbol) for name, (symbol, _) in facts["entries"].items()}
    if not all(addresses.values()):
        return None
    _engines[checksum] = engine
    return {name: _function(address) for name, address in addresses.items()}


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


def cached(entry: str = "search") -> Explore | None:
    """A compiled entry if the cache file is there and can be trusted (or was made for this process), else None."""
    directory = cache_directory()
    data = read_object(directory) if directory is not None else None
    functions = _homeless.get(object_name()) if data is None else link(data)
    return functions[entry] if functions is not None else None


class _Making:
    """A compiler at work, for every search of this process that waits for it.  Raises OSError."""

    def __init__(self) -> None:
        directory = cache_directory()
        reason = "there is no home directory" if directory is None else distrust(directory)
        self.phase = COMPILING if reason is None else COMPILING_FOR_NOW.format(reason=reason)
        self._file = None if reason is None else tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        descriptors = [] if self._file is None else [self._file.fileno()]
        self.process = child.start(MAIN, [str(d) for d in descriptors], descriptors=descriptors, quiet=True)
        atexit.register(self.close)

    def running(self) -> bool:
        return self.process.poll() is None

    def take(self) -> Explore | None:
        """What it made, once it has ended."""
        if self._file is None:
            return cached()
        self._file.seek(0)
        functions = link(self._file.read())
        if functions is None:
            return None
        _homeless[object_name()] = functions
        return functions["search"]

    def close(self) -> None:
        """End it, if it is still at work."""
        atexit.unregister(self.close)
        if self.running():
            self.process.kill()
            self.process.wait()
        if self._file is not None:
            self._file.close()


def compiling() -> str | None:
    """What to show while a compiler of this process works, else None."""
    return _makings[-1].phase if _makings and _makings[-1].running() else None


class Compiler:
    """The compiled search, or its making: linked from the cache, else compiled in a process of its own.

    That process is started a moment after it is wanted, dies with this one, and writes the file whole or not at all.
    Where nothing can be kept the code is for this process only.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.explore = cached() if wanted else None
        self._making: _Making | None = None
        self._start_at = time.monotonic() + START_AFTER_S if wanted and self.explore is None else None

    def _start(self) -> None:
        """Start the compiler, or wait for the one that another search has started; without one if that fails."""
        if _makings and _makings[-1].running():
            self._making = _makings[-1]
        elif child.possible():
            with contextlib.suppress(OSError):
                self._making = _Making()
                _makings[:] = [self._making]

    def ready(self) -> Explore | None:
        """The compiled search once it can be had; None while it is being compiled, or for good if it cannot be."""
        if self._start_at is not None and time.monotonic() >= self._start_at:
            self._start_at = None
            self._start()
        if self._making is not None and not self._making.running():
            making, self._making = self._making, None
            self.explore = making.take()
        return self.explore


def main(parent: str, descriptor: str | None = None) -> None:
    """The compiling process's entry: into the cache, or into an open file."""
    child.die_with_parent(int(parent))
    if descriptor is None:
        store()
        return
    with open(int(descriptor), "wb") as file:
        file.write(_packed(*compile_object()))


if __name__ == "__main__":
    store()
