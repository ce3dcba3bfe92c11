"""Results files keep every script's part, and say on what machine it was measured."""

import json
import sys
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


def test_what_is_complete_stays_until_its_successor_is(tmp_path):
    path = str(tmp_path / "results.json")
    with record.section("a", {}, path) as opened:
        opened.add({"x": 1})
    again = record.Section("a", {}, path)
    again.add({"x": 2})
    sections = record.load(opened.path)["sections"]
    assert sections["a"]["rows"] == [{"x": 1}]
    assert sections["a" + record.UNDER_WAY]["rows"] == [{"x": 2}]
    with record.section("a", {}, path) as last:
        last.add({"x": 3})
    assert {name: part["rows"] for name, part in record.load(opened.path)["sections"].items()} == {"a": [{"x": 3}]}


def test_a_measurement_that_fails_is_not_complete(tmp_path):
    path = tmp_path / "results.json"

    def fail():
        with record.section("a", {}, str(path)) as opened:
            opened.add({"x": 1})
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    part = record.load(path)["sections"]["a"]
    assert not record.is_complete(part)
    assert part["load_after"]
    assert part["rows"] == [{"x": 1}]


@pytest.mark.parametrize(("seeds", "kept"), [(5, [{"x": 1}]), (4, [])])
def test_a_stopped_measurement_goes_on_with_the_same_settings(tmp_path, seeds, kept):
    path = str(tmp_path / "results.json")
    record.Section("a", {"seeds": 5}, path).add({"x": 1})
    again = record.Section("a", {"seeds": seeds}, path)
    assert again.take_up() == kept
    again.add({"x": 2})
    assert record.load(again.path)["sections"]["a"]["rows"] == [*kept, {"x": 2}]


def test_what_goes_on_keeps_how_busy_the_machine_was_before(tmp_path, monkeypatch):
    path = str(tmp_path / "results.json")
    for share, parts in ((0.5, []), (0.25, [0.5]), (0.0, [0.5, 0.25])):
        monkeypatch.setattr(record, "busy", lambda share=share: share)
        with record.section("a", {"seeds": 5}, path) as opened:
            opened.take_up()
            opened.add({"x": share})
            opened.is_stopped = True
        part = record.load(opened.path)["sections"]["a"]
        assert [earlier["load_before"]["busy"] for earlier in part.get("earlier", [])] == parts
        assert part["load_before"]["busy"] == share
    assert part["rows"] == [{"x": 0.5}, {"x": 0.25}, {"x": 0.0}]


def test_a_measurement_goes_on_the_next_day_and_under_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    described = record.machine() | {"commit": "0123abcde"}
    monkeypatch.setattr(record, "machine", lambda: described | {"date": "2026-01-02"})
    stopped = record.Section("a", {"out": "", "seeds": 5})
    stopped.add({"x": 1})
    monkeypatch.setattr(record, "machine", lambda: described | {"date": "2026-01-03"})
    record.Section("b", {"out": ""}).add({"y": 1})
    assert record.Section("a", {"out": "", "seeds": 5}).take_up() == [{"x": 1}]
    assert record.Section("a", {"out": "other", "seeds": 5}, str(stopped.path)).take_up() == [{"x": 1}]
    assert record.Section("a", {"out": "other", "seeds": 5}, str(tmp_path / "other")).take_up() == []


def test_a_complete_measurement_is_made_again(tmp_path):
    path = str(tmp_path / "results.json")
    with record.section("a", {}, path) as opened:
        opened.add({"x": 1})
    assert record.Section("a", {}, path).take_up() == []


@pytest.mark.parametrize("why", ["quick", "part"])
def test_parts_have_a_file_of_their_own(why):
    assert record.Section("a", {why: True}).path.name.endswith("-part.json")
    assert not record.Section("a", {why: False}).path.name.endswith("-part.json")


def test_the_build_of_pytorch_is_told(tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "modules", {name: one for name, one in sys.modules.items() if name != "torch"})
    for line, told in (("cuda: Optional[str] = '13.0'", "13.0"), ("cuda = '12.8'", "12.8"), ("cuda = None", None)):
        (tmp_path / "torch" / "version.py").write_text(f"__version__ = '2.9'\n{line}\n")
        assert record._torch_cuda() == told


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
