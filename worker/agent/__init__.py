"""The agent: LangGraph graphs for scans and questions. Its resources are passed in; it opens nothing itself."""
