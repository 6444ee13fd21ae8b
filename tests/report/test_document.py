from __future__ import annotations

import json
from typing import Any

import pytest

from tests.report.examples import report, results, two_copies
from tests.report.golden import check_golden
from verify import __version__
from verify.report.document import dumps, result_document

Keys = dict[str, tuple[type, ...]]
TEXT, NUMBER, FLAG = (str,), (int, float), (bool,)
NULL = (type(None),)
RESULT_KEYS: Keys = {
    "property": TEXT,
    "row": NULL,
    "verdict": TEXT,
    "expected": TEXT + NULL,
    "reason": TEXT + NULL,
    "error": (dict, *NULL),
    "seconds": NUMBER,
    "settled": NUMBER,
    "evidence": TEXT + NULL,
    "kernel_mode": TEXT + NULL,
    "certificate": TEXT + NULL,
    "witness": (dict, *NULL),
    "warnings": (list,),
    "notes": (list,),
    "origin": (dict, *NULL),
}
ORIGIN_KEYS: Keys = {"file": TEXT, "line": (int, *NULL)}
ERROR_KEYS: Keys = {
    "code": TEXT,
    "file": TEXT + NULL,
    "line": (int, *NULL),
    "column": (int, *NULL),
    "message": TEXT,
    "fix": TEXT + NULL,
}


def check(value: dict[str, Any], keys: Keys) -> None:
    """Exactly these keys, in this order, of these types."""
    assert list(value) == list(keys)
    for key, types in keys.items():
        assert isinstance(value[key], types), key


def check_document(document: dict[str, Any]) -> None:
    """The whole schema verify/result/1, as the contract says it."""
    top: dict[str, tuple[type, ...]] = {
        "schema": TEXT,
        "tool": (dict,),
        "semantics": TEXT,
        "params": (dict,),
        "networks": (dict,),
    }
    top |= {"spec": (dict,), "results": (list,)}
    check(document, top)
    assert document["schema"] == "verify/result/1" and document["semantics"] == "real"
    check(document["tool"], {"name": TEXT, "version": TEXT})
    check(document["spec"], {"file": TEXT, "sha256": TEXT + NULL})
    for network in document["networks"].values():
        check(network, {"file": TEXT, "sha256": TEXT, "digest": TEXT})
    for result in document["results"]:
        check(result, RESULT_KEYS)
        if result["error"] is not None:
            check(result["error"], ERROR_KEYS)
        if result["origin"] is not None:
            check(result["origin"], ORIGIN_KEYS)
        if result["witness"] is not None:
            check_witness(result["witness"])


def check_witness(witness: dict[str, Any]) -> None:
    keys: Keys = {
        "inputs": (dict,),
        "outputs": (dict,),
        "margin": (dict,),
        "networks": (list,),
        "replay": (dict, *NULL),
    }
    check(witness, keys)
    for value in witness["inputs"].values():
        check(value, {"exact": TEXT, "unit": TEXT + NULL})
    for value in witness["outputs"].values():
        check(value, {"exact": TEXT, "replay": NUMBER + NULL, "unit": TEXT + NULL})
    check(witness["margin"], {"exact": TEXT + NULL, "replay": NUMBER + NULL})
    for network in witness["networks"]:
        check(network, {"copy": TEXT, "raw_input": (list,), "replay_input": (list, *NULL)})
        assert all(isinstance(v, str) for v in network["raw_input"])
    if witness["replay"] is not None:
        check(witness["replay"], {"runtime": TEXT, "agrees": FLAG, "left_region": FLAG})


@pytest.mark.parametrize("name", list(results()))
def test_golden(name: str) -> None:
    document = result_document(report(results()[name]))
    document["tool"]["version"] = "VERSION"
    document["results"][0]["seconds"] = 0
    check_golden(f"{name}.json", dumps(document))


def test_schema() -> None:
    document = result_document(report(*results().values(), two_copies()))
    check_document(json.loads(dumps(document)))
    assert document["tool"] == {"name": "policyproof", "version": __version__}


def test_no_number_that_json_lacks() -> None:
    (result,) = result_document(report(two_copies()))["results"]
    assert result["witness"]["outputs"]["pi(s).left"]["replay"] is None
    assert result["witness"]["margin"]["replay"] is None
    assert [n["copy"] for n in result["witness"]["networks"]] == ["pi(a)", "pi(b)"]
    assert result["witness"]["networks"][1] == {
        "copy": "pi(b)",
        "raw_input": ["1/4", "1/2"],
        "replay_input": [0.25, 0.5],
    }


def test_witness_is_physical() -> None:
    (result,) = result_document(report(results()["refuted"]))["results"]
    assert result["witness"]["inputs"]["s.x"] == {"exact": "3/10", "unit": "m"}
    assert result["witness"]["networks"][0]["raw_input"] == ["1/10", "-3"]
    assert result["witness"]["margin"]["exact"] == "1/20"


def test_ascii_only() -> None:
    assert dumps({"unit": "µm"}).isascii()
