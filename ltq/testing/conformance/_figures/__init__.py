"""The tests of what a broker counts: the minutes of a queue, and how long its tasks wait."""
