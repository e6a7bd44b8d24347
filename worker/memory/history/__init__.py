"""The scan history: records, pages, trends and pruning."""
