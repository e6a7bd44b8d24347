"""Questions about scans: graph, tools and cited answers. Start with ``graph.py``."""
