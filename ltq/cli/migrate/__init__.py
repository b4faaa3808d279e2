"""`ltq migrate`: what a broker keeps its tasks in is made, or brought up to date."""
