"""Which peaks are isotopologues of others."""

import numpy as np

from imsminer.spectra._kernels.isotopes_numba import heads

__all__ = ["monoisotopic"]

#: Difference of the masses of 13C and 12C, and the share of 13C in nature.
DISTANCE_13C = 1.0033548378
SHARE_13C = 0.0107
#: Mass of an ion per carbon atom: at least that of carbon, and of what few ions exceed.
LEAST_PER_CARBON, MOST_PER_CARBON = 12.0, 60.0
#: How far ratios may lie outside of that, as heights have noise and other isotopes add.
ROOM = 1.3
CHARGES = (1, 2)
#: Steps behind the monoisotopic peak that are looked for.
MAX_STEPS = 4
#: Positions agree to this share of the FWHM, and to this part of m/z at best.
CLOSE, CLOSE_PPM = 0.5, 2.0


def monoisotopic(mz: np.ndarray, height: np.ndarray, fwhm: np.ndarray) -> np.ndarray:
    """Return the m/z of the monoisotopic peak of each peak's isotope pattern.

    Parameters
    ----------
    mz, height, fwhm : ndarray of float64, shape (n_peaks,)
        Peaks in increasing order of m/z.

    Returns
    -------
    ndarray of float64, shape (n_peaks,)
        The peak's own m/z where it is monoisotopic or stands alone.

    Notes
    -----
    A pattern continues with the peak 1.00335/z behind its last one (z is 1 or 2), if
    the ratio of their heights is one that 13C can make: step k follows step k − 1 with
    λ/k, λ = 0.0107 · number of carbon atoms, and an ion of mass m has between m/60 and
    m/12 of them. A peak that is higher is an ion of its own. Each peak belongs to one
    pattern, that of the lowest m/z that reaches it; charge 1 goes before 2.
    """
    head = np.empty(mz.size, np.int64)
    reach = np.maximum(CLOSE * fwhm, CLOSE_PPM * 1e-6 * mz)
    heads(
        np.ascontiguousarray(mz, np.float64),
        np.ascontiguousarray(height, np.float64),
        np.ascontiguousarray(reach, np.float64),
        CHARGES,
        DISTANCE_13C,
        SHARE_13C,
        (LEAST_PER_CARBON, MOST_PER_CARBON),
        ROOM,
        MAX_STEPS,
        head,
    )
    return mz[head]
