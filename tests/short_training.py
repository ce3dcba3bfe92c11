"""A few steps of a small network, for tests that run it in threads and processes."""

import numpy as np

from fastscratch import losses, nn, optim


class Training:
    """A network of the kernels that matter, and its data; batches large enough for several threads."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.images = rng.standard_normal((64, 16, 16, 3), dtype=np.float32)
        self.labels = rng.integers(0, 10, 64)
        self.model = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)),
            seed=seed,
        )
        self.criterion = losses.CrossEntropyLoss()
        self.optimizer = optim.Adam(self.model.parameters(), lr=1e-3)

    def train(self, steps=3):
        """Return the bits of all parameters after some more steps."""
        for _ in range(steps):
            self.criterion.forward(self.model.forward(self.images), self.labels)
            self.model.backward(self.criterion.backward(), input_grad=False)
            self.optimizer.step()
        return b"".join(parameter.value.tobytes() for parameter in self.model.parameters())
