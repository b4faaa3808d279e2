"""The Lua scripts of `lua/` as typed calls: `calls` lists them."""
