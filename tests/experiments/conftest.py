"""A data set that takes no time, and runs on it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plan import Job

from fastscratch.config import TrainConfig

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> str:
    """Return a folder of noisy pictures, 60 to train on and 24 to test on, whose classes are their tints."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 8)):
        for k, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                image = rng.integers(0, 200, (32, 32, 3), dtype=np.uint8)
                image[:, :, k] += 55
                Image.fromarray(image).save(folder / part / name / f"{number}.png")
    return str(folder)


@pytest.fixture
def make_job(pictures):
    """Return a function that makes a short run on the pictures, with changes to its config."""

    def make(engine="fastscratch", setting="short", **changes):
        config = TrainConfig(data=pictures, epochs=3, batch_size=8, threads=1)
        config = TrainConfig(**{**config.to_mapping(), "milestones": (), **changes})
        return Job("trial", setting, engine, config)

    return make
