"""What users keep in Redis: schedules, waivers and dead letters."""
