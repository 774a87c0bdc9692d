"""Makes a lowered program a good one. Passes change a program in place: it has no other owner yet."""
