"""The agent: LangGraph graphs for scans and questions. It is handed what it may use; it opens nothing itself."""
