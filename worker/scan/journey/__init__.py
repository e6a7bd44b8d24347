"""Steps before a scan: finding what they act on, real input, and an error that says what was there instead."""
