"""The figures of a run: what they draw, and that they leave no global state behind."""

import sys

import numpy as np
import pytest
from PIL import Image

from fastscratch.report import figures

CLASSES = ("disc", "ring", "star")


def history_rows(epochs=4):
    return [
        {
            "epoch": epoch,
            "train_loss": 2.0 / epoch,
            "train_accuracy": 1 - 0.8 / epoch,
            "valid_loss": 2.2 / epoch,
            "valid_accuracy": 1 - 0.9 / epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.get_lines()}


def test_curves_draw_every_value_where_it_belongs():
    rows, steps = history_rows(), np.linspace(2.5, 0.4, 40)
    loss, accuracy = figures.curves(rows, steps).axes
    drawn = lines(loss)
    np.testing.assert_allclose(drawn["train, each batch"], np.column_stack([(np.arange(40) + 0.5) / 10, steps]))
    np.testing.assert_allclose(drawn["train, epoch mean"][:, 0], [0.5, 1.5, 2.5, 3.5])  # middles of the epochs
    np.testing.assert_allclose(drawn["train, epoch mean"][:, 1], [row["train_loss"] for row in rows])
    np.testing.assert_allclose(drawn["validation"], [[row["epoch"], row["valid_loss"]] for row in rows])
    drawn = lines(accuracy)
    np.testing.assert_allclose(drawn["validation"][:, 1], [100 * row["valid_accuracy"] for row in rows])
    assert loss.get_ylabel() == "Loss (nats per image)"
    assert accuracy.get_ylabel() == "Accuracy (%)"
    assert loss.get_xlabel() == accuracy.get_xlabel() == "Epoch"


def test_curves_show_all_of_the_legend_and_no_lone_outlier():
    steps = np.full(2000, 1.0)
    steps[0] = 1e6
    loss, _ = figures.curves(history_rows(), steps).axes
    assert loss.get_ylim()[1] < 3
    texts = [text.get_text() for text in loss.get_legend().get_texts()]
    assert texts == ["train, each batch", "train, smoothed", "train, epoch mean", "validation"]


def test_of_a_sample_of_steps_no_line_is_smoothed():
    loss, _ = figures.curves(history_rows(), np.full(40, 1.0), sampled=True).axes
    assert list(lines(loss)) == ["train, some batches", "train, epoch mean", "validation"]
    epochs = next(line for line in loss.get_lines() if line.get_label() == "train, epoch mean")
    assert epochs.get_linewidth() > 0


@pytest.mark.parametrize("rows", [[], history_rows(1), history_rows(3)])
def test_curves_of_short_histories(rows, tmp_path):
    figures.save(figures.curves(rows), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height


def test_dollar_signs_are_no_formula(tmp_path):
    name = "a$^$b"
    figures.save(figures.curves(history_rows(), title=name), tmp_path / "curves.png")
    figures.save(figures.confusion_matrix(np.eye(2, dtype=int), [name, name], title=name), tmp_path / "matrix.png")
    figures.save(figures.class_accuracy([name, name], None, [0.5, 0.5], title=name), tmp_path / "bars.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_curves_leave_out_what_was_not_measured():
    rows = [row | {"valid_loss": None, "valid_accuracy": None} for row in history_rows()]
    loss, accuracy = figures.curves(rows).axes
    assert "validation" not in lines(loss) | lines(accuracy)
    assert len(lines(loss)["train, epoch mean"]) == 4


def test_moving_average():
    values = np.random.default_rng(0).normal(size=50)
    result = figures.moving_average(values, 7)
    np.testing.assert_allclose(result, [values[max(0, i - 3) : i + 4].mean() for i in range(50)])
    np.testing.assert_allclose(figures.moving_average(values, 1), values)


def test_class_accuracy_draws_a_bar_for_each_value():
    train, valid = np.array([0.9, 0.5, np.nan]), np.array([0.8, 0.25, np.nan])
    (axes,) = figures.class_accuracy(CLASSES, train, valid).axes
    assert [round(bar.get_width(), 9) for bar in axes.patches] == [90, 50, 0, 80, 25, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASSES)
    assert [text.get_text() for text in axes.texts] == ["90.0", "50.0", "no images", "80.0", "25.0", "no images"]
    (axes,) = figures.class_accuracy(CLASSES, None, valid).axes
    assert len(axes.patches) == 3


def test_confusion_matrix_is_in_percent_of_the_true_class():
    axes, bar = figures.confusion_matrix([[3, 1, 0], [0, 0, 0], [10, 0, 30]], CLASSES).axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[75, 25, 0], [0, 0, 0], [25, 0, 75]])
    assert sorted(text.get_text() for text in axes.texts) == ["25", "25", "75", "75"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Answer", "True class")
    assert bar.get_ylabel() == "Share of the true class (%)"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.curves([], np.ones((2, 2))), r"batch_losses must be of shape \(steps,\), got \(2, 2\)"),
        (lambda: figures.class_accuracy(CLASSES, [1, 1], [1, 1, 1]), r"train accuracies must be of shape \(3,\)"),
        (lambda: figures.confusion_matrix(np.ones((3, 2)), CLASSES), r"must be of shape \(3, 3\), got \(3, 2\)"),
    ],
)
def test_wrong_shapes_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_saved_figure_is_not_blank_and_pyplot_is_not_needed(tmp_path):
    figures.save(figures.confusion_matrix(np.eye(3), CLASSES, title="Validation"), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    assert "matplotlib.pyplot" not in sys.modules


def test_a_file_carries_its_description(tmp_path):
    for kind in ("png", "svg"):
        figures.save(figures.confusion_matrix(np.eye(3), CLASSES), tmp_path / f"a.{kind}", description="rows of 2026")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["Description"] == "rows of 2026"
    assert "rows of 2026" in (tmp_path / "a.svg").read_text()
