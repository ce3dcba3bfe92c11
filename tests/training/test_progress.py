"""What a run shows of itself, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest

from fastscratch.training import Callback, ProgressBar, progress
from tiny_training import make_data, make_trainer

LINE = r"epoch \d/2: train \d\.\d{4}, \d+\.\d %; valid \d\.\d{4}, \d+\.\d %; lr \S+; \d+\.\d s, [\d,]+ images/s"
NUMBERS = r"loss \d\.\d{4}, accuracy \d+\.\d %, [\d,]+ images/s, \d+:\d\d:\d\d left"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(file, **options):
    trainer = make_trainer(callbacks=[ProgressBar(file)], **options)
    trainer.fit(make_data(), make_data(20, seed=1), epochs=2)
    return file.getvalue()


def test_elsewhere_there_is_one_line_an_epoch():
    lines = run(io.StringIO()).splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(LINE, line) for line in lines)


def test_long_epochs_have_lines_in_between(monkeypatch):
    monkeypatch.setattr(progress.PlainLines, "interval", 0.0)
    lines = run(io.StringIO()).splitlines()
    assert re.fullmatch(rf"epoch 1/2, batch 1/9: {NUMBERS}", lines[0])
    assert re.fullmatch(rf"epoch 2/2, batch 9/9: {NUMBERS}", lines[-2])
    assert len(lines) == 2 * 9 + 2


def test_a_terminal_has_a_bar_and_its_cursor_back(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress.LiveBar, "interval", 0.0)
    text = run(Terminal())
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert re.search(rf"epoch 1/2 ━+ {NUMBERS}", plain)
    assert len(re.findall(LINE, plain)) == 2
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_the_bar_goes_away_after_an_error(monkeypatch):
    class Fail(Callback):
        def on_epoch_end(self, trainer, row):
            raise ZeroDivisionError

    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with pytest.raises(ZeroDivisionError):
        make_trainer(callbacks=[ProgressBar(file), Fail()]).fit(make_data(), epochs=2)
    assert file.getvalue().count("\x1b[?25h") == 1


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in run(Terminal())


def test_standard_output_is_taken_when_fit_starts(capsys):
    bar = ProgressBar()
    make_trainer(callbacks=[bar]).fit(make_data(), epochs=1)
    assert capsys.readouterr().out.startswith("epoch 1/1: train ")


def test_why_a_run_stopped_is_said():
    class Stop(Callback):
        def on_epoch_end(self, trainer, row):
            trainer.stop("enough")

    file = io.StringIO()
    make_trainer(callbacks=[Stop(), ProgressBar(file)]).fit(make_data(), epochs=5)
    assert file.getvalue().splitlines()[-1] == "stopped after epoch 1: enough"


def test_the_display_is_updated_a_few_times_a_second(monkeypatch):
    updates = []
    monkeypatch.setattr(progress.PlainLines, "interval", 0.2)
    monkeypatch.setattr(progress.PlainLines, "update", lambda self, status: updates.append(status))
    now = iter(0.05 * step for step in range(10_000))  # each look at the clock is a 20th of a second later
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    run(io.StringIO(), batch_size=1)
    assert 20 < len(updates) < 60  # of 120 batches, whose trainer looks at the same clock once more
    status = updates[5]
    assert status.speed == pytest.approx(10, rel=0.1)  # about one image each tenth of a second
    assert status.left == pytest.approx((120 - status.batch) / 10, rel=0.1)


def test_time_left_is_in_words():
    status = progress.Status(1, 2, 3, 4, 1.5, 0.25, 4321.0, 3723.4)
    assert status.numbers() == "loss 1.5000, accuracy 25.0 %, 4,321 images/s, 1:02:03 left"
