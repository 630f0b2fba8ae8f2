"""The guide's recipe for PyTorch, taken from its page and run."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imsminer.io.export import to_image_stack

torch = pytest.importorskip("torch", reason="PyTorch is what the recipe is for")

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "export.rst"


def block(name):
    """The code of the block of this name."""
    pattern = rf"\.\. code-block:: python\n   :name: {name}\n\n((?:   .*\n|\n)+)"
    found = re.search(pattern, PAGE.read_text(encoding="utf-8"))
    assert found, f"{PAGE.name} has no block {name}"
    return compile(textwrap.dedent(found[1]), f"{PAGE.name}:{name}", "exec")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def features():
    """Two runs: a disc with a hole and structured ions, and a smaller square."""
    rng = np.random.default_rng(0)
    tables = []
    for run, size in (("disc", 24), ("square", 12)):
        y, x = np.mgrid[:size, :size].reshape(2, -1)
        kept = np.full(x.size, True)
        if run == "disc":
            radius = np.hypot(x - 11.5, y - 11.5)
            kept = (radius < 11) & (radius > 2)
        waves = np.sin(np.outer(x + 2 * y, 1 / np.arange(2, 8))) + 1.2
        values = 10.0 ** np.arange(6) * waves * rng.uniform(0.9, 1.1, waves.shape)
        index = pd.MultiIndex.from_arrays(
            [np.full(x.size, run), x + 5, y + 3, np.ones_like(x)],
            names=["run", "x", "y", "z"],
        )
        table = pd.DataFrame(values.astype(np.float32), index=index)
        tables.append(table[kept])
    table = pd.concat(tables).add_prefix("mz_10")
    table.iloc[3, 2] = np.inf
    return table


@pytest.fixture(scope="module")
def recipe():
    namespace = {}
    exec(block("patch-dataset"), namespace)
    return namespace


def test_patches_are_pieces_of_the_images(recipe, features):
    dataset = recipe["PatchDataset"](features, run="disc", size=8, stride=4)
    stack = to_image_stack(features, run="disc")
    assert 0 < len(dataset) < 25
    mask = np.isfinite(stack)
    top = [np.quantile(ion[ok], 0.99) for ion, ok in zip(stack, mask, strict=True)]
    scaled = np.clip(stack / np.float32(top)[:, None, None], 0, 1)
    for (row, column), (patch, measured) in zip(dataset.corners, dataset, strict=True):
        window = (slice(None), slice(row, row + 8), slice(column, column + 8))
        assert patch.dtype == torch.float32
        assert measured.numpy().tolist() == mask[window].tolist()
        expected = np.where(mask[window], scaled[window], 0)
        assert np.allclose(patch.numpy(), expected, rtol=1e-6)
        assert mask[window].any(axis=0).mean() >= 0.5
    # The corners of a square around a disc hold no tissue to learn from.
    strict = recipe["PatchDataset"](features, run="disc", size=8, stride=4, measured=1)
    assert len(strict) < len(dataset)


def test_images_smaller_than_a_patch_are_padded(recipe, features):
    dataset = recipe["PatchDataset"](features, run="square", size=16)
    ((patch, mask),) = dataset
    assert patch.shape == mask.shape == (6, 16, 16)
    assert int(mask.sum()) == 6 * 144
    assert not patch[~mask].any()


def test_values_and_mask_are_flipped_together(recipe, features):
    torch.manual_seed(0)
    plain = recipe["PatchDataset"](features, run="disc", size=8, stride=4)
    flips = recipe["PatchDataset"](
        features, run="disc", size=8, stride=4, transform=recipe["flipped"]
    )
    seen = set()
    for _ in range(4):
        for (patch, mask), (turned, turned_mask) in zip(plain, flips, strict=True):
            found = [
                dims
                for dims in ((), (1,), (2,), (1, 2))
                if torch.equal(patch.flip(dims), turned)
                and torch.equal(mask.flip(dims), turned_mask)
            ]
            assert found
            seen.update(found)
    assert seen == {(), (1,), (2,), (1, 2)}


def test_a_small_autoencoder_learns(recipe, features):
    torch.manual_seed(0)
    namespace = dict(recipe, features=features)
    exec(block("patch-training"), namespace)
    losses = namespace["losses"]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.4 * np.mean(losses[:4])


def test_the_loss_leaves_out_what_was_not_measured(recipe, features):
    """As the recipe computes it: garbage outside of the mask changes nothing."""
    dataset = recipe["PatchDataset"](features, run="disc", size=8, stride=4)
    patch, mask = dataset[0]
    assert not mask.all()
    garbage = torch.where(mask, patch, torch.tensor(float("nan")))
    assert float(((garbage - patch)[mask] ** 2).mean()) == 0


# pandas 3 lends its memory for reading only.
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
def test_arrays_pass_without_a_copy(features):
    values = features.to_numpy()
    assert torch.from_numpy(values).data_ptr() == values.ctypes.data
    stack = to_image_stack(features, run="disc")
    assert torch.from_dlpack(stack).data_ptr() == stack.ctypes.data
