"""Running tasks that yield items: calling their generators, and writing what they yield."""
