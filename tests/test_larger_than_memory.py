"""Files larger than memory go to features within 1 GB of anonymous memory.

The `.ibd` is mostly holes: it takes little disk, but reads as up to 12 GB.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from imsminer.datasets import make_hollow_ims

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads RssAnon from /proc, as Linux has it"
)

#: Pixels and bins of the paper's datasets.
SHAPES = [(34_840, 90_000), (2_151, 419_094), (300, 1_800_000)]

PROGRAM = """
import json, sys, threading, time
from sklearn.pipeline import make_pipeline
from imsminer import ImzMLReader, PeakIntegrator, PeakPicker

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
pipe = make_pipeline(PeakPicker(noise=1e-6), PeakIntegrator())
features = pipe.fit_transform(reader)
done.set()
print(json.dumps({
    "peak": peak[0],
    "shape": features.shape,
    "mz": list(pipe["peakpicker"].peaks_["mz"]),
    "filled": int((features > 0).all(axis=1).sum()),
}))
"""


@pytest.mark.parametrize(("n_pixels", "n_mz"), SHAPES)
def test_peak_memory_stays_small(n_pixels, n_mz, tmp_path):
    path = tmp_path / "large.imzML"
    mz, rows = make_hollow_ims(path, n_pixels=n_pixels, n_mz=n_mz, n_peaks=20)
    ibd = path.with_suffix(".ibd").stat()
    assert ibd.st_size > n_pixels * n_mz * 4
    assert ibd.st_blocks * 512 < 0.2 * ibd.st_size
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["shape"] == [n_pixels, 20]
    np.testing.assert_allclose(found["mz"], mz, atol=1e-3)
    assert found["filled"] == rows.size
    assert found["peak"] < 1e9
