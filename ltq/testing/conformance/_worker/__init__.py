"""The tests of workers and schedulers over a broker."""
