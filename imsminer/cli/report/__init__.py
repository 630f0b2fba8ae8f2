"""The report of ``imsminer run``: one HTML page that needs no network."""

from imsminer.cli.report.document import Document
from imsminer.cli.report.sections import write_report

__all__ = ["Document", "write_report"]
