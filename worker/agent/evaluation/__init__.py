"""How well a model does this work: labelled findings and questions of ours, and the scores a model gets for them.

``labels.py`` reads the labelled sets, ``run.py`` puts them to a model as jobs do, ``scores.py`` counts,
``fixture_history.py`` makes and deletes the history that the questions are about. Nobody else's history is touched.
"""
