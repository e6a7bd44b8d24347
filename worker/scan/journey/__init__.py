"""Steps before a scan: finding elements, real input, and errors that name what was found instead."""
