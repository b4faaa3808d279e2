"""The tests of workers, schedulers and handles over a broker."""
