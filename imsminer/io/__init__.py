"""Reading and writing files: imzML, and what results are exported to."""
