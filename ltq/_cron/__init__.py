"""When cron expressions are due."""
