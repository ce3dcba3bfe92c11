"""Images and labels: data sets by name, and the loader that makes batches of them."""

from fastscratch.data._files import DatasetNotFoundError, root
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch.data.catalog import DATASETS, DatasetInfo, describe, load
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.loader import Loader
from fastscratch.data.normalization import Normalization
from fastscratch.data.sheet import contact_sheet

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "DatasetInfo",
    "DatasetNotFoundError",
    "ImageDataset",
    "Loader",
    "Normalization",
    "contact_sheet",
    "describe",
    "load",
    "root",
]
