"""Results files keep every script's part, and say on what machine it was measured."""

import json
from dataclasses import dataclass

import pytest
import record


def test_sections_stand_beside_each_other(tmp_path):
    path = tmp_path / "new" / "results.json"
    first = record.Section("a", {"quick": True}, str(path))
    first.add({"x": 1})
    record.Section("b", {}, str(path)).add({"y": 2})
    first.add({"x": 3})
    content = record.load(path)
    assert content["sections"]["a"]["rows"] == [{"x": 1}, {"x": 3}]
    assert content["sections"]["b"]["rows"] == [{"y": 2}]
    assert content["machine"]["versions"]["numpy"]


def test_a_row_that_cannot_be_measured_is_told_and_kept(tmp_path, capsys):
    opened = record.Section("a", {}, str(tmp_path / "results.json"))
    opened.fail("vgg, batch 32", ValueError("no such thing"))
    assert capsys.readouterr().err == "failed: vgg, batch 32: no such thing\n"
    assert record.load(opened.path)["sections"]["a"]["failures"] == ["vgg, batch 32: no such thing"]


@pytest.mark.parametrize(("share", "warned"), [(0.5, True), (0.01, False), (None, False)])
def test_a_busy_machine_is_warned_of(tmp_path, monkeypatch, capsys, share, warned):
    monkeypatch.setattr(record, "busy", lambda: share)
    with record.section("a", {}, str(tmp_path / "results.json")) as opened:
        opened.add({})
    assert ("others used 50 % of the machine before" in capsys.readouterr().err) == warned
    loads = record.load(opened.path)["sections"]["a"]
    assert loads["load_before"]["busy"] == loads["load_after"]["busy"] == share


def test_busy_is_a_share():
    share = record.busy(0.02)
    assert share is None or 0 <= share <= 1


def test_the_file_is_named_by_machine_date_and_commit():
    path = record.default_path({"cpu": "Some CPU (R) 3", "isa": "avx2", "date": "2026-01-02", "commit": "abc"})
    assert path == record.RESULTS / "some-cpu-r-3-avx2-2026-01-02-abc.json"


def test_the_machine_can_be_written_down(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    described = json.loads(json.dumps(record.machine()))
    assert described["environment"]["OMP_NUM_THREADS"] == "2"
    assert "PATH" not in described["environment"]
    assert {"cpu", "isa", "blas", "cores", "commit", "date", "built_by"} <= set(described)


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    described = record.machine()
    assert described["commit"] is None
    assert described["changed"] == []


@dataclass
class Options:
    rows: str = "all"
    compile: bool = False
    out: str = ""


@pytest.mark.parametrize(
    ("options", "part"),
    [(Options(), False), (Options(compile=True, out="x.json"), False), (Options(rows="one"), True)],
)
def test_what_measures_less_than_usual_is_a_part(options, part):
    settings = record.settings_of(options)
    assert settings == {"rows": options.rows, "compile": options.compile, "out": options.out, "part": part}
