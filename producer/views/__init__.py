"""Read-only summaries of queue, usage and history for people to look at."""
