"""The table of options, the parser made from it, and the reading of NAME=VALUE words.

argparse rather than Typer: Typer's releases that bundle Click load pydantic for every call, which costs 0.1 s of
start-up and 20 MB (measured: 0.16 s against 0.06 s for a usage error).
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from verify.errors import UsageError


@dataclass(frozen=True)
class Option:
    """One flag.  `kind` reads its value (bool: there is none); a repeatable one collects a list."""

    flags: tuple[str, ...]
    metavar: str
    help: str
    kind: type[str] | type[float] | type[int] | type[bool] = str
    repeatable: bool = False
    default: Any = None
    choices: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return self.flags[0].lstrip("-")


NETWORK = Option(("--network",), "[NAME=]FILE", "give or override a network; repeatable", repeatable=True)
PROPERTY = Option(("--property", "-k"), "NAME", "only this property; repeatable", repeatable=True)
PARAM = Option(("--param", "-p"), "NAME=VALUE", "set a param of the spec; repeatable", repeatable=True)
AT = Option(("--at",), "NAME=VALUE", "the physical value of one input field; repeatable", repeatable=True)
TIMEOUT = Option(
    ("--timeout",), "S", "seconds per property, reading included; overrides @timeout; default 60", kind=float
)
MEMORY = Option(("--memory",), "MB", "limit of resident memory, of all processes together", kind=float)
JOBS = Option(("--jobs",), "N", "processes; more than there are properties split queries", kind=int, default=1)
SEED = Option(("--seed",), "N", "randomness; no seed contradicts another's verdict", kind=int, default=0)
SEMANTICS = Option(
    ("--semantics",),
    "real|float32",
    "what PROVED speaks of: the exact network (default), or any order of evaluation in IEEE float32",
    default="real",
    choices=("real", "float32"),
)
CERTIFICATE = Option(("--certificate",), "DIR", "write the evidence of every decided property to this directory")
SPEC = Option(("--spec",), "FILE", "the spec, instead of the one that the evidence names")
REFERENCE = Option(("--reference",), "", "the kernel's plain exact path, not its fast one", kind=bool)
EXPLAIN = Option(("--explain",), "", "also size and shape of the proof", kind=bool)
UPDATE = Option(("--update",), "", "write new evidence and remove what is stale", kind=bool)
JUNIT = Option(("--junit",), "FILE", "write a JUnit XML report")
SUMMARY = Option(("--summary",), "FILE", "write a summary in Markdown")
FORMAT = Option(
    ("--format",),
    "text|json",
    "readable text, or one JSON document on stdout",
    default="text",
    choices=("text", "json"),
)

CHECK = Option(("--check",), "", "change nothing; exit 1 if a file is not in canonical layout", kind=bool)


@dataclass(frozen=True)
class Command:
    """One command: its argument ("" for none), its options, and `prepare`: checks a call, returns what runs it."""

    name: str
    argument: str  # "" for none
    argument_help: str
    summary: str  # one line, for `verify --help`
    description: str
    epilog: str
    options: tuple[Option, ...]
    prepare: Callable[[argparse.Namespace], Callable[[], int]]
    many: bool = False  # takes one argument or more, as a list
    optional: bool = False  # the argument may be left out

    @property
    def usage(self) -> str:
        """The argument as usage lines show it."""
        text = f"{self.argument}…" if self.many else self.argument
        return f"[{text}]" if self.optional else text

    def help(self) -> str:
        return _parser(self).format_help()

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Read the words after the command's name.  Raises UsageError E012 (no such option) or E013."""
        parser = _parser(self)
        values, unknown = parser.parse_known_args(list(words))
        for word in unknown:
            if word.startswith("-") and word != "-":
                flag = word.split("=", 1)[0]
                known = [f for option in self.options for f in option.flags] + ["--help"]
                raise UsageError(
                    "E012", f"no such option: {flag}", fix=f"did you mean {nearest(flag, known)}? {_hint(self.name)}"
                )
        if unknown:
            raise UsageError("E013", f"unexpected argument: {unknown[0]}", fix=_hint(self.name))
        if self.argument and not self.optional and not getattr(values, self.argument):
            raise UsageError("E013", f"{self.argument} is missing", fix=_hint(self.name))
        return values


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError("E013", message.removeprefix("argument "), fix=f"`{self.prog} --help` lists the options")


def _parser(command: Command) -> _Parser:
    parser = _Parser(
        prog=f"verify {command.name}",
        usage=" ".join(w for w in ("verify", command.name, command.usage, "[options]") if w),
        description=command.description,
        epilog=command.epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    if command.argument:
        parser.add_argument(command.argument, nargs="*" if command.many else "?", help=command.argument_help)
    flags = parser.add_argument_group("options")
    for option in command.options:
        settings: dict[str, Any] = {"help": option.help, "dest": option.name}
        if option.kind is bool:
            flags.add_argument(*option.flags, action="store_true", **settings)
            continue
        settings["metavar"] = option.metavar
        if option.repeatable:
            flags.add_argument(*option.flags, action="append", default=[], **settings)
        else:
            flags.add_argument(
                *option.flags, type=option.kind, default=option.default, choices=option.choices, **settings
            )
    flags.add_argument("-h", "--help", action="store_true", help="show this help")
    return parser


def _hint(command: str) -> str:
    return f"`verify {command} --help` lists the options"


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that looks most like `word`."""
    import difflib

    return difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]


def parse_networks(words: Sequence[str]) -> dict[str, str]:
    """[NAME=]FILE words as {name: file}; a file without a name is under ""."""
    networks: dict[str, str] = {}
    for word in words:
        match = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL)
        name, file = match.groups() if match else ("", word)
        if not file:
            raise UsageError("E014", f"--network {word}: no file is named", fix="write --network NAME=FILE.onnx")
        if name in networks:
            raise UsageError("E014", f"--network: {name or 'the unnamed network'} is given twice", fix="give it once")
        networks[name] = file
    return networks


def parse_assignments(option: Option, words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE words as {name: value}, both trimmed and not empty."""
    flag, values = option.flags[0], dict[str, str]()
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not (name and equals and value):
            raise UsageError(
                "E014",
                f"{flag} {word!r} is not NAME=VALUE",
                fix=f"for example {flag} {'s.x' if option is AT else 'eps'}=0.01",
            )
        if name in values:
            raise UsageError("E014", f"{flag}: {name} is given twice", fix="give it once")
        values[name] = value
    return values


def check_limit(option: Option, value: float | None) -> None:
    """A limit must be a number above 0.  Raises UsageError E001."""
    flag = option.flags[0]
    if value is not None and (math.isnan(value) or value <= 0):
        raise UsageError("E001", f"{flag} must be above 0, not {value:g}", fix=f"for example {flag} 600")


def check_seed(seed: int) -> None:
    if seed < 0:
        raise UsageError("E001", f"--seed must not be negative, but is {seed}", fix="for example --seed 1")


def check_jobs(jobs: int) -> None:
    if jobs < 1:
        raise UsageError("E001", f"--jobs must be at least 1, not {jobs}", fix="for example --jobs 2")
