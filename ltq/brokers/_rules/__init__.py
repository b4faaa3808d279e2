"""The rules of every transition of a task, once for all brokers.

A rule is a function over `Places` (what a store keeps of a namespace) at a time that is given. It
loads records, changes them, moves them to another place, and tells the `Listener` what changed.
Rules know no clock, no lock and no event loop, and raise only before they change anything.

- `publish`: ids that are there, fingerprints, `max_pending`
- `claim`: what is given in which order; `limits`: rates, and how many run at once
- `outcomes`: the fence, the end of a task, its return; `leases`: heartbeats, progress
- `cancel`: also clearing a queue
- `sweep`: what is due, what dead workers left; `poison`: isolation and burial
- `retention`: final states go when they have been kept long enough
- `dead_letters`: burying, listing, replaying, purging
- `schedule_slots`: each slot is fired once
- `stats`, `throughput`: what is seen from outside

`record` is a task as it is kept, `places` the protocols that a store implements, `moves` the steps
that rules have in common. `store` runs the rules as the calls of a broker: a new store subclasses
`Store`, and says what a step is and where its places are. `constants` are shared with rules that
are written in other languages.
"""
