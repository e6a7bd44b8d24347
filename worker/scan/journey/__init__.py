"""Steps before a scan: finding elements, real input, and errors that say what was found instead."""
