"""Evaluation of models: labelled findings and questions, and a model's scores on them.

``labels.py`` reads the labelled sets, ``run.py`` runs them as jobs do, ``scores.py`` counts, ``fixture_history.py``
creates and deletes the history of the questions. No other history is touched.
"""
