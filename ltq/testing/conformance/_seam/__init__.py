"""The tests of a broker's own calls."""
