"""Tables of results."""

import improved
import provenance
import pytest
import reported
import speed_run
import store
import timings
from exhibits import classes, of_measures, overview
from findings import Findings
from measures import EQUAL_STEPS, GAP, TEST_ACCURACY, TRAIN_ACCURACY, best_epoch, tested, whole_test
from plan import EXPERIMENTS, Plan, Scope
from store import NotRun

import made_up
from fastscratch.config import TrainConfig

PLAN = Plan(Scope("cifar10"))
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}


@pytest.fixture
def rates(tmp_path):
    """Return the findings of the learning rates, of which one seed of PyTorch is there."""
    for job in PLAN.ordered(["learning_rate"]):
        if job.engine == "fastscratch" or job.config.seed == 0:
            store.write(store.path_of(tmp_path, job.name), made_up.result(job))
    return Findings(BY_NAME["learning_rate"], PLAN, tmp_path)


def test_the_overview_has_the_reports_numbers_ours_and_pytorchs(rates):
    table = overview("1e-3", "search-1e-4")(rates)
    first, second = table.rows
    assert first[:2] == ["1e-3", "81.0 / 71.2 %"]
    assert first[2] == TRAIN_ACCURACY.text([TRAIN_ACCURACY.of(run) for run in rates.of("1e-3").values()])
    assert "±" in first[2]
    assert first[4] == TRAIN_ACCURACY.text([TRAIN_ACCURACY.of(rates.first("1e-3", "torch"))])
    assert "±" not in first[4]
    assert first[6:] == ["not measured yet"] * 2
    assert second[1] == "-"
    assert second[4:] == ["-", "-", "not measured yet", "-"]  # PyTorch does not train it
    assert all(len(row) == len(table.head) for row in table.rows)
    of = "Mean ± standard deviation of 3 seeds, fewer where a number in brackets says so"
    assert table.note.startswith(f"{of}; PyTorch's of 1 seed. cifar10: ")
    assert second[2].endswith(" % (1)")
    assert table.note.endswith(" The report has accuracies of classes alone; its totals here are their means.")


def test_classes_stand_beside_the_reports(rates):
    table = classes("1e-6", "by classes")(rates)
    assert [row[0] for row in table.rows] == [*reported.CLASSES, "**all**"]
    cat = table.rows[3]
    assert (cat[1], cat[4]) == ("8.1 %", "7.3 %")
    assert table.rows[-1][1] == "29.0 %"
    assert table.markdown().startswith("| class | train, report | train | train, PyTorch | test, report |")


def test_what_is_missing_is_said(tmp_path):
    findings = Findings(BY_NAME["learning_rate"], PLAN, tmp_path)
    table = overview("1e-3", "search-1e-4")(findings)
    assert table.rows[0][2:6] == ["not run yet"] * 4
    assert table.rows[1][2:6] == ["not run yet"] * 2 + ["-"] * 2
    assert table.note == ""
    assert of_measures("gaps", ["1e-3"], [GAP])(findings).rows == [["1e-3", "not run yet"]]
    assert [row[1] for row in classes("1e-3", "")(findings).rows][:2] == ["82.1 %", "87.9 %"]


def test_the_report_is_written_down_rightly():
    assert reported.accuracy("subsampled", "tenth") == pytest.approx((75.588, 50.149))
    assert reported.class_accuracy("schedulers", "step")["truck"] == (74.98, 70.70)
    assert reported.class_accuracy("epochs", "report") is None
    assert reported.accuracy("epochs", "report") is None


def test_the_tested_network_is_the_best_where_images_were_kept_apart(tmp_path):
    split, report = (
        made_up.result(PLAN.find(BY_NAME["epochs"], BY_NAME["epochs"].setting(name), "fastscratch", 0))
        for name in ("split", "report")
    )
    assert tested(split)["accuracy"] == TEST_ACCURACY.of(split) == 0.7
    assert tested(report) == report["final"]["valid"]
    assert best_epoch(split) == split["best"]["epoch"]


def test_minutes_are_extrapolated_from_steps():
    timing = {
        "rows": [
            {
                "engine": "torch",
                "work": timings.work_of(TrainConfig(batch_size=100)),
                "seconds_per_step": [0.5, 0.1, 0.2],
            }
        ]
    }
    # 50,000 images, of which a tenth is taken and of that a tenth kept apart: 45 steps an epoch, of 0.2 s each.
    config = TrainConfig(batch_size=100, subsample=0.1, validation=0.1, epochs=4, lr=1.0)
    assert timings.minutes(timing, config, "torch") == pytest.approx(45 * 4 * 0.2 / 60)
    assert timings.minutes(timing, config, "fastscratch") is None
    assert timings.minutes(timing, TrainConfig(batch_size=10), "torch") is None


def test_times_of_other_images_do_not_count(tmp_path):
    findings = Findings(BY_NAME["batch_size"], PLAN, tmp_path)
    with pytest.raises(NotRun, match="times have not been measured"):
        timings.of(findings)
    store.write(timings.file_of(tmp_path), made_up.timing())
    assert timings.of(findings)["share"] == 1
    for name, value in (("data", "shapes10"), ("share", 0.01)):
        store.write(timings.file_of(tmp_path), made_up.timing() | {name: value})
        with pytest.raises(NotRun, match="times have been measured on"):
            timings.of(findings)


def test_equal_steps_are_fewer_epochs_of_smaller_batches():
    history = {"valid_accuracy": [epoch / 10 for epoch in range(1, 11)]}
    for size, accuracy in ((4, 0.1), (8, 0.2), (16, 0.4), (32, 0.8)):
        assert EQUAL_STEPS.of({"config": {"batch_size": size}, "history": history}) == accuracy


def test_the_improved_network_is_counted(tmp_path):
    findings = Findings(BY_NAME["improved"], PLAN, tmp_path)
    assert improved.has_at_most("full", 1_500_000)(findings).word == "holds"
    assert improved.has_at_most("full", 1_000_000)(findings).word == "does not hold"


def test_published_runs_have_times_at_the_pace_of_ours(tmp_path, monkeypatch):
    findings = Findings(BY_NAME["speed_run"], PLAN, tmp_path)
    table = speed_run.published("ten")(findings)
    assert [row[3] for row in table.rows] == ["not measured yet"] * 3
    assert table.note == speed_run.SOURCE
    for job in PLAN.ordered(["speed_run"]):
        store.write(store.path_of(tmp_path, job.name), made_up.result(job))
    findings = Findings(BY_NAME["speed_run"], PLAN, tmp_path)
    monkeypatch.setattr(timings, "of", lambda findings: {})
    monkeypatch.setattr(timings, "minutes", lambda timing, config, engine: 2.0 * config.epochs)
    table = speed_run.published("ten")(findings)
    assert all(len(row) == len(table.head) for row in table.rows)
    forward = 3.55e14 / (3 * 50_000 * 10)  # operations of an image
    for row, operations in zip(table.rows, (3.6e14, 1.4e15, 3.23e16), strict=True):
        assert float(row[1]) == operations
        assert float(row[3].replace(",", "")) == pytest.approx(operations / (3 * 50_000 * forward) * 2, rel=0.04)


@pytest.mark.parametrize("is_copy", [False, True])
def test_what_is_missing_of_a_published_accuracy_is_named(tmp_path, monkeypatch, is_copy):
    for job in PLAN.ordered(["speed_run"]):
        store.write(store.path_of(tmp_path, job.name), made_up.result(job))
    findings = Findings(BY_NAME["speed_run"], PLAN, tmp_path)
    mark = whole_test(findings.first("ten"))["fingerprint"]
    monkeypatch.setattr(provenance, "COPIES", {mark: "a copy"} if is_copy else {})
    note = speed_run.published("ten")(findings).note
    said = "10 epochs are 3.55e14 operations, about as many as “Jordan, for 94 %”"
    assert note.startswith(f"{speed_run.SOURCE} {said}")
    assert ("JPEG" in note) == is_copy
    assert speed_run.published("hour")(findings).note == speed_run.SOURCE  # three times as many
    some = Findings(BY_NAME["speed_run"], Plan(Scope("cifar10", share=0.01)), tmp_path / "others")
    assert speed_run.published("ten")(some).note == speed_run.SOURCE
    monkeypatch.setattr(speed_run, "PUBLISHED", (("reached", 3.6e14, 0.01),))
    assert speed_run.published("ten")(findings).note == speed_run.SOURCE
