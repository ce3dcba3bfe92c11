"""Confusion matrices, accuracies by class, evaluation, and metrics.json."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastscratch import losses, nn
from fastscratch.data.normalization import Normalization
from fastscratch.training import Evaluation, class_accuracy, collect_metrics, confusion_matrix, write_metrics
from fastscratch.training.evaluation import evaluate, predict
from tiny_training import make_data, make_trainer


def test_confusion_counts_true_classes_in_rows():
    labels, predictions = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0])
    confusion = confusion_matrix(labels, predictions, 4)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(class_accuracy(confusion), [0.5, np.nan, 2 / 3, np.nan])
    evaluation = Evaluation(1.0, confusion)
    assert (evaluation.images, evaluation.accuracy) == (5, 3 / 5)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 3], [0, 0], r"labels must lie in 0\.\.2, got values from 0 to 3"),
        ([0, 0], [-1, 0], r"predictions must lie in 0\.\.2, got values from -1 to 0"),
        ([0, 0], [0], r"one shape \(N,\), got \(2,\), \(1,\)"),
    ],
)
def test_confusion_refuses_what_is_no_class(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(labels), np.array(predictions), 3)


@pytest.fixture
def model():
    return nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(192, 3), seed=0).astype(np.float64)


@pytest.fixture
def normalization():
    return Normalization.from_images(make_data().images)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
def test_evaluation_is_the_mean_over_images_whatever_the_batches(model, normalization, batch_size):
    data, criterion = make_data(), losses.CrossEntropyLoss()
    got = evaluate(model, criterion, data, normalization, batch_size=batch_size)
    model.eval()
    logits = model.forward(normalization.apply(data.images, np.float64))
    assert got.loss == pytest.approx(criterion.forward(logits, data.labels), rel=1e-12)
    assert got.accuracy == np.mean(logits.argmax(axis=1) == data.labels)
    probabilities = predict(model, data.images, normalization, batch_size=batch_size)
    np.testing.assert_allclose(probabilities, losses.softmax(logits), rtol=1e-12)


def test_evaluation_keeps_nothing_and_changes_nothing(model, normalization):
    before = model.state_dict()
    draws = {name: generator.bit_generator.state for name, generator in model.generators().items()}
    evaluate(model, losses.CrossEntropyLoss(), make_data(), normalization)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert draws == {name: generator.bit_generator.state for name, generator in model.generators().items()}
    with pytest.raises(RuntimeError, match="no_grad"):
        model.backward(np.ones((60, 3)))


def test_every_module_gets_its_own_mode_back_even_after_an_error(model, normalization):
    model.train()
    model.layers[0].eval()

    def fail(loss, images):
        assert not any(module.training for _, module in model.modules())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(model, losses.CrossEntropyLoss(), make_data(), normalization, after_batch=fail)
    assert [module.training for module in (model, *model.layers)] == [True, False, True, True, True]


def test_predict_refuses_what_is_no_batch_of_images(model, normalization):
    for shape in ((8, 8, 3), (0, 8, 8, 3)):
        with pytest.raises(ValueError, match=r"images must have shape \(N, H, W, C\) with N at least 1"):
            predict(model, np.zeros(shape, np.uint8), normalization)
    with pytest.raises(TypeError, match="uint8"):
        predict(model, np.zeros((1, 8, 8, 3)), normalization)


def test_metrics_say_how_good_the_final_network_is_and_where_it_ran(tmp_path):
    trainer, train, valid = make_trainer(), make_data(), make_data(20, seed=1).subset(np.arange(2))
    trainer.fit(train, valid, epochs=1)
    metrics = collect_metrics(trainer, train, valid)
    write_metrics(tmp_path / "metrics.json", metrics)
    read = json.loads((tmp_path / "metrics.json").read_text())
    assert read == metrics
    assert read["classes"] == ["red", "green", "blue"]
    assert read["train"]["accuracy"] == trainer.evaluate(train).accuracy
    assert read["train"]["confusion"] == trainer.evaluate(train).confusion.tolist()
    assert (read["train"]["fingerprint"], read["train"]["images"]) == (train.fingerprint, 60)
    assert read["valid"]["class_accuracy"].keys() == {"red", "green", "blue"}
    assert None in read["valid"]["class_accuracy"].values()  # two images cannot be of three classes
    assert (read["epochs"], read["steps"]) == (1, 9)
    assert read["parameters"] == 3 * 3 * 3 * 4 + 4 + 8 + 36 * 3 + 3
    assert read["machine"].keys() == {"platform", "cpu", "cores", "python", "numpy", "blas"}
    assert read["machine"]["cores"] >= 1
    assert read["machine"]["cpu"]
    assert read["backend"] in ("numpy", "numba", "cython")
    assert read["threads"] >= 1
    assert collect_metrics(trainer, train)["valid"] is None


@pytest.mark.parametrize(
    ("labels", "got"), [([0, 1], "list"), (np.array([0.0, 1.0]), "an array of float64"), (None, "NoneType")]
)
def test_classes_are_arrays_of_ints(labels, got):
    right = np.array([0, 1])
    with pytest.raises(TypeError, match=f"labels must be an array of ints, got {got}"):
        confusion_matrix(labels, right, 2)
    with pytest.raises(TypeError, match=f"predictions must be an array of ints, got {got}"):
        confusion_matrix(right, labels, 2)


def test_bytes_do_not_overflow():
    classes = np.array([17, 18], np.uint8)
    assert confusion_matrix(classes, classes, 20)[[17, 18], [17, 18]].tolist() == [1, 1]


def test_metrics_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_metrics(tmp_path / "metrics.json", {"loss": float("inf")})
    assert not list(tmp_path.iterdir())
