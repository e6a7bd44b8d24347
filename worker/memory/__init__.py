"""The four memories in one Redis: conversations, facts, cache and scan history."""
