"""Spectra, chunks, m/z axes and the passes over them."""
