"""Fuzz the readers of specs: every text gives a result or a VerifyError, in bounded time and memory.

    python bench/fuzz_spec.py --minutes 10 [--seed N] [--keep DIR]

Texts are damaged copies of the shipped and tested specs and VNN-LIB cases, and random derivations of the grammar.  Each
goes through check-spec, the formatter and the editor's questions and, where it has no mistakes, through lowering with
random networks.  The first texts that break a rule are written to DIR (default: the current folder); the exit code is
then 1.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lark.grammar import NonTerminal, Terminal  # noqa: E402

from tests.errors import cases  # noqa: E402
from tests.spec.models import random_network  # noqa: E402
from verify import editor  # noqa: E402
from verify.core.network import Network  # noqa: E402
from verify.errors import DefectError, UsageError, VerifyError  # noqa: E402
from verify.spec.check import check_spec  # noqa: E402
from verify.spec.diagnose import diagnose  # noqa: E402
from verify.spec.layout import format_text  # noqa: E402
from verify.spec.lower import lower_spec  # noqa: E402
from verify.spec.parse import parse_text  # noqa: E402
from verify.spec.tables import parser  # noqa: E402
from verify.spec.vnnlib import read as read_vnnlib  # noqa: E402

SECONDS = 15  # of CPU, for one text; the limits of the readers keep it below
MEGABYTES = 1500  # address space beyond what is used at the start
PIECES = [
    *"()[]{}=<>+-*/.,:@#\"_0$^;'\n\t\r\x00é漢\u200b\ufeff\u202e", "and", "or", "not", "forall", "assert", "assume",
    "max(", "s", "1e400", "1e-400", "1e999999999", "9" * 2000, "[m]", "value", "in", "raw", "property", "argmax", "is",
    "may be", "is strictly", "if", "then", "else", "all", "any", "..", "0..99999999", "!=", "=>", "true", "except",
    "same(s, t)", "(" * 150, "not " * 150, "-" * 150, "[" * 150, "{" * 150, "s.x" + " + s.x" * 300, "abs(" * 40,
    "input x", "output y", "property q {", "network k = onnx() {", "unit km = 1000[m]", "0.1", "x" * 5000, "\r\n",
    "(declare-const X_0 Real)", "(assert ", "(or ", "(and ", "(* X_0 X_1)", "(/ 1 0)", "|", "X_0", "Y_1",
]  # fmt: skip
NAMES = ["n", "s", "t", "x", "v", "px", "a", "b", "c", "d", "m", "two", "f", "k", "p", "abs", "max", "argmax", "value"]


class SlowError(Exception):
    """A text took longer than SECONDS."""


def good_specs() -> list[str]:
    folders = [ROOT / "specs", ROOT / "tests/spec/examples"]
    return [p.read_text(encoding="utf-8") for f in folders for p in sorted(f.rglob("*.nnspec"))]


def wrong_specs() -> list[str]:
    found = [c for c in cases.all_cases() if c.kind == "E3" and not c.source.startswith(("$", ">"))]
    return [cases.expanded(c.source) for c in found]


def vnnlibs() -> list[str]:
    found = [case for path in cases.VNNLIB for case in cases.read(path)[1]]
    return [cases.expanded(c.source, cases.VNNLIB_HEADER) for c in found if len(c.source) < 5000]


def damage(text: str, corpus: list[str], rng: random.Random) -> str:
    """A few deletions, insertions, repetitions and swaps, of characters or whole lines."""
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice([0, 0, 0, 1, 1, 4, 12, 80]))
        other = rng.choice([text, text, rng.choice(corpus)])
        donor = rng.randrange(len(other) + 1)
        piece = rng.choice([rng.choice(PIECES), other[donor : donor + rng.choice([1, 5, 15, 100, 1000])], ""])
        text = text[:at] + piece * rng.choice([1, 1, 1, 1, 2, 60]) + text[end:]
        if len(text) > 300_000:
            break
    return text


_WORD = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|<=|>=|==|<|>|[-+*/]")


def exchange(text: str, rng: random.Random) -> str:
    """A few names, numbers or operators replaced by others of the same text: mostly still a spec."""
    words = list(_WORD.finditer(text))
    kinds: dict[str, list[str]] = {}
    for match in words:
        kinds.setdefault(_kind(match.group()), []).append(match.group())
    for match in sorted(rng.sample(words, min(len(words), rng.choice([1, 1, 2, 4]))), key=lambda m: -m.start()):
        text = text[: match.start()] + rng.choice(kinds[_kind(match.group())]) + text[match.end() :]
    return text


def _kind(word: str) -> str:
    return "number" if word[0].isdigit() else "name" if word[0].isidentifier() else "operator"


class Derivation:
    """Random texts of the grammar, from the parser's own rules."""

    def __init__(self) -> None:
        lark = parser()
        self.rules: dict[str, list[list[NonTerminal | Terminal]]] = {}
        for rule in lark.rules:
            self.rules.setdefault(str(rule.origin.name), []).append(list(rule.expansion))
        self.patterns = {t.name: t.pattern.value for t in lark.terminals}
        self.depth = self._depths()

    def _depths(self) -> dict[str, int]:
        depth: dict[str, int] = {}
        while len(depth) < len(self.rules):
            for name, choices in self.rules.items():
                known = [self._height(c, depth) for c in choices]
                best = min((k for k in known if k is not None), default=None)
                if best is not None:
                    depth.setdefault(name, best + 1)
        return depth

    def _height(self, choice: list[NonTerminal | Terminal], depth: dict[str, int]) -> int | None:
        parts = [depth.get(str(s.name)) for s in choice if not s.is_term]
        return None if None in parts else max((p for p in parts if p is not None), default=0)

    def text(self, rng: random.Random) -> str:
        words: list[str] = []
        stack: list[tuple[NonTerminal | Terminal, int]] = [(NonTerminal("start"), rng.choice([12, 18, 25, 40]))]
        while stack and len(words) < 5000:
            symbol, budget = stack.pop()
            if symbol.is_term:
                words.append(self.word(str(symbol.name), rng))
                continue
            choices = self.rules[str(symbol.name)]
            heights = [self._height(c, self.depth) or 0 for c in choices]
            fitting = [c for c, h in zip(choices, heights, strict=True) if h < budget]
            chosen = rng.choice(fitting or [choices[heights.index(min(heights))]])
            stack.extend((s, budget - 1) for s in reversed(chosen))
        return rng.choice(["", cases.HEADER]) + " ".join(words)

    def word(self, terminal: str, rng: random.Random) -> str:
        if terminal == "NAME":
            return rng.choice(NAMES)
        if terminal == "INT":
            return rng.choice(["0", "1", "2", "3", "10", "99999999"])
        if terminal == "NUMBER":
            return rng.choice(["0.5", "1e3", "2.5e-3", "1e999", "1e99999"])
        if terminal == "STRING":
            return '"n.onnx"'
        pattern = re.sub(r"\\b|\?:|\(\?:|\)$|^\(", "", self.patterns[terminal]).replace("\\", "")
        return rng.choice(pattern.split("|")) if pattern != "|" else pattern


def networks_of(text: str, rng: random.Random) -> dict[str, Network]:
    spec = parse_text(text, "f")
    declared = check_spec(spec, {}).declared.networks
    return {
        name: random_network(n.inputs.size, n.outputs.size, seed=rng.randrange(9))
        for name, n in declared.items()
        if n.inputs.size * n.outputs.size < 10_000
    }


def try_spec(text: str, rng: random.Random) -> str:
    diagnosis = diagnose(text, "fuzz.nnspec", {})
    for error in diagnosis.errors:
        str(error)
    line = rng.randrange(text.count("\n") + 2) + 1
    editor.meaning(text, "fuzz.nnspec", line, rng.randrange(80) + 1)
    try:
        laid = format_text(text, "fuzz.nnspec")
        assert format_text(laid, "fuzz.nnspec") == laid, "formatting twice changes the text"
    except DefectError:
        raise
    except VerifyError:
        pass
    if diagnosis.errors:
        return diagnosis.errors[0].code
    lower_spec(parse_text(text, "fuzz.nnspec"), networks_of(text, rng), {})
    return "fine"


def try_vnnlib(text: str, rng: random.Random) -> str:
    del rng
    read_vnnlib(text, "fuzz.vnnlib", cases.VNNLIB_NETWORK)
    return "fine"


def attempt(run: Callable[[str, random.Random], str], text: str, rng: random.Random) -> tuple[str, str]:
    """What came of a text: (kind, details); kind "" is a broken rule."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return run(text, rng), ""
    except (DefectError, UsageError):
        return "", traceback.format_exc()
    except VerifyError as error:
        str(error)
        return error.code, ""
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt):
            raise
        return "", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _alarm(*_: object) -> None:
    raise SlowError(f"more than {SECONDS} s")


def fuzz(minutes: float, seed: int, keep: Path) -> int:
    rng, derive = random.Random(seed), Derivation()
    good = good_specs()
    corpora = {"nnspec": good + wrong_specs(), "vnnlib": vnnlibs()}
    counts: Counter[str] = Counter()
    slowest = failures = number = 0
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until and failures < 20:
        number += 1
        kind = rng.choice(["nnspec", "exchanged", "derived", "vnnlib"])
        corpus = corpora["vnnlib" if kind == "vnnlib" else "nnspec"]
        text = derive.text(rng) if kind == "derived" else damage(rng.choice(corpus), corpus, rng)
        if kind == "exchanged":
            text = exchange(rng.choice(good), rng)
        if kind == "derived" and rng.random() < 0.3:
            text = damage(text, corpus, rng)
        started = time.process_time()
        outcome, details = attempt(try_vnnlib if kind == "vnnlib" else try_spec, text, rng)
        slowest = max(slowest, round(1000 * (time.process_time() - started)))
        counts[outcome] += 1
        if not outcome:
            failures += 1
            file = keep / f"fuzz-{seed}-{number}.{'vnnlib' if kind == 'vnnlib' else 'nnspec'}"
            file.write_text(text, encoding="utf-8", newline="")
            print(f"{file}:\n{details[-2000:]}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{number} texts, {failures} failures, slowest {slowest} ms of CPU, peak memory {peak} MB, seed {seed}")
    print(", ".join(f"{code} {count}" for code, count in sorted(counts.items())))
    return 1 if failures else 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, default=Path())
    values = options.parse_args()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _alarm)
    return fuzz(values.minutes, values.seed, values.keep)


if __name__ == "__main__":
    sys.exit(main())
