"""The rules of every transition of a task, written once for all brokers.

A rule is a function of `Places` (what a store keeps of a namespace) and the time. It loads records,
changes them, moves them to another place, and tells the `Listener` what changed. Rules use no
clock, no lock and no event loop, and raise only before they change anything.

- `publish`: ids that exist already, fingerprints, `max_pending`
- `claim`: which tasks are given, in which order; `limits`: rates, and how many run at once
- `unclaim`: what becomes of tasks that were claimed for nobody
- `outcomes`: the fence, the end of a task, its return; `leases`: heartbeats, progress
- `cancel`: also clearing a queue
- `steering`: pausing and resuming a queue, promoting delayed tasks
- `sweep`: due tasks, and those of dead workers; `poison`: isolation and burial
- `retention`: final states are forgotten when they have been kept long enough
- `dead_letters`: burying, listing, replaying, purging
- `schedule_slots`: each slot is fired once
- `presence`: which lanes live consumers serve
- `listing`, `history`: what is seen from outside

`record` is a task and `slot` a schedule as a store keeps them, `places` has the protocols that a
store implements, and `moves` the steps that rules have in common. `store` runs the rules as the
calls of a broker: a new store subclasses `Store`, and says what a step is and where its places are.
`constants` are shared with brokers whose rules are written in another language.
"""
