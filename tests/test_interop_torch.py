"""The door to PyTorch: layouts there and back, a model's twin, weights in files."""

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from fastscratch import models, nn
from fastscratch.interop.layouts import from_torch_layout, to_torch_layout
from fastscratch.interop.safetensors import load_weights, save_weights
from fastscratch.interop.torch import (
    images_from_torch,
    images_to_torch,
    state_dict_from_torch,
    state_dict_to_torch,
    to_torch,
)

pytestmark = pytest.mark.torch


class Scale(nn.Module):
    """A layer of a learner's own."""

    def forward(self, x):
        return 2 * x

    def backward(self, dy, input_grad=True):
        return 2 * dy if input_grad else None


def conv_block():
    return nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        nn.BatchNorm2d(6, eps=1e-3, momentum=0.3),
        nn.ReLU(),
        nn.MaxPool2d((2, 1), stride=1),
        nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    )


ARCHITECTURES = {
    "convolutions": (conv_block, (9, 8, 4), None),
    "flatten_then_dense": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 4 * 5, 7)),
        (5, 6, 2),
        None,
    ),
    "global_mean": (lambda: nn.Sequential(nn.Conv2d(2, 5, 3), nn.GlobalAvgPool2d(), nn.Linear(5, 4)), (5, 4, 2), None),
    "flatten_after_global_mean": (
        lambda: nn.Sequential(nn.Conv2d(2, 6, 3), nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(6, 4)),
        (5, 4, 2),
        None,
    ),
    "dense_only": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)),
        (4, 3, 2),
        2,
    ),
    "residual": (
        lambda: nn.Sequential(
            nn.Residual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3))),
            nn.Residual(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 1)),
            nn.Flatten(),
            nn.Linear(6 * 20, 5),
            nn.Residual(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 5))),
        ),
        (5, 4, 3),
        None,
    ),
    "residual_of_flattened_images": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Residual(nn.Linear(36, 4), nn.Linear(36, 4, bias=False))
        ),
        (4, 3, 2),
        None,
    ),
    "residual_keeps_the_order": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Residual(nn.ReLU()), nn.Linear(36, 4)),
        (4, 3, 2),
        None,
    ),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 3, 2), nn.Sequential(nn.ReLU(), nn.Flatten())),
            nn.Sequential(nn.Linear(3 * 3 * 2, 4)),
        ),
        (4, 3, 2),
        None,
    ),
}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request, rng):
    """Return a model with random weights and running statistics, images for it, and the channels it has to be told."""
    build, shape, channels = ARCHITECTURES[request.param]
    model = build().initialize(3)
    for name, buffer in model.buffers().items():
        buffer[...] = 7 if buffer.dtype.kind == "i" else rng.random(buffer.shape) + 0.5
        assert "running" in name or "tracked" in name
    return model, rng.standard_normal((3, *shape)).astype(np.float32), channels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_twin_computes_the_same(architecture, dtype):
    model, x, channels = architecture
    model.astype(dtype).eval()
    twin = to_torch(model, channels)
    assert not twin.training
    with torch.no_grad():
        theirs = twin(images_to_torch(x.astype(dtype)))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(model(x.astype(dtype)), images_from_torch(theirs), rtol=tolerance, atol=tolerance)


def test_states_go_there_and_back(architecture):
    model, _, channels = architecture
    state = model.state_dict()
    theirs = state_dict_to_torch(state, model, channels)
    twin = to_torch(model, channels)
    assert list(theirs) == list(state)
    assert set(theirs) == set(twin.state_dict())
    for name, tensor in twin.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)
    back = state_dict_from_torch(theirs, model, channels)
    for name, array in state.items():
        assert back[name].dtype == array.dtype
        assert back[name].flags.c_contiguous
        np.testing.assert_array_equal(back[name], array)


def test_pytorchs_own_weights_can_be_loaded(architecture):
    model, x, channels = architecture
    twin = to_torch(model.eval(), channels)
    torch.manual_seed(11)
    for parameter in twin.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.load_state_dict(state_dict_from_torch(twin.state_dict(), model, channels))
    with torch.no_grad():
        theirs = images_from_torch(twin(images_to_torch(x)))
    np.testing.assert_allclose(model(x), theirs, rtol=1e-5, atol=1e-5)


def test_the_twin_of_the_baseline_is_plain_pytorch():
    """Its state loads into the network that a PyTorch user would write down."""
    model = models.baseline(seed=5)
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(64, 64, 3), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(576, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10),
    )  # fmt: skip
    plain.load_state_dict(state_dict_to_torch(model.state_dict(), model))
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(model(x), plain(images_to_torch(x)).numpy(), atol=1e-6)
    assert [type(layer) for layer in to_torch(model)] == [type(layer) for layer in plain]


def test_the_twin_does_not_share_memory_and_keeps_the_mode_of_every_layer():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.25), seed=0)
    model[1].eval()
    twin = to_torch(model)
    assert [module.training for module in (twin, *twin)] == [True, True, False, True]
    before = model.state_dict()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter += 1
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert twin[2].p == 0.25
    assert (twin[1].eps, twin[1].momentum) == (1e-5, 0.1)


def test_a_parameter_that_stays_as_it_is_wants_no_gradient():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1), seed=0)
    model[1].weight.lr_scale = 0
    wants = {name: parameter.requires_grad for name, parameter in to_torch(model).named_parameters()}
    assert wants == {"0.weight": True, "0.bias": True, "1.weight": False, "1.bias": True}


def test_images_change_their_axes_and_others_do_not():
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    tensor = images_to_torch(x)
    assert tensor.shape == (1, 4, 2, 3)
    assert tensor.is_contiguous()
    assert tensor[0, 3, 1, 2] == x[0, 1, 2, 3]
    np.testing.assert_array_equal(images_from_torch(tensor), x)
    assert images_to_torch(x[0, 0]).shape == (3, 4)
    assert images_from_torch(torch.ones(2, 3, requires_grad=True)).shape == (2, 3)


# -- files ------------------------------------------------------------------------------------------------------------


def test_weights_go_through_a_file(architecture, tmp_path, rng):
    model, _, channels = architecture
    save_weights(tmp_path / "weights.safetensors", model, channels)
    wanted = model.state_dict()
    for parameter in model.parameters():
        parameter.value[...] = rng.standard_normal(parameter.shape)
    load_weights(tmp_path / "weights.safetensors", model, channels)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, wanted[name])


def test_pytorch_reads_the_file_and_its_files_are_read(tmp_path):
    model = models.improved((9, 9, 3), 4, seed=1).eval()
    save_weights(tmp_path / "ours.safetensors", model)
    twin = to_torch(models.improved((9, 9, 3), 4, seed=2))
    twin.load_state_dict(safetensors.torch.load_file(tmp_path / "ours.safetensors"))
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(model(x), twin.eval()(images_to_torch(x)).numpy(), rtol=1e-5, atol=1e-5)
    safetensors.torch.save_file(twin.state_dict(), tmp_path / "theirs.safetensors")
    other = models.improved((9, 9, 3), 4, seed=3).eval()
    load_weights(tmp_path / "theirs.safetensors", other)
    np.testing.assert_array_equal(other(x), model(x))


def test_a_file_that_is_none_is_refused(tmp_path):
    model = nn.Linear(2, 3)
    (tmp_path / "broken").write_bytes(b"not a safetensors file")
    with pytest.raises(ValueError, match="broken is no safetensors file"):
        load_weights(tmp_path / "broken", model)
    save_weights(tmp_path / "whole", model)
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-3])
    with pytest.raises(ValueError, match="cut is no safetensors file"):
        load_weights(tmp_path / "cut", model)
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "nowhere", model)


def test_a_file_of_bfloat16_is_refused(tmp_path):
    model = nn.Linear(2, 3)
    weights = {"weight": torch.zeros(3, 2, dtype=torch.bfloat16), "bias": torch.zeros(3)}
    safetensors.torch.save_file(weights, tmp_path / "half")
    with pytest.raises(ValueError, match="a type that NumPy does not have, 'BF16'; allowed are F64,"):
        load_weights(tmp_path / "half", model)


def test_a_file_of_another_model_is_refused_and_nothing_changes(tmp_path):
    save_weights(tmp_path / "other", nn.Linear(3, 3))
    model = nn.Linear(2, 3)
    before = model.weight.value.copy()
    with pytest.raises(ValueError, match=r"weight has shape \(3, 3\), in PyTorch's layout the model's has \(3, 2\)"):
        load_weights(tmp_path / "other", model)
    np.testing.assert_array_equal(model.weight.value, before)


# -- what cannot be converted ------------------------------------------------------------------------------------------


def test_a_layer_without_a_counterpart_is_named():
    model = nn.Sequential(nn.Linear(2, 2), Scale(), seed=0)
    for convert in (to_torch, lambda model: state_dict_to_torch(model.state_dict(), model)):
        with pytest.raises(TypeError, match=r"layer '1' has no counterpart in PyTorch that is known here: Scale\(\)"):
            convert(model)


def test_a_subclass_may_do_something_else():
    class Other(nn.ReLU):
        pass

    with pytest.raises(TypeError, match=r"no counterpart .*Other\(\)"):
        to_torch(nn.Sequential(nn.Linear(2, 2), Other()))


def test_unknown_channels_are_asked_for():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(ValueError, match="layer '1' follows Flatten, and no layer before says how many channels"):
        to_torch(model)
    with pytest.raises(ValueError, match="layer '1' takes 12 numbers, which are no whole pixels of 5 channels"):
        to_torch(model, channels=5)


def test_a_sum_that_depends_on_the_order_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Residual(nn.Linear(8, 8)))
    with pytest.raises(ValueError, match="layer '2' adds flattened images to numbers of another order"):
        to_torch(model)


@pytest.mark.parametrize("convert", [to_torch_layout, from_torch_layout])
def test_states_that_do_not_fit_are_told_all_at_once(convert):
    model = nn.Sequential(nn.Conv2d(2, 3, (1, 2)), nn.Linear(4, 5))
    state = {
        "0.weight": np.zeros((9, 9, 9, 9), np.float32),
        "0.bias": np.zeros(3, np.float32),
        "1.bias": np.zeros(5, np.float32),
        "2.bias": np.zeros(5, np.float32),
    }
    with pytest.raises(ValueError, match="does not fit") as error:
        convert(state, model)
    for fault in ("missing 1.weight", "unknown 2.bias", "0.weight has shape (9, 9, 9, 9)"):
        assert fault in str(error.value)


def test_a_state_of_the_other_layout_is_refused():
    model = nn.Conv2d(2, 3, (1, 4))
    theirs = to_torch_layout(model.state_dict(), model)
    assert theirs["weight"].shape == (3, 2, 1, 4)
    with pytest.raises(ValueError, match="does not fit"):
        to_torch_layout(theirs, model)
    with pytest.raises(ValueError, match="does not fit"):
        from_torch_layout(model.state_dict(), model)


def test_a_numpy_file_is_the_torch_file(tmp_path):
    """Nothing of PyTorch is needed to write it: the same bytes are read by either library."""
    model = nn.Conv2d(2, 3, (1, 4)).initialize(0)
    save_weights(tmp_path / "w", model)
    arrays = safetensors.numpy.load_file(tmp_path / "w")
    tensors = safetensors.torch.load_file(tmp_path / "w")
    np.testing.assert_array_equal(arrays["weight"], tensors["weight"].numpy())
    np.testing.assert_array_equal(arrays["weight"], model.weight.value.transpose(3, 2, 0, 1))
