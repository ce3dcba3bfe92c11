"""The training room: the loop, what happens beside it, and what is kept of it."""

from fastscratch.training.callbacks import BestCheckpoint, Callback, CsvLog, EarlyStopping, JsonLines
from fastscratch.training.checkpoint import CheckpointError
from fastscratch.training.history import History
from fastscratch.training.metrics import (
    Evaluation,
    class_accuracy,
    collect_metrics,
    confusion_matrix,
    write_metrics,
)
from fastscratch.training.nonfinite import NonFiniteLossError
from fastscratch.training.progress import ProgressBar
from fastscratch.training.signals import TrainingInterrupted
from fastscratch.training.state import SavedModel, read_model
from fastscratch.training.trainer import Trainer

__all__ = [
    "BestCheckpoint",
    "Callback",
    "CheckpointError",
    "CsvLog",
    "EarlyStopping",
    "Evaluation",
    "History",
    "JsonLines",
    "NonFiniteLossError",
    "ProgressBar",
    "SavedModel",
    "Trainer",
    "TrainingInterrupted",
    "class_accuracy",
    "collect_metrics",
    "confusion_matrix",
    "read_model",
    "write_metrics",
]
