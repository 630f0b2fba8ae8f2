"""A simulated study with conditions, replicates and regions of interest."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from imsminer.datasets._lipids import lipid_table
from imsminer.datasets.synthetic import make_ims

__all__ = ["Study", "make_study"]

CONDITIONS = ("control", "low dose", "high dose")
PIECES_PER_CONDITION = 2
#: Pieces of tissue lie in this many columns, this far apart in radii.
COLUMNS, PITCH = 3, 2.7
N_VERTICES = 48
#: Share of the ions that respond to the treatment; size of the response (log2).
RESPONDING, RESPONSE = 0.25, (0.7, 1.6)
#: Standard deviations of natural logarithms: from replicate to replicate, from piece
#: to piece within one, from pixel to pixel.
BETWEEN_RUNS, BETWEEN_PIECES, BETWEEN_PIXELS = 0.15, 0.08, 0.15
MZ_RANGE = (660.0, 900.0)
PROTON = 1.007276466


@dataclass(frozen=True)
class Study:
    """The files of a simulated study and what is true of it.

    Attributes
    ----------
    sheet : Path
        Sample sheet with the columns ``path`` and ``replicate``.
    rois : Path
        Outlines of the pieces of tissue, as GeoJSON with coordinates in pixels; the
        classification of each is its condition.
    database : Path
        Lipids with ``name``, ``formula`` and ``analyte_class``, as CSV: those of the
        tissue and as many that are not there.
    effects : DataFrame
        One row per ion, by m/z: ``name``, ``mz``, ``analyte_class``, ``zone`` (where it
        is strongest: ``"core"``, ``"rim"`` or ``""``), and its log2 fold change against
        the control at each dose.
    """

    sheet: Path
    rois: Path
    database: Path
    effects: pd.DataFrame


def make_study(
    folder: str | PathLike,
    *,
    n_replicates: int = 5,
    radius: float = 18.0,
    random_state: int = 0,
) -> Study:
    """Write a study: runs with six pieces of tissue each, two per condition.

    Each replicate is a run in negative mode. It holds two pieces of tissue of each of
    three conditions, a control and two doses of a treatment, with a core and a rim. A
    quarter of the lipids respond to the treatment, half as much to the low dose. Runs,
    pieces and pixels vary on top of that.

    Parameters
    ----------
    folder : path-like
        Folder to write into; it is made when it does not exist.
    n_replicates : int, default=5
        Number of runs.
    radius : float, default=18
        Radius of a piece of tissue in pixels: the default gives about 1,000 pixels.
    random_state : int, default=0
        Seed.

    Returns
    -------
    Study
        Paths, and the true effects.

    Raises
    ------
    FileExistsError
        When files of a study are there already.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import ImzMLReader
    >>> from imsminer.datasets import make_study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = make_study(folder, n_replicates=2, radius=4)
    ...     reader = ImzMLReader.from_sample_sheet(study.sheet)
    ...     reader.pixels["replicate"].unique().tolist()
    [1, 2]
    """
    from pyteomics import mass

    from imsminer.images.roi import Polygon, write_geojson

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(random_state)
    lipids = lipid_table()
    neutral = [mass.calculate_mass(formula=f) for f in lipids["formula"]]
    ions = lipids.assign(mz=np.array(neutral) - PROTON)
    effects = _effects(rng, ions.sort_values("mz", ignore_index=True))
    n_ions = len(effects)
    height = np.exp(0.8 * rng.standard_normal(n_ions))
    conditions = np.repeat(CONDITIONS, PIECES_PER_CONDITION)
    polygons, rows = [], []
    for replicate in range(1, n_replicates + 1):
        run = f"replicate_{replicate}"
        own = height * np.exp(BETWEEN_RUNS * rng.standard_normal(n_ions))
        abundance, places = [], []
        # Pieces lie in another order in each run, as on real slides.
        for place, piece in enumerate(rng.permutation(len(conditions))):
            condition = conditions[piece]
            centre = _centre(place, radius)
            outline = _Outline.draw(rng, centre, radius)
            pixels = outline.pixels()
            level = own * np.exp(BETWEEN_PIECES * rng.standard_normal(n_ions))
            if condition != CONDITIONS[0]:
                level = level * 2 ** effects[condition].to_numpy()
            abundance.append(_tissue(rng, effects, level, outline, pixels))
            places.append(pixels)
            polygons.append(
                Polygon(
                    f"{condition} {piece % PIECES_PER_CONDITION + 1}",
                    outline.vertices(margin=0.75),
                    group=condition,
                    run=run,
                )
            )
        truth = make_ims(
            folder / f"{run}.imzML",
            distributions=np.concatenate(abundance),
            coordinates=np.concatenate(places),
            mz=effects["mz"].to_numpy(),
            mz_range=MZ_RANGE,
            analyser="tof",
            resolving_power=25_000.0,
            spectrum_type="sparse",
            height=60.0,
            chemical_noise=20.0,
            mass_shift_ppm=1.5,
            polarity="negative",
            random_state=int(rng.integers(2**31)),
        )
        rows.append((truth.path.name, run, replicate))
    sheet = pd.DataFrame(rows, columns=["path", "run", "replicate"])
    sheet.to_csv(folder / "samples.csv", index=False)
    write_geojson(polygons, folder / "rois.geojson")
    _with_absent(lipids).to_csv(folder / "lipids.csv", index=False)
    return Study(
        folder / "samples.csv", folder / "rois.geojson", folder / "lipids.csv", effects
    )


def _effects(rng: np.random.Generator, lipids: pd.DataFrame) -> pd.DataFrame:
    """Draw where each ion is strongest, and how it responds."""
    n_ions = len(lipids)
    zone = rng.choice(["core", "rim", ""], n_ions, p=[0.3, 0.3, 0.4])
    full = np.zeros(n_ions)
    responding = rng.permutation(n_ions)[: int(RESPONDING * n_ions)]
    full[responding] = rng.uniform(*RESPONSE, responding.size)
    full[responding] *= rng.choice([-1.0, 1.0], responding.size)
    columns = ["name", "mz", "analyte_class"]
    doses = {CONDITIONS[1]: full / 2, CONDITIONS[2]: full}
    return lipids[columns].assign(zone=zone, **doses)


def _centre(place: int, radius: float) -> tuple[float, float]:
    row, column = divmod(place, COLUMNS)
    step = PITCH * radius
    return radius * 1.3 + column * step + 1, radius * 1.3 + row * step + 1


def _tissue(
    rng: np.random.Generator,
    effects: pd.DataFrame,
    level: np.ndarray,
    outline: "_Outline",
    pixels: np.ndarray,
) -> np.ndarray:
    """Return abundances (n_pixels, n_ions) of a piece with a core and a rim."""
    core = outline.depth(pixels) < 0.55
    zone = effects["zone"].to_numpy()
    inside = np.where(zone == "core", 1.0, np.where(zone == "rim", 0.25, 0.7))
    outside = np.where(zone == "rim", 1.0, np.where(zone == "core", 0.25, 0.7))
    profile = np.where(core[:, None], inside, outside)
    current = np.exp(BETWEEN_PIXELS * rng.standard_normal((len(pixels), 1)))
    own = np.exp(BETWEEN_PIXELS * rng.standard_normal(profile.shape))
    return level * profile * current * own


@dataclass(frozen=True)
class _Outline:
    """A closed curve around a centre: radius, and waves on it."""

    centre: tuple[float, float]
    radius: float
    waves: tuple[tuple[int, float, float], ...]
    """Number, height as a part of the radius, and phase of each."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, centre: tuple[float, float], radius: float
    ) -> "_Outline":
        """Draw one at random."""
        waves = tuple(
            (n, 0.18 / n * rng.standard_normal(), rng.uniform(0, 2 * np.pi))
            for n in (2, 3, 4)
        )
        return cls(centre, radius, waves)

    def reach(self, angle: np.ndarray) -> np.ndarray:
        """Return the distance of the curve from the centre."""
        part = sum(h * np.sin(n * angle + phase) for n, h, phase in self.waves)
        return self.radius * np.clip(1 + part, 0.7, 1.25)

    def depth(self, pixels: np.ndarray) -> np.ndarray:
        """Return 0 at the centre, 1 on the curve."""
        x, y = (pixels - np.array(self.centre)).T
        return np.hypot(x, y) / self.reach(np.arctan2(y, x))

    def pixels(self) -> np.ndarray:
        """Return x, y of the pixels inside."""
        (x, y), r = self.centre, 1.3 * self.radius
        grid = np.mgrid[int(x - r) : int(x + r) + 2, int(y - r) : int(y + r) + 2]
        pixels = np.maximum(grid.reshape(2, -1).T, 1)
        pixels = np.unique(pixels, axis=0)
        return pixels[self.depth(pixels) <= 1]

    def vertices(self, margin: float) -> np.ndarray:
        """Return points on the curve, pushed outwards by a margin in pixels."""
        angle = np.linspace(0, 2 * np.pi, N_VERTICES, endpoint=False)
        reach = self.reach(angle) + margin
        return np.column_stack(
            [
                self.centre[0] + reach * np.cos(angle),
                self.centre[1] + reach * np.sin(angle),
            ]
        ).round(2)


def _with_absent(lipids: pd.DataFrame) -> pd.DataFrame:
    """Add as many lipids of the same classes that the tissue does not have."""
    from pyteomics import mass

    absent = []
    for name, formula, kind in lipids.itertuples(index=False):
        atoms = mass.Composition(formula=formula)
        atoms["C"] += 1
        atoms["H"] += 2
        n, d = name[len(kind) + 1 : -1].split(":")
        text = "".join(f"{atom}{count}" for atom, count in sorted(atoms.items()))
        absent.append((f"{kind}({int(n) + 1}:{d})", text, kind))
    more = pd.DataFrame(absent, columns=lipids.columns)
    return pd.concat([lipids, more], ignore_index=True)
