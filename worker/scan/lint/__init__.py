"""Lint of names: Sightline's rules, which axe-core runs in the page beside its own (``js/lint.js``)."""
