"""Compiling an entry with Numba into object code, in a process that does nothing else.

Every inner function is compiled for its callers alone: unoptimised, without wrappers for Python.  What they make
together is optimised once, as a whole, and translated by a target machine like Numba's own.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from importlib import import_module
from typing import Any

ENTRIES = {  # by name: the module, its function, and the type of that function's second array
    "kernel": ("verify.kernel_fast.walk", "run", "uint8"),
    "boxes": ("verify.search.compiled.tree", "explore", "float64"),
    "phases": ("verify.search.compiled.phases", "explore_phases", "float64"),
}  # made in this order, after the one that is wanted
OPTIMISATION = "NUMBA_OPT"  # Numba looks at it whenever it begins a function


def compile_object(entry: str) -> tuple[bytes, dict[str, Any]]:
    """Compile one entry: (object code, {"symbol": name, "externals": names}).

    The externals are the functions that the code calls by name.  Afterwards no compiled function of this process may
    be called from Python: they have no wrappers.
    """
    gc.disable()  # a compiler keeps almost everything it makes
    os.environ[OPTIMISATION] = "0"
    from numba import njit
    from numba.core import types

    numeric: Any = types
    module, name, second = ENTRIES[entry]
    function: Any = getattr(import_module(module), name)
    _forgo_wrappers()
    others = getattr(numeric, second)
    function.compile((numeric.int64[::1], others[::1]))
    os.environ[OPTIMISATION] = "3"
    signature = numeric.int64(numeric.CPointer(numeric.int64), numeric.CPointer(others))
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cpython_wrapper": True}
    outer: Any = njit(signature, **options)(import_module(module).entry)
    (overload,) = outer.overloads.values()
    text = overload.library.get_llvm_str()
    declared = re.findall(r"^declare [^@]*@\"?([\w.$]+)", text, re.MULTILINE)
    externals = {"memset", "memcpy", "memmove"} | {name for name in declared if not name.startswith("llvm.")}
    facts = {"symbol": str(overload.fndesc.llvm_func_name), "externals": sorted(externals)}
    return _emit(text, overload.library.codegen.magic_tuple()), facts


def _forgo_wrappers() -> None:
    """No compiled function of this package gets what calls from Python need."""
    from numba.core.dispatcher import Dispatcher

    for name, module in list(sys.modules.items()):
        if name.startswith("verify."):
            for value in vars(module).values():
                if isinstance(value, Dispatcher):
                    value.targetoptions.update(no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _emit(text: str, target: tuple[str, str, str]) -> bytes:
    """The object code of optimised LLVM assembly for a (triple, processor, features), to be linked where it is run."""
    import llvmlite.binding as llvm

    triple, processor, features = target
    x86 = triple.startswith(("x86", "i386", "i686"))
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=processor,
        features=features,
        opt=3,
        reloc="static" if x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )
    return bytes(machine.emit_object(llvm.parse_assembly(text)))
