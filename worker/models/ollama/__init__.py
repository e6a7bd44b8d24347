"""Chat and embeddings from Ollama hosts: protocol, errors and the fleet of hosts."""
