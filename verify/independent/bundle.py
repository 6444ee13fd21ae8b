"""One file out of many modules, run as `python -I -S FILE`: `python -m verify.independent.bundle OUT MODULE:FUNCTION`.

The file holds the sources of the entry's modules of this package, unchanged, and imports them from memory.  A module
that needs anything but the standard library cannot be bundled; a module of this package that was not bundled cannot
be imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PACKAGE = "verify"
HOME = Path(__file__).resolve().parents[2]

TEMPLATE = '''\
#!/usr/bin/env python3
"""One-file checker, generated from the sources below; run it as  python -I -S {name}

No module outside this file and the standard library is imported.
"""

import sys
from importlib.machinery import ModuleSpec

SOURCES = {{
{sources}}}
PACKAGES = {packages!r}


class Memory:
    """Imports the modules of this file, and no other module of their package."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, Memory, origin=f"<{{name}}>", is_package=name in PACKAGES)
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"{{name}} is not part of this file", name=name)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        exec(compile(SOURCES[module.__name__], f"<{{module.__name__}}>", "exec", dont_inherit=True), module.__dict__)


if __name__ == "__main__":
    if not (sys.flags.isolated and sys.flags.no_site):
        sys.exit("run this file as  python -I -S {name} ...")
    sys.meta_path.insert(0, Memory)
    from {module} import {function}

    sys.exit({function}(sys.argv[1:]))
'''


class BundleError(ValueError):
    """A module that cannot be part of the file."""


def bundle(entry: str, *, name: str = "vcheck.py", extra: Mapping[str, str] | None = None) -> str:
    """The text of the one file.

    `entry` is "module:function", called with the arguments and returning the exit code; `extra` adds modules by name
    that are not part of this package's folder.  Raises BundleError.
    """
    module, function = entry.split(":")
    sources = collect([module], extra or {})
    packages = {parent for found in sources for parent in _parents(found)}
    packages |= {found for found in sources if _file(found).name == "__init__.py"}
    for parent in packages - sources.keys():
        sources[parent] = ""  # nobody imports names from it
    return TEMPLATE.format(
        name=name,
        sources="".join(map(_literal, sorted(sources), (sources[s] for s in sorted(sources)))),
        packages=sorted(packages),
        package=PACKAGE,
        module=module,
        function=function,
    )


def collect(roots: Sequence[str], extra: Mapping[str, str]) -> dict[str, str]:
    """The sources of some modules and of all of this package that they import, however deep in a function."""
    sources: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        sources[name] = extra[name] if name in extra else _file(name).read_text(encoding="utf-8")
        for wanted in _imports(ast.parse(sources[name])):
            if wanted in extra or wanted.partition(".")[0] == PACKAGE:
                waiting.append(wanted)
            elif wanted.partition(".")[0] not in sys.stdlib_module_names:
                raise BundleError(f"{name} imports {wanted}, which is not of the standard library")
    return sources


def _imports(tree: ast.AST) -> Iterator[str]:
    """The modules that a module imports, those for type checkers only left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise BundleError("relative imports cannot be bundled")
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [s for s in submodules if s.partition(".")[0] == PACKAGE and _file(s).exists()]
            yield from found
            if len(found) < len(submodules):
                yield node.module
        yield from _imports(node)


def _file(name: str) -> Path:
    base = HOME.joinpath(*name.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _literal(name: str, source: str) -> str:
    lines = [f"        {line!r}\n" for line in source.splitlines(keepends=True)] or ['        ""\n']
    return f"    {name!r}: (\n{''.join(lines)}    ),\n"


def main(arguments: Sequence[str]) -> int:
    """Write the bundle of the entry "module:function" to a file."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m verify.independent.bundle OUT MODULE:FUNCTION\n")
        return 2
    target = Path(arguments[0])
    target.write_text(bundle(arguments[1], name=target.name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
