"""Numbers as pictures write them: short, round, in powers of 1000."""

import math

__all__ = ["compact_number", "power_of_1000", "round_down", "scaled_label"]


def compact_number(value: float) -> str:
    """Write a number in at most about five characters, such as ``12k`` or ``0.031``."""
    for power, suffix in ((9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{suffix}"
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-")


def round_down(value: float) -> float:
    """Return the largest of 1, 2, 5 × 10ⁿ that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(m * power for m in (1, 2, 5) if m * power <= value * (1 + 1e-9))


def power_of_1000(value: float) -> int:
    """Return the multiple of 3 that is the power of ten to write `value` in."""
    # 0.01 to 9,999 are readable as they are.
    if value == 0 or 0.01 <= value < 10_000:
        return 0
    return 3 * math.floor(math.log10(value) / 3)


def scaled_label(label: str, power: int) -> str:
    """Say in the unit that numbers are in powers of ten: ``intensity (10³ a.u.)``."""
    if not power:
        return label
    ten = f"$10^{{{power}}}$"
    if label.endswith(")") and "(" in label:
        quantity, unit = label.rsplit("(", 1)
        return f"{quantity}({ten} {unit}"
    return f"{label} ({ten})" if label else ten
