"""Getting at the compiled search quickly.

Compiling takes Numba some seconds and importing it a third of one.  So the object code is compiled once per machine,
kept in a cache directory, and from then on linked straight into the process with llvmlite, without Numba.
The object is specific to source, versions and processor, all of which are in its file name.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

Explore = Callable[[int, int], int]  # addresses of the two arrays -> status

_NUMBA_RUNTIME = ("numba_", "NRT_")  # called on error paths only, which compiled code without exceptions never takes
_engines: dict[str, object] = {}  # keeps linked code alive for the life of the process


def cache_directory() -> Path:
    """Where object code is kept: $VERIFY_CACHE_DIR, else the user's cache directory."""
    chosen = os.environ.get("VERIFY_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "policyproof"


def object_path() -> Path:
    """The cache file for this source, these versions and this processor."""
    import llvmlite.binding as llvm

    here = Path(__file__).parent
    parts = [file.read_bytes() for file in sorted(here.glob("*.py"))]
    facts = (metadata.version("numba"), metadata.version("llvmlite"), platform.machine(), sys.platform)
    parts.append(repr((*facts, sys.version_info[:2], llvm.get_host_cpu_name())).encode())
    parts.append(llvm.get_host_cpu_features().flatten().encode())
    return cache_directory() / f"search-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:24]}.o"


def compile_object() -> tuple[bytes, dict[str, Any]]:
    """Compile `tree.entry`: (object code, {"symbol": its name, "externals": the functions it calls by name})."""
    from numba import njit
    from numba.core import types

    from verify.search.compiled.tree import entry

    numeric: Any = types
    signature = numeric.int64(numeric.CPointer(numeric.int64), numeric.CPointer(numeric.float64))
    function: Any = njit(signature, error_model="numpy", boundscheck=False, nogil=True)(entry)
    (overload,) = function.overloads.values()
    code = bytes(overload.library._get_compiled_object())
    declared = re.findall(r"^declare [^@]*@\"?([\w.$]+)", overload.library.get_llvm_str(), re.MULTILINE)
    externals = sorted({name for name in declared if not name.startswith("llvm.")} | {"memset", "memcpy", "memmove"})
    return code, {"symbol": str(overload.fndesc.llvm_func_name), "externals": externals}


def store() -> Path:
    """Compile and write the cache file, whole or not at all."""
    path = object_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    code, facts = compile_object()
    header = json.dumps(facts).encode()
    data = len(header).to_bytes(4, "little") + header + hashlib.sha256(code).digest() + code
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def link(data: bytes) -> Explore | None:
    """Link a cache file's object code into this process; None when it is damaged."""
    import llvmlite.binding as llvm

    size = int.from_bytes(data[:4], "little")
    header, checksum, code = data[4 : 4 + size], data[4 + size : 36 + size], data[36 + size :]
    if hashlib.sha256(code).digest() != checksum:
        return None
    facts = json.loads(header)
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
    _engines[facts["symbol"]] = engine
    native = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4)(address)

    def explore(integers: int, floats: int) -> int:
        status, problem = ctypes.c_int64(), ctypes.c_void_p()
        failed = native(ctypes.addressof(status), ctypes.addressof(problem), integers, floats)
        if failed:
            raise RuntimeError(f"compiled search failed with status {failed}")
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


def cached() -> Explore | None:
    """The compiled search if its cache file is there, else None."""
    try:
        data = object_path().read_bytes()
    except OSError:
        return None
    return link(data)


class Compiler:
    """The compiled search, or its making: linked from the cache, else compiled in a process of its own.

    That process dies with this one and writes the cache file whole or not at all.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.explore: Explore | None = None
        self.available = wanted
        if wanted:
            self.explore = cached()
            if self.explore is None:
                self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "verify.search.compiled.machine", str(os.getpid())]
        nowhere = subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
            atexit.register(self.close)
        except OSError:
            self.available = False

    def ready(self) -> Explore | None:
        """The compiled search once it can be had; None while it is being compiled, or for good if it cannot be."""
        if self.explore is None and self.process is not None and self.process.poll() is not None:
            self.process = None
            self.explore = cached()
        return self.explore

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _die_with(parent: int) -> None:
    """Ask Linux to end this process with its parent; elsewhere a compilation of some seconds may outlive it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        if os.getppid() != parent:
            sys.exit(1)


if __name__ == "__main__":
    _die_with(int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid())
    store()
