"""A loss that is not finite: the run stops before the step, and says where it began."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastscratch import losses, nn, optim
from fastscratch.training import Callback, NonFiniteLossError, Trainer
from fastscratch.training.nonfinite import find_origin
from tiny_training import BATCHES, make_data, make_trainer


class Poison(Callback):
    """Write a value into a parameter after a step."""

    def __init__(self, name, value, step=12):
        self.name, self.value, self.step = name, value, step

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        if trainer.state.step == self.step:
            poison(trainer.model, self.name, self.value)


def poison(model, name, value=np.nan):
    dict(model.named_parameters())[name].value.flat[0] = value


def test_the_run_stops_with_one_line_and_takes_no_step(tmp_path):
    trainer = make_trainer(schedule=None, checkpoint=tmp_path, callbacks=[Poison("6.weight", np.nan)])
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.fit(make_data(), epochs=4)
    assert str(caught.value) == (
        f"the loss is nan in epoch 2, after 3 of its {BATCHES} batches (step 12), learning rate 0.01: "
        "the first output that is not finite is that of layer 6 (Linear), whose 6.weight is not finite"
    )
    assert trainer.state.step == 12
    assert np.isnan(trainer.model.state_dict()["6.weight"]).sum() == 1  # a step would have spread it
    again = make_trainer(schedule=None)
    again.resume(tmp_path)
    assert again.state.epoch == 1


def test_a_network_that_is_not_finite_is_never_saved(tmp_path):
    trainer = make_trainer(checkpoint=tmp_path, checkpoint_every=6, callbacks=[Poison("1.bias", -np.inf)])
    with pytest.raises(NonFiniteLossError, match=r"\(step 12\), learning rate \S+: 1\.bias after the step$"):
        trainer.fit(make_data(), epochs=4)
    again = make_trainer()
    again.resume(tmp_path)
    assert again.state.step == 9
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]


def test_a_validation_loss_counts_too():
    trainer = make_trainer(schedule=None, callbacks=[Poison("0.weight", np.nan, step=BATCHES)])
    with pytest.raises(NonFiniteLossError, match=r"the validation loss is nan in epoch 1, after 9 of its 9.*layer 0 "):
        trainer.fit(make_data(), make_data(20, seed=1), epochs=2)
    assert len(trainer.history) == 0


def test_an_absurd_learning_rate_is_caught_without_a_warning():
    with pytest.raises(NonFiniteLossError, match=r"learning rate 1e\+30"):
        make_trainer(schedule=None, lr=1e30).fit(make_data(), epochs=4)


def test_a_network_that_nobody_evaluates_or_keeps_is_looked_at_too():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), seed=0)
    trainer = Trainer(model, losses.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e42), batch_size=60)
    with pytest.raises(NonFiniteLossError, match=r"the network is not finite in epoch 2, .*1\.weight"):
        trainer.fit(make_data(), epochs=1)


@pytest.fixture
def model():
    inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), inner, nn.Residual(nn.Conv2d(4, 4, 1)), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, 2), seed=0)


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("0.bias", "0 (Conv2d), whose 0.bias is"),
        ("1.weight", "1 (BatchNorm2d), whose 1.weight is"),
        ("2.0.weight", "2.0 (Conv2d), whose 2.0.weight is"),
        ("3.body.bias", "3 (Residual), whose 3.body.bias is"),
        ("6.bias", "6 (Linear), whose 6.bias is"),
    ],
)
def test_the_first_layer_is_named(model, rng, parameter, layer):
    poison(model, parameter)
    before = model.state_dict()
    draws = model.generators()["4"].bit_generator.state
    origin = find_origin(model, rng.standard_normal((5, 8, 8, 3), dtype=np.float32))
    assert origin == f"the first output that is not finite is that of layer {layer} not finite"
    assert model.training
    assert draws == model.generators()["4"].bit_generator.state
    assert all(value.tobytes() == before[name].tobytes() for name, value in model.state_dict().items())


def test_an_overflow_has_no_bad_parameter(model, rng):
    poison(model, "0.bias", 3e38)
    poison(model, "2.0.weight", 3e38)
    origin = find_origin(model, rng.standard_normal((5, 8, 8, 3), dtype=np.float32))
    assert origin.endswith("is that of layer 2.0 (Conv2d)")


def test_a_batch_or_a_loss_can_be_at_fault_too(model, rng):
    images = rng.standard_normal((5, 8, 8, 3), dtype=np.float32)
    assert find_origin(model, images) == "the outputs of all layers are finite in eval mode, the loss alone is not"
    images[1, 2, 3, 0] = np.inf
    assert find_origin(model, images) == "the batch of images is not finite"


def test_a_model_that_is_no_sequential_is_named_by_its_class(rng):
    layer = nn.Linear(3, 2)
    layer.initialize(0)
    poison(layer, "bias")
    assert find_origin(layer, rng.random((1, 3), dtype=np.float32)) == (
        "the first output that is not finite is that of Linear, whose bias is not finite"
    )
