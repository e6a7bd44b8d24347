"""Lint of names: rules of our own that axe-core runs beside its own, in the page (``js/lint.js``)."""
