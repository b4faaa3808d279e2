"""What the tests of the suite share: fixtures, factories, waiting."""
