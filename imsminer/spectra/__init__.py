"""Steps from raw spectra to picked peaks; each takes Spectra and returns Spectra."""
