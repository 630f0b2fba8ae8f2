"""Files larger than memory go to features within 1 GB of anonymous memory.

The `.ibd` is sparse: it takes little disk, but reads as up to 12 GB. Some spectra hold
two peaks, so that the result is known.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from imsminer.io.writer import ImzMLWriter

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads RssAnon from /proc, as Linux has it"
)

#: The shapes of the paper's datasets: pixels, bins; and each how many pixels hold data.
SHAPES = [(34_840, 90_000, 200), (300, 1_800_000, 8), (2_151, 419_094, 50)]

PROGRAM = """
import json, sys, threading, time
from sklearn.pipeline import make_pipeline
from imsminer import ImzMLReader, PeakIntegrator, PeakPicker, TICNormalizer

peak, done = [0], threading.Event()

def watch():
    while not done.is_set():
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("RssAnon"):
                    peak[0] = max(peak[0], int(line.split()[1]) * 1024)
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
reader = ImzMLReader(sys.argv[1])
pipe = make_pipeline(TICNormalizer(), PeakPicker(noise=1e-6), PeakIntegrator())
features = pipe.fit_transform(reader)
done.set()
print(json.dumps({
    "peak": peak[0],
    "shape": features.shape,
    "mz": list(pipe["peakpicker"].peaks_["mz"]),
    "filled": int((features > 0).all(axis=1).sum()),
}))
"""


def write_sparse(path, n_pixels, n_mz, stride):
    """Write a continuous file whose spectra are holes, but for every `stride`-th."""
    mz = np.linspace(300.0, 1500.0, n_mz)
    width = 4 * (mz[1] - mz[0])
    profile = sum(
        np.exp(-0.5 * ((mz - center) / width) ** 2) for center in (500.0, 1100.0)
    )
    profile = np.where(profile > 1e-3, 1000 * profile, 0).astype(np.float32)
    columns = max(1, int(np.sqrt(n_pixels)))
    pixel = np.arange(n_pixels)
    coordinates = np.column_stack([pixel % columns, pixel // columns]) + 1
    filled = pixel[::stride]
    with ImzMLWriter(path, mode="continuous", checksum=False, pixel_size=20) as writer:
        for start in filled:
            writer.add(mz, profile, coordinates[start])
            writer.add_zeros(coordinates[start + 1 : start + stride])
    return filled.size


@pytest.mark.parametrize(("n_pixels", "n_mz", "stride"), SHAPES)
def test_peak_memory_stays_small(n_pixels, n_mz, stride, tmp_path):
    path = tmp_path / "large.imzML"
    n_filled = write_sparse(path, n_pixels, n_mz, stride)
    ibd = path.with_suffix(".ibd")
    assert ibd.stat().st_size > n_pixels * n_mz * 4
    assert ibd.stat().st_blocks * 512 < 0.2 * ibd.stat().st_size
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["shape"] == [n_pixels, 2]
    np.testing.assert_allclose(found["mz"], [500.0, 1100.0], atol=1e-3)
    assert found["filled"] == n_filled
    assert found["peak"] < 1e9
