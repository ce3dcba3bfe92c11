"""The measured shapes are those of the networks, and their counts those of the layers."""

import networks
import numpy as np
import pytest
import shapes

from fastscratch import nn

BY_NETWORK = [("baseline", shapes.CONVOLUTIONS[:3]), ("vgg", shapes.CONVOLUTIONS[3:])]


def layers_and_inputs(model):
    shape = networks.IMAGE_SHAPE
    for layer in model.layers:
        yield layer, shape
        shape = layer.output_shape(shape)


@pytest.mark.parametrize(("network", "table"), BY_NETWORK)
def test_convolutions_are_those_of_the_network(network, table):
    found = [(one, shape) for one, shape in layers_and_inputs(networks.NETWORKS[network]()) if type(one) is nn.Conv2d]
    assert len(found) == len(table)
    for (layer, input_shape), shape in zip(found, table, strict=True):
        assert shape.input_shape(1) == (1, *input_shape)
        assert shape.weight_shape == layer.weight.shape
        assert shape.output_shape(1) == (1, *layer.output_shape(input_shape))
        assert (shape.stride, shape.padding) == (layer.stride[0], layer.padding[0])
        bias = np.prod(layer.output_shape(input_shape)) if layer.bias else 0
        assert shape.flops(1) == layer.flops(input_shape) - bias, "a shape counts products and their sums"


@pytest.mark.parametrize(("layer_type", "table"), [(nn.MaxPool2d, shapes.POOLINGS), (nn.Linear, shapes.DENSE)])
def test_other_layers_are_those_of_the_networks(layer_type, table):
    found = [
        (1, *shape)
        for network in networks.NETWORKS.values()
        for layer, shape in layers_and_inputs(network())
        if type(layer) is layer_type
    ]
    assert found == [shape.input_shape(1) for shape in table if shape.op in ("maxpool2d", "linear")]


def test_first_layers_have_no_input_gradient():
    conv = shapes.CONVOLUTIONS[0]
    assert conv.first
    assert conv.flops(1, backward=True) == conv.flops(1)
    assert not shapes.CONVOLUTIONS[1].first
    assert shapes.CONVOLUTIONS[1].flops(1, backward=True) == 2 * shapes.CONVOLUTIONS[1].flops(1)


def test_steps_are_over_all_parameters_of_the_networks():
    counts = {name: sum(p.size for p in make().parameters()) for name, make in networks.NETWORKS.items()}
    steps = [shape for shape in shapes.FLAT if shape.op.endswith("_step")]
    assert len(steps) == 3
    for shape in steps:
        assert shape.sizes == (counts[shape.name.partition(".")[0]],)


def test_ten_classic_shapes_of_every_kind():
    assert len(shapes.CLASSIC) == 10
    assert {1, 3, 5, 7, 9, 11} <= {shape.kernel for shape in shapes.CLASSIC}
    assert any(shape.groups == shape.channels for shape in shapes.CLASSIC)
    assert any(shape.stride > 1 for shape in shapes.CLASSIC)


@pytest.mark.parametrize("name", shapes.ALL)
def test_inputs_fit_the_op(name):
    shape = shapes.ALL[name]
    arrays = shapes.inputs(shape, 1)
    assert arrays["x"].shape == shape.input_shape(1)
    assert shape.bytes(1) > 0
    if isinstance(shape, shapes.Flat):
        assert shape.output_shape(1) == shape.input_shape(1)
        return
    assert arrays["dy"].shape == shape.output_shape(1)
    assert all(array.dtype == np.float32 for array in arrays.values())
    np.testing.assert_array_equal(arrays["x"], shapes.inputs(shape, 1)["x"])


def test_a_shape_is_found_by_key_or_by_fields():
    assert shapes.found("conv2d:vgg.conv2") is shapes.CONVOLUTIONS[4]
    made = shapes.found({"name": "a", "size": 8, "channels": 2, "filters": 4, "kernel": 3})
    assert made == shapes.Conv("a", 8, 2, 4, 3)


@pytest.mark.parametrize("shape", shapes.NORMS, ids=lambda shape: shape.name)
def test_nothing_behind_batch_norm_is_zero_but_for_rounding(shape):
    """There ReLU would pass a gradient on one engine and not on the other."""
    arrays = shapes.inputs(shape, shape.batch, np.float64)
    x = arrays["x"]
    y = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * arrays["w"] + arrays["b"]
    assert np.abs(y).min() > 1e-6
