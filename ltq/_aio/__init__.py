"""What the rest of LTQ needs of asyncio, threads and time; nothing here knows what a task is."""
