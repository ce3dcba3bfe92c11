"""Optimizers: what is done to the parameters, given the gradients.

All parameters of a model lie one after the other in one array, all gradients in a second, and whatever an optimizer
remembers (velocities, moments) in more arrays of the same length. `Parameter.value` and `Parameter.grad` are views
into the first two. A step is then a handful of vector operations, however many layers there are.

Papers: Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015); Loshchilov and Hutter, "Decoupled
weight decay regularization" (ICLR 2019); Sutskever et al., "On the importance of initialization and momentum in deep
learning" (ICML 2013). The update rules are those of PyTorch's classes of the same names.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

import fastscratch_kernels as kernels

from .nn.checks import check_number
from .nn.parameter import Array, Parameter
from .placement import arrays_apart

# What a gradient holds before the first backward pass: a NaN whose bits no calculation makes.
_NO_GRADIENT: dict[np.dtype[Any], np.ndarray[Any, Any]] = {
    np.dtype(np.float32): np.array(0x7FCB_AD01, dtype=np.uint32),
    np.dtype(np.float64): np.array(0x7FF8_0000_0BAD_0001, dtype=np.uint64),
}


@dataclass(frozen=True)
class _Part:
    """Flat arrays of equal length, views of an optimizer's: values, gradients, and what it remembers, by name."""

    values: Array
    gradients: Array
    state: dict[str, Array]
    lr_scale: float


class Optimizer(ABC):
    """Base of the optimizers: the flat arrays, the learning rate, the state.

    A subclass names the arrays it remembers in `_state_names`, and writes `_update`.

    Parameters
    ----------
    parameters : iterable of Parameter
        What ``model.parameters()`` returns; all of one dtype, float32 or float64. Their values and gradients move into
        this optimizer's arrays, so that a parameter has one optimizer at a time, and `Module.astype` must come before.
    lr : float
        Learning rate, at least 0.

    Attributes
    ----------
    parameters : list of Parameter

    Raises
    ------
    TypeError
        For something else than Parameters, mixed or other dtypes, or a setting that is no number.
    ValueError
        For no parameters, one that is empty or listed twice, or a setting out of range.
    """

    _state_names: tuple[str, ...] = ()
    """Names of the arrays that the optimizer remembers from step to step; zeros at first."""

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        self.lr = lr
        self.parameters = _checked(parameters)
        self._steps = 0
        self._waits_for_gradients = True
        self._lay_out()

    def _lay_out(self) -> None:
        """Move all values and gradients into flat arrays, and make those that the optimizer remembers."""
        dtype = self.parameters[0].value.dtype
        ends = np.cumsum([parameter.size for parameter in self.parameters])
        starts = ends - [parameter.size for parameter in self.parameters]
        size = int(ends[-1])

        values, gradients, *state = arrays_apart(2 + len(self._state_names), size, dtype)
        self._gradient_bits = gradients.view(_NO_GRADIENT[dtype].dtype)
        self._gradient_bits[...] = _NO_GRADIENT[dtype]
        self._starts = starts
        self._views: list[tuple[Array, Array]] = []
        scales = [parameter.lr_scale for parameter in self.parameters]
        for parameter, start, end in zip(self.parameters, starts, ends, strict=True):
            value = values[start:end].reshape(parameter.shape)
            grad = gradients[start:end].reshape(parameter.shape)
            value[...] = parameter.value
            if parameter.grad is not None:
                grad[...] = parameter.grad
            parameter.value, parameter.grad = value, grad
            self._views.append((value, grad))

        self._state = dict(zip(self._state_names, state, strict=True))
        # Parameters that are moved alike, next to each other, are one part, and most often there is only one.
        firsts = [i for i in range(len(scales)) if i == 0 or scales[i] != scales[i - 1]]
        bounds = [*(int(starts[i]) for i in firsts), size]
        self._parts = [
            _Part(values[a:b], gradients[a:b], {name: array[a:b] for name, array in self._state.items()}, scales[i])
            for i, (a, b) in zip(firsts, pairwise(bounds), strict=True)
            if scales[i]
        ]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs. Views would become arrays of their own in it, and a step change no parameter."""
        flat = ("_gradient_bits", "_starts", "_views", "_parts")
        return {name: value for name, value in vars(self).items() if name not in flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        remembered = self._state
        self._lay_out()
        for name, array in self._state.items():
            array[...] = remembered[name]

    @property
    def lr(self) -> float:
        """Learning rate of the next step; a schedule sets it."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = check_number("lr", lr, at_least=0.0)

    def step(self) -> None:
        """Change all parameters by their gradients. Nothing is allocated, and gradients stay as they are.

        Raises
        ------
        RuntimeError
            If a parameter has no gradient yet, or if its arrays are no longer this optimizer's.
        """
        for parameter, (value, grad) in zip(self.parameters, self._views, strict=True):
            if parameter.value is not value or parameter.grad is not grad:
                raise RuntimeError(
                    f"parameter {parameter.name!r} no longer lies in this optimizer's arrays: it was converted, "
                    "or given to another optimizer; make the optimizer after astype, and once"
                )
        if self._waits_for_gradients:
            self._check_gradients()
        self._steps += 1
        for part in self._parts:
            self._update(part)

    def _check_gradients(self) -> None:
        waiting = self._gradient_bits[self._starts] == _NO_GRADIENT[self._views[0][0].dtype]
        if waiting.any():
            names = [parameter.name for parameter, waits in zip(self.parameters, waiting, strict=True) if waits]
            raise RuntimeError(f"no gradient for {', '.join(map(repr, names))}: call model.backward before step")
        self._waits_for_gradients = False

    @abstractmethod
    def _update(self, part: _Part) -> None:
        """Change the values of a part, and what is remembered of it; ``self._steps`` counts from 1."""

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return what a later run needs to go on with the same bits, besides the parameters' values.

        Returns
        -------
        dict
            ``"arrays"``: copies of the remembered arrays by name, each of shape (numbers in all parameters,), in the
            order of `parameters`; ``"scalars"``: ``lr`` and ``step``, the number of steps taken. Settings other than
            the learning rate are not in it.
        """
        arrays = {name: array.copy() for name, array in self._state.items()}
        return {"arrays": arrays, "scalars": {"lr": self.lr, "step": self._steps}}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what `state_dict` returned, from an optimizer of the same class over the same parameters.

        Raises
        ------
        ValueError
            If names, shapes or dtypes differ, or a number is out of range; nothing is changed then.
        """
        arrays, scalars = state.get("arrays", {}), state.get("scalars", {})
        for kind, got, own in [("arrays", arrays, self._state), ("scalars", scalars, ("lr", "step"))]:
            if set(got) != set(own):
                raise ValueError(f"{kind} of {type(self).__name__} are {sorted(own)}, got {sorted(got)}")
        for name, array in self._state.items():
            new = np.asarray(arrays[name])
            if new.shape != array.shape or new.dtype != array.dtype:
                raise ValueError(
                    f"{name} of {type(self).__name__} has shape {array.shape} and dtype {array.dtype}, "
                    f"got {new.shape} and {new.dtype}"
                )
        steps = scalars["step"]
        if not isinstance(steps, int | np.integer) or steps < 0:
            raise ValueError(f"step must be a number of steps, got {steps!r}")
        self.lr = scalars["lr"]
        self._steps = int(steps)
        for name, array in self._state.items():
            array[...] = arrays[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sum(p.size for p in self.parameters):,} parameters, lr={self.lr:g})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or without.

    Parameters
    ----------
    parameters : iterable of Parameter
        See `Optimizer`.
    lr : float
        Learning rate α.
    momentum : float in [0, 1)
        The share μ of the velocity that survives a step.
    nesterov : bool
        Take the gradient as if the coming part of the velocity were already gone along; needs momentum.
    weight_decay : float
        λ, at least 0: the gradient of ``λ/2 ‖θ‖²`` is added to the loss's.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`; or if `nesterov` lacks a momentum.

    Notes
    -----
    With the gradient ``g`` of the values ``θ``::

        g ← g + λ θ
        u ← μ u + g
        θ ← θ - α u              plain momentum (θ ← θ - α g without)
        θ ← θ - α (g + μ u)      Nesterov

    The learning rate multiplies the velocity only when it is used, as in PyTorch; Sutskever et al. (2013) have it
    inside, which differs when the rate changes. There is no dampening.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = check_number("momentum", momentum, at_least=0.0, below=1.0)
        self.weight_decay = check_number("weight_decay", weight_decay, at_least=0.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0, got momentum 0")
        self._state_names = ("velocity",) if self.momentum else ()
        super().__init__(parameters, lr)

    def _update(self, part: _Part) -> None:
        velocity = part.state.get("velocity")
        values, lr, decay = part.values, self.lr * part.lr_scale, self.weight_decay / part.lr_scale
        step = kernels.kernel("sgd_step")
        step(values, part.gradients, velocity, values, velocity, lr, self.momentum, self.nesterov, decay)


class Adam(Optimizer):
    """Adam: each number has a step of its own, its mean gradient over the gradient's usual size.

    Parameters
    ----------
    parameters : iterable of Parameter
        See `Optimizer`.
    lr : float
        Learning rate α: about how far a number moves in a step.
    betas : (float, float), each in [0, 1)
        β₁ and β₂: how slowly the means of gradients and of their squares forget.
    eps : float
        ε, above 0 in the parameters' dtype: keeps a number whose gradients were all 0 from dividing by 0.
    weight_decay : float
        λ, at least 0: the gradient of ``λ/2 ‖θ‖²`` is added to the loss's, and so divided by the gradient's size, too.
        See `AdamW` for the other way.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    Notes
    -----
    At step t, with the gradient ``g`` of the values ``θ``::

        g ← g + λ θ
        m ← β₁ m + (1 - β₁) g                            mean gradient
        v ← β₂ v + (1 - β₂) g²                           mean squared gradient
        θ ← θ - α m̂ / (√v̂ + ε)                           m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    The hats make up for m and v having started at 0. ε is added after the hat, as in PyTorch. Kingma and Ba (2015),
    algorithm 1; their section 2 gives the order of operations that is used here, which spares a pass over the numbers:
    ``θ ← θ - α c₂/c₁ m / (√v + ε c₂)``, with ``c₁ = 1 - β₁ᵗ`` and ``c₂ = √(1 - β₂ᵗ)``.
    """

    _state_names = ("m", "v")

    decoupled_decay: ClassVar[bool] = False
    """Whether weight decay shrinks the values directly, instead of adding to the gradient."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if np.shape(betas) != (2,):
            raise ValueError(f"betas must be two numbers, got {betas!r}")
        beta1, beta2 = (check_number(f"beta {i}", beta, at_least=0.0, below=1.0) for i, beta in enumerate(betas, 1))
        self.betas = beta1, beta2
        self.eps = check_number("eps", eps, above=0.0)
        self.weight_decay = check_number("weight_decay", weight_decay, at_least=0.0)
        parameters = _checked(parameters)
        dtype = parameters[0].value.dtype
        least = float(np.finfo(dtype).tiny) / math.sqrt(1.0 - beta2)  # ε c₂ would be 0 in the first steps
        if self.eps < least:
            raise ValueError(f"eps must be at least {least:.3g} for {dtype} and beta 2 {beta2:g}, got {eps}")
        super().__init__(parameters, lr)

    def _update(self, part: _Part) -> None:
        beta1, beta2 = self.betas
        c1 = 1.0 - beta1**self._steps
        c2 = math.sqrt(1.0 - beta2**self._steps)
        decoupled = self.decoupled_decay
        lr, eps = self.lr * part.lr_scale * c2 / c1, self.eps * c2
        decay = 0.0 if decoupled else self.weight_decay / part.lr_scale
        shrink = 1.0 - self.lr * self.weight_decay if decoupled else 1.0
        values, m, v = part.values, part.state["m"], part.state["v"]
        step = kernels.kernel("adam_step")
        step(values, part.gradients, m, v, values, m, v, lr, beta1, beta2, eps, decay, shrink)


class AdamW(Adam):
    """Adam whose weight decay shrinks the values themselves, by the factor ``1 - α λ`` before each step.

    In `Adam`, decay passes through the division by √v̂, so that numbers with large gradients hardly decay; here all
    decay alike. Loshchilov and Hutter (2019); as in PyTorch, λ is multiplied by the learning rate, schedule and all.

    Parameters
    ----------
    parameters : iterable of Parameter
        See `Optimizer`.
    lr : float
        Learning rate α.
    betas : (float, float), each in [0, 1)
        As in `Adam`.
    eps : float
        As in `Adam`.
    weight_decay : float
        λ, at least 0.
    """

    decoupled_decay = True

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)


OPTIMIZERS: dict[str, type[SGD] | type[Adam] | type[AdamW]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""The optimizers by the names that the command line takes."""


def _checked(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Return `parameters` as a list, of one dtype, each once."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"an optimizer takes a list of Parameters, model.parameters(), got {type(parameters).__name__}")
    parameters = list(parameters)
    if not parameters:
        raise ValueError("an optimizer needs at least one parameter, got none")
    for position, parameter in enumerate(parameters):
        if not isinstance(parameter, Parameter):
            raise TypeError(f"an optimizer takes Parameters, model.parameters(), got {type(parameter).__name__}")
        if any(parameter is other for other in parameters[:position]):
            raise ValueError(f"parameter {parameter.name!r} is listed twice")
        if not parameter.size:
            raise ValueError(f"parameter {parameter.name!r} holds no numbers: shape {parameter.shape}")
        if parameter.value.dtype not in _NO_GRADIENT:
            raise TypeError(f"parameters are float32 or float64, {parameter.name!r} is {parameter.value.dtype}")
        if parameter.value.dtype != parameters[0].value.dtype:
            raise TypeError(
                f"all parameters must have one dtype: {parameters[0].name!r} is {parameters[0].value.dtype}, "
                f"{parameter.name!r} is {parameter.value.dtype}"
            )
    return parameters
