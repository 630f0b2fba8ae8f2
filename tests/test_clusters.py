"""Passes and grid searches on worker processes of Dask and Ray: as without them.

Each cluster is started once, on this machine and for it alone.
"""

import os
import pickle
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker, TICNormalizer
from imsminer.core.cache import cache
from imsminer.core.engine import map_rows, row_statistics
from imsminer.datasets.synthetic import make_ims
from imsminer.model_selection import SpatialBlockSplit, peak_reproducibility_score

GRID = {"peakpicker__loq": [5, 20]}


@dataclass(frozen=True)
class WhoReads:
    """For each spectrum the process that reads it, and how many files it opened."""

    def __call__(self, chunk):
        from imsminer.io._index import _indexed

        return np.tile([float(os.getpid()), len(_indexed)], (chunk.n_spectra, 1))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "run.imzML"
    make_ims(path, shape=(16, 16), n_peaks=20, mz_range=(400.0, 450.0), snr=50.0)
    return path


@contextmanager
def dask_cluster():
    distributed = pytest.importorskip(
        "distributed", reason="Dask (imsminer[dask]) is not installed"
    )
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        processes=True,
    )
    with cluster, distributed.Client(cluster):
        yield "dask"


@contextmanager
def ray_cluster():
    ray = pytest.importorskip("ray", reason="Ray (imsminer[ray]) is not installed")
    from joblib.pool import PicklingPool
    from ray.util.joblib import register_ray

    bases = PicklingPool.__bases__
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    try:
        yield "ray"
    finally:
        ray.shutdown()
        # Ray makes joblib's pools its own, for good.
        PicklingPool.__bases__ = bases


@pytest.fixture(scope="module", params=[dask_cluster, ray_cluster], ids=["dask", "ray"])
def backend(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with request.param() as name:
            yield name


@pytest.fixture
def reader(path):
    cache.clear()
    yield ImzMLReader(path)
    cache.clear()


def pipeline():
    return make_pipeline(PeakPicker(), PeakIntegrator())


def test_tasks_run_on_workers_that_open_the_file_themselves(reader, backend):
    before = reader.source.n_bytes_read
    with joblib.parallel_config(backend, n_jobs=2):
        pids, n_open = map_rows(reader, WhoReads(), "who").T
    assert os.getpid() not in pids
    assert len(set(pids)) == 2
    # Each of them has opened the file, and once for all of its tasks.
    assert set(n_open) == {1}
    # Nothing was read here.
    assert reader.source.n_bytes_read == before


def test_the_pipeline_gives_what_it_gives_here(reader, backend):
    expected = pipeline().fit_transform(reader)
    cache.clear()
    with joblib.parallel_config(backend, n_jobs=2):
        found = pipeline().fit_transform(reader)
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    assert found.index.equals(expected.index)
    assert list(found.columns) == list(expected.columns)


def test_a_grid_search_gives_what_it_gives_here(reader, backend, tmp_path):
    settings = {"cv": SpatialBlockSplit(4), "scoring": peak_reproducibility_score}
    search = GridSearchCV(
        make_pipeline(PeakPicker()), GRID, error_score="raise", refit=False, **settings
    )
    expected = clone(search).fit(reader).cv_results_
    cache.clear()
    reader = reader.with_cache(tmp_path)
    with joblib.parallel_config(backend):
        found = clone(search).set_params(n_jobs=-1).fit(reader).cv_results_
    for fold in range(4):
        name = f"split{fold}_test_score"
        np.testing.assert_array_equal(found[name], expected[name])
    # The blocks' sums were written by the workers.
    assert len(list(tmp_path.rglob("output.pkl"))) >= 4


def test_what_travels_is_small(reader):
    """Paths, rows and steps: not the data, not the index of the file."""
    n_bytes = reader.source.row_bytes.sum()
    assert len(pickle.dumps(reader)) < 2000 < n_bytes / 1000
    fitted = make_pipeline(TICNormalizer(), PeakPicker()).fit(reader)
    steps = fitted[:2].transform(reader)
    row_statistics(steps)
    assert len(pickle.dumps(steps.with_peaks(None)[10:50])) < 5000
