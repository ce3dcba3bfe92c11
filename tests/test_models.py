"""The two networks: what they are made of, what they refuse, and that training moves them as PyTorch's twins."""

import numpy as np
import pytest
import torch

import fastscratch_kernels as kernels
from fastscratch import losses, models, nn, optim
from fastscratch.interop.torch import images_to_torch, state_dict_from_torch, to_torch

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SMALL = (22, 22, 3)


def images_and_labels(n, shape, seed=0, classes=10):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape)).astype(np.float32), rng.integers(0, classes, n)


def without_dropout(model):
    """Switch dropout off: its masks cannot be PyTorch's."""
    for _, layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return model


def train_step(model, optimizer, x, labels):
    criterion = losses.CrossEntropyLoss()
    loss = criterion.forward(model.forward(x), labels)
    model.backward(criterion.backward(), input_grad=False)
    optimizer.step()
    return loss


# -- what they are -----------------------------------------------------------------------------------------------------


def test_the_baseline_is_the_reports_cnn():
    model = models.baseline()
    assert sum(parameter.size for parameter in model.parameters()) == 126_666
    assert model.output_shape((32, 32, 3)) == (10,)
    assert repr(model) == (
        "Sequential(Conv2d(3, 32, kernel_size=(3, 3)), ReLU(), MaxPool2d((2, 2)), "
        "Conv2d(32, 64, kernel_size=(5, 5)), ReLU(), MaxPool2d((2, 2)), "
        "Conv2d(64, 64, kernel_size=(3, 3)), ReLU(), Flatten(), Linear(576, 64), ReLU(), Linear(64, 10))"
    )


def test_the_improved_network_stays_small_and_keeps_its_promises():
    model = models.improved()
    size = sum(parameter.size for parameter in model.parameters())
    assert 126_666 < size <= 1_500_000
    assert model.output_shape((32, 32, 3)) == (10,)
    kinds = {type(layer) for layer in model.layers}
    assert {nn.BatchNorm2d, nn.Dropout, nn.GlobalAvgPool2d} <= kinds
    assert nn.Linear not in kinds
    assert size == 1_314_880


def test_the_network_for_speed_begins_as_a_shallow_one():
    model = models.speedrun()
    assert sum(parameter.size for parameter in model.parameters()) == 1_972_480
    filters = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in filters] == [64, 64, 256, 256, 256, 256]
    x = images_and_labels(1, (5, 5, 64))[0]
    np.testing.assert_allclose(filters[1].forward(x), x, atol=1e-6)


def kinds_and_sizes(*without):
    model = models.improved(without=without)
    kinds = [type(layer) for layer in model.layers]
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    return model, kinds, convolutions


def pooled(kinds):
    """Return which convolutions, counted from 0, a pooling follows."""
    return [kinds[:i].count(nn.Conv2d) - 1 for i, kind in enumerate(kinds) if kind is nn.MaxPool2d]


def test_each_idea_can_be_left_out_alone():
    _, whole, filters = kinds_and_sizes()
    assert [layer.out_channels for layer in filters] == [64, 64, 192, 192, 192, 96, 256, 10]
    assert [layer.kernel_size[0] for layer in filters] == [3, 3, 3, 3, 3, 5, 1, 1]
    assert (whole.count(nn.MaxPool2d), whole.count(nn.Dropout), whole.count(nn.BatchNorm2d)) == (3, 1, 7)
    assert pooled(whole) == [0, 2, 4]

    assert kinds_and_sizes("resolution")[2][0].stride == (2, 2)
    assert len(kinds_and_sizes("depth")[2]) == len(filters) - 3
    assert pooled(kinds_and_sizes("depth")[1]) == [0, 1, 2]
    assert pooled(kinds_and_sizes("late-pooling")[1]) == [0, 1, 2]
    assert [layer.kernel_size[0] for layer in kinds_and_sizes("filter-sizes")[2]] == [5, 3, 3, 3, 3, 3, 1, 1]
    assert [layer.out_channels for layer in kinds_and_sizes("width")[2]] == [32, 32, 96, 96, 96, 48, 128, 10]
    assert [layer.padding[0] for layer in kinds_and_sizes("padding")[2]] == [0, 0, 0, 0, 1, 2, 0, 0]
    assert nn.Dropout not in kinds_and_sizes("dropout")[1]
    plain = kinds_and_sizes("batch-norm")
    assert nn.BatchNorm2d not in plain[1]
    assert all(layer.bias is not None for layer in plain[2][:-1])
    dense = kinds_and_sizes("global-pooling")[1]
    assert nn.GlobalAvgPool2d not in dense
    assert dense[-6:] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.Multiply]


@pytest.mark.parametrize("idea", models.IDEAS)
def test_without_an_idea_it_still_trains(idea):
    model = models.build("improved", (32, 32, 3), 10, without=[idea])
    images, labels = images_and_labels(8, (32, 32, 3))
    # Adam: a scale before filters that pass their input, and batch norm after them, has hardly any gradient.
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    criterion = losses.CrossEntropyLoss()
    before = [parameter.value.copy() for parameter in model.parameters()]
    criterion.forward(model.forward(images), labels)
    model.backward(criterion.backward(), input_grad=False)
    optimizer.step()
    for parameter, old in zip(model.parameters(), before, strict=True):
        fixed = parameter.lr_scale == 0  # the scales of batch norm
        assert np.array_equal(parameter.value, old) == fixed, parameter.name


def test_ideas_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"^unknown ideas in without: skips; known: resolution, depth"):
        models.improved(without=["skips", "width"])
    with pytest.raises(ValueError, match=r"^without belongs to the improved network, got baseline without width$"):
        models.build("baseline", SMALL, 10, without=["width"])


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize(("shape", "classes"), [((32, 32, 1), 3), ((24, 40, 4), 7), ((28, 28, 1), 10), (SMALL, 2)])
def test_they_fit_other_images_and_classes(name, shape, classes):
    model = models.build(name, shape, classes)
    x, _ = images_and_labels(2, shape)
    assert model.forward(x).shape == (2, classes)
    assert model.output_shape(shape) == (classes,)


def test_build_takes_the_networks_own_initializer_unless_told():
    assert np.array_equal(
        models.build("improved", SMALL, 10, seed=4)[2].weight.value,
        models.improved(SMALL, seed=4, init="dirac")[2].weight.value,
    )


VARIANTS = [*((name, ()) for name in models.MODELS), ("improved", ("global-pooling",))]


@pytest.mark.parametrize(("name", "without"), VARIANTS)
def test_an_initializer_is_that_of_all_layers(name, without):
    zeros = models.build(name, SMALL, 10, init="zeros", without=without)
    trained = [layer for _, layer in zeros.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert trained
    assert not any(parameter.value.any() for layer in trained for parameter in layer.parameters())


@pytest.mark.parametrize("name", models.MODELS)
def test_a_seed_draws_all_of_it(name):
    first, again, other = (models.build(name, SMALL, 10, seed=seed) for seed in (1, 1, 2))
    for key, array in first.state_dict().items():
        assert np.array_equal(array, again.state_dict()[key])
    filters, others = (next(layer for layer in m.layers if isinstance(layer, nn.Conv2d)) for m in (first, other))
    assert not np.array_equal(filters.weight.value, others.weight.value)
    x, _ = images_and_labels(2, SMALL)
    assert np.array_equal(first.forward(x), again.forward(x)), "dropout is seeded too"


# -- what they refuse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "smallest"), [("baseline", 22), ("improved", 9), ("speedrun", 9)])
def test_images_too_small_are_refused_with_the_smallest_that_fit(name, smallest):
    models.build(name, (smallest, smallest, 3), 10)
    for shape in [(smallest - 1, smallest, 3), (smallest, smallest - 1, 3), (1, 1, 3)]:
        with pytest.raises(ValueError, match="too small") as error:
            models.build(name, shape, 10)
        assert str(error.value) == (
            f"images of {shape[0]} x {shape[1]} are too small for the {name} network; the smallest that fits is "
            f"{smallest} x {smallest}"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("large", SMALL, 10), "model must be one of baseline, improved, speedrun, got 'large'"),
        (("baseline", (32, 32), 10), r"input_shape must be \(H, W, C\), each at least 1, got \(32, 32\)"),
        (("baseline", (32, 32, 0), 10), r"input_shape must be \(H, W, C\), each at least 1"),
        (("baseline", SMALL, 0), "num_classes must be at least 1, got 0"),
        (("improved", SMALL, -3), "num_classes must be at least 1, got -3"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(*arguments)


@pytest.mark.parametrize("name", models.MODELS)
def test_an_unknown_initializer_is_refused_by_name(name):
    with pytest.raises(ValueError, match="'magic'"):
        models.build(name, SMALL, 10, init="magic")


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.MODELS)
def test_every_parameter_moves_in_one_step(name):
    """A network learns with a broken layer too, so this does not show in its accuracy."""
    model = models.build(name, SMALL, 10, seed=3)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    before = model.state_dict()
    x, labels = images_and_labels(16, SMALL)
    train_step(model, optimizer, x, labels)
    for parameter in model.parameters():
        assert parameter.grad.any(), f"{parameter.name} has no gradient"
        moved = parameter.value != before[parameter.name]
        if not parameter.lr_scale:
            assert not moved.any(), f"{parameter.name} is meant to stay"
            continue
        assert moved.any(), f"{parameter.name} did not move"
        assert moved.mean() > 0.3, f"only {moved.mean():.0%} of {parameter.name} moved"
    for key, module, attribute in model.named_buffers():
        if isinstance(module, nn.BatchNorm2d):
            assert (getattr(module, attribute) != before[key]).all(), f"{key} did not move"


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_with_and_without_fusing_training_has_the_same_bits(name, dtype):
    runs = []
    for fuse in (True, False):
        model = models.build(name, SMALL, 10, seed=3, fuse=fuse).astype(dtype)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        seen = []
        with kernels.use_backend("numpy"):
            for step in range(3):
                x, labels = images_and_labels(5, SMALL, seed=step)
                seen.append(train_step(model, optimizer, x.astype(dtype), labels))
                seen += [parameter.grad.tobytes() for parameter in model.parameters()]
        runs.append((seen, {key: array.tobytes() for key, array in model.state_dict().items()}))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("backend", [name for name, reason in kernels.backends().items() if reason is None])
def test_with_and_without_fusing_one_step_has_the_same_gradients(backend):
    """On every backend, but for the order in which it adds."""
    gradients = []
    for fuse in (True, False):
        model = models.build("baseline", SMALL, 10, seed=3, fuse=fuse).astype("float64")
        x, labels = images_and_labels(5, SMALL)
        with kernels.use_backend(backend):
            train_step(model, optim.SGD(model.parameters(), lr=1e-3), x.astype("float64"), labels)
        gradients.append([parameter.grad for parameter in model.parameters()])
    for fused, plain in zip(*gradients, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-9, atol=1e-12)


def test_a_step_can_be_told_not_to_make_the_images_gradient():
    model = models.baseline(SMALL)
    x, _ = images_and_labels(3, SMALL)
    dy = np.random.default_rng(1).standard_normal((3, 10)).astype(np.float32)
    model.forward(x)
    dx = model.backward(dy)
    with_dx = [parameter.grad.copy() for parameter in model.parameters()]
    assert dx.shape == x.shape
    assert dx.any()
    model.forward(x)
    assert model.backward(dy, input_grad=False) is None
    for parameter, wanted in zip(model.parameters(), with_dx, strict=True):
        assert np.array_equal(parameter.grad, wanted)


OPTIMIZERS = {
    "adam": (optim.Adam, torch.optim.Adam, {"lr": 3e-4}),
    "adam_large_eps": (optim.Adam, torch.optim.Adam, {"lr": 3e-4, "eps": 1e-5}),
    "sgd": (optim.SGD, torch.optim.SGD, {"lr": 1e-2}),
}


def follow(name, how, dtype, steps=10):
    """Train a network and its twin on the same batches; return the largest differences of losses and of weights."""
    ours, theirs, settings = OPTIMIZERS[how]
    shape = SMALL if name == "baseline" else (12, 12, 3)
    model = without_dropout(models.build(name, shape, 10, seed=0)).astype(dtype)
    model.adapt(images_and_labels(50, shape, seed=9)[0].astype(dtype))
    twin = to_torch(model)
    optimizer = ours(model.parameters(), **settings)
    scales = {parameter.name: parameter.lr_scale for parameter in model.parameters()}
    twin_optimizer = theirs(
        [{"params": [p], "lr": settings["lr"] * scales[key]} for key, p in twin.named_parameters()], **settings
    )
    apart = []
    for step in range(steps):
        x, labels = images_and_labels(8, shape, seed=step)
        loss = train_step(model, optimizer, x.astype(dtype), labels)
        twin_optimizer.zero_grad()
        logits = twin(images_to_torch(x.astype(dtype)))
        twin_loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        twin_loss.backward()
        twin_optimizer.step()
        apart.append(abs(loss - twin_loss.item()))
    own = model.state_dict()
    wanted = state_dict_from_torch(twin.state_dict(), model)
    return max(apart), max(np.abs(own[key].astype(float) - array).max() for key, array in wanted.items())


@pytest.mark.torch
@pytest.mark.parametrize("how", ["adam", "sgd"])
@pytest.mark.parametrize("name", models.MODELS)
def test_ten_steps_follow_pytorchs_in_float64(name, how):
    loss, weights = follow(name, how, "float64")
    assert loss < 1e-9
    assert weights < 1e-9


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "how"),
    [("baseline", "adam"), ("baseline", "sgd"), ("improved", "adam_large_eps")],
)
def test_ten_steps_follow_pytorchs_in_float32(name, how):
    """Within 1e-4, in losses, weights and running statistics.

    Adam divides a gradient by its own size, so one that is rounding error alone makes a step of full length, into a
    direction that is chance. In the improved network batch norm makes such gradients: with eps 1e-8 PyTorch's own runs
    in float32 and float64 lie 4e-4 apart after ten steps. A larger eps leaves them as small as they are.
    """
    loss, weights = follow(name, how, "float32")
    assert loss < 1e-4
    assert weights < 1e-4
