"""Pages and figures are filled from results files, and from nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import figures
import published
import pytest
import report
from PIL import Image
from time_to_accuracy import seconds_to, spread, torch_of

import bench_results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of results files that the report reads."""
    monkeypatch.setattr(published.newest, "__defaults__", (tmp_path,))
    return tmp_path


def write(folder, name, content):
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_no_page_differs_from_the_results():
    command = [sys.executable, str(ROOT / "benchmarks" / "report.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", report.TABLES)
def test_without_results_a_table_is_empty(folder, name):
    assert report.TABLES[name]() == ""


@pytest.mark.parametrize("name", report.TABLES)
def test_every_table_says_what_was_measured_and_where(folder, name):
    write(folder, "a", bench_results.results())
    text = report.TABLES[name]()
    assert text.endswith("\n")
    if name.startswith("rung-"):
        assert "| Some CPU, avx2 |" in text
    elif name != "epoch-time":
        assert "|---|" in text
        assert "Some CPU, avx2, 2 cores; PyTorch 2.9, NumPy 2.4; 2026-01-02, commit `0123abcde`" in text
    for path in re.findall(r"\((\S+\.png)\)", text):
        assert (folder / path).name in {"epoch-time.png", "ladder.png", "scaling.png", "roofline.png",
                                        "time-to-accuracy.png"}  # fmt: skip


def test_ratios_are_those_of_the_file(folder):
    write(folder, "a", bench_results.results())
    line = "| VGG, 32 | 2 | 400 (channels_last) | 4.00 (0.50 to 9.00) | 2.00 (0.50 to 9.00) | "
    line += "0.40 (0.50 to 9.00) | 51 / 54 |"
    assert line in report.vs_torch()


def test_what_fast_means_is_told_where_it_was_measured(folder):
    content = bench_results.results()
    write(folder, "a", content)
    assert report.FAST not in report.vs_torch()
    content["sections"]["vs_torch"]["rows"][-1]["precision"] = "fast"
    write(folder, "a", content)
    text = report.vs_torch()
    assert "| VGG, 32, fast | 2 |" in text
    assert text.endswith(f"\n\n{report.FAST}\n")


def test_compiled_pytorch_stands_beside_the_other(folder):
    write(folder, "a", bench_results.results())
    numbers = "2 | 400 (channels_last) | 410 (channels_last) | 4.00 (0.50 to 9.00) | 2.00 (0.50 to 9.00) |"
    assert f"| VGG, 32 | training | {numbers}\n| VGG, 32 | inference | {numbers}" in report.compiled()


def test_an_op_is_shown_with_all_threads_beside_the_faster_layout(folder):
    write(folder, "a", bench_results.results())
    lines = report.ops().splitlines()
    assert [line for line in lines if "`conv2d:vgg.conv2`, 32 | forward" in line] == [
        "| `conv2d:vgg.conv2`, 32 | forward | 2 | 5 | 10 | 50 | 20 | 4.00 |"
    ]


def test_jax_has_a_column_where_it_was_measured(folder):
    content = bench_results.results()
    rows = content["sections"]["ops"]["rows"]
    rows.append(rows[0] | {"engine": "jax", "threads": 2, "median": 0.03})
    write(folder, "a", content)
    assert "| `conv2d:vgg.conv2`, 32 | forward | 2 | 5 | 10 | 50 | 20 | 30 | 4.00 |" in report.ops()


def test_steps_have_ratios_and_tell_of_few_rounds(folder):
    content = bench_results.results()
    rows = content["sections"]["step"]["rows"]
    del rows[0]["engines"]["numba"]["seconds"][2:]
    write(folder, "a", content)
    assert "4.00 (0.50 to 9.00) | 2.00 (0.50 to 9.00, 2 rounds) |" in report.step()


def test_few_starts_are_told(folder):
    content = bench_results.results()
    (row,) = content["sections"]["step"]["start"]
    for starts, name in ((0, "numba"), (1, "numba (1 start)"), (3, "numba (3 starts)"), (5, "numba")):
        row["starts"] = [{"import_seconds": 0.5, "first_seconds": 1.5}] * starts
        write(folder, "a", content)
        assert f"| {name} | 0.50 | 1.50 | - |" in report.start()


def test_changed_files_are_told(folder):
    write(folder, "a", bench_results.results(changed=[" M a.py", "?? b.py"]))
    assert "commit `0123abcde` with 2 changed files;" in report.vs_torch()


def test_older_results_have_the_number_of_changed_files_alone(folder):
    write(folder, "a", bench_results.results(changed_files=1))
    assert "commit `0123abcde` with 1 changed file;" in report.vs_torch()


def test_a_section_has_a_machine_of_its_own(folder):
    content = bench_results.results()
    content["sections"]["step"]["machine"] = bench_results.machine(commit="earlier", torch_cuda="13.0")
    write(folder, "a", content)
    assert "PyTorch 2.9 (built for CUDA 13.0), NumPy 2.4; 2026-01-02, commit `earlier`;" in report.step()
    assert "commit `0123abcde`" in report.vs_torch()


def test_a_stopped_measurement_does_not_push_out_one_that_was_not(folder):
    write(folder, "a", bench_results.results(date="2026-01-02", commit="whole"))
    content = bench_results.results(date="2026-01-03", commit="stopped")
    content["sections"]["vs_torch"]["complete"] = False
    write(folder, "b", content)
    assert "whole" in report.vs_torch()
    assert "stopped" in report.layers()


def test_what_failed_and_others_load_are_told(folder):
    content = bench_results.results()
    content["sections"]["vs_torch"] |= {"failures": ["vgg, batch 32: no memory"], "load_during": {"busy": 0.2}}
    write(folder, "a", content)
    text = report.vs_torch()
    assert "in use by others before, during and after: 1 %, 20 % and 1 %.\nNot measured: vgg, batch 32: no mem" in text


def test_of_several_parts_the_busiest_counts(folder):
    content = bench_results.results()
    earlier = [{"load_before": {"busy": 0.0}, "load_during": {"busy": 0.5}, "load_after": {"busy": 0.03}}]
    content["sections"]["vs_torch"] |= {"load_during": {"busy": 0.2}, "earlier": earlier}
    write(folder, "a", content)
    assert "others before, during and after: 1 %, 50 % and 3 % (the largest of 2 parts).\n" in report.vs_torch()
    earlier[0]["load_after"] = None  # what was killed could not look
    write(folder, "a", content)
    assert "before, during and after: 1 %, 50 % and unknown (the largest of 2 parts).\n" in report.vs_torch()


def test_memory_is_shown_with_and_without_imports(folder):
    write(folder, "a", bench_results.results())
    for text in (report.vs_torch(), report.step()):
        assert "| MiB, cython / PyTorch | above the imports |" in text
        assert "| 51 / 54 | 11 / 14 |" in text


def test_torchvisions_loader_is_called_so(folder):
    content = bench_results.results()
    (row,) = content["sections"]["data"]["rows"]
    row["engines"]["torch, batches by index"] = row["engines"]["torch contiguous"]
    row["ratios"]["torch, batches by index"] = row["ratios"]["torch contiguous"]
    write(folder, "a", content)
    text = report.loaders()
    assert "| torchvision contiguous, image by image |" in text
    assert "| PyTorch, batches by index |" in text


def test_a_rung_is_held_to_the_one_below_it(folder):
    write(folder, "a", bench_results.results())
    lines = report.TABLES["rung-direct"]().splitlines()
    assert lines[2:] == [
        "| `baseline.block2`, 32 images | Some CPU, avx2 | 1 | 222 | 3 |",
        "| `vgg.conv2`, 32 images | Some CPU, avx2 | 1 | 667 | 3 |",
    ]


def test_the_newest_file_of_each_machine_counts(folder):
    write(folder, "a", bench_results.results(date="2026-01-03", commit="newest"))
    write(folder, "b", bench_results.results(date="2026-01-02", commit="older"))
    write(folder, "c", bench_results.results(date="2026-01-01", commit="another", isa="avx512"))
    text = report.vs_torch()
    assert "newest" in text
    assert "another" in text
    assert "older" not in text


def test_of_files_of_one_day_the_one_begun_last_counts(folder):
    for name, hour in (("a", 9), ("b", 8)):
        content = bench_results.results(commit=f"begun-at-{hour}")
        content["sections"]["vs_torch"]["at"] = f"2026-01-02T0{hour}:00:00+00:00"
        write(folder, name, content)
    assert "begun-at-9" in report.vs_torch()


def test_a_table_says_that_its_measurement_was_stopped(folder):
    content = bench_results.results()
    assert "stopped" not in published.source(content, "step")
    del content["sections"]["step"]["load_after"]
    write(folder, "a", content)
    assert "(it was stopped before its end)" in report.step()


@pytest.mark.parametrize("why", ["quick", "part"])
def test_quick_runs_and_parts_do_not_count(folder, why):
    content = bench_results.results()
    content["sections"]["vs_torch"]["settings"][why] = True
    write(folder, "a", content)
    assert report.vs_torch() == ""
    assert report.layers() != ""


def test_figures_are_drawn_on_white(folder):
    write(folder, "a", bench_results.results())
    pictures = folder / "pictures"
    pictures.mkdir()
    report.draw(pictures)
    names = {path.name for path in pictures.iterdir()}
    assert names == {"epoch-time.png", "ladder.png", "scaling.png", "roofline.png", "time-to-accuracy.png"}
    for name in names:
        with Image.open(pictures / name) as image:
            assert image.width >= 1000
            assert image.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)


def test_a_figure_of_other_numbers_is_outdated(folder):
    content = bench_results.results()
    write(folder, "a", content)
    pictures = folder / "pictures"
    pictures.mkdir()
    report.draw(pictures)
    assert report.outdated(pictures) == []
    content["sections"]["scaling"]["rows"][0]["y"][0] *= 2
    write(folder, "a", content)
    (pictures / "ladder.png").unlink()
    assert report.outdated(pictures) == [pictures / "ladder.png", pictures / "scaling.png"]


def test_figures_drawn_by_other_code_are_outdated(folder, monkeypatch):
    write(folder, "a", bench_results.results())
    report.draw(folder)
    other = folder / "figures.py"
    other.write_text("another way to draw")
    monkeypatch.setattr(report, "DRAWING", other)
    assert {path.name for path in report.outdated(folder)} == {path.name for path in folder.glob("*.png")}


def test_nothing_is_drawn_without_results(folder):
    report.draw(folder)
    assert list(folder.iterdir()) == []


def test_seconds_to_an_accuracy():
    history = [{"seconds": 1.0, "accuracy": 0.5}, {"seconds": 2.0, "accuracy": 0.7}, {"seconds": 3.0, "accuracy": 0.6}]
    assert seconds_to(history, 0.6) == 2.0
    assert seconds_to(history, 0.8) is None
    assert spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert spread([1.0, None, 3.0]) == "2.0 ± 1.4 (2 of 3)"
    assert spread([None]) == "not reached"


def test_what_goes_on_keeps_the_layout_of_pytorch():
    assert torch_of([]) is None
    assert torch_of([{"engine": "cython"}]) is None
    assert torch_of([{"engine": "cython"}, {"engine": "torch channels_last"}]).settings["layout"] == "channels_last"


def test_names_are_spread_as_little_as_it_takes():
    assert figures.spread([0.1, 0.5, 0.9], 0.2) == pytest.approx([0.1, 0.5, 0.9])
    assert figures.spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    assert figures.spread([0.1, 0.15, 0.2, 0.9], 0.1) == pytest.approx([0.05, 0.15, 0.25, 0.9])
    # The first pair pushes into the third, so that all three share what has to be moved.
    assert figures.spread([0.5, 0.5, 0.6], 0.2) == pytest.approx([1 / 3, 1 / 3 + 0.2, 1 / 3 + 0.4])
    assert figures.spread([], 0.1) == []
