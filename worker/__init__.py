"""The worker: claims jobs from the stream, runs the agent, commits what came out. Start at ``__main__.py``."""
