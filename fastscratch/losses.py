"""Losses over logits: how far a predicted distribution over classes is from the wanted one.

A network ends in logits, any real numbers; softmax makes probabilities of them. Softmax and logarithm are taken
together here (log-softmax), because apart they overflow, or take the logarithm of a probability that was rounded to 0.

For the logits ``z (N, K)`` of N images and K classes, with ``p = softmax(z)`` and the wanted distribution ``q (N, K)``:

===================  ==================================  ==============
loss                 forward                             backward
===================  ==================================  ==============
`CrossEntropyLoss`   mean over N of -Σ q log p           (p Σq - q) / N
`KLDivLoss`          mean over N of Σ q (log q - log p)  the same
===================  ==================================  ==============

They differ by the entropy of q, on which the network has no influence: hence the equal gradients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastscratch_kernels as kernels

from .nn.checks import FLOATS, check_number
from .nn.parameter import Array

SUM_TOLERANCE = 1e-3
"""How far from 1 the sum of a row of soft targets may be."""


def log_softmax(logits: ArrayLike) -> Array:
    """Return the logarithm of the softmax over the last axis.

    Parameters
    ----------
    logits : array_like of shape (..., K), float32 or float64

    Returns
    -------
    ndarray of shape (..., K), dtype of `logits`
        Where a row holds nan or +inf, all of it is nan.

    Raises
    ------
    TypeError
        For another dtype.
    ValueError
        If there is no class.

    Notes
    -----
    ``log p_k = z_k - m - log Σ_j exp(z_j - m)`` with ``m = max_j z_j``, which cancels in exact arithmetic: no
    exponential exceeds 1, and the sum is at least 1, so that neither overflow nor log(0) can happen. Only where logits
    of a row differ by more than the largest number of their dtype is it -inf.
    """
    z = np.asarray(logits)
    if z.dtype not in FLOATS:
        raise TypeError(f"logits must be float32 or float64, got {z.dtype}")
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits must be (..., K) with K at least 1, got {z.shape}")
    return kernels.log_softmax(z.reshape(-1, z.shape[-1])).reshape(z.shape)  # not finite in, not finite out


def softmax(logits: ArrayLike) -> Array:
    """Return ``exp(z_k) / Σ_j exp(z_j)`` over the last axis, computed as the exponential of `log_softmax`.

    Parameters
    ----------
    logits : array_like of shape (..., K), float32 or float64

    Returns
    -------
    ndarray of shape (..., K), dtype of `logits`
        Rows of sum 1 to rounding.

    Raises
    ------
    TypeError, ValueError
        As `log_softmax`.
    """
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(log_softmax(logits)))


def entropy(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the entropy ``H(q) = -Σ q log q`` of distributions over the last axis, in nats.

    Parameters
    ----------
    probabilities : array_like of shape (..., K), floating
        Not negative; a class of probability 0 adds 0, the limit.

    Returns
    -------
    ndarray of shape (...), float64
        Between 0 (one class is certain) and log K (all are alike).

    Raises
    ------
    TypeError
        If they are not floating.
    ValueError
        If there is no class, or a row is no distribution: its sum is 1 within 1e-3.
    """
    q = np.asarray(probabilities)
    if q.dtype.kind != "f":
        raise TypeError(f"probabilities must be floating, got {q.dtype}")
    if q.ndim == 0 or q.shape[-1] == 0:
        raise ValueError(f"probabilities must be (..., K) with K at least 1, got {q.shape}")
    _check_distributions("probabilities", q)
    return np.asarray((-q * _log_or_zero(q)).sum(axis=-1, dtype=np.float64))


class Loss(ABC):
    """Base of the losses: checks logits and targets, makes the targets a distribution, and goes backward.

    Parameters
    ----------
    label_smoothing : float in [0, 1)
        The share ε of the wanted distribution that is spread evenly over all classes: ``(1 - ε) q + ε / K``.
        Without it the loss keeps pushing the true class's logit up for ever. Szegedy et al., "Rethinking the
        Inception architecture for computer vision" (CVPR 2016).

    Raises
    ------
    TypeError
        If `label_smoothing` is no number.
    ValueError
        If it is out of range.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = check_number("label_smoothing", label_smoothing, at_least=0.0, below=1.0)
        self._saved: tuple[Array, Array] | None = None

    def forward(self, logits: ArrayLike, targets: ArrayLike) -> float:
        """Return the mean loss of a batch.

        Parameters
        ----------
        logits : array_like of shape (N, K), float32 or float64
            N and K at least 1. With a single class every loss and gradient is 0: there is nothing to learn.
        targets : array_like of shape (N,), any integer dtype; or of shape (N, K), floating
            Class ids from 0 to K - 1, or soft targets: rows of probabilities whose sum is 1 within 1e-3. Soft targets
            are rounded to the dtype of `logits`; they are not rescaled to sum 1.

        Returns
        -------
        float
            Summed in float64. Logits that are not finite make a loss that is not finite, and no exception: whoever
            trains decides what to do.

        Raises
        ------
        TypeError
            For another dtype of `logits` or `targets`.
        ValueError
            For shapes that do not fit, an empty batch, ids out of range, or rows that are no distribution.
        """
        z = np.asarray(logits)
        if z.ndim != 2 or 0 in z.shape:
            raise ValueError(f"logits must be (N, K), N and K at least 1, got {z.shape}")
        log_p = log_softmax(z)
        q = _distribution(targets, log_p)
        if self.label_smoothing:
            q = (1.0 - self.label_smoothing) * q + self.label_smoothing / z.shape[1]
        self._saved = log_p, q
        with np.errstate(all="ignore"):
            return float(np.add.reduce(self._terms(log_p, q), axis=None, dtype=np.float64)) / len(z)

    def backward(self) -> Array:
        """Return the gradient of the last forward's loss with respect to its logits.

        Returns
        -------
        ndarray of shape (N, K), dtype of the logits

        Raises
        ------
        RuntimeError
            If there was no forward.

        Notes
        -----
        From ``d log p_k / d z_j = [k = j] - p_j`` follows ``d/dz_j -Σ_k q_k log p_k = p_j Σ_k q_k - q_j``. Each row
        of it sums to 0: shifting all logits of an image changes nothing.
        """
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward before it")
        return kernels.cross_entropy_backward(*self._saved)

    @abstractmethod
    def _terms(self, log_p: Array, q: Array) -> Array:
        """Return what is summed over N and K, (N, K), from log-probabilities and the wanted distribution."""

    def __call__(self, logits: ArrayLike, targets: ArrayLike) -> float:
        """Return ``forward(logits, targets)``."""
        return self.forward(logits, targets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(label_smoothing={self.label_smoothing})"


class CrossEntropyLoss(Loss):
    """Cross entropy of the softmax of logits with wanted classes, ``-Σ q log p``, averaged over the batch.

    For a class id y that is ``-log p_y``: the surprise at the truth, 0 for a certain and right prediction, log K for
    an undecided one. PyTorch's class of the same name.

    Parameters
    ----------
    label_smoothing : float in [0, 1)
        See `Loss`.

    Examples
    --------
    >>> import numpy as np
    >>> criterion = CrossEntropyLoss()
    >>> criterion.forward(np.zeros((1, 4)), [2])  # log 4
    1.3862943611198906
    >>> criterion.backward()
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """

    def _terms(self, log_p: Array, q: Array) -> Array:
        return -q * log_p


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the softmax of logits from wanted distributions, averaged over the batch.

    ``KL(q || p) = Σ q (log q - log p)``: the nats wasted by believing p where q is true. At least 0, to rounding, and
    0 where p = q. It takes logits, not log-probabilities; else it is PyTorch's class with ``reduction="batchmean"``.
    Kullback and Leibler, "On information and sufficiency" (1951).

    Cross entropy is this plus the entropy of q, so its gradients are the same; for class ids, of entropy 0, so is its
    value.

    Parameters
    ----------
    label_smoothing : float in [0, 1)
        See `Loss`; q is the smoothed distribution, in both places.

    Examples
    --------
    >>> import numpy as np
    >>> criterion = KLDivLoss()
    >>> criterion.forward(np.zeros((1, 4)), np.full((1, 4), 0.25))
    0.0
    """

    def _terms(self, log_p: Array, q: Array) -> Array:
        terms: Array = q * (_log_or_zero(q) - log_p)
        return terms


LOSSES: dict[str, type[Loss]] = {"cross-entropy": CrossEntropyLoss, "kl-divergence": KLDivLoss}
"""The losses by the names that the command line takes."""


def _log_or_zero(q: Array) -> Array:
    """Return log q, and 0 where q is 0: ``q log q`` is then 0 there, its limit."""
    log_q: Array = np.log(q, out=np.zeros_like(q), where=q > 0)
    return log_q


def _distribution(targets: ArrayLike, logits: Array) -> Array:
    """Return `targets` as distributions of the shape and dtype of `logits`."""
    n, k = logits.shape
    targets = np.asarray(targets)
    if targets.shape not in ((n,), (n, k)):
        raise ValueError(f"targets must be ids ({n},) or probabilities ({n}, {k}), got {targets.shape}")
    kinds, words = ("iu", "integer ids") if targets.ndim == 1 else ("f", "floating probabilities")
    if targets.dtype.kind not in kinds:
        raise TypeError(f"targets of shape {targets.shape} must be {words}, got {targets.dtype}")
    if targets.ndim == 1:
        ids = targets.astype(np.intp, copy=False)
        if ids.view(np.uintp).max() >= k:  # those below 0 have become the largest
            raise ValueError(f"class ids must be from 0 to {k - 1}, got {targets.min()} to {targets.max()}")
        q = np.zeros((n, k), logits.dtype)
        q[np.arange(n), ids] = 1.0
        return q
    _check_distributions("soft targets", targets)
    return targets.astype(logits.dtype)


def _check_distributions(name: str, q: Array) -> None:
    """Raise ValueError unless the rows of `q`, over its last axis, are at least 0 and of sum 1."""
    rows = q.reshape(-1, q.shape[-1])
    with np.errstate(invalid="ignore"):  # inf - inf
        sums = rows.sum(axis=1, dtype=np.float64)
    fits = (np.abs(sums - 1.0) <= SUM_TOLERANCE) & (rows >= 0).all(axis=1)  # NaN does not
    if not fits.all():
        row = int(fits.argmin())
        raise ValueError(
            f"each row of {name} must be at least 0 and sum to 1 (to {SUM_TOLERANCE}); "
            f"row {row} sums to {sums[row]:g}, its smallest entry is {rows[row].min():g}"
        )
