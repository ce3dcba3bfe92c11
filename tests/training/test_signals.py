"""Ctrl-C and SIGTERM: the batch is finished, a checkpoint written, the handlers put back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fastscratch.training import Callback, TrainingInterrupted, checkpoint
from fastscratch.training.signals import SignalWatch
from tiny_training import make_data, make_trainer, state_of


class Send(Callback):
    """Send signals to this process after a step."""

    def __init__(self, step, *signals):
        self.step, self.signals = step, signals

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        if trainer.state.step == self.step:
            for each in self.signals:
                os.kill(os.getpid(), each)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 5, 9, 13])
def test_a_signal_ends_the_run_after_its_batch_and_it_can_be_resumed(tmp_path, number, step):
    data, valid = make_data(), make_data(20, seed=1)
    before = signal.getsignal(number)
    trainer = make_trainer(checkpoint=tmp_path, callbacks=[Send(step, number)])
    with pytest.raises(TrainingInterrupted) as caught:
        trainer.fit(data, valid, epochs=2)
    assert signal.getsignal(number) is before
    assert caught.value.signal == number
    assert caught.value.path == tmp_path / "checkpoint.safetensors"
    assert str(caught.value) == f"training stopped by {number.name}; resume from {caught.value.path}"
    assert trainer.state.step == step

    resumed, undisturbed = make_trainer(), make_trainer()
    resumed.resume(caught.value.path)
    assert resumed.state.step == step
    resumed.fit(data, valid, epochs=2)
    undisturbed.fit(data, valid, epochs=2)
    assert state_of(resumed) == state_of(undisturbed)


def test_a_signal_during_evaluation_ends_it_and_the_evaluation_is_made_up_for(tmp_path, monkeypatch):
    data, valid = make_data(), make_data(20, seed=1)
    trainer = make_trainer(checkpoint=tmp_path, eval_batch_size=5)
    real, batches = trainer.criterion.forward, []

    def forward(logits, labels):
        batches.append(len(labels))
        if batches.count(5) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(logits, labels)

    monkeypatch.setattr(trainer.criterion, "forward", forward)
    with pytest.raises(TrainingInterrupted):
        trainer.fit(data, valid, epochs=2)
    assert batches == [7] * 8 + [4, 5, 5]
    resumed, undisturbed = make_trainer(eval_batch_size=5), make_trainer(eval_batch_size=5)
    resumed.resume(tmp_path)
    assert (resumed.state.epoch, resumed.state.batch) == (0, 9)
    resumed.fit(data, valid, epochs=2)
    undisturbed.fit(data, valid, epochs=2)
    assert state_of(resumed) == state_of(undisturbed)


@pytest.mark.parametrize("hook", ["on_fit_start", "on_fit_end"])
@pytest.mark.parametrize("epochs_left", [0, 1])
def test_a_signal_while_callbacks_begin_or_end_counts(tmp_path, hook, epochs_left):
    trainer = make_trainer(checkpoint=tmp_path)
    trainer.fit(make_data(), epochs=1)
    callback = Callback()
    setattr(callback, hook, lambda trainer: os.kill(os.getpid(), signal.SIGTERM))
    trainer.callbacks.append(callback)
    with pytest.raises(TrainingInterrupted, match="stopped by SIGTERM; resume from"):
        trainer.fit(make_data(), epochs=1 + epochs_left)


def test_a_stop_right_after_a_checkpoint_leaves_an_older_one_beside_it(tmp_path):
    trainer = make_trainer(checkpoint=tmp_path, checkpoint_every=3, callbacks=[Send(6, signal.SIGINT)])
    with pytest.raises(TrainingInterrupted):
        trainer.fit(make_data(), epochs=1)
    files = tmp_path / "checkpoint.safetensors", tmp_path / "checkpoint.previous.safetensors"
    assert [checkpoint.load(file)[1]["position"]["step"] for file in files] == [6, 3]


def test_a_second_ctrl_c_aborts_at_once(tmp_path):
    trainer = make_trainer(checkpoint=tmp_path, callbacks=[Send(3, signal.SIGINT, signal.SIGINT)])
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(make_data(), epochs=2)
    assert not isinstance(caught.value, TrainingInterrupted)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = make_trainer()
    again.resume(tmp_path)
    assert again.state.step == 0


def test_without_a_folder_the_error_says_that_nothing_was_kept():
    with pytest.raises(TrainingInterrupted, match="no checkpoint folder was set, the run cannot be resumed") as caught:
        make_trainer(callbacks=[Send(3, signal.SIGTERM)]).fit(make_data(), epochs=2)
    assert caught.value.path is None


def test_an_except_around_a_run_does_not_swallow_it():
    assert not issubclass(TrainingInterrupted, Exception)


def test_no_background_thread_is_left():
    before = threading.active_count()
    with pytest.raises(TrainingInterrupted):
        make_trainer(callbacks=[Send(3, signal.SIGINT)]).fit(make_data(), epochs=2)
    assert threading.active_count() == before


def test_outside_the_main_thread_a_run_works_and_touches_no_handler():
    seen = []

    class Look(Callback):
        def on_batch_end(self, trainer, loss, lr, epoch, batch):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=lambda: make_trainer(callbacks=[Look()]).fit(make_data(), epochs=1))
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler] * 9


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with SignalWatch() as watch:
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) == watch._note
        assert watch.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
