"""The file: opened, upgraded, its transactions, and what its errors mean."""
