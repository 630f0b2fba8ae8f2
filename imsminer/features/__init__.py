"""From spectra to the feature matrix, and steps on it."""
