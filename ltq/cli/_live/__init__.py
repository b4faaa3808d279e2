"""What a terminal shows live, and its keys: for `watch`, `send --wait`, `top` and `demo --web`."""
