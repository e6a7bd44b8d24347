"""Page addresses from lists, sitemaps and robots.txt. Start with ``sitemap.py``."""
