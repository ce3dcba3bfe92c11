"""Callbacks: when the hooks run, what they see, when a run stops, what is written."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from fastscratch.training import BestCheckpoint, Callback, CsvLog, EarlyStopping, History, JsonLines
from fastscratch.training.callbacks import HistoryFile
from tiny_training import BATCHES, make_data, make_trainer


class Record(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_start(self, trainer):
        self.calls.append(("fit_start", trainer.epochs, trainer.batches_per_epoch, trainer.images_per_epoch))

    def on_epoch_start(self, trainer):
        self.calls.append(("epoch_start", trainer.state.epoch))

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        self.calls.append(("batch_end", loss, lr, epoch, batch))

    def on_epoch_end(self, trainer, row):
        self.calls.append(("epoch_end", row["epoch"], trainer.history.rows[-1] == row))

    def on_fit_end(self, trainer):
        self.calls.append(("fit_end",))


def test_hooks_run_in_order_and_see_what_they_need():
    record = Record()
    trainer = make_trainer(schedule="step", callbacks=[record])
    trainer.fit(make_data(), epochs=2)
    calls = record.calls
    assert calls[0] == ("fit_start", 2, BATCHES, 60)
    assert calls[1] == ("epoch_start", 0)
    assert [call[3:] for call in calls[2 : 2 + BATCHES]] == [(1, batch) for batch in range(1, BATCHES + 1)]
    assert calls[2 + BATCHES] == ("epoch_end", 1, True)
    assert calls[3 + BATCHES] == ("epoch_start", 1)
    assert calls[-2:] == [("epoch_end", 2, True), ("fit_end",)]
    batches = [call for call in calls if call[0] == "batch_end"]
    assert [call[1] for call in batches] == trainer.history.batch_losses
    assert [call[2] for call in batches] == [1e-2] * BATCHES + [1e-2 * 0.7] * BATCHES


def test_a_callback_that_was_told_of_no_start_is_told_of_no_end():
    class Refuse(Callback):
        def on_fit_start(self, trainer):
            raise ValueError("not this one")

    before, behind = Record(), Record()
    with pytest.raises(ValueError, match="not this one"):
        make_trainer(callbacks=[before, Refuse(), behind]).fit(make_data(), epochs=1)
    assert [call[0] for call in before.calls] == ["fit_start", "fit_end"]
    assert behind.calls == []


def test_every_callback_is_told_of_the_end_whatever_another_one_raises():
    class Fail(Callback):
        def on_fit_end(self, trainer):
            raise ZeroDivisionError

    record = Record()
    with pytest.raises(ZeroDivisionError):
        make_trainer(callbacks=[Fail(), record]).fit(make_data(), epochs=1)
    assert record.calls[-1] == ("fit_end",)


def test_a_callback_that_fails_at_the_end_of_an_epoch_costs_neither_the_others_nor_the_checkpoint_that_epoch(tmp_path):
    class Fail(Callback):
        def on_epoch_end(self, trainer, row):
            raise ZeroDivisionError

    record = Record()
    with pytest.raises(ZeroDivisionError):
        make_trainer(callbacks=[Fail(), record], checkpoint=tmp_path).fit(make_data(), epochs=2)
    assert ("epoch_end", 1, True) in record.calls
    again = make_trainer(checkpoint=tmp_path)
    again.resume(tmp_path)
    assert again.state.epoch == 1


def test_fit_end_runs_after_an_error_too():
    class Fail(Callback):
        def on_batch_end(self, trainer, loss, lr, epoch, batch):
            raise ZeroDivisionError

    record = Record()
    with pytest.raises(ZeroDivisionError):
        make_trainer(callbacks=[Fail(), record]).fit(make_data(), epochs=1)
    assert [call[0] for call in record.calls] == ["fit_start", "epoch_start", "fit_end"]


def row(**values):
    return {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "valid_loss": None, "valid_accuracy": None, **values}


class Stopped:
    """What an EarlyStopping needs of a trainer."""

    reason = None

    def stop(self, reason):
        self.reason = reason


def feed(stopping, column, values):
    """Give values to an EarlyStopping until it stops; return how many it took, and the reason."""
    trainer = Stopped()
    for count, value in enumerate(values, start=1):
        stopping.on_epoch_end(trainer, row(**{column: value}))
        if trainer.reason:
            return count, trainer.reason
    return None, None


@pytest.mark.parametrize(
    ("options", "values", "stops_at"),
    [
        ({"monitor": "valid_loss", "patience": 2}, [3.0, 2.0, 2.0, 2.5, 1.0], 4),
        ({"monitor": "valid_loss", "patience": 2}, [3.0, 3.1, 2.0, 2.1, 1.9], None),
        ({"monitor": "valid_accuracy", "patience": 1}, [0.1, 0.2, 0.2], 3),
        ({"monitor": "valid_loss", "patience": 1, "min_delta": 0.5}, [3.0, 2.0, 1.6], 3),
        ({"monitor": "valid_loss", "patience": 1, "mode": "max"}, [3.0, 4.0, 3.5], 3),
        ({"monitor": "train_loss", "patience": 3}, [1.0, 1.0, 1.0], None),
    ],
)
def test_early_stopping_counts_epochs_without_a_new_best(options, values, stops_at):
    count, reason = feed(EarlyStopping(**options), options["monitor"], values)
    assert count == stops_at
    if stops_at:
        assert options["monitor"] in reason


def test_early_stopping_remembers_across_a_resume():
    first = EarlyStopping("valid_loss", patience=3)
    assert feed(first, "valid_loss", [1.0, 2.0, 2.0]) == (None, None)
    second = EarlyStopping("valid_loss", patience=3)
    second.load_state_dict(first.state_dict())
    assert feed(second, "valid_loss", [2.0, 0.5])[0] == 1
    another = EarlyStopping("valid_accuracy", patience=3)
    another.load_state_dict(first.state_dict())
    assert another.state_dict() == {"monitor": "valid_accuracy", "best": None, "waited": 0}


def test_early_stopping_ends_a_run_and_a_finished_run_stays_ended():
    stopping = EarlyStopping("train_loss", patience=1, min_delta=1e6)
    trainer = make_trainer(callbacks=[stopping])
    assert len(trainer.fit(make_data(), epochs=10)) == 2
    assert trainer.stop_reason.startswith("train_loss has not improved on ")
    assert len(trainer.fit(make_data(), epochs=10)) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping("loss"), "unknown monitor 'loss', known are train_loss, train_accuracy, valid_loss"),
        (lambda: EarlyStopping(patience=0), "patience must be at least 1, got 0"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta must be at least 0, got -1"),
        (lambda: EarlyStopping(mode="best"), "mode must be 'min', 'max' or None, got 'best'"),
        (lambda: BestCheckpoint("best.safetensors", "valid"), "unknown monitor 'valid'"),
    ],
)
def test_a_wrong_option_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": True}, "patience must be an int, got True"),
        ({"patience": 1.5}, "patience must be an int, got 1.5"),
        ({"min_delta": "3"}, "min_delta must be a number, got '3'"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(options, message):
    with pytest.raises(TypeError, match=message):
        EarlyStopping(**options)


def test_monitoring_validation_needs_validation_data(tmp_path):
    record = Record()
    for callback in (EarlyStopping(), BestCheckpoint(tmp_path / "best.safetensors", "valid_loss")):
        trainer = make_trainer(callbacks=[record, callback], checkpoint=tmp_path / "run")
        with pytest.raises(ValueError, match="cannot monitor valid_loss: fit was given no validation data"):
            trainer.fit(make_data(), epochs=2)
    assert {call[0] for call in record.calls} == {"fit_start", "fit_end"}, "it shows before the first batch"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "make",
    [lambda path: BestCheckpoint(path, "train_loss"), lambda path: JsonLines(path), lambda path: CsvLog(path)],
    ids=["BestCheckpoint", "JsonLines", "CsvLog"],
)
def test_the_file_of_another_run_is_not_overwritten(make, tmp_path):
    file = tmp_path / "kept"
    first = make_trainer(checkpoint=tmp_path / "run", callbacks=[make(file)])
    first.fit(make_data(), epochs=1)
    before = file.read_bytes()
    other = make_trainer(callbacks=[make(file)], checkpoint=tmp_path / "other")
    with pytest.raises(FileExistsError, match="kept belongs to another run: resume that run, or choose another file"):
        other.fit(make_data(), epochs=1)
    assert file.read_bytes() == before
    assert not (tmp_path / "other").exists(), "nothing is left that a second try would stumble over"
    first.fit(make_data(), epochs=2)  # its own
    again = make_trainer(callbacks=[make(file)])
    again.resume(tmp_path / "run")
    again.fit(make_data(), epochs=3)
    assert file.read_bytes() != before


def test_best_checkpoint_is_that_of_the_best_epoch(tmp_path):
    best = BestCheckpoint(tmp_path / "made" / "best.safetensors", "valid_loss", mode="max")
    trainer = make_trainer(callbacks=[best])
    valid = make_data(20, seed=1)
    history = trainer.fit(make_data(), valid, epochs=4)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["best.safetensors"]
    again = make_trainer(callbacks=[BestCheckpoint(best.path, "valid_loss", mode="max")])
    again.resume(best.path)
    largest = max(history["valid_loss"])
    assert again.state.epoch == history["valid_loss"].index(largest) + 1
    assert again.evaluate(valid).loss == largest
    assert again.callbacks[0].best.value == largest


def test_what_others_remember_of_an_epoch_is_in_its_best_checkpoint_wherever_it_stands(tmp_path):
    def callbacks():
        best = BestCheckpoint(tmp_path / "best.safetensors", "train_accuracy", mode="min")
        return [best, EarlyStopping("train_accuracy", patience=2)]

    trainer = make_trainer(callbacks=callbacks())
    trainer.fit(make_data(), epochs=4)
    again = make_trainer(callbacks=callbacks())
    again.resume(tmp_path / "best.safetensors")
    best, stopping = again.callbacks
    best_epoch = again.state.epoch
    accuracies = trainer.history["train_accuracy"][:best_epoch]
    assert accuracies[-1] == min(accuracies) == best.best.value
    assert stopping.waited == best_epoch - 1 - accuracies.index(max(accuracies))


def test_history_files_are_whole_after_every_epoch(tmp_path):
    class Look(Callback):
        def on_epoch_end(self, trainer, row):
            assert History.from_jsonl(tmp_path / "run" / "history.jsonl").rows == trainer.history.rows

    logs = [JsonLines(tmp_path / "run" / "history.jsonl"), CsvLog(tmp_path / "run" / "history.csv")]
    history = make_trainer(callbacks=[*logs, Look()]).fit(make_data(), epochs=2)
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(line["train_loss"]) for line in table] == history["train_loss"]
    with pytest.raises(TypeError, match="abstract"):
        HistoryFile(tmp_path)


def test_a_resumed_run_does_not_repeat_lines(tmp_path):
    path = tmp_path / "history.jsonl"
    make_trainer(checkpoint=tmp_path, callbacks=[JsonLines(path)]).fit(make_data(), epochs=1)
    path.write_text(path.read_text() * 2)  # as if an epoch had been written that no checkpoint knows
    resumed = make_trainer(checkpoint=tmp_path, callbacks=[JsonLines(path)])
    resumed.resume(tmp_path)
    resumed.fit(make_data(), epochs=2)
    assert History.from_jsonl(path)["epoch"] == [1, 2]


def test_two_callbacks_of_a_class_keep_their_own_memory(tmp_path):
    def callbacks():
        return [EarlyStopping("train_loss", patience=50), EarlyStopping("train_accuracy", patience=60)]

    trainer = make_trainer(checkpoint=tmp_path, callbacks=callbacks())
    trainer.fit(make_data(), epochs=2)
    resumed = make_trainer(callbacks=[Callback(), *callbacks()])
    resumed.resume(tmp_path)
    assert [callback.state_dict() for callback in resumed.callbacks[1:]] == [
        callback.state_dict() for callback in trainer.callbacks
    ]
    assert resumed.callbacks[1].best.value == np.min(trainer.history["train_loss"])
