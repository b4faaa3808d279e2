"""What LTQ needs from asyncio, threads and time. Nothing here knows the tasks of a queue."""
