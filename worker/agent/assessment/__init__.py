"""The assessment of a scan by a model: graph, prompts, review. Start with ``graph.py``."""
