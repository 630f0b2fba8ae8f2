"""Data to learn and to test with: a real run, and simulated runs with known truth."""

from imsminer._lazy import lazy_names

_HOME = {
    "Study": "imsminer.datasets.study",
    "Truth": "imsminer.datasets.truth",
    "load_kidney": "imsminer.datasets.example",
    "make_ims": "imsminer.datasets.synthetic",
    "make_study": "imsminer.datasets.study",
    "make_hollow_ims": "imsminer.datasets.hollow",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
