"""How long a fleet waits for what, in seconds, and why: one place, for some depend on others.

Where one has to be longer than another, its remark says so, and tests/fleet/test_waits.py holds it
to that. What is tried again after which pause is a matter of the end of a turn: `fleet.ending`.
"""

from __future__ import annotations

# -- who lives

HEARTBEAT = 5.0  # between two signs of life of a worker, and its looks for others that are gone
# without one a worker is taken for dead: several HEARTBEATs may be lost, and a worker that was
# stopped gives none any more, but waits ENDS for its turns
DEAD = 37.0

# -- a turn and its worker

LOOKS = 5.0  # between two looks of a worker at a turn, each of which may be a word to it
# without a word of its worker a turn ends by itself: several LOOKS may be lost, and it is shorter
# than DEAD, so that nobody has the migration while the turn does not know
SILENCE = 25.0
ENDS = 30.0  # within which a turn has to record its calls in flight; then it is killed
# until the folder of a worker that was killed is removed: longer than SILENCE and ENDS together,
# for its turns have their files there
PARTING = 60.0
TAKES = 30.0  # within which a command has to print the secrets of a turn, before it has a process
# a command that was killed, for what it has started may outlive it
LINGERS = 1.0
SLICE = 1800.0  # of a turn, after which it makes room for others that wait

# -- the store's lease

# it lasts for so long after the last sign of life: with the time until the worker is taken for
# dead and the next try of a store that is held, another machine goes on within a minute
HOLDS = 45.0
BEYOND = 15.0  # at least so much longer than a call to the destination may take to answer
SOON = 5.0  # for which a store is held just to see whether it is free

# -- accounts

# until an account that another migration works on is asked for again
BUSY = 15.0
# so much longer waits who made room for that other one, which asks every BUSY seconds and begins
# up to POLLS later: longer than POLLS
ROOM = 5.0

# -- the queue and the database

POLLS = 2.0  # between two looks into the queue: a turn whose time has come begins so soon
ASKS = 2.0  # until a database that is away is asked again
ENTERED = 60.0  # for which the end of a turn is tried to be entered
UNEXPECTED = 20.0  # until a turn begins again after an error that is none of a turn's ends
FORGETS = 3600.0  # between two looks for what is old
IDLE = 15.0  # that a session may do nothing within a transaction
LOCKED = 20.0  # that one waits for a lock: longer than IDLE, after which the lock is given up
# until a connection that leads nowhere is given up: shorter than DEAD
UNANSWERED = 30.0
GLANCE = 1.0  # for a lock, while a worker looks after what others have left: shorter than HEARTBEAT
CONNECTS = 10.0  # within which a server has to answer

# -- news

ANSWERED = 10.0  # within which an address has to answer
# within which a command has to end; a worker that ends waits for it after its turns, which is why
# whoever stops one has to leave it more than ENDS and TOLD together
TOLD = 30.0
