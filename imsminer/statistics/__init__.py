"""What differs between regions or conditions: tables of tests, units not pixels."""

# Not on first use: functions and modules share their names, and a module that is
# loaded by then would hide its function.
from imsminer.statistics.aggregate import aggregate
from imsminer.statistics.compare import compare

__all__ = ["aggregate", "compare"]
