"""Live checks: faults that show only when a page is used. One file per check (``check.py``); ``run.py`` runs them."""
