"""Pictures of mass errors show what the reports say."""

import numpy as np
import pandas as pd
import pytest

from imsminer.plots.masses import mass_residuals, shift_image
from imsminer.spectra.calibrate import MassCalibrator

MASSES = np.linspace(500, 900, 15)


def report(n=6, unit="ppm"):
    x, y = np.meshgrid([1, 2, 3], [1, 2])
    table = pd.DataFrame(
        {
            f"shift_{unit}": np.linspace(-3, 3, n),
            f"bend_{unit}": np.arange(n) / 10,
            "accepted": np.arange(n) != 2,
        }
    )
    return table, np.column_stack([x.ravel(), y.ravel()])


@pytest.mark.parametrize("unit", ["ppm", "points"])
def test_shift_image(unit):
    table, coordinates = report(unit=unit)
    ax = shift_image(table, coordinates, limit=5.0)
    assert ax.get_title() == "5 of 6 pixels with a correction of their own"
    image = ax.images[0]
    assert image.get_clim() == (-5, 5)
    shown = np.ma.filled(image.get_array().astype(float), np.nan)
    values = np.where(table["accepted"], table[f"shift_{unit}"], np.nan).reshape(2, 3)
    np.testing.assert_allclose(np.squeeze(shown), values)
    labels = [a.get_ylabel() + a.get_xlabel() for a in ax.child_axes]
    assert any(f"shift ({unit})" in label for label in labels)
    other = shift_image(table, coordinates, column=f"bend_{unit}")
    assert other.images[0].get_clim()[1] == pytest.approx(0.5, abs=0.01)


def test_shift_image_of_nothing():
    table, coordinates = report()
    ax = shift_image(table.assign(accepted=False), coordinates)
    assert ax.images[0].get_clim() == (-1, 1)
    with pytest.raises(ValueError, match="no column 'drift'; it has shift_ppm"):
        shift_image(table, coordinates, column="drift")


def test_mass_residuals():
    rng = np.random.default_rng(0)
    error = 4 + 3 * (MASSES - 700) / 200 + rng.normal(0, 0.2, 15)
    error[4] = -18
    table = pd.DataFrame({"mz": MASSES * (1 + 1e-6 * error)})
    calibrator = MassCalibrator(MASSES).fit(table)
    ax = mass_residuals(calibrator.report_)
    drawn = {c.get_label(): c.get_offsets() for c in ax.collections if c.get_label()}
    np.testing.assert_allclose(drawn["before"][:, 1], np.delete(error, 4), atol=1e-6)
    np.testing.assert_allclose(drawn["rejected"][0], [MASSES[4], -18], atol=1e-6)
    assert np.abs(drawn["after, left out"][:, 1]).max() < 1
    assert "14 of 15 references used" in ax.get_title(loc="left")
    assert [text.get_text() for text in ax.texts] == ["-18.0"]
    assert ax.get_ylim()[1] < 12
    with pytest.raises(ValueError, match="no reference was found in run 'b'"):
        mass_residuals(calibrator.report_, run="b")
