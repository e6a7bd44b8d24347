"""Data that users manage in Redis: schedules, waivers, decisions, pauses and dead letters."""
