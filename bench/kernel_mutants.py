"""Mutation testing of the kernel: every small change of its code must make some test fail.

    python bench/kernel_mutants.py [--file NAME …] [--only NUMBER …] [--seconds S] [--count] [TEST …]

Each mutant changes one operator, comparison, constant, condition, call or statement of one function in FILES.
It is put into a copy of this process, in place of the function's code, and the tests run there until one fails.
Tests are named as for pytest, those that kill most first; each mutant has S seconds, and one that takes longer counts
as killed (it does not end).  What survives is printed with its line: a test is missing, or the change is harmless,
and then docs/kernel.md or the line itself says why.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    *("tests/kernel_fast/test_identity.py", "tests/kernel", "tests/kernel_slopes", "tests/kernel_float32"),
    *("tests/kernel_fast", "tests/test_float32.py"),
)
FILES = ("kernel/*.py", "kernel_slopes/*.py", "kernel_float32/*.py", "core/payload.py", "core/corners.py")  # of verify
Change = tuple[str, ast.AST]  # what is done, and what stands there afterwards
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "abs": "int"}


@dataclass(frozen=True)
class Mutant:
    """One change: `code` of the whole module with it, where it is and what it is."""

    file: str
    line: int
    what: str
    code: CodeType


def changes(node: ast.AST) -> Iterator[Change]:
    """Every way to change a node itself (not what it contains)."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS.get(type(operator), ()):
                changed = copy.deepcopy(node)
                changed.ops[place] = other()
                yield "comparison", changed
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        changed_sum = copy.deepcopy(node)
        changed_sum.op = OPERATORS[type(node.op)]()
        yield "operator", changed_sum
    elif isinstance(node, ast.BoolOp):
        for place in range(len(node.values)):
            rest = node.values[:place] + node.values[place + 1 :]
            yield "condition dropped", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, copy.deepcopy(rest))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield "sign", copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        changed_call = copy.deepcopy(node)
        changed_call.func = ast.Name(CALLS[node.func.id], ast.Load())
        yield "call", changed_call
    elif isinstance(node, ast.Raise | ast.AugAssign | ast.Continue | ast.Break) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield)
    ):
        yield "statement dropped", ast.Pass()


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of the functions of a file."""
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    inside = {(n.lineno, n.end_lineno or n.lineno) for n in functions}
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for place, node in enumerate(value if isinstance(value, list) else [value]):
                line = getattr(node, "lineno", 0)
                if not isinstance(node, ast.AST) or not any(first <= line <= last for first, last in inside):
                    continue
                for what, new in changes(node):
                    new = ast.fix_missing_locations(ast.copy_location(new, node))
                    put(parent, field, place, new)
                    told = f"{what}: {ast.unparse(node)[:50]!r} -> {ast.unparse(new)[:50]!r}"
                    yield Mutant(str(path.relative_to(ROOT / "verify")), line, told, compile(tree, str(path), "exec"))
                    put(parent, field, place, node)


def put(parent: ast.AST, field: str, place: int, node: ast.AST) -> None:
    held = getattr(parent, field)
    if isinstance(held, list):
        held[place] = node
    else:
        setattr(parent, field, node)


def functions_of(owner: ModuleType | type) -> dict[str, FunctionType]:
    """Functions and methods that a module or a class defines, by qualified name."""
    found: dict[str, FunctionType] = {}
    for value in vars(owner).values():
        held = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", None) or value
        if isinstance(held, FunctionType) and held.__code__.co_filename.endswith(".py"):
            found[held.__qualname__] = held
        elif isinstance(value, type) and isinstance(owner, ModuleType) and value.__module__ == owner.__name__:
            found |= functions_of(value)
    return found


def put_in_place(mutant: Mutant) -> None:
    """Give every function of the module the mutant's code."""
    name = "verify." + mutant.file.removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    changed = ModuleType(name)
    sys.modules[name] = changed  # while dataclasses look for it
    exec(mutant.code, changed.__dict__)
    sys.modules[name] = module
    theirs = functions_of(changed)
    for qualified, function in functions_of(module).items():
        if qualified in theirs:
            function.__code__ = theirs[qualified].__code__


def survives(mutant: Mutant, tests: list[str], seconds: int) -> bool:
    """Whether all tests pass with it, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            put_in_place(mutant)
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        except BaseException:  # noqa: BLE001 - also what pytest raises to stop
            code = 1
        os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", default=list(TESTS), metavar="TEST")
    parser.add_argument("--file", action="append", help="of verify, as kernel/walk.py; default: all")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mutants")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--count", action="store_true", help="only count them")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    home = ROOT / "verify"
    files = [file for pattern in arguments.file or FILES for file in sorted(home.glob(pattern))]
    found = [m for file in files for m in mutants(file)]
    print(f"{len(found)} mutants: {dict(Counter(m.file for m in found))}", flush=True)
    if arguments.count:
        return
    pytest.main(["--collect-only", "-q", "-q", "-p", "no:cacheprovider", *arguments.tests])  # imports all there is
    alive = 0
    for number, mutant in enumerate(found):
        if (arguments.only is None or number in arguments.only) and survives(
            mutant, arguments.tests, arguments.seconds
        ):
            alive += 1
            print(f"{number} survives  {mutant.file}:{mutant.line}  {mutant.what}", flush=True)
    print(f"{alive} survive")


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    main()
