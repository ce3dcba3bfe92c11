"""End a run politely: Ctrl-C and SIGTERM are noted, and acted on where the run's state is whole."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended `Trainer.fit` after a whole batch.

    It is a KeyboardInterrupt, so that ``except Exception`` around a run does not swallow a Ctrl-C.

    Attributes
    ----------
    signal : signal.Signals
        What was received: SIGINT or SIGTERM.
    path : Path or None
        The checkpoint from which the run goes on with the same bits; None if the trainer has no checkpoint folder.
    """

    def __init__(self, received: signal.Signals, path: Path | None) -> None:
        where = f"resume from {path}" if path else "no checkpoint folder was set, the run cannot be resumed"
        super().__init__(f"training stopped by {received.name}; {where}")
        self.signal = received
        self.path = path


class SignalWatch:
    """Note SIGINT and SIGTERM while a ``with`` block runs.

    The first signal is only noted in `received`; the second raises KeyboardInterrupt at once. The handlers found
    before are put back at the end. Outside the main thread, where Python allows no handlers, nothing is watched; a
    signal that the process was started to ignore stays ignored.

    Attributes
    ----------
    received : signal.Signals or None
        The first signal so far.
    """

    WATCHED = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():
            for watched in self.WATCHED:
                if signal.getsignal(watched) is not signal.SIG_IGN:
                    self._before[watched] = signal.signal(watched, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watched, handler in self._before.items():
            # None: the handler was not installed by Python, which cannot put it back.
            signal.signal(watched, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
