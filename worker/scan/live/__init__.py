"""Live checks: what only a browser in use can see of a page. One file a check (``check.py``); ``run.py`` runs them."""
