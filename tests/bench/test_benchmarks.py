"""The benchmark scripts on a corpus of two tiny instances."""

import csv
import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import cactus, growth, independent, peers, profile, run, tables
from bench.corpus import Instance, evenly, read_corpus
from bench.process import Outcome, run_process

ROOT = Path(__file__).resolve().parents[2]
needs_plot = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib (dev extra)")


@pytest.fixture(autouse=True)
def no_compiling(monkeypatch):
    """Compiling the search ahead takes seconds, and nothing here needs it."""
    for module in (run, peers, profile, growth):
        monkeypatch.setattr(module, "warm_cache", lambda: "not prepared")


@pytest.fixture
def corpus(tmp_path):
    """y = relu(x) on [-1, 1]: y >= 2 is unsat, y >= 0.5 is sat.  The network is stored compressed, too."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    node = helper.make_node
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["z"]), node("Relu", ["z"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.ones((1, 1), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "net2.onnx.gz").write_bytes(gzip.compress((folder / "net.onnx").read_bytes()))
    for name, limit in (("high", "2.0"), ("low", "0.5")):
        (folder / f"{name}.vnnlib").write_text(
            "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
            f"(assert (>= X_0 -1.0))\n(assert (<= X_0 1.0))\n(assert (>= Y_0 {limit}))\n"
        )
    write_instances(folder, low="sat")
    return folder


def write_instances(folder, *, low):
    (folder / "instances.csv").write_text(
        "family,instance,onnx,vnnlib,timeout_s,expected,quick,best_s\n"
        "tiny,net__high,net.onnx,high.vnnlib,20,unsat,1,0.5\n"
        f"other,net2__low,net2.onnx.gz,low.vnnlib,20,{low},0,\n"
    )


def test_fresh_processes_give_table_and_csv(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    words = [str(corpus), "--csv", str(out / "r.csv"), "--table", str(out / "r.md")]
    assert run.main(words) == 0
    with open(out / "r.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(r["family"], r["verdict"]) for r in rows] == [("tiny", "PROVED"), ("other", "REFUTED")]
    assert tuple(rows[0]) == run.CSV_COLUMNS
    assert all(float(r["peak_mb"]) > 1 and float(r["cpu"]) > 0 and float(r["seconds"]) > 0 for r in rows)
    table = (out / "r.md").read_text()
    assert "- machine: " in table and "onnxruntime" in table and "seeds: 0" in table
    assert "| tiny | 1/1 | 0 |" in table and "| all | 2/2 | 0 |" in table
    assert table.strip() in capsys.readouterr().out


@needs_plot
def test_in_process_with_seeds_and_plot(corpus, tmp_path, capsys):
    peer = tmp_path / "peer.csv"
    peer.write_text("tiny,onnx/net.onnx,vnnlib/high.vnnlib,0.1,unsat,1.5\nother,net2.onnx,low.vnnlib,0.1,unsat,9\n")
    image = tmp_path / "cactus.png"
    words = ["--in-process", "--seed", "0", "--seed", "1", "--peers", str(peer), "--plot", str(image)]
    assert run.main([str(corpus), *words]) == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "| tiny, seed 1 | 1/1 |" in text
    assert "| peer | 1 | 1 | 2 |" in text  # solved 1, wrong 1


def test_a_wrong_verdict_exits_1(corpus, capsys):
    write_instances(corpus, low="unsat")
    assert run.main([str(corpus), "--in-process"]) == 1
    assert "WRONG other/net2__low: REFUTED" in capsys.readouterr().out


def test_quick_and_family_choose(corpus, capsys):
    assert run.main([str(corpus), "--quick", "--in-process"]) == 0
    assert "| all |" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no family 'none'"):
        run.main([str(corpus), "--family", "none"])


def test_a_tool_that_fails_is_an_error_row(corpus, capsys):
    assert run.main([str(corpus), "--quick", "--command", f"{sys.executable} -c raise(SystemExit(3))"]) == 0
    assert "| tiny | 0/1 | 0 |" in capsys.readouterr().out


def test_the_script_runs_by_its_path(corpus):
    words = [sys.executable, str(ROOT / "bench/run.py"), str(corpus), "--quick", "--in-process"]
    done = subprocess.run(words, cwd=corpus, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| tiny | 1/1 |" in done.stdout


def test_opposite_answers_of_two_seeds_are_told():
    instance = Instance("f", "i", Path("a"), Path("b"), 1.0, "unknown")
    runs = [run.Run(instance, seed, verdict, 1.0, 0.1, 0.1, 1.0) for seed, verdict in ((0, "PROVED"), (1, "REFUTED"))]
    assert run.contradictions(runs) == ["f/i"]


def test_process_over_its_limit_is_killed():
    outcome = run_process([sys.executable, "-c", "import time; time.sleep(30)"], 0.3)
    assert outcome.killed and outcome.wall < 5
    done = run_process([sys.executable, "-c", "print('x'); b = bytearray(60_000_000); b[::4096] = b'1' * 14649"], 20)
    assert (done.out, done.code, done.killed) == ("x\n", 0, False)
    assert done.peak_mb > 60


def test_samples_are_spread_and_fixed(corpus):
    members = [Instance("f", str(i), Path("a"), Path("b"), 1.0, "sat") for i in range(10)]
    assert [i.name for i in evenly(members, 3)] == ["1", "5", "8"]
    assert evenly(members, 20) == members
    assert [i.name for i in peers.choose(read_corpus(corpus), None, 5)] == ["net__high", "net2__low"]


def test_sections_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# T\n<!-- begin a -->\nold\n<!-- end a -->\ntail\n")
    tables.write_section(page, "a", "new\\1\n")
    assert page.read_text() == "# T\n<!-- begin a -->\n\nnew\\1\n\n<!-- end a -->\ntail\n"
    tables.write_section(page, "b", "whole\n")
    assert page.read_text() == "whole\n"


def test_results_of_a_peer_with_header(corpus, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("tool,family,instance,verdict,seconds\nX,tiny,net__high,unsat,2\nX,tiny,gone,unsat,1\n")
    instances = read_corpus(corpus)
    results = cactus.read_results(path, instances)
    assert results == {"X": {("tiny", "net__high"): ("unsat", 2.0)}}
    assert cactus.solved_seconds(results["X"], instances) == [2.0]


@pytest.mark.parametrize(
    "text, verdict",
    [
        ("Network: a\n\nunsat\n", "unsat"),
        ("sat\nInput assignment:\n", "sat"),
        ("Timeout\n", "timeout"),
        ("Caught a MarabouError error. Code: 105, Errno: 0, Message: Slice not supported.\n", "error"),
    ],
)
def test_what_marabou_prints(text, verdict):
    found, reason = peers.read_marabou(Outcome(text, "", 0, False, 1.0, 1.0, 1.0))
    assert found == verdict
    assert reason == ("Slice not supported." if verdict == "error" else "")


def test_what_vibecheck_prints():
    def read(out, err=""):
        return peers.read_vibecheck(Outcome(out, err, 0, False, 1.0, 1.0, 1.0))

    assert read("sat\nX float32 [1]\n0\n") == ("sat", "")
    assert read("timed-out\n") == ("timeout", "")
    assert read("", "Traceback\nValueError: no\n") == ("error", "ValueError: no")


def test_an_answer_after_the_limit_is_a_timeout():
    assert peers.in_time("unsat", "", 11.4, 10.0) == ("unsat", "")
    assert peers.in_time("unsat", "", 11.6, 10.0) == ("timeout", "unsat too late")


def test_paired_runs_against_a_stand_in(corpus, tmp_path, capsys):
    (tmp_path / "venv/bin").mkdir(parents=True)
    stand_in = tmp_path / "venv/bin/Marabou"
    stand_in.write_text("#!/bin/sh\necho unsat\n")
    stand_in.chmod(0o755)
    words = ["--venv", f"maraboupy={tmp_path / 'venv'}", "--csv", str(tmp_path / "p.csv")]
    assert peers.main([str(corpus), *words]) == 0
    text = capsys.readouterr().out
    assert "| maraboupy | 2/2 | 1/2 | 0 | 1 |" in text
    assert "WRONG" in text
    with open(tmp_path / "p.csv", newline="") as handle:
        tools = [row["tool"] for row in csv.DictReader(handle)]
    assert tools == ["policyproof", "maraboupy"] * 2


def test_clock_charges_the_innermost_stage():
    times = iter([0.0, 1.0, 3.0, 6.0, 10.0])
    clock = profile.Clock(lambda: next(times))
    with clock.during("outer"), clock.during("inner"):
        pass
    assert clock.seconds == {"outer": 2.0 + 4.0, "inner": 3.0}


def test_profile_finds_every_stage_and_leaves_no_trace(corpus, capsys):
    from verify.search import tiers

    before = tiers.propagate
    words = [str(corpus / "high.vnnlib"), "--network", str(corpus / "net.onnx"), "--warm", "--functions", "3"]
    assert profile.main(words) == 0
    text = capsys.readouterr().out
    assert "high: PROVED" in text and "| model load |" in text and "boxes: numpy 1 in" in text
    assert "not found in this version" not in text
    assert tiers.propagate is before


def test_fitted_laws():
    grown = [(n, 0.02 + 0.003 * np.exp(0.9 * n)) for n in range(2, 10)]
    law = growth.fit(grown, "exponential", with_base=True)
    assert law is not None
    assert (law.base, law.c, law.k) == pytest.approx((0.02, 0.003, 0.9), rel=1e-3)
    power = growth.fit([(n, 2 * n**1.5) for n in (16, 64, 256)], "power", with_base=False)
    assert power is not None
    assert (power.c, power.k, power.r2) == pytest.approx((2, 1.5, 1))
    assert power(4) == pytest.approx(16)
    assert growth.fit([(1, 1.0), (2, 2.0)], "power", with_base=False) is None


def test_sizes_with_a_timeout_do_not_count():
    runs = [growth.Measured("inputs", d, 64, 0, "UNKNOWN" if d == 4 else "PROVED", 1.0, d, 0.1) for d in (2, 3, 4)]
    assert growth.settled_sizes(runs) == [2, 3]


def test_training_lowers_the_error():
    layers, error = growth.train(2, 16, np.random.default_rng(0), steps=300)
    assert [w.shape for w, _ in layers] == [(8, 2), (8, 8), (1, 8)]
    assert error < 0.5


@needs_plot
def test_growth_draws_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "train", lambda d, n, random: (_random_layers(d, n, random), 0.0))
    image, page = tmp_path / "g.png", tmp_path / "g.md"
    words = ["--out", str(image), "--table", str(page), "--seeds", "1", "--inputs", "1,2,3", "--relus", "4,8,16"]
    assert growth.main(words) == 0
    assert image.exists() and "boxes against inputs" in page.read_text()


def _random_layers(inputs, relus, random):
    shapes = [(relus // 2, inputs), (relus // 2, relus // 2), (1, relus // 2)]
    return [(random.normal(size=s).astype(np.float32), np.zeros(s[0], np.float32)) for s in shapes]


def test_independent_readers_agree_on_a_corpus(corpus, capsys):
    assert independent.main([str(corpus)]) == 0
    assert "tiny: 1 of 1 equal\nother: 1 of 1 equal\n" in capsys.readouterr().out


def test_independent_readers_that_refuse_or_differ_are_told(corpus, capsys, monkeypatch):
    (corpus / "high.vnnlib").write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (not (<= Y_0 1)))")
    assert independent.main([str(corpus), "--family", "tiny", "--every"]) == 0
    out = capsys.readouterr().out
    assert "net__high: refused (condition 'not' is not supported)" in out and "other" not in out.split("networks:")[0]
    read = independent.read_query
    monkeypatch.setattr(independent, "read_query", lambda text, network: read(text.replace("0.5", "0.7"), network))
    assert independent.main([str(corpus)]) == 1
    assert "    net2__low: DIFFERENT\n" in capsys.readouterr().out
