"""A cloud model for what the local one cannot do: chat, limits on use, fallback."""
