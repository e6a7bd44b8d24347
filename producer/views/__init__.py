"""Read-only summaries of queue, usage and history for display."""
